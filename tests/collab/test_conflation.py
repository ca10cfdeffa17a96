"""Merging by pressure and by `max_rate`, through real sockets."""

import time
from typing import Any

from ..support.wire import Message, Wire
from .pair import Board, Pair, batch, fresh, publish, slow

KEYS = 20
ROUNDS = 500
PAD = "x" * 700


def jobs(channel: str, rounds: int) -> list[Message]:
    """Every key in every round; one in fifty is final."""
    return [
        {
            "channel": channel,
            "event": "n",
            "payload": [number, PAD],
            "key": f"k{number % KEYS}",
            "final": number % 50 == 0,
        }
        for number in range(rounds * KEYS)
    ]


async def test_a_slow_reader_gets_less_and_ends_right(pair: Pair) -> None:
    channel = fresh("job")
    async with (
        slow(pair.b, pair.token("slow")) as reader,
        pair.connect(pair.b, "quick") as witness,
    ):
        board = Board(await reader.ask("subscribe", channel=channel))
        quick = Board(await witness.ask("subscribe", channel=channel))
        events = jobs(channel, ROUNDS)
        total = len(events)
        for at in range(0, total, 200):
            await batch(pair.a, events[at : at + 200])
            await quick.read(witness, at + 200)
        await board.read(reader, total)
    assert quick.conflated == 0
    assert len(quick.events) == total
    assert board.conflated > total // 4, "there was pressure"
    assert len(board.events) + board.conflated == total
    finals = [event["payload"][0] for event in board.events if event.get("final")]
    assert finals == list(range(0, total, 50)), "finals are never merged"
    assert board.payloads == quick.payloads, "the last event of each key arrives"


async def test_a_slow_reader_in_the_middle_of_a_long_snapshot(pair: Pair) -> None:
    """Its pages and what follows them, at its own pace."""
    channel = fresh("job")
    events: list[dict[str, Any]] = [
        {"channel": channel, "event": "n", "payload": [n, PAD], "key": f"k{n}", "final": n % 10 == 0}
        for n in range(2000)
    ]
    await batch(pair.a, events)
    async with slow(pair.b, pair.token("slow")) as reader:
        await reader.send("subscribe", id="s", channel=channel)
        board = Board(await reader.reply("s"))
        for round in range(3):
            await batch(pair.a, [{**event, "payload": [round, event["payload"][0]]} for event in events])
        await board.read(reader, 8000)
        assert board.payloads == {f"k{n}": [2, n] for n in range(2000)}
        assert sum(bool(event.get("final")) for event in board.events) == 600


INTERVAL_S = 4.0
"""Between two flushes: long beside all that a busy machine needs for what is to come at once."""


async def test_max_rate_sends_the_newest_of_each_key_and_finals_at_once(pair: Pair) -> None:
    channel = fresh("job")
    async with pair.connect(pair.b, "ann") as wire:
        board = Board(await wire.ask("subscribe", channel=channel, max_rate=1 / INTERVAL_S))
        begun = time.monotonic()
        await publish(pair.a, channel, payload="first", key="a")
        board.take(await wire.receive())
        assert time.monotonic() - begun < INTERVAL_S / 2, "after a quiet interval nothing is held back"
        for number in range(10):
            await publish(pair.a, channel, payload=number, key=("a", "b")[number % 2])
        await publish(pair.a, channel, "note", "no key")
        await board.read(wire, 12)
        assert [event["payload"] for event in board.events[1:]] == [8, 9, "no key"]
        assert board.conflated == 8
        await publish(pair.a, channel, payload="held", key="b")
        before = time.monotonic()
        await publish(pair.a, channel, payload="end", key="a", final=True)
        await board.read(wire, 14)
        assert time.monotonic() - before < INTERVAL_S / 2, "a final flushes at once"
        assert [event["payload"] for event in board.events[-2:]] == ["held", "end"]


async def test_max_rate_on_a_log_merges_nothing(pair: Pair) -> None:
    channel = fresh("doc")
    async with pair.connect(pair.b, "ann") as wire:
        board = Board(await wire.ask("subscribe", channel=channel, max_rate=5))
        await batch(pair.a, [{"channel": channel, "event": "n", "payload": n, "key": "k"} for n in range(50)])
        await board.read(wire, 50)
        assert [event["payload"] for event in board.events] == list(range(50))
        assert board.conflated == 0


async def test_echo_false_is_counted(pair: Pair) -> None:
    """One's own edits leave no hole, also after a return to the other node."""
    channel = fresh("doc")

    async def edit(wire: Wire, number: int) -> None:
        reply = await wire.ask("publish", channel=channel, event="edit", payload=number)
        assert reply["type"] == "hub.published", reply

    async with pair.connect(pair.a, "ann") as ann, pair.connect(pair.b, "bob") as bob:
        board = Board(await ann.ask("subscribe", channel=channel, echo=False))
        await edit(ann, 1)
        await edit(bob, 2)
        board.take(await ann.receive())
        assert (board.events[-1]["payload"], board.events[-1]["conflated"]) == (2, 1)
        assert board.events[-1]["from"] == "bob"
        await edit(ann, 3)
        ann.abort()
        await edit(bob, 4)
        async with pair.connect(pair.b, "ann", query=[("resume", ann.welcome["resume"])]) as again:
            since = {"epoch": (await bob.ask("subscribe", channel=channel))["epoch"], "offset": 2}
            reply = await again.ask("subscribe", channel=channel, since=since, echo=False)
            assert (reply["recovered"], reply["missed"]) == (True, 2)
            board.take(await again.receive())
            assert (board.events[-1]["payload"], board.events[-1]["conflated"]) == (4, 1)
