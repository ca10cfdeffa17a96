"""A feed under any interleaving of two connections, conflation, holes, cuts and gaps: nothing goes unsaid."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.protocol.position import Position
from hub.runtime.backoff import Backoff, Timing
from hub.sdk.feed import Feed
from hub.sdk.items import Event, Gap, Item

Step = tuple[str, int]
KINDS = [
    "publish",
    "publish",
    "trim",
    "ask",
    "answer",
    "answer",
    "deliver",
    "deliver",
    "deliver",
    "lose",
    "cut",
]
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 4)), min_size=30, max_size=150)


class Connection:
    """The hub's end of one connection: what it is about to deliver, from where."""

    def __init__(self) -> None:
        self.asked: Position | None = None
        self.next: int | None = None  # None until it has answered


class Hub:
    """One channel with a history; `first` is the oldest offset it can still give."""

    def __init__(self) -> None:
        self.top = 0
        self.first = 1

    def answer(self, connection: Connection) -> dict[str, Any]:
        since, connection.asked = connection.asked, None
        assert since is not None
        reply: dict[str, Any] = {"channel": "c:1", "epoch": "k", "offset": self.top}
        if since.offset + 1 >= self.first:
            connection.next = since.offset + 1
            return {**reply, "recovered": True}
        connection.next = self.top + 1
        return {
            **reply,
            "recovered": False,
            "gap": {"from": since.offset + 1, "to": self.top, "cause": "trimmed"},
        }


def event(offset: int, conflated: int = 0) -> dict[str, Any]:
    more = {"conflated": conflated} if conflated else {}
    return {"type": "n", "channel": "c:1", "offset": offset, "id": "e", "time": 1, "payload": offset, **more}


async def play(steps: list[Step]) -> None:
    timing = Timing()
    feed = Feed("c:1", Position("k", 0), {}, 10_000, Backoff(timing))
    hub = Hub()
    connections: list[Connection] = []
    merged: set[int] = set()  # offsets that the hub merged into newer ones, by right

    def ask() -> None:
        connections.append(Connection())
        connections[-1].asked = feed.request()["since"] and Position(**feed.request()["since"])
        feed.asking = connections[-1]  # type: ignore[assignment]

    def answer(connection: Connection) -> None:
        reply = hub.answer(connection)
        if feed.asking is connection:  # type: ignore[comparison-overlap]
            feed.attach(connection, reply)  # type: ignore[arg-type]

    def deliver(connection: Connection, conflated: int, lost: int) -> None:
        assert connection.next is not None
        offset = connection.next + lost + conflated
        if offset > hub.top:
            return
        connection.next = offset + 1
        if feed.link is not connection:  # type: ignore[comparison-overlap]
            return
        if feed.receive(event(offset, conflated)):
            merged.update(range(offset - conflated, offset))
        else:
            assert lost, "a hole where none is"
            feed.link = None
            ask()

    def step(kind: str, number: int) -> None:
        speaking = [c for c in connections if c.next is not None]
        asked = [c for c in connections if c.asked is not None]
        if kind == "publish":
            hub.top += number
        elif kind == "trim":
            hub.first = min(hub.first + number, hub.top + 1)
        elif kind == "ask":
            ask()
        elif kind == "answer" and asked:
            answer(asked[number % len(asked)])
        elif kind in ("deliver", "lose") and speaking:
            deliver(speaking[number % len(speaking)], number // 2, number if kind == "lose" else 0)
        elif kind == "cut" and connections:
            gone = connections.pop(number % len(connections))
            feed.link = None if feed.link is gone else feed.link  # type: ignore[comparison-overlap]
            feed.asking = None if feed.asking is gone else feed.asking  # type: ignore[comparison-overlap]

    ask()
    answer(connections[0])
    for kind, number in steps:
        step(kind, number)
    # At last everything is well: a fresh connection delivers all that is left.
    ask()
    last = connections[-1]
    answer(last)
    while last.next is not None and last.next <= hub.top:
        deliver(last, 0, 0)
    await check(feed, hub.top, merged)


async def check(feed: Feed, top: int, merged: set[int]) -> None:
    """Each item continues the one before it, up to the top."""
    at = 0
    while len(feed.buffer):
        item: Item = await feed.buffer.get()
        if isinstance(item, Gap):
            assert item.first == at + 1
            at = item.last
        else:
            assert isinstance(item, Event)
            assert item.offset == at + 1 + item.conflated == item.payload
            assert merged.issuperset(range(at + 1, item.offset)), "events are missing without a word"
            at = item.offset
    assert at == top
    assert feed.received == Position("k", top)


@settings(deadline=None, max_examples=300)
@given(STEPS)
def test_nothing_is_lost_doubled_or_out_of_order_without_a_word(steps: list[Step]) -> None:
    asyncio.run(play(steps))
