"""The broker of one node that forgets nothing: the memory broker, whose changes of a turn of the loop are written
in one transaction before anybody hears of them.

    verb ─▶ the memory broker's own ─▶ changed? ─▶ journal ┐
    end of the turn ────────────────────────────────────────┴▶ one commit ─▶ announcements, answers

Where a commit fails, what it held stays in the journal and is tried again; until then nothing new is taken
(``unavailable``), what was taken is neither answered nor announced, and channels that it concerns are not read:
nobody may see an offset that a crash would give to another event.
"""

import asyncio
import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from ...namespaces import Namespace, Namespaces
from ...protocol.codes import ErrorCode, Outcome
from ...protocol.errors import HubError
from ...protocol.event import Event, Publication
from ...protocol.position import Position, Top
from ..base import MAX_DEAD_LETTERS, Inbox, Listener, Page, Published, ShardHealth
from ..memory.broker import MemoryBroker
from ..memory.streams import Stream
from . import restore
from .file import HubFile, Sync
from .held import Held
from .journal import Journal, StoredStream, outlives
from .mark import Unusable
from .registry import StoredLetters, StoredRegistry

log = logging.getLogger(__name__)

RETRY_S = 0.5
_Answer = TypeVar("_Answer")
_UNKNOWN = "the disk did not take it: it may be stored later, repeat it with the same event_id"


def parse(url: str) -> tuple[Path, Sync]:
    """The file that ``sqlite:///path?synchronous=full`` names, and how it is synced.

    Raises:
        ValueError: it is no such URL.
    """
    parts = urlsplit(url)
    if parts.scheme != "sqlite" or parts.netloc or not parts.path.strip("/"):
        raise ValueError("the file is named by its absolute path: sqlite:///var/lib/hub/hub.db")
    options = parse_qs(parts.query, keep_blank_values=True)
    sync = options.pop("synchronous", ["normal"])
    if options or sync not in (["normal"], ["full"]):
        raise ValueError("after the path stands nothing but ?synchronous=normal or ?synchronous=full")
    return Path(unquote(parts.path)), "full" if sync == ["full"] else "normal"


class SqliteBroker(MemoryBroker):
    """`Broker` of one process, in the file that `url` names. After `retry_s` what the disk did not take is tried
    again."""

    _stream_of = StoredStream

    def __init__(
        self,
        url: str,
        namespaces: Namespaces,
        clock: Callable[[], float] = time.time,
        *,
        members_limit: int = 1000,
        dead_letters_limit: int = MAX_DEAD_LETTERS,
        retry_s: float = RETRY_S,
    ) -> None:
        super().__init__(
            namespaces, clock, members_limit=members_limit, dead_letters_limit=dead_letters_limit
        )
        self._path, self._sync = parse(url)
        self._retry_s = retry_s
        self._file: HubFile | None = None
        self._journal = Journal()
        self._held: Held | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._dirty: set[str] = set()
        self._flushing: asyncio.Handle | None = None
        self._failed = ""
        self._counts: Counter[str] = Counter()
        self._numbers = 0  # the highest that a channel has in the file
        self._rows = 0  # the last row of an event there
        self._stored_letters = StoredLetters(dead_letters_limit, self._note, self.settled)
        self._stored_registry = StoredRegistry(self._timers, self._on_command, self._note, self.settled)
        self.dead_letters = self._stored_letters
        self.registry = self._stored_registry

    # Life

    async def start(self, listener: Listener) -> None:
        """Read all that the file holds.

        Raises:
            Unusable: it is no file of a hub's, of a newer one's, or in use; the message says which.
        """
        file = self._file = HubFile(self._path, self._sync, self._freed)
        try:
            self._restore(file)
        except (sqlite3.DatabaseError, ValueError, TypeError, LookupError) as error:
            self._forget_all()
            file.put_aside(f"{type(error).__name__}: {error}")
            self._restore(file)
        self._counts["damaged_files"] += file.damaged
        if file.doubt:
            log.warning("%s may lack what it gave out (%s): all numberings fork", self._path, file.doubt)
            self._counts["forks"] += len(self._streams)
            for stream in self._streams.values():
                restore.fork(stream)
                self._touch(stream)
        self._held = Held(listener)
        await super().start(self._held)
        await self.settled()

    def _restore(self, file: HubFile) -> None:
        now = self._clock()
        self._numbers, self._rows, stray = restore.streams(
            file.db, self._namespaces, self._bring_back, self._key_due, self._timers.set
        )
        self._drop(stray)
        restore.others(file.db, now, self._stored_registry, self._stored_letters)

    def _forget_all(self) -> None:
        for stream in list(self._streams.values()):
            super()._forget(stream)
        self._journal = Journal()

    def _bring_back(self, number: int, channel: str, rules: Namespace, epoch: str) -> StoredStream:
        stream = StoredStream(channel, rules, epoch, self._forget, self._prune)
        self._streams[channel] = self._adopted(stream, number)
        return stream

    def _adopted(self, stream: StoredStream, number: int) -> StoredStream:
        stream.number = number
        stream.history_alarm.action = partial(self._history_over, stream)
        return stream

    async def close(self) -> None:
        """Let go of everything, within 5 s."""
        file, self._file = self._file, None
        if file is not None:
            await file.rest()
            self._flush(file)
            if self._flushing is not None:
                self._flushing.cancel()
            file.close()
        await super().close()

    def health(self) -> list[ShardHealth]:
        """Every shard: the file."""
        return [ShardHealth("sqlite", not self._failed, deaf_s=0.0, rtt_s=0.0, why=self._failed)]

    def counts(self) -> Mapping[str, int]:
        """What went wrong and was dealt with since the start, by a short name: for metrics."""
        return self._counts

    # Verbs

    async def publish(
        self, publications: Sequence[Publication], *, ordered: bool = False
    ) -> list[Published | HubError]:
        """Store and announce each, in order where the channel is the same; an error in one leaves the
        others."""
        if self._failed:
            return [await self._pass_or_refuse(publication) for publication in publications]
        results = await super().publish(publications, ordered=ordered)
        try:
            await self.settled()
        except HubError as error:
            return [result if isinstance(result, HubError) else error for result in results]
        return results

    async def _pass_or_refuse(self, publication: Publication) -> Published | HubError:
        try:
            if self._namespaces.of(publication.channel).stored:
                return self._refused(Outcome.NOT_DONE)
        except HubError as error:
            return error
        return (await super().publish([publication]))[0]

    async def read(self, channel: str, after: int | None, limit: int) -> Page:
        """Up to `limit` stored events with offsets above `after`, or the newest `limit` where it is None."""
        return await self._seen(channel, super().read(channel, after, limit))

    async def snapshot(self, channel: str) -> Page:
        """The latest event of each key in the order of offsets, complete at `top.offset` (`state` only)."""
        return await self._seen(channel, super().snapshot(channel))

    async def tops(self, channels: Sequence[str]) -> list[Top | HubError]:
        """The numberings of many channels, one answer each: of several servers one may be away."""
        tops = await super().tops(channels)
        for channel in channels:
            stream = self._streams[channel]
            assert isinstance(stream, StoredStream)
            if outlives(stream):
                self._touch(stream)
        if any(channel in self._dirty for channel in channels):
            await self.settled()
        return tops

    async def ack(self, channel: str, user: str, position: Position) -> Inbox:
        """Move the read cursor up to `position`; a lower one changes nothing."""
        self._check()
        stream = self._stream(channel, self._now())
        before = stream.cursors.get(user)
        inbox = await super().ack(channel, user, position)
        if stream.cursors.get(user) != before:
            stored = self._changed(stream)
            self._journal.cursors[stored.number, user] = stored
        await self.settled()
        return inbox

    async def inbox(self, channel: str, user: str) -> Inbox:
        """The read cursor (offset 0 where there is none or it is no longer good) and the unread count."""
        return await self._seen(channel, super().inbox(channel, user))

    async def delete(self, channel: str) -> Position:
        """Delete all that is stored of a channel: another numbering begins, and knows that the one before was
        deleted."""
        self._check()
        position = await super().delete(channel)
        self._touch(self._streams[channel])
        await self.settled()
        return position

    async def delete_key(self, channel: str, key: str) -> Position | None:
        """Delete a key and every stored event of it; one final event says so."""
        self._check()
        latest = _latest(self._streams.get(channel), key)
        position = await super().delete_key(channel, key)
        stream = self._touch(self._streams[channel])
        self._journal.keys[stream.number, key] = stream
        self._let_go(stream, latest)
        self._cut(stream)
        await self.settled()
        return position

    # What the memory broker does, noted

    def _begin(self, channel: str, rules: Namespace, now: float) -> Stream:
        stream = super()._begin(channel, rules, now)
        assert isinstance(stream, StoredStream)
        self._numbers += 1
        return self._touch(self._adopted(stream, self._numbers))

    def _forget(self, stream: Stream) -> None:
        super()._forget(stream)
        stored = self._changed(stream)
        self._journal.streams.pop(stored.number, None)
        self._journal.gone.add(stored.number)
        self._drop(stored.rows)
        self._drop(stored.left.values())

    def _publish(self, publication: Publication, now: float) -> Published:
        published = super()._publish(publication, now)
        if publication.source is not None and published.position is not None:
            stream = self._changed(self._streams[publication.channel])
            self._journal.sources[stream.number, publication.source.name] = stream
        return published

    def _append(self, stream: Stream, event: Event, now: float) -> None:
        super()._append(stream, event, now)
        stored = self._changed(stream)
        self._rows += 1
        stored.rows.append(self._rows)
        self._journal.events.append((stored, self._rows, event))
        if event.offset + 1 - len(stream.events) > stored.kept:
            self._cut(stored)

    def _store(self, stream: Stream, publication: Publication, event: Event, now: float) -> None:
        super()._store(stream, publication, event, now)
        if publication.event_id is not None:
            stored = self._changed(stream)
            name = (publication.publisher, event.id)
            self._journal.answers[stored.number, name] = stored, publication.event_id_ttl_ms is not None

    def _store_keyed(self, stream: Stream, key: str, event: Event, lease_ms: int | None, now: float) -> None:
        latest = _latest(stream, key)
        super()._store_keyed(stream, key, event, lease_ms, now)
        stored = self._changed(stream)
        self._journal.keys[stored.number, key] = stored
        self._let_go(stored, latest)

    def _key_due(self, stream: Stream, key: str) -> None:
        latest = _latest(stream, key)
        super()._key_due(stream, key)
        stored = self._changed(stream)
        self._journal.keys[stored.number, key] = stored
        if key not in stream.keys:
            self._let_go(stored, latest)

    def _history_over(self, stream: StoredStream) -> None:
        stream.events.clear()
        self._cut(self._touch(stream))

    def _prune(self, stream: Stream) -> None:
        super()._prune(stream)
        assert isinstance(stream, StoredStream)
        self._journal.pruned[stream.number] = self._clock()
        self._schedule()

    def _cut(self, stream: StoredStream) -> None:
        self._drop(stream.cut())

    def _let_go(self, stream: StoredStream, offset: int) -> None:
        """The event at `offset` is no key's latest any more: unless the history holds it, it leaves the file."""
        row = stream.left.pop(offset, None)
        if row is not None:
            self._drop((row,))

    def _drop(self, rows: Iterable[int]) -> None:
        self._journal.dropped.extend((row,) for row in rows)

    def _touch(self, stream: Stream) -> StoredStream:
        """The stream has changed in what no event of it tells."""
        stored = self._changed(stream)
        self._journal.streams[stored.number] = stored
        return stored

    def _changed(self, stream: Stream) -> StoredStream:
        """Something of the stream has changed, and is in the journal or will be at once."""
        assert isinstance(stream, StoredStream)
        self._dirtied(stream.channel)
        return stream

    def _note(self, statement: str, row: Sequence[Any]) -> None:
        """Something beside the streams has changed."""
        self._journal.other.append((statement, row))
        self._dirtied("")

    # Writing

    def _dirtied(self, channel: str) -> None:
        self._dirty.add(channel)
        self._schedule()

    def _schedule(self) -> None:
        if self._flushing is None and self._file is not None and not self._failed:
            self._flushing = asyncio.get_running_loop().call_soon(self._flush, self._file)

    def _flush(self, file: HubFile) -> None:
        """Write what has changed, then let it be heard."""
        self._flushing = None
        if file.held or not (self._dirty or self._journal.pruned):
            return
        try:
            file.commit(self._journal.work())
        except sqlite3.Error as error:
            self._fail(str(error), file)
            return
        if self._failed:
            log.warning("%s can be written again", self._path)
            self._failed = ""
        journal, self._journal = self._journal, Journal()
        journal.written()
        self._dirty.clear()
        waiting, self._waiting = self._waiting, []
        if self._held is not None:
            self._held.let_go()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def _freed(self) -> None:
        """What waited for a checkpoint is written."""
        if self._flushing is None and self._file is not None:
            self._flushing = asyncio.get_running_loop().call_soon(self._flush, self._file)

    def _fail(self, why: str, file: HubFile) -> None:
        if not self._failed:
            log.error("%s can't be written: %s; nothing is taken until it can", self._path, why)
        self._failed = why
        self._counts["failed_commits"] += 1
        self._flushing = asyncio.get_running_loop().call_later(self._retry_s, self._flush, file)
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_exception(self._refused(Outcome.UNKNOWN))

    async def settled(self) -> None:
        """Until what has changed up to now stands in the file.

        Raises:
            HubError: ``unavailable``: the disk does not take it.
        """
        if not self._dirty or self._file is None:
            return
        if self._failed:
            raise self._refused(Outcome.UNKNOWN)
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

    async def _seen(self, channel: str, answer: Coroutine[Any, Any, _Answer]) -> _Answer:
        """What a verb gives that only reads, once it can be relied on."""
        found = await answer
        if channel in self._dirty:
            await self.settled()
        return found

    def _check(self) -> None:
        """Raises:
        HubError: ``unavailable``: nothing is taken now.
        """
        if self._failed:
            raise self._refused(Outcome.NOT_DONE)

    def _refused(self, outcome: Outcome) -> HubError:
        why = "the disk takes nothing" if outcome is Outcome.NOT_DONE else _UNKNOWN
        return HubError(ErrorCode.UNAVAILABLE, why, retry_after_ms=int(self._retry_s * 2000), outcome=outcome)


def _latest(stream: Stream | None, key: str) -> int:
    """The offset of a key's latest event; 0 where there is none."""
    held = None if stream is None else stream.keys.get(key)
    return 0 if held is None else held.event.offset


__all__ = ["SqliteBroker", "Unusable", "parse"]
