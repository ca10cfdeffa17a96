"""The faults, each with the outcome that it must have. They return when the fault is over."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..broker.redis.servers import RedisServer
from .world import CHANNEL, World

PAUSE_S = 10.0
NAME = f"hub:{{{CHANNEL}}}:e"


@dataclass(frozen=True)
class Fault:
    """`gap`: whether a subscriber must be told of one; else everything must come."""

    name: str
    inflict: Callable[[World], Awaitable[None]]
    gap: bool
    options: tuple[str, ...] = ()
    history: int = 2000
    sentinel: bool = False


async def killed_subscribers(world: World) -> None:
    for _ in range(3):
        await world.server.command("CLIENT", "KILL", "TYPE", "pubsub")
        await asyncio.sleep(0.3)


async def half_open_listener(world: World) -> None:
    number = await world.listening_connection()
    world.link.only = lambda other: other == number
    world.link.swallowing = True
    await asyncio.sleep(0)


async def half_open_node(world: World) -> None:
    world.link.swallowing = True
    await asyncio.sleep(PAUSE_S)
    world.link.heal()


async def slow_listener(world: World) -> None:
    await world.server.command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 200kb 0 0")
    number = await world.listening_connection()
    world.link.only = lambda other: other == number
    world.link.delay_s = 60.0
    filler = b"x" * 100_000
    for _ in range(150):
        await world.server.command("PUBLISH", NAME, filler)
    world.link.heal()


async def forgotten_scripts(world: World) -> None:
    for _ in range(5):
        await world.server.command("SCRIPT", "FLUSH")
        await asyncio.sleep(0.1)


async def paused_clients(world: World) -> None:
    await world.server.command("CLIENT", "PAUSE", int(PAUSE_S * 1000), "ALL")
    await asyncio.sleep(PAUSE_S)


async def stopped_server(world: World) -> None:
    world.server.pause()
    await asyncio.sleep(PAUSE_S)
    world.server.resume()


async def killed_node(world: World) -> None:
    """Its clients are sent to the other one, as a load balancer does."""
    world.publishing[0] = False
    world.front.target = ("127.0.0.1", world.hubs[1].port)
    os.kill(world.hubs[0].pid, signal.SIGKILL)


async def full_memory(world: World) -> None:
    await world.server.command("CONFIG", "SET", "maxmemory", "1")
    await asyncio.sleep(2.0)
    await world.server.command("CONFIG", "SET", "maxmemory", "0")


async def restarted_with_data(world: World) -> None:
    await _restart(world.server)


async def flushed(world: World) -> None:
    await world.server.command("FLUSHALL")


async def restarted_without_data(world: World) -> None:
    await _restart(world.server)


async def restarted_from_an_older_dump(world: World) -> None:
    await world.server.command("SAVE")
    before = len(world.record.stored)
    await world.until(lambda: len(world.record.stored) > before + 50)
    await _restart(world.server)


async def trimmed(world: World) -> None:
    """Node 0 is cut off for longer than the history lasts."""
    world.link.refusing = True
    world.link.cut()
    before = len(world.record.stored)
    await world.until(lambda: len(world.record.stored) > before + 120)
    world.link.heal()


async def failover_that_lost_writes(world: World) -> None:
    assert world.replicas is not None
    await world.replicas.lag()
    before = len(world.record.stored)
    await world.until(lambda: len(world.record.stored) > before + 50)
    await world.replicas.lose_master()


async def _restart(server: RedisServer) -> None:
    await server.kill()
    await asyncio.sleep(0.5)
    await server.start()


FAULTS = [
    Fault("subscribers killed (CLIENT KILL TYPE pubsub, three times)", killed_subscribers, gap=False),
    Fault("a node's listening link half-open", half_open_listener, gap=False),
    Fault("all links of a node half-open for 10 s", half_open_node, gap=False),
    Fault("a slow listener cut off (client-output-buffer-limit)", slow_listener, gap=False),
    Fault("script cache flushed", forgotten_scripts, gap=False),
    Fault("CLIENT PAUSE for 10 s", paused_clients, gap=False),
    Fault("SIGSTOP of Redis for 10 s", stopped_server, gap=False),
    Fault("a node killed with -9", killed_node, gap=False),
    Fault("memory limit reached for 2 s (noeviction)", full_memory, gap=False),
    Fault(
        "Redis restarted with all its data",
        restarted_with_data,
        gap=False,
        options=("appendonly yes", "appendfsync always"),
    ),
    Fault("FLUSHALL", flushed, gap=True),
    Fault("Redis restarted without its data", restarted_without_data, gap=True),
    Fault("Redis restarted from an older dump", restarted_from_an_older_dump, gap=True),
    Fault("a stream trimmed past a node's position", trimmed, gap=True, history=50),
    Fault("a failover (Sentinel) that lost writes", failover_that_lost_writes, gap=True, sentinel=True),
]
