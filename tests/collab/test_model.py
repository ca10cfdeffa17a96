"""Consumers of every speed against the memory broker, in virtual time: whatever is published in whatever order,
each one's last event of a key is the last published, finals are all seen, and the order by key is kept.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from hub.broker.base import Inbox, Member, Published
from hub.broker.memory.broker import MemoryBroker
from hub.delivery.channel import Channel, Subscription, TailBytes
from hub.delivery.outbox import Outbox
from hub.namespaces import Namespace, Namespaces
from hub.protocol.event import Event, Publication, Version
from hub.protocol.frames import Encoding, bodies
from hub.runtime.flush import FlushScheduler

from ..support import virtual
from ..support.stories import stories

TABLE = Namespaces({"job": Namespace.model_validate({"mode": "state"}), "doc": Namespace()})
NEVER = 1 << 30
HIGH = 300  # bytes that a socket takes before it says stop


class Node:
    """A broker's listener with one channel."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    def on_event(self, epoch: str, event: Event) -> None:
        self.channel.announce(epoch, event)

    def on_presence(self, channel: str, change: str, member: Member) -> None:
        raise AssertionError("nobody is present")

    def on_ack(self, channel: str, user: str, inbox: Inbox) -> None:
        raise AssertionError("nobody acknowledges")

    def on_lost(self, channels: object) -> None:
        raise AssertionError("nothing is lost")

    def on_erased(self, channel: str) -> None:
        raise AssertionError("nothing is deleted")

    def on_command(self, data: bytes) -> None:
        raise AssertionError("nothing is commanded")


@dataclass
class Reader:
    """A socket that takes `speed` frames each time it reads, and what came out of it."""

    speed: int
    rate: float | None
    own: str | None
    events: list[dict[str, Any]] = field(default_factory=list)
    _waiting: list[bytes] = field(default_factory=list)
    outbox: Outbox = field(init=False)

    def begin(self, channel: Channel, turn: FlushScheduler) -> None:
        self.outbox = Outbox(self, turn, Encoding.JSON, NEVER, lambda: None)
        subscription = Subscription(self, self.outbox, channel, own=self.own, rate=self.rate)
        channel.go_live(subscription, channel.top)

    def write(self, data: bytes) -> None:
        self._waiting += bodies(data)
        if sum(map(len, self._waiting)) > HIGH:
            self.outbox.block()

    def read(self, count: int) -> None:
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        self.events += [orjson.loads(body) for body in taken]
        if self.outbox.blocked and sum(map(len, self._waiting)) <= HIGH:
            self.outbox.unblock()


publications = st.tuples(
    st.just("publish"),
    st.sampled_from([None, "a", "b", "c"]),
    st.booleans(),  # final
    st.one_of(st.none(), st.tuples(st.integers(0, 2), st.integers(0, 9))),  # version
    st.sampled_from(["c_ann", "c_bob"]),  # the publishing connection
    st.integers(0, 200),  # bytes of padding
)
steps = st.one_of(
    publications,
    publications,
    publications,
    st.tuples(st.just("read")),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.05, 0.6])),
)
readers = st.tuples(
    st.integers(0, 3), st.sampled_from([None, None, 0.5, 10.0]), st.sampled_from([None, None, "c_ann"])
)


async def play(namespace: str, script: list[tuple[Any, ...]], kinds: list[tuple[Any, ...]]) -> None:
    loop = asyncio.get_running_loop()
    turn = FlushScheduler(loop.call_soon)
    name = f"{namespace}:1"
    channel = Channel(name, TABLE.of(name), turn, TailBytes(), lambda _: None)
    broker = MemoryBroker(TABLE, clock=loop.time)
    await broker.start(Node(channel))
    await broker.listen(name)
    page = await broker.read(name, None, 1)
    channel.restart(page.top.epoch, page.top.offset)
    crowd = [Reader(*kind) for kind in kinds]
    for reader in crowd:
        reader.begin(channel, turn)
    stored: dict[int, Publication] = {}
    for step in script:
        match step:
            case ("publish", key, final, version, origin, padding):
                publication = Publication(
                    name,
                    "n",
                    orjson.dumps([len(stored), "x" * padding]),
                    "svc",
                    key=key,
                    final=final,
                    version=Version(*version) if version and key and namespace == "job" else None,
                    origin=origin,
                )
                (answer,) = await broker.publish([publication])
                assert isinstance(answer, Published)
                assert answer.position is not None
                if not answer.stale:
                    assert answer.position.offset == len(stored) + 1
                    stored[answer.position.offset] = publication
                if padding % 4:  # else the next one is of the same turn of the loop
                    await asyncio.sleep(0.001)
            case ("read",):
                for reader in crowd:
                    reader.read(reader.speed)
            case ("wait", seconds):
                await asyncio.sleep(seconds)
    await asyncio.sleep(5)  # longer than any interval of a rate
    for reader in crowd:
        while reader.outbox.queued or reader._waiting:
            reader.read(NEVER)
            await asyncio.sleep(0)
        check(reader, stored, merges=namespace == "job")
    if namespace == "job":
        snapshot = await broker.snapshot(name)
        newest = {each.key: offset for offset, each in stored.items() if each.key is not None}
        assert {event.key: event.offset for event in snapshot.events} == newest
    await broker.close()


def check(reader: Reader, stored: dict[int, Publication], *, merges: bool) -> None:
    wanted = {
        offset: each for offset, each in stored.items() if reader.own is None or each.origin != reader.own
    }
    at = 0
    for event in reader.events:
        assert event["offset"] == at + 1 + event.get("conflated", 0)
        at = event["offset"]
        assert at in wanted, "one's own, or never published"
        assert event["payload"] == orjson.loads(wanted[at].payload)
    seen = {event["offset"] for event in reader.events}
    for offset, each in wanted.items():
        if not merges or each.final or each.key is None:
            assert offset in seen, "never merged"
    newest = {each.key: offset for offset, each in wanted.items() if each.key is not None}
    assert set(newest.values()) <= seen, "the last event of each key arrives"


@stories(150)
@given(st.lists(steps, min_size=20, max_size=80), st.lists(readers, min_size=1, max_size=4))
def test_jobs(script: list[tuple[Any, ...]], kinds: list[tuple[Any, ...]]) -> None:
    virtual.run(play("job", script, kinds))


@stories(50)
@given(st.lists(steps, min_size=20, max_size=80), st.lists(readers, min_size=1, max_size=4))
def test_documents(script: list[tuple[Any, ...]], kinds: list[tuple[Any, ...]]) -> None:
    virtual.run(play("doc", script, kinds))
