"""Faults that destroy stored events: a gap must be told, and its range is compared with the publishers' record."""

import asyncio
import time
from collections.abc import Coroutine

from .scenario import Fault
from .stage import CHANNELS, STATE, Stage

LOST_WRITES = 20  # of each channel
SHORT = 40  # events that a channel keeps, where it is to be trimmed
GAPS = ("hub_gaps_total",)
COUNTED = (*GAPS, "hub_gap_events_lost_total")


async def flushed(stage: Stage) -> None:
    await stage.server.command("FLUSHALL")


async def restarted_empty(stage: Stage) -> None:
    await stage.server.kill()
    await asyncio.sleep(1.0)
    await stage.server.start()


async def restarted_from_older_dump(stage: Stage) -> None:
    await stage.server.command("SAVE")
    await stage.until_published(LOST_WRITES)
    await _with_somebody_away(stage, restarted_empty(stage))


async def trimmed_while_deaf(stage: Stage) -> None:
    """Node 0 is cut off for longer than the history lasts."""
    stage.link.refusing = True
    stage.link.cut()
    stage.flow.leave(0)
    await stage.until_published(3 * SHORT)
    stage.link.heal()


async def trimmed_while_away(stage: Stage) -> None:
    """A client is away for longer than the history lasts."""
    await stage.witnesses[0].go()
    await stage.until_published(3 * SHORT)
    stage.witnesses[0].come()


async def failover_with_loss(stage: Stage) -> None:
    assert stage.replicas is not None
    await stage.replicas.lag()
    await stage.until_published(LOST_WRITES)
    await _with_somebody_away(stage, stage.replicas.lose_master())


async def _with_somebody_away(stage: Stage, fault: Coroutine[None, None, None]) -> None:
    """Who is away during the fault comes back when the new numbering has grown beyond its own position: only
    the fork can tell that what it had there was something else."""
    await stage.hopper.rest()
    above = time.monotonic()
    await stage.until(lambda: stage.caught_up(above), "who goes away to stand above what will be lost")
    await stage.hopper.go()
    await fault
    stage.over = time.monotonic()
    await stage.until_published(LOST_WRITES * 2)
    stage.hopper.come()
    stage.hopper.hop()


async def wrong_type(stage: Stage) -> None:
    """Somebody else wrote under the hub's own name."""
    stage.flow.expected.add("internal")  # whoever comes upon it is told so, once
    stream = f"hub:{{{STATE}}}:s"
    await stage.server.command("LPUSH", "foreign", "not ours")
    await stage.server.command("RENAME", "foreign", stream)


FOREIGN_ENTRY = """
local epoch, offset, rest = string.match(redis.call('GET', KEYS[1]), '^([^|]+)|(%d+)|(.*)$')
local number = string.format('%d', offset + 1)
redis.call('XADD', KEYS[2], number, 'foreign', 'x')
redis.call('SET', KEYS[1], epoch .. '|' .. number .. '|' .. rest, 'KEEPTTL')
"""


async def entry_without_field(stage: Stage) -> None:
    """A writer that takes part in the numbering, and stores what no node can read."""
    for channel in CHANNELS:
        base = f"hub:{{{channel}}}:"
        await stage.server.command("EVAL", FOREIGN_ENTRY, 2, base + "m", base + "s")


LOST = (
    Fault("flushall", "`FLUSHALL`", flushed, gap=True, all_told=True, counted=GAPS),
    Fault(
        "restart-empty",
        "Redis restarted without its data",
        restarted_empty,
        gap=True,
        all_told=True,
        counted=GAPS,
    ),
    Fault(
        "restart-older",
        "Redis restarted from an older dump",
        restarted_from_older_dump,
        gap=True,
        all_told=True,
        counted=(*GAPS, "incident:retried_incarnation"),
    ),
    Fault(
        "trimmed-node",
        "a stream trimmed past the position of a node that was cut off",
        trimmed_while_deaf,
        gap=True,
        history=SHORT,
        red=(0,),
        counted=COUNTED,
    ),
    Fault(
        "trimmed-client",
        "a stream trimmed past the position of a client that was away",
        trimmed_while_away,
        gap=True,
        history=SHORT,
        open=False,
        counted=("hub_unrecovered_total",),
    ),
    Fault(
        "failover",
        "a Sentinel failover that lost writes",
        failover_with_loss,
        gap=True,
        all_told=True,
        setup="sentinel",
        counted=(*GAPS, "incident:disconnects"),
    ),
    Fault(
        "wrong-type",
        "a key of another type under the stream's name",
        wrong_type,
        gap=True,
        counted=(*GAPS, "incident:healed"),
    ),
    Fault(
        "foreign-entry",
        "an entry in the stream without the hub's field",
        entry_without_field,
        gap=True,
        counted=(*COUNTED, "incident:unreadable_entries"),
    ),
)
