"""One stored channel in memory: numbering, history, the latest event by key, idempotency, read cursors."""

from collections.abc import Callable

from ...namespaces import Mode, Namespace
from ...protocol.codes import ErrorCode
from ...protocol.errors import HubError
from ...protocol.event import Event, Publication, Source, Version
from ...protocol.position import Position, Top
from ...protocol.values import same_value
from ..base import EMPTY_S, FULL_RETRY_MS, SOURCES, Inbox, Page, Published, too_many_sources
from .answers import Answer, Answers
from .timers import Alarm


class Keyed:
    """The latest event of a key, and what guards the key.

    `version` is the newest that the key was published with (None: it is not guarded), `closed` whether a
    final ended its attempt. An event without a version replaces `event` and leaves both as they are.
    """

    __slots__ = ("alarm", "closed", "event", "expires", "lease_due", "version")

    def __init__(self, alarm: Alarm) -> None:
        self.alarm = alarm
        self.event: Event
        self.version: Version | None = None
        self.closed = False
        self.expires = 0.0
        self.lease_due: float | None = None

    def refuses(self, version: Version | None) -> bool:
        """Whether an event of `version` is stale: not newer, or within an attempt that has ended."""
        last = self.version
        if version is None or last is None:
            return False
        return version.attempt <= last.attempt if self.closed else version <= last

    def take(self, event: Event) -> None:
        """`event` is the latest now."""
        self.event = event
        if event.version is not None:
            self.version = event.version
            self.closed = event.final
        elif event.final:
            self.closed = True


class Stream:
    """The numbering of one channel and all that is stored under it: plain state, no clock and no timer."""

    digest: Callable[[tuple[object, ...]], int] = staticmethod(hash)
    """What stands for a publication's body."""

    __slots__ = (
        "_room",
        "_size",
        "ancestors",
        "answers",
        "answers_alarm",
        "channel",
        "cursors",
        "epoch",
        "events",
        "history_alarm",
        "keys",
        "life_alarm",
        "offset",
        "rules",
        "sources",
        "state",
    )

    def __init__(
        self,
        channel: str,
        rules: Namespace,
        epoch: str,
        forget: Callable[["Stream"], None],
        prune: Callable[["Stream"], None],
    ) -> None:
        self.channel = channel
        self.rules = rules
        self.state = rules.mode is Mode.STATE
        self.epoch = epoch
        self.ancestors: tuple[Position, ...] = ()
        self.offset = 0
        self.events: list[Event] = []
        self.keys: dict[str, Keyed] = {}  # in the order of offsets: a key that is published moves to the end
        self.answers = Answers()
        self.cursors: dict[str, int] = {}
        self.sources: dict[str, Version] = {}
        self.life_alarm = Alarm(lambda: forget(self))
        self.history_alarm = Alarm(self.events.clear)
        self.answers_alarm = Alarm(lambda: prune(self))
        self._size = rules.history_size
        # The list is cut once for many appends: cutting its head moves all the rest.
        self._room = self._size + max(16, self._size >> 3)

    @property
    def life(self) -> float:
        """For how many seconds it stays unused."""
        return min(self.rules.meta_ttl, EMPTY_S) if self.empty else self.rules.meta_ttl

    @property
    def empty(self) -> bool:
        """Whether nothing was ever stored under it."""
        return self.offset == 0 and not self.sources and not self.ancestors

    @property
    def first(self) -> int:
        """The oldest offset that is stored; offset + 1 where none is."""
        return self.offset + 1 - min(len(self.events), self._size)

    @property
    def top(self) -> Top:
        """The numbering at this moment. In memory nothing is lost in part, so it never forks; what was deleted
        for it is an ancestor."""
        return Top(self.epoch, self.offset, self.first, self.ancestors)

    def read(self, after: int | None, limit: int) -> Page:
        """Up to `limit` stored events with offsets above `after`, or the newest `limit` where it is None."""
        first = self.first
        last = self.offset
        begin = max(first, last - limit + 1 if after is None else after + 1)
        skip = len(self.events) - (last - begin + 1)
        return Page(self.top, self.events[skip : skip + limit] if begin <= last else [])

    def snapshot(self) -> Page:
        """The latest event of each key in the order of offsets, complete at `top.offset` (`state` only)."""
        return Page(self.top, [keyed.event for keyed in self.keys.values()])

    def append(self, event: Event) -> None:
        """Store the event that `offset` + 1 was given to."""
        self.offset = event.offset
        self.events.append(event)
        if len(self.events) > self._room:
            del self.events[: -self._size]

    def erase(self, key: str) -> bool:
        """Let go of all stored events of a key, and of what lies before them; whether there were any."""
        held = self.keys.pop(key, None)
        for at in range(len(self.events) - 1, -1, -1):
            if self.events[at].key == key:
                del self.events[: at + 1]
                return True
        return held is not None

    def admit(self, publication: Publication, event_id: str) -> Published | None:
        """The answer to a publication that is stale; None where it may be stored.

        Raises:
            HubError: ``limit`` where it would be a key too many.
        """
        key = publication.key
        if key is None:
            return None
        keyed = self.keys.get(key)
        if keyed is None:
            if len(self.keys) >= self.rules.snapshot_keys:
                raise HubError(
                    ErrorCode.LIMIT,
                    f"the channel holds {self.rules.snapshot_keys} keys, which is its limit (snapshot_keys)",
                    channel=self.channel,
                    retry_after_ms=FULL_RETRY_MS,
                )
            return None
        if keyed.refuses(publication.version):
            return Published(event_id, Position(self.epoch, keyed.event.offset), stale=True)
        return None

    def handed_on(self, source: Source, event_id: str) -> Published | None:
        """The answer to a publication that its source has handed on before; None where it is a new one.

        Raises:
            HubError: ``limit`` where it would be a name too many.
        """
        highest = self.sources.get(source.name)
        if highest is None:
            if len(self.sources) >= SOURCES:
                raise too_many_sources(self.channel)
            return None
        if source.position > highest:
            return None
        return Published(event_id, Position(self.epoch, self.offset), duplicate=True)

    def recorded(self, publication: Publication, event_id: str, now: float) -> Published | None:
        """The answer of then to a publication that was stored before under its `event_id`.

        Raises:
            HubError: ``conflict`` where it was another one.
        """
        answer = self.answers.find((publication.publisher, event_id), now)
        if answer is None:
            return None
        if answer.body != self.digest(publication.body) and not self._repeats(publication, answer):
            raise HubError(
                ErrorCode.CONFLICT,
                "another event was published under this event_id",
                channel=self.channel,
            )
        return Published(event_id, Position(self.epoch, answer.offset), duplicate=True)

    def record(self, publication: Publication, event_id: str, offset: int, now: float) -> float:
        """Remember that a publication was stored at `offset`; returns until when."""
        name = (publication.publisher, event_id)
        return self.answers.put(name, self.digest(publication.body), offset, now, publication.event_id_ttl_ms)

    def _repeats(self, publication: Publication, answer: Answer) -> bool:
        """Whether a publication is that of then, its payload only written in another way."""
        events = self.read(answer.offset - 1, 1).events
        if not events or events[0].offset != answer.offset:
            return False
        before = events[0].payload
        alike = self.digest(publication.body_with(before)) == answer.body
        return alike and same_value(before, publication.payload)

    def inbox(self, user: str) -> Inbox:
        """The read cursor (offset 0 where there is none or it is no longer good) and the unread count: top -
        max(cursor, first stored - 1)."""
        cursor = self.cursors.get(user, 0)
        unread = self.offset - max(cursor, self.first - 1)
        return Inbox(Position(self.epoch, cursor), unread)
