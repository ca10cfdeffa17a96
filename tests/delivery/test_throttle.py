"""``max_rate``: one flush clock a subscription, in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from hub.delivery.channel import Channel, Subscription, TailBytes
from hub.delivery.outbox import Outbox
from hub.namespaces import Mode, Namespace
from hub.protocol.frames import Encoding
from hub.runtime.flush import FlushScheduler

from ..support import virtual
from .test_outbox import Wire, event


def play(
    mode: Mode, rate: float, story: Callable[[Channel, Wire], Coroutine[Any, Any, None]], limit: int = 100_000
) -> None:
    async def main() -> None:
        turn = FlushScheduler(asyncio.get_running_loop().call_soon)
        wire = Wire()
        outbox = Outbox(wire, turn, Encoding.JSON, limit, lambda: None)
        channel = Channel("job:1", Namespace(mode=mode), turn, TailBytes(), lambda channel: None)
        channel.epoch = "e"
        channel.go_live(Subscription(None, outbox, channel, rate=rate), 0)
        await story(channel, wire)

    virtual.run(main())


def offsets(wire: Wire) -> list[object]:
    return [(message["offset"], message.get("conflated", 0)) for message in wire.messages()]


def test_each_flush_sends_the_newest_of_every_key() -> None:
    async def story(channel: Channel, wire: Wire) -> None:
        channel.announce("e", event(1, "a"))
        await asyncio.sleep(0.1)
        assert offsets(wire) == [(1, 0)], "after a quiet interval nothing is held back"
        for offset, key in ((2, "a"), (3, "b"), (4, "a"), (5, "c"), (6, "b")):
            channel.announce("e", event(offset, key))
            await asyncio.sleep(0.05)
        assert offsets(wire) == [(1, 0)]
        await asyncio.sleep(1.0)
        assert offsets(wire)[1:] == [(4, 2), (5, 0), (6, 0)]

    play(Mode.STATE, 1.0, story)


def test_a_final_flushes_at_once() -> None:
    async def story(channel: Channel, wire: Wire) -> None:
        channel.announce("e", event(1, "a"))
        await asyncio.sleep(0.1)
        channel.announce("e", event(2, "b"))
        channel.announce("e", event(3, "a", final=True))
        channel.announce("e", event(4, "a"))
        await asyncio.sleep(0.01)
        assert offsets(wire)[1:] == [(2, 0), (3, 0)]
        await asyncio.sleep(10)
        assert offsets(wire)[3:] == [(4, 0)]

    play(Mode.STATE, 0.1, story)


def test_a_log_is_held_back_but_never_merged() -> None:
    async def story(channel: Channel, wire: Wire) -> None:
        for offset in range(1, 11):
            channel.announce("e", event(offset, "a"))
            await asyncio.sleep(0.05)
        await asyncio.sleep(2)
        assert offsets(wire) == [(offset, 0) for offset in range(1, 11)]
        assert len(wire.data) == 2

    play(Mode.LOG, 1.0, story)


def test_what_is_held_back_is_bounded() -> None:
    async def story(channel: Channel, wire: Wire) -> None:
        channel.announce("e", event(1, "a"))
        await asyncio.sleep(0.1)
        for offset in range(2, 102):
            channel.announce("e", event(offset, "a", size=1000))
        await asyncio.sleep(0.1)
        assert len(offsets(wire)) > 90, "more than the outbox may hold goes there, and is judged there"

    play(Mode.LOG, 0.01, story, limit=5000)


def test_a_restart_sends_first_what_was_held_back() -> None:
    async def story(channel: Channel, wire: Wire) -> None:
        channel.announce("e", event(1, "a"))
        await asyncio.sleep(0.1)
        channel.announce("e", event(2, "a"))
        await asyncio.sleep(0.1)
        channel.restart("f", 9)
        await asyncio.sleep(0.1)
        assert offsets(wire) == [(1, 0), (2, 0)]

    play(Mode.STATE, 0.1, story)
