"""Stored channels in Redis: publications, history, snapshots, numberings, read cursors."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import getrandbits
from typing import Any, NamedTuple

import hiredis

from ...namespaces import Mode, Namespace, Namespaces
from ...protocol import ids
from ...protocol.codes import ErrorCode, Outcome
from ...protocol.errors import HubError
from ...protocol.event import Event, Publication
from ...protocol.position import Position, Top
from ...protocol.values import same_value
from ..base import (
    FULL_RETRY_MS,
    KEY_DELETED,
    Inbox,
    Page,
    Published,
    no_keys,
    too_many_sources,
    untried,
)
from . import format as wire
from . import scripts
from .client.connection import Command
from .client.errors import failed
from .client.topology import Topology
from .client.tuning import Stats
from .intents import RedisIntents
from .keys import KeyNames
from .store import Request, Store

IDEMPOTENCY_MS = 300_000
"""For so long the answer to a publication with an `event_id` is remembered."""

MAX_PAYLOAD = 8 * 1024 * 1024
"""Bytes. A subscriber whose output buffer in Redis passes 32 MB is cut off, and with it a whole node."""

_SLICE = 200  # entries of a snapshot that are read in one turn of the loop

MOST_AT_ONCE = 100
"""Publications that one call of the script takes: while it runs, nobody else is served."""

Answer = tuple[Published | HubError, str]
"""What a publication gave, and the lease that it replaced ("": none)."""


class Asked(NamedTuple):
    """A publication on its way: `args` are the script's own, `answer_key` is where its answer is remembered."""

    place: int
    publication: Publication
    event_id: str
    rules: Namespace
    answer_key: str
    args: Command


class RedisChannels:
    """Stored channels in Redis: publications, history, snapshots, numberings, read cursors."""

    def __init__(
        self,
        store: Store,
        topology: Topology,
        keys: KeyNames,
        namespaces: Namespaces,
        clock: Callable[[], float],
        stats: Stats,
    ) -> None:
        self._store = store
        self._topology = topology
        self._keys = keys
        self._namespaces = namespaces
        self._clock = clock
        self._stats = stats
        self.intents: RedisIntents | None = None  # where webhooks wait for events

    async def publish(
        self,
        publications: Sequence[Publication],
        leases: Sequence[str | None] | None = None,
        *,
        ordered: bool = False,
    ) -> list[tuple[Published | HubError, str]]:
        """As `Broker.publish`, and beside each the lease that it replaced ("": none).

        `leases` are the names under which the leases of the publications are on the due-list.
        """
        if len(publications) == 1 and self.intents is None:
            return [await self._publish_one(publications[0], leases[0] if leases else None)]
        now_ms = int(self._clock() * 1000)
        answers: dict[int, Answer] = {}
        asked: list[Asked] = []
        for place, publication in enumerate(publications):
            try:
                asked.append(self._asked(place, publication, now_ms, leases[place] if leases else None))
            except HubError as error:
                answers[place] = (error, "")
        if self.intents is not None:
            asked = await self._expected(self.intents, asked, answers)
        await self._publish(asked, answers, ordered)
        if self.intents is not None:
            self.intents.written({each.channel for each in publications}, "event")
        return [answers[place] for place in range(len(publications))]

    async def _publish_one(self, publication: Publication, lease: str | None) -> Answer:
        """What most publications are: alone, and of interest to no webhook. Nothing is made for others."""
        try:
            asked = self._asked(0, publication, int(self._clock() * 1000), lease)
            reply = await self._store.one(self._asking((asked,)))
        except HubError as error:
            return error, ""
        return _stored(asked, reply) or await self._settled(asked, reply)

    async def _expected(
        self, intents: RedisIntents, asked: Sequence[Asked], answers: dict[int, Answer]
    ) -> list[Asked]:
        """Those of whose events webhooks will hear, or need not: the others are refused for the moment."""
        channels = {each.publication.channel for each in asked if each.rules.stored}
        refused = await intents.expect(channels, "event")
        for each in asked:
            if (error := refused.get(each.publication.channel)) is not None:
                answers[each.place] = (error, "")
        return [each for each in asked if each.publication.channel not in refused]

    async def _publish(self, asked: Sequence[Asked], answers: dict[int, Answer], ordered: bool) -> None:
        """A channel's entries by one call of the script: its numbering is read and written once for all of them.
        `ordered`: none is stored behind one that has to wait."""
        waiting: dict[str | int, list[Asked]] = {}
        for each in asked:
            waiting.setdefault(each.publication.channel if each.rules.stored else each.place, []).append(each)
        while waiting:
            pieces = [entries[:MOST_AT_ONCE] for entries in waiting.values()]
            replies = await self._store.run([self._asking(piece, ordered) for piece in pieces])
            for name, piece, reply in zip(list(waiting), pieces, replies, strict=True):
                rest = waiting.pop(name)[len(piece) :]
                for each, part in zip(piece, _parts(reply, piece), strict=True):
                    answers[each.place] = _stored(each, part) or await self._settled(each, part)
                last, _ = answers[piece[-1].place]
                if ordered and isinstance(last, HubError) and last.retry:
                    answers |= {each.place: (untried(str(name)), "") for each in rest}
                elif rest:
                    waiting[name] = rest

    async def expire(self, publication: Publication, lease: str) -> Published | None:
        """Publish that a lease has run out; None where it no longer stands."""
        asked = self._asked(0, publication, int(self._clock() * 1000), None, lease)
        if self.intents is not None and (
            refused := await self.intents.expect([publication.channel], "event")
        ):
            raise refused[publication.channel]
        reply = await self._store.one(self._asking([asked]))
        if isinstance(reply, list) and reply[0] == b"unleased":
            return None
        answer, _ = await self._settled(asked, reply)
        if isinstance(answer, HubError):
            raise answer
        return answer

    async def read(self, channel: str, after: int | None, limit: int) -> Page:
        """Up to `limit` stored events with offsets above `after`, or the newest `limit` where it is None."""
        hole = 0
        while True:
            reply = await self._ask(scripts.READ, channel, "" if after is None else after, limit)
            events, skipped = self._contiguous(channel, reply[5])
            hole = max(hole, skipped)
            if events or not reply[5]:
                break
            after = hole  # nothing of this piece can be read: what follows it may be
        top = _top(reply)
        if hole >= top.first:
            top = replace(top, first=hole + 1)
        return Page(top, events)

    async def snapshot(self, channel: str) -> Page:
        """The latest event of each key in the order of offsets, complete at `top.offset` (`state` only)."""
        reply = await self._ask(scripts.SNAPSHOT, channel)
        events = []
        for number, value in enumerate(reply[5]):
            if number % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)  # nothing else is served while thousands are read
            offset, _, blob = value.partition(b"|")
            try:
                events.append(wire.event(channel, int(offset), blob))
            except ValueError as error:
                self._unreadable(channel, error)
        events.sort(key=lambda event: event.offset)
        return Page(_top(reply), events)

    async def tops(self, channels: Sequence[str]) -> list[Top | HubError]:
        """The numberings of many channels, one answer each: of several servers one may be away."""
        replies = await self._store.run([self._numbering(scripts.TOP, channel) for channel in channels])
        return [reply if isinstance(reply, HubError) else _top(reply) for reply in replies]

    async def ack(self, channel: str, user: str, position: Position) -> Inbox:
        """Move the read cursor up to `position`; a lower one changes nothing."""
        reply = await self._ask(scripts.INBOX, channel, user, position.epoch, position.offset)
        if reply[0] == b"conflict":
            same = position.epoch == reply[1].decode()
            why = "beyond the last event" if same else "of another epoch"
            raise HubError(ErrorCode.CONFLICT, f"the position is {why}", channel=channel)
        return _inbox(reply)

    async def inbox(self, channel: str, user: str) -> Inbox:
        """The read cursor (offset 0 where there is none or it is no longer good) and the unread count: top -
        max(cursor, first stored - 1)."""
        return _inbox(await self._ask(scripts.INBOX, channel, user, "", 0))

    async def delete(self, channel: str) -> Position:
        """Delete all that is stored of a channel: another numbering begins, and knows that the one before was
        deleted."""
        return _position(await self._ask(scripts.DELETE, channel))

    async def delete_key(self, channel: str, key: str) -> Position | None:
        """Delete a key and every stored event of it; one final event says so."""
        rules = self._namespaces.of(channel)
        if rules.mode is not Mode.STATE:
            raise no_keys(channel)
        said = Publication(channel, KEY_DELETED, b"null", publisher="", key=key, final=True)
        now_ms = int(self._clock() * 1000)
        entry = wire.entry(said, new_event_id(now_ms), now_ms)
        history_ttl_ms = int(rules.history_ttl * 1000)
        args = (key, entry, rules.history_size, history_ttl_ms)
        reply = await self._ask(scripts.DELETE_KEY, channel, *args, "", "")
        if reply[0] == b"none":  # it may have left the snapshot, and not yet the history
            epoch, last = await self._last_of(channel, key)
            reply = await self._ask(scripts.DELETE_KEY, channel, *args, last, epoch) if last else reply
        if reply[0] == b"none":
            return None
        if reply[0] == b"healed":
            raise self._refused(channel, reply[0], reply)
        return _position(reply)

    async def _last_of(self, channel: str, key: str) -> Position:
        """Where the last stored event of a key stands; offset 0: there is none."""
        last = after = 0
        while True:
            page = await self.read(channel, after, _SLICE)
            last = next((event.offset for event in reversed(page.events) if event.key == key), last)
            if not page.events or page.events[-1].offset >= page.top.offset:
                return Position(page.top.epoch, last)
            after = page.events[-1].offset

    async def _ask(self, script: scripts.Script, channel: str, *args: str | int | bytes) -> Any:
        return await self._store.one(self._numbering(script, channel, *args))

    def _numbering(self, script: scripts.Script, channel: str, *args: str | int | bytes) -> Request:
        """A request of a script that opens a channel's numbering."""
        rules = self._namespaces.of(channel)
        if not rules.stored:
            raise HubError(ErrorCode.BAD_CHANNEL, "events of this channel are not stored", channel=channel)
        head = (
            int(rules.meta_ttl * 1000),
            self._topology.of(channel).publish,
            self._keys.announcements(channel),
        )
        return Request(channel, script, self._keys.stored(channel), (*head, *args))

    def _asked(
        self,
        place: int,
        publication: Publication,
        now_ms: int,
        lease: str | None,
        expired_lease: str | None = None,
    ) -> Asked:
        """What the script needs to know of one publication."""
        channel = publication.channel
        rules = self._namespaces.of(channel)
        if len(publication.payload) > MAX_PAYLOAD:
            raise HubError(ErrorCode.TOO_LARGE, f"a payload has at most {MAX_PAYLOAD} bytes", channel=channel)
        event_id = publication.event_id or new_event_id(now_ms)
        blob = wire.entry(publication, event_id, now_ms)
        if not rules.stored:
            verb = self._topology.of(channel).publish
            args: Command = (verb, self._keys.announcements(channel), wire.ephemeral(blob))
            return Asked(place, publication, event_id, rules, "", args)
        answer_key = body = ""
        if publication.event_id is not None:
            name = wire.digest_of_id(publication.publisher, publication.event_id)
            answer_key = self._keys.answered(channel, name)
            body = wire.digest(publication)
        args = (blob, body, publication.event_id_ttl_ms or IDEMPOTENCY_MS)
        source = publication.source
        if rules.mode is Mode.STATE and publication.key is not None:
            follows = "s" if source is None else "sf"
            args = (*args, follows, *_keyed(publication, rules, lease), expired_lease or "")
        else:
            args = (*args, "" if source is None else "f")
        if source is not None:
            args = (*args, source.name, *source.position)
        return Asked(place, publication, event_id, rules, answer_key, args)

    def _asking(self, asked: Sequence[Asked], ordered: bool = False) -> Request:
        """The request for entries of one channel."""
        first = asked[0]
        rules, channel = first.rules, first.publication.channel
        if not rules.stored:
            return Request(channel, None, (), first.args)
        head: Command = (
            int(rules.meta_ttl * 1000),
            self._topology.of(channel).publish,
            self._keys.announcements(channel),
            rules.history_size,
            int(rules.history_ttl * 1000),
            "1" if ordered else "",
        )
        names = self._keys.stored(channel)
        if self.intents is not None and (waiting := self.intents.endpoints(channel, "event")):
            names = (*names, *(each.answer_key for each in asked if each.answer_key))
            names = (*names, *self.intents.queues(channel, waiting))
            args = (*head, *(arg for each in asked for arg in each.args))
            return Request(channel, scripts.TOLD[scripts.PUBLISH], names, args)
        if len(asked) == 1:
            names = (*names, first.answer_key) if first.answer_key else names
            return Request(channel, scripts.PUBLISH, names, (*head, *first.args))
        names = (*names, *(each.answer_key for each in asked if each.answer_key))
        return Request(
            channel, scripts.PUBLISH, names, (*head, *(arg for each in asked for arg in each.args))
        )

    async def _settled(self, asked: Asked, reply: Any) -> Answer:
        """The answer that a reply of the script stands for."""
        if isinstance(reply, HubError):
            return reply, ""
        if not isinstance(reply, list):  # the number of receivers: an ephemeral event
            return Published(asked.event_id, None), ""
        status = reply[0]
        if status == b"ok" and len(reply) > 4:
            why = "%s: an event is stored, and was not announced: %s"
            self._stats.note(
                "unannounced", why, asked.publication.channel, reply[4].decode("utf-8", "replace")
            )
            reply = reply[:4]
        if (answer := _stored(asked, reply)) is not None:
            return answer
        if status in (b"dup", b"stale"):
            position = Position(reply[1].decode(), int(reply[2]))
            stale = status == b"stale"
            return Published(asked.event_id, position, stale=stale, duplicate=not stale), ""
        if status == b"conflict" and await self._repeats(asked.publication, reply):
            position = Position(reply[2].decode(), int(reply[3]))
            return Published(asked.event_id, position, duplicate=True), ""
        return self._refused(asked.publication.channel, status, reply), ""

    async def _repeats(self, publication: Publication, reply: list[Any]) -> bool:
        """Whether a publication is that of then, its payload only written in another way."""
        offset = int(reply[3])
        page = await self.read(publication.channel, offset - 1, 1)
        if not page.events or page.events[0].offset != offset:
            return False
        before = page.events[0].payload
        return wire.is_body(publication, before, reply[1].decode()) and same_value(
            before, publication.payload
        )

    def _refused(self, channel: str, status: bytes, reply: list[Any]) -> HubError:
        if status == b"conflict":
            return HubError(
                ErrorCode.CONFLICT, "another event was published under this event_id", channel=channel
            )
        if status == b"limit" and reply[1] == b"sources":
            return too_many_sources(channel)
        if status == b"limit":
            limit = self._namespaces.of(channel).snapshot_keys
            return HubError(
                ErrorCode.LIMIT,
                f"the channel holds {limit} keys, which is its limit (snapshot_keys)",
                channel=channel,
                retry_after_ms=FULL_RETRY_MS,
            )
        self._stats.note("healed", "%s: stored data was spoiled and is gone: %s", channel, reply[1])
        return HubError(
            ErrorCode.INTERNAL,
            "the channel's stored data was spoiled: it begins anew",
            channel=channel,
            outcome=Outcome.NOT_DONE,
        )

    def _contiguous(self, channel: str, entries: list[Any]) -> tuple[list[Event], int]:
        """The events of a read, oldest first, from after the last one that is missing or unreadable; and that
        one's offset, 0 if there is none."""
        events: list[Event] = []
        skipped = 0
        if len(entries) > 1 and _offset(entries[0]) > _offset(entries[-1]):
            entries.reverse()
        for item in entries:
            offset = _offset(item)
            try:
                fields = item[1]
                if len(fields) != 2 or fields[0] != b"e":
                    raise wire.Unreadable("an entry without its field")
                event = wire.event(channel, offset, fields[1])
            except wire.Unreadable as error:
                self._unreadable(channel, error)
                events.clear()
                skipped = offset
                continue
            if events and events[-1].offset + 1 != offset:
                events.clear()
                skipped = offset - 1
            events.append(event)
        return events, skipped

    def _unreadable(self, channel: str, error: ValueError) -> None:
        self._stats.note("unreadable_entries", "%s: an entry was skipped: %s", channel, error)


def _stored(asked: Asked, reply: Any) -> Answer | None:
    """The answer where nothing is to be said beside it; None where there is."""
    if not isinstance(reply, list) or reply[0] != b"ok" or len(reply) > 4:
        return None
    position = Position(reply[1].decode(), int(reply[2]))
    return Published(asked.event_id, position), reply[3].decode("utf-8", "replace")


def _parts(reply: Any, piece: Sequence[Asked]) -> list[Any]:
    """The replies to publications of one channel."""
    if len(piece) == 1 or isinstance(reply, HubError):
        return [reply] * len(piece)
    parts = [failed(str(part)) if isinstance(part, hiredis.ReplyError) else part for part in reply[1]]
    return parts + [untried(each.publication.channel) for each in piece[len(parts) :]]


def new_event_id(now_ms: int) -> str:
    """The id of an event whose publisher gave none."""
    return ids.event_id(now_ms, getrandbits(ids.EVENT_BITS))


def _keyed(publication: Publication, rules: Namespace, lease: str | None) -> Command:
    """What the script of a publication needs to know about its key."""
    version = publication.version
    stays = rules.snapshot_ttl if publication.final else rules.snapshot_idle_ttl
    return (
        publication.key or "",
        "" if version is None else version.attempt,
        "" if version is None else version.number,
        "1" if publication.final else "0",
        int(stays * 1000),
        rules.snapshot_keys,
        lease or "",
        publication.lease_ms or 0,
    )


def _offset(item: Any) -> int:
    return int(item[0].partition(b"-")[0])


def _top(reply: list[Any]) -> Top:
    """The numbering that a script's reply begins with: ok, epoch, offset, ancestors, first."""
    names, forks = reply[3][::2], reply[3][1::2]
    ancestors = tuple(Position(name.decode(), int(fork)) for name, fork in zip(names, forks, strict=True))
    return Top(reply[1].decode(), int(reply[2]), int(reply[4]), ancestors)


def _position(reply: list[Any]) -> Position:
    return Position(reply[1].decode(), int(reply[2]))


def _inbox(reply: list[Any]) -> Inbox:
    return Inbox(Position(reply[1].decode(), int(reply[2])), int(reply[3]))
