"""The broker of one process, and the executable specification of `base`: what Redis does, it does too.

The verbs of the streams never suspend. Time is the handed-in clock (Unix seconds): every verb first lets
happen what is due (leases, expiries), so its answer is exact; the one timer is for the silence between verbs.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from random import getrandbits

import orjson

from ...namespaces import Namespace, Namespaces
from ...protocol import ids
from ...protocol.codes import ErrorCode
from ...protocol.errors import HubError
from ...protocol.event import Event, Publication
from ...protocol.position import NOTHING, Position, Top
from ...protocol.recovery import common
from ..base import (
    KEY_DELETED,
    MAX_DEAD_LETTERS,
    DeadLetters,
    Inbox,
    Listener,
    Member,
    Page,
    Presence,
    Published,
    Registry,
    ShardHealth,
    no_keys,
    untried,
)
from ..witness import NoReplicas, Witness
from .attendance import MemoryOccupancy, NoLedger
from .dead_letters import MemoryDeadLetters
from .intents import MemoryIntents
from .presence import MemoryPresence
from .registry import MemoryRegistry
from .streams import Keyed, Stream
from .timers import Alarm, Timers

_PRUNE_EVERY_S = 1.0  # idempotency records leave in sweeps; a lookup knows their exact age


class MemoryBroker:
    """`Broker` within one process."""

    _stream_of = Stream

    def __init__(
        self,
        namespaces: Namespaces,
        clock: Callable[[], float] = time.time,
        *,
        members_limit: int = 1000,
        dead_letters_limit: int = MAX_DEAD_LETTERS,
    ) -> None:
        self._namespaces = namespaces
        self._clock = clock
        self._timers = Timers(clock)
        self._streams: dict[str, Stream] = {}
        self._listened: set[str] = set()
        self._listener: Listener | None = None
        self.presence: Presence = MemoryPresence(self._timers, self._on_presence, members_limit)
        self.registry: Registry = MemoryRegistry(self._timers, self._on_command)
        self.intents = MemoryIntents(clock)
        self.occupancy = MemoryOccupancy(self._timers, self.intents)
        self.connections = NoLedger()
        self.dead_letters: DeadLetters = MemoryDeadLetters(dead_letters_limit)

    async def start(self, listener: Listener) -> None:
        """Connect."""
        self._listener = listener
        self._timers.start()

    async def close(self) -> None:
        """Let go of everything, within 5 s."""
        self._timers.close()
        self.intents.close()
        self._listened.clear()
        self._listener = None

    def tick(self) -> None:
        """Let happen what is due by the clock; a timer does it too, but a test need not wait for it."""
        self._timers.tick(self._clock())

    def health(self) -> list[ShardHealth]:
        """Every shard. A process hears itself."""
        return [ShardHealth("memory", usable=True, deaf_s=0.0, rtt_s=0.0)]

    def still(self) -> Sequence[str]:
        """Standing work of the broker's own that has not come round for too long, in words. Its timers are
        the loop's."""
        return ()

    def counts(self) -> Mapping[str, int]:
        """What went wrong and was dealt with since the start, by a short name: for metrics. Nothing of it
        happens here."""
        return {}

    async def publish(
        self, publications: Sequence[Publication], *, ordered: bool = False
    ) -> list[Published | HubError]:
        """Store and announce each, in order where the channel is the same; an error in one leaves the
        others."""
        now = self._now()
        results: list[Published | HubError] = []
        held: set[str] = set()
        for publication in publications:
            if publication.channel in held:
                results.append(untried(publication.channel))
                continue
            try:
                results.append(self._publish(publication, now))
            except HubError as error:
                results.append(error)
                if ordered and error.retry:
                    held.add(publication.channel)
        return results

    def witness(self, channels: Collection[str]) -> Witness:
        """Watches over what is published to `channels` from now on: whether it is on replicas too. There are
        none."""
        return NoReplicas(channels)

    async def read(self, channel: str, after: int | None, limit: int) -> Page:
        """Up to `limit` stored events with offsets above `after`, or the newest `limit` where it is None."""
        return self._stream(channel, self._now()).read(after, limit)

    async def snapshot(self, channel: str) -> Page:
        """The latest event of each key in the order of offsets, complete at `top.offset` (`state` only)."""
        return self._stream(channel, self._now()).snapshot()

    async def tops(self, channels: Sequence[str]) -> list[Top | HubError]:
        """The numberings of many channels, one answer each: of several servers one may be away."""
        now = self._now()
        streams = [self._stream(channel, now) for channel in channels]
        for stream in streams:
            self._timers.set(stream.life_alarm, now + stream.life)
        return [stream.top for stream in streams]

    async def listen(self, channel: str) -> None:
        """Take interest: returns once every later publication will reach `on_event`."""
        self._listened.add(channel)

    async def unlisten(self, channel: str) -> None:
        """Lose interest."""
        self._listened.discard(channel)

    async def ack(self, channel: str, user: str, position: Position) -> Inbox:
        """Move the read cursor up to `position`; a lower one changes nothing."""
        stream = self._stream(channel, self._now())
        if position.offset > common(position.epoch, stream.top):
            same = position.epoch == stream.epoch
            why = "beyond the last event" if same else "of another epoch"
            raise HubError(ErrorCode.CONFLICT, f"the position is {why}", channel=channel)
        moved = position.offset > stream.cursors.get(user, 0)
        if moved:
            stream.cursors[user] = position.offset
        inbox = stream.inbox(user)
        if moved and self._listener is not None and channel in self._listened:
            self._listener.on_ack(channel, user, inbox)
        return inbox

    async def inbox(self, channel: str, user: str) -> Inbox:
        """The read cursor (offset 0 where there is none or it is no longer good) and the unread count: top -
        max(cursor, first stored - 1)."""
        return self._stream(channel, self._now()).inbox(user)

    async def delete(self, channel: str) -> Position:
        """Delete all that is stored of a channel: another numbering begins, and knows that the one before was
        deleted."""
        now = self._now()
        stream = self._stream(channel, now)
        if not stream.empty:
            self._forget(stream)
            before, stream = stream, self._begin(channel, stream.rules, now)
            stream.ancestors = (Position(before.epoch, NOTHING),)
            self._timers.set(stream.life_alarm, now + stream.life)
            if self._listener is not None and channel in self._listened:
                self._listener.on_lost([channel])
        return stream.top.position

    async def delete_key(self, channel: str, key: str) -> Position | None:
        """Delete a key and every stored event of it; one final event says so."""
        now = self._now()
        stream = self._stream(channel, now)
        if not stream.state:
            raise no_keys(channel)
        keyed = stream.keys.get(key)
        if keyed is not None:
            self._timers.cancel(keyed.alarm)
        if not stream.erase(key):
            return None
        said = Publication(channel, KEY_DELETED, b"null", publisher="", key=key, final=True)
        event = _event(
            said, stream.offset + 1, ids.event_id(int(now * 1000), getrandbits(ids.EVENT_BITS)), now
        )
        self._append(stream, event, now)
        if self._listener is not None and channel in self._listened:
            self._listener.on_event(stream.epoch, event)
            self._listener.on_erased(channel)
        return Position(stream.epoch, event.offset)

    def _now(self) -> float:
        now = self._clock()
        self._timers.tick(now)
        return now

    def _stream(self, channel: str, now: float) -> Stream:
        """The channel's numbering; it begins here if there is none."""
        stream = self._streams.get(channel)
        return stream if stream is not None else self._begin(channel, self._stored(channel), now)

    def _stored(self, channel: str) -> Namespace:
        rules = self._namespaces.of(channel)
        if not rules.stored:
            raise HubError(ErrorCode.BAD_CHANNEL, "events of this channel are not stored", channel=channel)
        return rules

    def _begin(self, channel: str, rules: Namespace, now: float) -> Stream:
        epoch = ids.epoch(getrandbits(ids.EPOCH_BITS))
        stream = self._streams[channel] = self._stream_of(channel, rules, epoch, self._forget, self._prune)
        self._timers.set(stream.life_alarm, now + stream.life)
        return stream

    def _forget(self, stream: Stream) -> None:
        """The numbering has ended, and all that was stored under it goes."""
        del self._streams[stream.channel]
        for keyed in stream.keys.values():
            self._timers.cancel(keyed.alarm)
        for alarm in (stream.life_alarm, stream.history_alarm, stream.answers_alarm):
            self._timers.cancel(alarm)

    def _prune(self, stream: Stream) -> None:
        now = self._clock()
        stream.answers.prune(now)
        if stream.answers:
            self._timers.set(stream.answers_alarm, max(now + _PRUNE_EVERY_S, stream.answers.first_end))

    def _publish(self, publication: Publication, now: float) -> Published:
        stream = self._streams.get(publication.channel)
        if stream is None:
            rules = self._namespaces.of(publication.channel)
            if not rules.stored:
                return self._pass_on(publication, now)
            stream = self._begin(publication.channel, rules, now)
        event_id = publication.event_id or ids.event_id(int(now * 1000), getrandbits(ids.EVENT_BITS))
        if publication.source is None:
            return self._put(stream, publication, event_id, now)
        before = stream.handed_on(publication.source, event_id)
        if before is not None:
            return before
        published = self._put(stream, publication, event_id, now)
        stream.sources[publication.source.name] = publication.source.position
        return published

    def _put(self, stream: Stream, publication: Publication, event_id: str, now: float) -> Published:
        """Store and announce, unless an `event_id` or a version stands against it."""
        if publication.event_id is not None:
            before = stream.recorded(publication, event_id, now)
            if before is not None:
                return before
        if stream.state:
            stale = stream.admit(publication, event_id)
            if stale is not None:
                return stale
        event = _event(publication, stream.offset + 1, event_id, now)
        self._store(stream, publication, event, now)
        self.intents.event(stream.epoch, event)
        if self._listener is not None and event.channel in self._listened:
            self._listener.on_event(stream.epoch, event)
        return Published(event_id, Position(stream.epoch, event.offset))

    def _pass_on(self, publication: Publication, now: float) -> Published:
        """Ephemeral: nothing is stored, so nothing is compared with what was before either."""
        event_id = publication.event_id or ids.event_id(int(now * 1000), getrandbits(ids.EVENT_BITS))
        if self._listener is not None and publication.channel in self._listened:
            self._listener.on_event("", _event(publication, 0, event_id, now))
        return Published(event_id, None)

    def _store(self, stream: Stream, publication: Publication, event: Event, now: float) -> None:
        self._append(stream, event, now)
        if publication.event_id is not None:
            end = stream.record(publication, event.id, event.offset, now)
            if end < stream.answers_alarm.due:
                self._timers.set(stream.answers_alarm, end)
        if stream.state and event.key is not None:
            self._store_keyed(stream, event.key, event, publication.lease_ms, now)

    def _append(self, stream: Stream, event: Event, now: float) -> None:
        stream.append(event)
        self._timers.set(stream.history_alarm, now + stream.rules.history_ttl)
        self._timers.set(stream.life_alarm, now + stream.life)

    def _store_keyed(self, stream: Stream, key: str, event: Event, lease_ms: int | None, now: float) -> None:
        keyed = stream.keys.pop(key, None)
        if keyed is None:
            keyed = Keyed(Alarm(partial(self._key_due, stream, key)))
        stream.keys[key] = keyed
        keyed.take(event)
        rules = stream.rules
        keyed.expires = now + (rules.snapshot_ttl if event.final else rules.snapshot_idle_ttl)
        keyed.lease_due = None if lease_ms is None or event.final else now + lease_ms / 1000
        due = keyed.expires if keyed.lease_due is None else min(keyed.expires, keyed.lease_due)
        self._timers.set(keyed.alarm, due)

    def _key_due(self, stream: Stream, key: str) -> None:
        """A key's lease ran out, or it leaves the snapshot."""
        keyed = stream.keys[key]
        if keyed.lease_due is None or keyed.expires < keyed.lease_due:
            del stream.keys[key]
            return
        self._publish(
            Publication(
                stream.channel,
                "lease_expired",
                orjson.dumps({"last": keyed.event.fields()}),
                publisher="",
                event_id=f"lease:{getrandbits(ids.EVENT_BITS):016x}",
                key=key,
            ),
            self._clock(),
        )

    def _on_presence(self, channel: str, change: str, member: Member) -> None:
        self.intents.presence(channel, change, member)
        if self._listener is not None and channel in self._listened:
            self._listener.on_presence(channel, change, member)

    def _on_command(self, data: bytes) -> None:
        if self._listener is not None:
            self._listener.on_command(data)


def _event(publication: Publication, offset: int, event_id: str, now: float) -> Event:
    return Event(
        publication.channel,
        offset,
        event_id,
        int(now * 1000),
        publication.type,
        publication.payload,
        key=publication.key,
        final=publication.final,
        version=publication.version,
        sender=publication.sender,
        origin=publication.origin,
        meta=publication.meta,
    )
