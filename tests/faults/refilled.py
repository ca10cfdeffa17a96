"""Faults that destroy nothing: everything must come, and a gap is a failure."""

import asyncio

from . import garbage
from .scenario import Fault
from .stage import CHANNELS, Stage

PAUSE_S = 10.0


async def subscribers_killed(stage: Stage) -> None:
    for _ in range(3):
        await stage.server.command("CLIENT", "KILL", "TYPE", "pubsub")
        await asyncio.sleep(0.4)


async def listener_half_open(stage: Stage) -> None:
    """What listens is deaf, however often it connects anew; commands go through."""
    listening = await stage.listening()
    commands = {number for number in stage.link.open_connections() if number != listening}
    stage.link.only = lambda number: number not in commands
    stage.link.swallowing = True
    await asyncio.sleep(PAUSE_S)
    stage.link.heal()


async def node_half_open(stage: Stage) -> None:
    stage.link.swallowing = True
    await asyncio.sleep(PAUSE_S)
    stage.link.heal()


async def listener_too_slow(stage: Stage) -> None:
    await stage.server.command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 200kb 0 0")
    number = await stage.listening()
    stage.link.only = lambda other: other == number
    stage.link.delay_s = 60.0
    filler = b"x" * 100_000
    for _ in range(150):
        await stage.server.command("PUBLISH", f"hub:{{{CHANNELS[0]}}}:e", filler)
    stage.link.heal()
    stage.link.cut()  # the proxy still holds back what it read before


async def scripts_forgotten(stage: Stage) -> None:
    for _ in range(5):
        await stage.server.command("SCRIPT", "FLUSH")
        await asyncio.sleep(0.1)


async def clients_paused(stage: Stage) -> None:
    await stage.server.command("CLIENT", "PAUSE", int(PAUSE_S * 1000), "ALL")
    await asyncio.sleep(PAUSE_S)


async def server_stopped(stage: Stage) -> None:
    stage.server.pause()
    await asyncio.sleep(PAUSE_S)
    stage.server.resume()


async def node_killed(stage: Stage) -> None:
    stage.kill_node(0)


async def memory_full(stage: Stage) -> None:
    await stage.server.command("CONFIG", "SET", "maxmemory", "1")
    await asyncio.sleep(2.0)
    await stage.server.command("CONFIG", "SET", "maxmemory", "0")


async def restarted_with_data(stage: Stage) -> None:
    await stage.server.kill()
    await asyncio.sleep(1.0)
    await stage.server.start()


REFILLED = (
    Fault(
        "kill-pubsub",
        "`CLIENT KILL TYPE pubsub`, three times",
        subscribers_killed,
        counted=("incident:listener_disconnects",),
    ),
    Fault(
        "half-open-listener",
        "a node's listening link half-open for 10 s, commands go through",
        listener_half_open,
        red=(0,),
        counted=("incident:listener_disconnects", "incident:gaps", "hub_gap_events_refilled_total"),
    ),
    Fault(
        "half-open-node",
        "all links of a node half-open for 10 s",
        node_half_open,
        red=(0,),
        refusing=True,
        counted=("incident:disconnects", "incident:connect_failures", "hub_gap_events_refilled_total"),
    ),
    Fault(
        "output-buffer",
        "a slow listener cut off by Redis (`client-output-buffer-limit`)",
        listener_too_slow,
        counted=("incident:listener_disconnects", "incident:unreadable_messages"),
    ),
    Fault(
        "script-flush",
        "`SCRIPT FLUSH`, five times",
        scripts_forgotten,
        counted=("incident:retried_script",),
    ),
    Fault(
        "client-pause",
        "`CLIENT PAUSE` for 10 s",
        clients_paused,
        red=(0, 1),
        refusing=True,
        counted=("incident:disconnects", "incident:connect_failures"),
    ),
    Fault(
        "sigstop",
        "SIGSTOP of Redis for 10 s",
        server_stopped,
        red=(0, 1),
        refusing=True,
        counted=("incident:disconnects", "incident:connect_failures"),
    ),
    Fault(
        "node-killed",
        "a node killed with -9: its clients resume on the other",
        node_killed,
        open=False,
        counted=("hub_recovered_total",),
    ),
    Fault(
        "node-killed-nginx",
        "the same with nginx in front (deploy/nginx.conf)",
        node_killed,
        open=False,
        front=True,
        counted=("hub_recovered_total",),
    ),
    Fault(
        "garbage",
        "garbage, cut, foreign and future bytes on the channels, 40 MB, foreign commands",
        garbage.thrown,
        counted=garbage.COUNTED,
    ),
    Fault(
        "memory-full",
        "memory limit reached for 2 s (`noeviction`), then freed",
        memory_full,
        counted=("incident:errors",),
    ),
    Fault(
        "restart-with-data",
        "Redis killed and restarted with all its data (`appendfsync always`)",
        restarted_with_data,
        options=("appendonly yes", "appendfsync always"),
        counted=("incident:disconnects", "incident:retried_incarnation"),
    ),
)
