"""Random schedules of publishing, reading, acking, losing and time, against a model of plain lists.

The model knows no heap and no lazy deletion: when time passes, it looks at every moment that it knows of, the
earliest first. Whatever the broker answers and announces must be what the model says.
"""

from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
import pytest
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hub.broker.base import EMPTY_S, Page, Published
from hub.broker.memory.broker import MemoryBroker
from hub.namespaces import Mode, Namespace, Namespaces
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError
from hub.protocol.event import Event, Publication, Version
from hub.protocol.position import Position, Top

from ..support.stories import stories
from .harness import Clock, Recorder

# Moments that never coincide: primes of seconds, against steps of whole seconds and leases of halves.
RULES = {
    "log": Namespace(mode=Mode.LOG, history_size=4, history_ttl=101, meta_ttl=307, inbox=True),
    "state": Namespace(
        mode=Mode.STATE,
        history_size=40,
        history_ttl=211,
        meta_ttl=401,
        snapshot_ttl=17,
        snapshot_idle_ttl=53,
        snapshot_keys=2,
    ),
}
CHANNELS = ["log:a", "state:a", "state:b"]
IDEMPOTENCY_S = 300


@dataclass
class Key:
    event: Event
    version: Version | None
    closed: bool
    expires: float
    lease: float | None


@dataclass
class Model:
    """One channel's numbering."""

    rules: Namespace
    ends: float
    epoch: str = ""  # learnt from the broker's first answer
    offset: int = 0
    events: list[Event] = field(default_factory=list)
    history_ends: float = 0
    keys: dict[str, Key] = field(default_factory=dict)
    records: dict[tuple[str, str], tuple[object, int, float]] = field(default_factory=dict)
    cursors: dict[str, int] = field(default_factory=dict)

    def first(self) -> int:
        return self.events[0].offset if self.events else self.offset + 1

    def store(self, event: Event, lease_ms: int | None, now: float) -> None:
        rules = self.rules
        self.offset = event.offset
        self.events = [*self.events, event][-rules.history_size :]
        self.history_ends = now + rules.history_ttl
        self.ends = now + rules.meta_ttl
        if event.key is None or rules.mode is not Mode.STATE:
            return
        before = self.keys.get(event.key)
        version = before.version if before else None
        closed = before.closed if before else False
        if event.version is not None:
            version, closed = event.version, event.final
        elif event.final:
            closed = True
        ttl = rules.snapshot_ttl if event.final else rules.snapshot_idle_ttl
        lease = None if lease_ms is None or event.final else now + lease_ms / 1000
        self.keys[event.key] = Key(event, version, closed, now + ttl, lease)

    def expected(self, publication: Publication, now: float) -> str:
        """What must become of a publication: ``stored``, or why it is not."""
        record = self.records.get((publication.publisher, publication.event_id or ""))
        if publication.event_id is not None and record is not None and now < record[2]:
            return "duplicate" if record[0] == body(publication) else "conflict"
        if self.rules.mode is not Mode.STATE or publication.key is None:
            return "stored"
        key = self.keys.get(publication.key)
        if key is None:
            return "limit" if len(self.keys) >= self.rules.snapshot_keys else "stored"
        if publication.version is None or key.version is None:
            return "stored"
        newer = publication.version > key.version
        if key.closed:
            newer = publication.version.attempt > key.version.attempt
        return "stored" if newer else "stale"


def body(publication: Publication) -> object:
    return (
        publication.type,
        publication.payload,
        publication.key,
        publication.final,
        publication.version,
        publication.lease_ms,
    )


T = TypeVar("T")


class BrokerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.broker = MemoryBroker(Namespaces(RULES), self.clock)
        self.heard = Recorder()
        self.broker._listener = self.heard  # start() would want a loop; the model rings by tick()
        for channel in CHANNELS:
            self.now(self.broker.listen(channel))
        self.models: dict[str, Model] = {}
        self.announced: list[tuple[str, Event]] = []
        self.epochs: list[str] = []

    def now(self, verb: Coroutine[Any, Any, T]) -> T:
        """The answer of a verb, which must not suspend."""
        try:
            verb.send(None)
        except StopIteration as stop:
            answer: T = stop.value
            return answer
        raise AssertionError("the verb suspended")

    def model(self, channel: str) -> Model:
        """The model of a channel's numbering, which a verb creates."""
        model = self.models.get(channel)
        if model is None:
            rules = RULES[channel.partition(":")[0]]
            model = self.models[channel] = Model(rules, self.clock.now + min(rules.meta_ttl, EMPTY_S))
        return model

    def agrees(self, model: Model, epoch: str) -> None:
        """The epoch is that of the model, or the first that is seen of it, and then a new one."""
        if not model.epoch:
            assert epoch not in self.epochs
            self.epochs.append(epoch)
            model.epoch = epoch
        assert epoch == model.epoch

    @rule(
        channel=st.sampled_from(CHANNELS),
        key=st.sampled_from([None, "x", "y", "z"]),
        payload=st.sampled_from([b"1", b"2"]),
        final=st.booleans(),
        version=st.none() | st.builds(Version, st.integers(0, 1), st.integers(0, 3)),
        event_id=st.none() | st.sampled_from(["i", "j"]),
        publisher=st.sampled_from(["p", "q"]),
        lease_ms=st.sampled_from([None, None, 7_500, 29_500]),
    )
    def publish(
        self,
        channel: str,
        key: str | None,
        payload: bytes,
        final: bool,
        version: Version | None,
        event_id: str | None,
        publisher: str,
        lease_ms: int | None,
    ) -> None:
        publication = Publication(
            channel,
            "t",
            payload,
            publisher,
            event_id=event_id,
            key=key,
            final=final,
            version=version,
            lease_ms=lease_ms,
        )
        model = self.model(channel)
        expected = model.expected(publication, self.clock.now)
        [answer] = self.now(self.broker.publish([publication]))
        if expected in ("conflict", "limit"):
            assert isinstance(answer, HubError)
            assert answer.code is ErrorCode(expected)
            return
        assert isinstance(answer, Published)
        assert answer.position is not None
        self.agrees(model, answer.position.epoch)
        assert answer.stale is (expected == "stale")
        assert answer.duplicate is (expected == "duplicate")
        assert event_id is None or answer.event_id == event_id
        if expected == "stored":
            self.stored(model, publication, answer)
        elif expected == "stale":
            assert key is not None
            assert answer.position.offset == model.keys[key].event.offset
        else:
            assert event_id is not None
            assert answer.position.offset == model.records[publisher, event_id][1]

    def stored(self, model: Model, publication: Publication, answer: Published) -> None:
        assert answer.position == Position(model.epoch, model.offset + 1)
        event = Event(
            publication.channel,
            model.offset + 1,
            answer.event_id,
            int(self.clock.now * 1000),
            publication.type,
            publication.payload,
            key=publication.key,
            final=publication.final,
            version=publication.version,
        )
        model.store(event, publication.lease_ms, self.clock.now)
        self.announced.append((model.epoch, event))
        if publication.event_id is not None:
            model.records[publication.publisher, publication.event_id] = (
                body(publication),
                event.offset,
                self.clock.now + IDEMPOTENCY_S,
            )

    @rule(
        channel=st.sampled_from(CHANNELS),
        after=st.none() | st.integers(0, 60),
        limit=st.integers(1, 12),
    )
    def read(self, channel: str, after: int | None, limit: int) -> None:
        model = self.model(channel)
        page: Page = self.now(self.broker.read(channel, after, limit))
        self.agrees(model, page.top.epoch)
        assert (page.top.offset, page.top.first) == (model.offset, model.first())
        above = [event for event in model.events if after is None or event.offset > after]
        assert list(page.events) == (above[-limit:] if after is None else above[:limit])

    @rule(channel=st.sampled_from(["state:a", "state:b"]))
    def snapshot(self, channel: str) -> None:
        model = self.model(channel)
        page: Page = self.now(self.broker.snapshot(channel))
        self.agrees(model, page.top.epoch)
        assert page.top.offset == model.offset
        latest = [key.event for key in model.keys.values()]
        assert list(page.events) == sorted(latest, key=lambda event: event.offset)

    @rule(channels=st.lists(st.sampled_from(CHANNELS), unique=True))
    def check(self, channels: list[str]) -> None:
        models = [self.model(channel) for channel in channels]
        for model, top in zip(models, self.now(self.broker.tops(channels)), strict=True):
            assert isinstance(top, Top)
            self.agrees(model, top.epoch)
            assert (top.offset, top.first, top.ancestors) == (model.offset, model.first(), ())
            life = model.rules.meta_ttl if model.offset else min(model.rules.meta_ttl, EMPTY_S)
            model.ends = self.clock.now + life

    @rule(user=st.sampled_from(["ann", "bob"]), offset=st.integers(0, 40))
    def ack(self, user: str, offset: int) -> None:
        model = self.model("log:a")
        before = self.now(self.broker.inbox("log:a", user))
        self.agrees(model, before.cursor.epoch)
        cursor = model.cursors.get(user, 0)
        assert before.cursor.offset == cursor
        assert before.unread == model.offset - max(cursor, model.first() - 1)
        told = len(self.heard.acks)
        verb = self.broker.ack("log:a", user, Position(model.epoch, offset))
        if offset > model.offset:
            with pytest.raises(HubError) as refused:
                self.now(verb)
            assert refused.value.code is ErrorCode.CONFLICT
            return
        inbox = self.now(verb)
        model.cursors[user] = max(cursor, offset)
        assert inbox == self.now(self.broker.inbox("log:a", user))
        assert inbox.cursor.offset == model.cursors[user]
        assert self.heard.acks[told:] == ([("log:a", user, inbox)] if offset > cursor else [])

    @rule(seconds=st.one_of(st.integers(1, 10), st.integers(10, 120), st.sampled_from([299, 500])))
    def wait(self, seconds: int) -> None:
        self.clock.now += seconds
        told = len(self.heard.announced)
        self.broker.tick()
        rung = self.heard.announced[told:]
        for channel in list(self.models):
            self.pass_time(channel, rung)
        assert len(self.heard.announced) == len(self.announced)

    def pass_time(self, channel: str, rung: list[tuple[str, Event]]) -> None:
        """What is due in a channel happens, the earliest first; leases publish at the moment of looking."""
        model = self.models[channel]
        now = self.clock.now
        leased = [event for _, event in rung if event.channel == channel]
        while True:
            moments: list[tuple[float, str, str]] = [(model.ends, "life", "")]
            if model.events:
                moments.append((model.history_ends, "history", ""))
            for name, key in model.keys.items():
                moments.append((key.expires, "key", name))
                if key.lease is not None:
                    moments.append((key.lease, "lease", name))
            # Two leases of one moment may run out in either order.
            first = leased[0].key if leased else None
            due, what, name = min(moments, key=lambda moment: (moment[0], moment[2] != first))
            if due > now:
                break
            if what == "life":
                del self.models[channel]
                break
            if what == "history":
                model.events = []
            elif what == "key":
                del model.keys[name]
            else:
                self.lease_ran_out(model, name, leased.pop(0))
        assert leased == []

    def lease_ran_out(self, model: Model, name: str, event: Event) -> None:
        last = model.keys[name].event
        assert (event.type, event.key, event.offset) == ("lease_expired", name, model.offset + 1)
        assert (event.final, event.version) == (False, None)
        assert event.id.startswith("lease:")
        assert orjson.loads(event.payload) == {"last": orjson.loads(last.body())}
        model.store(event, None, self.clock.now)
        self.announced.append((model.epoch, event))

    @precondition(lambda self: self.models)
    @rule()
    def lose(self) -> None:
        for stream in list(self.broker._streams.values()):
            self.broker._forget(stream)
        self.models.clear()

    @invariant()
    def announced_as_published(self) -> None:
        def apart(announced: list[tuple[str, Event]]) -> dict[str, list[tuple[str, Event]]]:
            return {
                channel: [item for item in announced if item[1].channel == channel] for channel in CHANNELS
            }

        assert apart(self.heard.announced) == apart(self.announced)
        self.heard.announced.clear()
        self.announced.clear()

    @invariant()
    def nothing_outlives_its_numbering(self) -> None:
        assert set(self.broker._streams) == set(self.models)


BrokerMachine.TestCase.settings = stories(
    150, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestRandomSchedules = BrokerMachine.TestCase
