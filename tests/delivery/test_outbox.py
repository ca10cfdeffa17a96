"""The send queue of a connection: order, merging, bounds; against a transport that blocks when it likes."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from hub.delivery.outbox import Outbox
from hub.protocol.event import Burst, Event
from hub.protocol.frames import Encoding, bodies, frame
from hub.runtime.flush import FlushScheduler


class Wire:
    """A sink that takes `room` writes, then blocks."""

    def __init__(self) -> None:
        self.outbox: Outbox | None = None
        self.data: list[bytes] = []
        self.room = 1_000_000

    def write(self, data: bytes) -> None:
        self.data.append(data)
        self.room -= 1
        if self.room <= 0 and self.outbox is not None:
            self.outbox.block()

    def messages(self) -> list[dict[str, object]]:
        return [orjson.loads(body) for body in bodies(b"".join(self.data))]


class Receiver:
    def __init__(self, *, conflates: bool = True, plain: bool = True) -> None:
        self.plain = plain
        self.sent = 0
        self.queued = 0
        self.conflates = conflates
        self.merges: list[tuple[int, int]] = []

    def note_merge(self, gone: int, into: int) -> None:
        self.merges.append((gone, into))


def make(limit: int = 1_000_000) -> tuple[Outbox, Wire, FlushScheduler, list[str]]:
    wire = Wire()
    overflows: list[str] = []
    turn = FlushScheduler(lambda run: None)
    outbox = Outbox(wire, turn, Encoding.JSON, limit, lambda: overflows.append("over"), fd=0)
    wire.outbox = outbox
    return outbox, wire, turn, overflows


def event(offset: int, key: str | None = "k", *, final: bool = False, size: int = 1) -> Event:
    return Event("job:1", offset, f"e{offset}", 0, "tick", b'"%s"' % (b"x" * size), key=key, final=final)


def test_what_gathers_in_a_turn_is_one_write() -> None:
    outbox, wire, turn, _ = make()
    receiver = Receiver()
    outbox.push(frame(b'{"n":1}', Encoding.JSON))
    outbox.deliver(Burst([event(1), event(2)]), receiver)
    assert not wire.data
    turn.run()
    assert len(wire.data) == 1
    assert [message.get("offset") for message in wire.messages()] == [None, 1, 2]
    assert outbox.clear


def test_an_outbox_whose_last_write_blocked_is_not_clear() -> None:
    outbox, wire, turn, _ = make()
    outbox.block()
    outbox.push(frame(b"{}", Encoding.JSON))
    wire.room = 1
    outbox.unblock()
    assert (outbox.blocked, outbox.clear, outbox.queued) == (True, False, 0)
    outbox.push(frame(b"[]", Encoding.JSON))
    assert outbox.queued == 1
    wire.room = 10
    outbox.unblock()
    assert (outbox.blocked, outbox.clear) == (False, True)
    turn.run()
    assert len(list(bodies(b"".join(wire.data)))) == 2


def test_ephemeral_events_go_before_it_is_an_overflow() -> None:
    outbox, _, turn, overflows = make(limit=2000)
    receiver = Receiver()
    outbox.block()
    for _ in range(50):
        outbox.deliver(Burst([event(0, None, size=100)]), receiver)
    turn.run()
    assert not overflows
    for offset in range(1, 50):
        outbox.deliver(Burst([event(offset, None, size=100)]), receiver)
    turn.run()
    turn.run()
    assert overflows == ["over"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("events"), st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=6)),
        st.tuples(st.just("push"), st.none()),
        st.tuples(st.just("block"), st.none()),
        st.tuples(st.just("unblock"), st.integers(1, 3)),
        st.tuples(st.just("turn"), st.none()),
    ),
    max_size=40,
)


@given(STEPS, st.booleans(), st.booleans())
def test_offsets_rise_and_every_jump_is_counted(steps: list[Any], conflates: bool, plain: bool) -> None:
    outbox, wire, turn, overflows = make()
    receiver = Receiver(conflates=conflates, plain=plain)
    sent: list[Event] = []
    pushed = 0
    for kind, value in steps:
        if kind == "events":
            events = [event(len(sent) + n + 1, key, final=final) for n, (key, final) in enumerate(value)]
            sent += events
            if plain and events:
                outbox.deliver(Burst(events), receiver)
            else:
                for one in events:
                    outbox.deliver_event(one, receiver)
        elif kind == "push":
            pushed += 1
            outbox.push(frame(b'{"push":%d}' % pushed, Encoding.JSON))
        elif kind == "block":
            outbox.block()
        elif kind == "unblock":
            wire.room = value
            outbox.unblock()
        else:
            turn.run()
    wire.room = 1_000_000
    outbox.unblock()
    turn.run()
    assert not overflows
    assert (outbox.queued, outbox.queued_bytes, receiver.queued) == (0, 0, 0)
    messages = wire.messages()
    assert [m["push"] for m in messages if "push" in m] == list(range(1, pushed + 1))
    got = [m for m in messages if "offset" in m]
    at = 0
    for message in got:
        assert message["offset"] == at + 1 + message.get("conflated", 0)  # type: ignore[operator]
        at = message["offset"]
    offsets = {m["offset"] for m in got}
    newest = {one.key: one.offset for one in sent}
    for one in sent:
        if one.offset not in offsets:
            assert conflates
            assert not one.final
            assert newest[one.key] > one.offset
    assert set(newest.values()) <= offsets
