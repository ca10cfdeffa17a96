"""Replays are shared by all who get the same run of events, and by nobody else; they go by their bytes."""

import pytest

from hub.delivery.channel import Channel, Subscription, TailBytes
from hub.delivery.outbox import Outbox
from hub.delivery.replays import SharedReplays
from hub.namespaces import Namespace
from hub.protocol.event import Event
from hub.protocol.frames import Encoding
from hub.runtime.flush import FlushScheduler

ENCODINGS = [Encoding.JSON, Encoding.MSGPACK, Encoding.SSE, Encoding.NDJSON]


def event(offset: int, size: int = 10, *, origin: str | None = None, channel: str = "doc:1") -> Event:
    made = Event(channel, offset, f"e{offset}", 0, "tick", b'"%s"' % (b"x" * size), origin=origin)
    made.epoch = "e"
    return made


class Taken:
    """A sink that keeps the very objects."""

    def __init__(self) -> None:
        self.all: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.all.append(data)


def subscribe(
    replays: SharedReplays, encoding: Encoding, sent: int = 0, own: str | None = None
) -> tuple[Subscription, Taken]:
    turn = FlushScheduler(lambda callback: None)
    channel = Channel("doc:1", Namespace(), turn, TailBytes(), lambda channel: None, replays)
    channel.epoch = "e"
    sink = Taken()
    outbox = Outbox(sink, turn, encoding, 100_000, lambda: None)
    subscription = Subscription(None, outbox, channel, own=own)
    subscription.sent = sent
    return subscription, sink


def replayed(subscription: Subscription, sink: Taken, events: list[Event]) -> bytes:
    size = subscription.replay(events)
    subscription.outbox.flush()
    assert size == len(sink.all[-1]) if sink.all else size == 0
    return sink.all.pop() if sink.all else b""


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_all_who_resume_at_one_place_get_the_same_object(encoding: Encoding) -> None:
    replays, events = SharedReplays(), [event(number) for number in range(4, 9)]
    first = replayed(*subscribe(replays, encoding, 3), events)
    assert first == b"".join(each.frame(encoding) for each in events)
    again = [event(number) for number in range(4, 9)]  # read anew, by another subscriber
    assert replayed(*subscribe(replays, encoding, 3), again) is first
    assert replays.bytes == len(first)
    assert replayed(*subscribe(replays, encoding, 4), events[1:]) == first[len(events[0].frame(encoding)) :]


def test_what_is_for_one_alone_is_not_shared() -> None:
    replays, events = SharedReplays(), [event(1), event(2, origin="me"), event(4)]
    own, sink = subscribe(replays, Encoding.JSON, 0, own="me")
    assert replayed(own, sink, events) == events[0].frame(Encoding.JSON) + events[2].conflated_frame(
        Encoding.JSON, 2
    )
    held, sink = subscribe(replays, Encoding.JSON, 0)
    assert b'"conflated":1' in replayed(held, sink, events)  # a hole
    behind, sink = subscribe(replays, Encoding.JSON, 1)
    assert b'"conflated":2' in replayed(behind, sink, [event(4), event(5)])
    alone, sink = subscribe(replays, Encoding.JSON, 0)
    assert replayed(alone, sink, events[:1]) is events[0].frame(Encoding.JSON)
    assert replays.bytes == 0
    assert (own.sent, held.sent, behind.sent, alone.sent) == (4, 4, 5, 1)


def test_bytes_are_bounded_and_the_last_asked_for_stay() -> None:
    replays = SharedReplays(most=4000)
    runs = [[event(number, 700), event(number + 1, 700)] for number in range(1, 20, 2)]
    first = replays.of(runs[0], Encoding.JSON)
    for run in runs[1:]:
        replays.of(run, Encoding.JSON)
        assert replays.of(runs[0], Encoding.JSON) is first
        assert replays.bytes <= 4000
    long = [event(1, 3000), event(2, 3000)]
    assert len(replays.of(long, Encoding.MSGPACK)) > 4000
    assert replays.bytes <= 4000


def test_what_was_erased_is_not_kept() -> None:
    replays = SharedReplays()
    subscription, sink = subscribe(replays, Encoding.JSON)
    replayed(subscription, sink, [event(1), event(2)])
    assert replays.bytes
    subscription.channel.restart("other", 0)
    assert replays.bytes == 0
