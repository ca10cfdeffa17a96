"""Stored channels in Redis: publications, history, snapshots, numberings, read cursors."""

from collections.abc import Callable, Sequence
from random import getrandbits
from typing import Any

from ...namespaces import Mode, Namespace, Namespaces
from ...protocol import ids
from ...protocol.codes import ErrorCode
from ...protocol.errors import HubError
from ...protocol.event import Event, Publication
from ...protocol.position import Position, Top
from ..base import Inbox, Page, Published
from . import format as wire
from . import scripts
from .client.connection import Command
from .client.topology import Topology
from .client.tuning import Stats
from .keys import KeyNames
from .store import Request, Store

IDEMPOTENCY_MS = 300_000
"""For so long the answer to a publication with an `event_id` is remembered."""

MAX_PAYLOAD = 8 * 1024 * 1024
"""Bytes. A subscriber whose output buffer in Redis passes 32 MB is cut off, and with it a whole node."""

_FULL_RETRY_MS = 60_000  # a key leaves the snapshot by its time, so trying again soon is of no use


class RedisChannels:
    """See the module's head."""

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

    async def publish(
        self, publications: Sequence[Publication], leases: Sequence[str | None] | None = None
    ) -> list[tuple[Published | HubError, str]]:
        """As `Broker.publish`, and beside each the lease that it replaced ("": none).

        `leases` are the names under which the leases of the publications are on the due-list.
        """
        now_ms = int(self._clock() * 1000)
        requests: list[Request] = []
        answers: list[tuple[Published | HubError, str] | str] = []
        for index, publication in enumerate(publications):
            try:
                event_id = publication.event_id or new_event_id(now_ms)
                requests.append(
                    self._request(publication, event_id, now_ms, leases[index] if leases else None)
                )
                answers.append(event_id)
            except HubError as error:
                answers.append((error, ""))
        replies = iter(await self._store.run(requests))
        return [
            answer
            if isinstance(answer, tuple)
            else self._published(publication.channel, answer, next(replies))
            for publication, answer in zip(publications, answers, strict=True)
        ]

    async def expire(self, publication: Publication, event_id: str, lease: str) -> Published | None:
        """Publish that a lease has run out; None where it no longer stands."""
        request = self._request(publication, event_id, int(self._clock() * 1000), None, lease)
        reply = await self._store.one(request)
        if isinstance(reply, list) and reply[0] == b"unleased":
            return None
        answer, _ = self._published(publication.channel, event_id, reply)
        if isinstance(answer, HubError):
            raise answer
        return answer

    async def read(self, channel: str, after: int | None, limit: int) -> Page:
        """As `Broker.read`."""
        hole = 0
        while True:
            reply = await self._ask(scripts.READ, channel, "" if after is None else after, limit)
            events, skipped = self._contiguous(channel, reply[6])
            hole = max(hole, skipped)
            if events or not reply[6]:
                break
            after = hole  # nothing of this piece can be read: what follows it may be
        top = _top(reply)
        if hole >= top.first:
            top = Top(top.epoch, top.offset, hole + 1, top.previous)
        return Page(top, events)

    async def snapshot(self, channel: str) -> Page:
        """As `Broker.snapshot`."""
        reply = await self._ask(scripts.SNAPSHOT, channel)
        events = []
        for value in reply[6]:
            offset, _, blob = value.partition(b"|")
            try:
                events.append(wire.event(channel, int(offset), blob))
            except ValueError as error:
                self._unreadable(channel, error)
        events.sort(key=lambda event: event.offset)
        return Page(_top(reply), events)

    async def tops(self, channels: Sequence[str]) -> list[Top | HubError]:
        """As `Broker.tops`."""
        replies = await self._store.run([self._numbering(scripts.TOP, channel) for channel in channels])
        return [reply if isinstance(reply, HubError) else _top(reply) for reply in replies]

    async def ack(self, channel: str, user: str, position: Position) -> Inbox:
        """As `Broker.ack`."""
        reply = await self._ask(scripts.INBOX, channel, user, position.epoch, position.offset)
        if reply[0] == b"conflict":
            same = position.epoch == reply[1].decode()
            why = "beyond the last event" if same else "of another epoch"
            raise HubError(ErrorCode.CONFLICT, f"the position is {why}", channel=channel)
        return _inbox(reply)

    async def inbox(self, channel: str, user: str) -> Inbox:
        """As `Broker.inbox`."""
        return _inbox(await self._ask(scripts.INBOX, channel, user, "", 0))

    async def _ask(self, script: scripts.Script, channel: str, *args: str | int) -> Any:
        return await self._store.one(self._numbering(script, channel, *args))

    def _numbering(self, script: scripts.Script, channel: str, *args: str | int) -> Request:
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

    def _request(
        self,
        publication: Publication,
        event_id: str,
        now_ms: int,
        lease: str | None,
        expired_lease: str | None = None,
    ) -> Request:
        channel = publication.channel
        rules = self._namespaces.of(channel)
        if len(publication.payload) > MAX_PAYLOAD:
            raise HubError(ErrorCode.TOO_LARGE, f"a payload has at most {MAX_PAYLOAD} bytes", channel=channel)
        blob = wire.entry(publication, event_id, now_ms)
        keys = self._keys
        verb = self._topology.of(channel).publish
        name = keys.announcements(channel)
        if not rules.stored:
            return Request(channel, None, (), (verb, name, wire.ephemeral(blob)))
        names = keys.stored(channel)
        body = ""
        if publication.event_id is not None:
            digest = wire.digest_of_id(publication.publisher, publication.event_id)
            names = (*names, keys.answered(channel, digest))
            body = wire.digest(publication)
        args: Command = (
            int(rules.meta_ttl * 1000),
            verb,
            name,
            blob,
            rules.history_size,
            int(rules.history_ttl * 1000),
            body,
            IDEMPOTENCY_MS,
        )
        if rules.mode is Mode.STATE and publication.key is not None:
            args = (*args, "s", *_keyed(publication, rules, lease), expired_lease or "")
        else:
            args = (*args, "")
        return Request(channel, scripts.PUBLISH, names, args)

    def _published(self, channel: str, event_id: str, reply: Any) -> tuple[Published | HubError, str]:
        if isinstance(reply, HubError):
            return reply, ""
        if not isinstance(reply, list):  # the number of receivers: an ephemeral event
            return Published(event_id, None), ""
        status = reply[0]
        if status == b"ok":
            position = Position(reply[1].decode(), int(reply[2]))
            return Published(event_id, position), reply[3].decode() if reply[3] else ""
        if status in (b"dup", b"stale"):
            position = Position(reply[1].decode(), int(reply[2]))
            stale = status == b"stale"
            return Published(event_id, position, stale=stale, duplicate=not stale), ""
        return self._refused(channel, status, reply), ""

    def _refused(self, channel: str, status: bytes, reply: list[Any]) -> HubError:
        if status == b"conflict":
            return HubError(
                ErrorCode.CONFLICT, "another event was published under this event_id", channel=channel
            )
        if status == b"limit":
            limit = self._namespaces.of(channel).snapshot_keys
            return HubError(
                ErrorCode.LIMIT,
                f"the channel holds {limit} keys, which is its limit (snapshot_keys)",
                channel=channel,
                retry_after_ms=_FULL_RETRY_MS,
            )
        self._stats.note("healed", "%s: stored data was spoiled and is gone: %s", channel, reply[1])
        return HubError(
            ErrorCode.INTERNAL, "the channel's stored data was spoiled: it begins anew", channel=channel
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
    """The numbering that a script's reply begins with: ok, epoch, offset, previous, fork, first."""
    previous = Position(reply[3].decode(), int(reply[4])) if reply[3] else None
    return Top(reply[1].decode(), int(reply[2]), int(reply[5]), previous)


def _inbox(reply: list[Any]) -> Inbox:
    return Inbox(Position(reply[1].decode(), int(reply[2])), int(reply[3]))
