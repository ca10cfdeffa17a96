"""One channel's feed: where it stands, what comes next, and what the application has yet to take.

A feed reads from one connection at a time (`link`). While another is opened, the old one goes on delivering;
the reply on the new one moves the feed over, by position, and what both deliver is taken once.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError
from hub.protocol.position import Position
from hub.protocol.recovery import Cause

from ..runtime.backoff import Backoff
from .buffer import Buffer, Ended
from .callbacks import tell
from .items import Event, Gap, Item, PresenceChange, PresenceKind, Snapshot
from .link import HubLink
from .members import Change, Members
from .order import Next, judge
from .tokens import TokenSource


class Feed:
    """State of one subscription; the registry drives it, the subscription reads it.

    `tokens` are asked for the channel's own token, where it has one, before each subscribe. `received` is behind
    the last item that was put into `buffer`, `begun` where a subscription without `since` and without a snapshot
    began.
    """

    def __init__(
        self,
        channel: str,
        since: Position | None,
        options: dict[str, Any],
        limit: int,
        backoff: Backoff,
        on_presence: Callable[[PresenceChange], None] | None = None,
        tokens: TokenSource | None = None,
    ) -> None:
        self.channel = channel
        self.tokens = tokens
        self.token: str | None = None
        self.token_refused = False
        self.options = options
        self.backoff = backoff
        self.buffer: Buffer[Item] = Buffer(limit)
        self.members = Members()
        self.link: HubLink | None = None
        self.asking: HubLink | None = None
        self.answered = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lapsed = False
        self.presence_state: Any = None
        self.received = since
        self.begun: Position | None = None
        self._asked: Position | None = None
        self._cursor = 0
        self._epoch: str | None = None
        self._read_up_to: int | None = None  # the read cursor of an inbox
        self._collecting: list[Event] | None = None
        self._top: Position | None = None
        self._on_presence = on_presence

    def request(self) -> dict[str, Any]:
        """The entry of a batch subscribe; remembers what was asked."""
        # Cut off before a snapshot's last page, there is none yet: it is asked for anew.
        self._asked = self.received if self._collecting is None else None
        entry = {"channel": self.channel, **self.options}
        if self.token is not None:
            entry["token"] = self.token
        if self._asked is not None:
            entry["since"] = self._asked._asdict()
        return entry

    def attach(self, link: HubLink, entry: dict[str, Any]) -> None:
        """``hub.subscribed``: the feed reads from `link` now.

        Raises:
            HubError: ``bad_message``: no such reply.
        """
        self.link, self.asking, self.answered, self.lapsed = link, None, True, False
        self._collecting = None
        self.token_refused = False
        if entry.get("epoch") is not None:
            self._place(Position.checked(entry.get("epoch"), entry.get("offset")), entry)
        if "members" in entry:
            self._tell(self.members.replace(_list(entry, "members")))
        if "unread" in entry:
            self._set_unread(entry["unread"])
        if not self.ready.done():
            self.ready.set_result(None)

    def finish(self, error: BaseException | None) -> None:
        """It has ended: by the application (None), by the hub, or with the client."""
        self.link = self.asking = None
        self.buffer.end(error)
        if not self.ready.done():
            self.ready.set_exception(error or Ended())
            self.ready.exception()  # retrieved: nobody may be waiting

    def receive(self, message: dict[str, Any]) -> bool:
        """An event of this feed's connection; False where one before it is missing.

        Raises:
            HubError: ``bad_message``: no event, or a numbered one on an ephemeral channel or the reverse.
        """
        event = Event.of(message, self._epoch)
        if (event.offset is None) != (self._epoch is None):
            raise HubError(ErrorCode.BAD_MESSAGE, "an event has an offset where its channel is numbered")
        if event.offset is None:
            self.buffer.put(event)
            return True
        verdict = judge(self._cursor, event.offset, event.conflated)
        if verdict is Next.PASS:
            self._cursor = event.offset
            self.backoff.reset()
            self._deliver(event, event.offset)
        return verdict is not Next.HOLE

    def snapshot_page(self, message: dict[str, Any]) -> None:
        """``hub.snapshot``: a part of a snapshot that did not fit into its reply."""
        self._collect(message, message.get("more") is True)

    def gap(self, message: dict[str, Any]) -> None:
        """``hub.gap``: lost between nodes; where `filled`, the events follow, and nothing is told."""
        if message.get("filled") is not True and self._epoch is not None:
            self._skip(Position(self._epoch, self._cursor), message)

    def resubscribe(self, message: dict[str, Any]) -> None:
        """``hub.resubscribe``: the subscription goes on in this numbering.

        With no gap only the epoch's name changed: the cursor stays, so that what is still to come counts on.
        """
        place = Position.checked(message.get("epoch"), message.get("offset"))
        self._collecting = None
        self._epoch, self._top = place.epoch, place
        if message.get("gap") is not None:
            self._skip(place, message["gap"])
            self._cursor, self.received = place.offset, place
        elif self.received is not None:
            self.received = Position(place.epoch, self.received.offset)
        if "snapshot" in message:
            self._collect({"events": message["snapshot"]}, message.get("more") is True)

    def presence(self, kind: str, message: dict[str, Any]) -> None:
        """``hub.join``, ``hub.leave``, ``hub.update``, or ``hub.presence`` with the whole list."""
        members = _list(message, "members")
        if kind == "presence":
            self._tell(self.members.replace(members))
        else:
            self._tell(self.members.apply(PresenceKind(kind), members))

    @property
    def unread(self) -> int | None:
        """Events of an inbox beyond the read cursor, among those received; None where it is no inbox."""
        if self._read_up_to is None or self.received is None:
            return None
        return max(0, self.received.offset - self._read_up_to)

    def acked(self, message: dict[str, Any]) -> None:
        """``hub.acked``, of this connection or another one of the user."""
        offset = message.get("offset")
        if self._read_up_to is not None and message.get("epoch") == self._epoch and type(offset) is int:
            self._read_up_to = max(self._read_up_to, offset)

    def _set_unread(self, unread: object) -> None:
        """What the hub counts at the top of the channel as the reply names it."""
        if type(unread) is int and self._top is not None:
            self._read_up_to = self._top.offset - unread

    def lapse(self) -> None:
        """Stop reading: the application is far behind. What is missed is asked for when it has caught up."""
        self.link, self.lapsed = None, True

    def _place(self, place: Position, entry: dict[str, Any]) -> None:
        asked, self._epoch, self._top = self._asked, place.epoch, place
        if asked is not None and entry.get("recovered") is True:
            self._cursor = asked.offset
            top = self.received.offset if self.received is not None else asked.offset
            self.received = Position(place.epoch, max(top, asked.offset))
            return
        if asked is not None:
            self._skip(place, entry.get("gap"))
        elif "snapshot" not in entry:
            self.begun = place
        ahead = self.received is not None and self.received.epoch == place.epoch
        if self.received is None or not ahead or self.received.offset < place.offset:
            self.received = place
        self._cursor = place.offset
        if "snapshot" in entry:
            self._collect({"events": entry["snapshot"]}, entry.get("more") is True)

    def _skip(self, place: Position, gap: Any) -> None:
        """Tell a gap, less what another connection delivered meanwhile, and stand behind it.

        One of cause ``epoch`` is told in full, also an empty one: what was received is of another numbering,
        even where that has the same name and went back.
        """
        if not isinstance(gap, dict) or type(gap.get("from")) is not int or type(gap.get("to")) is not int:
            raise HubError(ErrorCode.BAD_MESSAGE, "a gap has from and to")
        first, last, cause = gap["from"], gap["to"], str(gap.get("cause"))
        anew = cause == Cause.EPOCH
        if not anew and self.received is not None and self.received.epoch == place.epoch:
            first = max(first, self.received.offset + 1)
        self._cursor = max(self._cursor, last)
        if first <= last or anew:
            self.buffer.put(Gap(self.channel, first, last, cause, place.epoch))
            self.received = Position(place.epoch, last)

    def _deliver(self, event: Event, offset: int) -> None:
        assert self._epoch is not None
        before = self.received.offset if self.received is not None else offset - 1
        if offset > before:
            self.received = Position(self._epoch, offset)
            skipped = offset - before - 1  # counted from what another connection delivered, where one did
            self.buffer.put(event if skipped == event.conflated else replace(event, conflated=skipped))

    def _collect(self, message: dict[str, Any], more: bool) -> None:
        events = self._collecting or []
        events.extend(Event.of(event, self._epoch) for event in _list(message, "events"))
        self._collecting = events if more else None
        if not more and self._top is not None:
            # Also back, where another connection was ahead: what follows the snapshot belongs on top of it.
            self.received = self._top
            self.buffer.put(Snapshot(self.channel, *self._top, tuple(events)))

    def _tell(self, changes: list[Change]) -> None:
        for kind, members in changes:
            tell(self._on_presence, PresenceChange(self.channel, kind, tuple(members)))


def _list(message: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = message.get(name)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise HubError(ErrorCode.BAD_MESSAGE, f"{name} must be a list of objects")
    return value
