"""Who watches a channel's members, and how it is told: encoded once for all, and never more than its socket takes.

A watcher whose outbox fills up falls behind: it is told of no change until its socket has drained, and gets a
fresh list then, which holds all that it was not told. So a crowd can't push a slow reader over its limit.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

from ..broker.base import Member
from ..delivery.channel import Subscription
from ..delivery.prepared import PreparedMessage, PreparedMessages, fragments, paged
from ..protocol import replies
from .members import encoded

ROOM = 1024  # bytes of a frame around the members in it
BEHIND_PART = 0.25  # of its outbox's limit: what may wait there before a watcher falls behind


class Present(Protocol):
    """A connection, as presence sees it."""

    @property
    def id(self) -> str:
        """The connection's id, the owner of its members."""

    @property
    def member(self) -> str:
        """What an unnamed member is called."""

    def share(self, push: PreparedMessage) -> None:
        """Send it something."""


class Notifier:
    """Tells watchers of changes and of whole lists, in frames of at most `frame_bytes`.

    `on_room` is called with a watcher that is owed a list: it is behind, and its socket takes again; or it was told
    that it is not there itself, and is again.
    """

    def __init__(self, frame_bytes: int, on_room: Callable[[Subscription], None]) -> None:
        self._page_bytes = frame_bytes - ROOM
        self._on_room = on_room
        self._behind: set[Subscription] = set()
        self._blocked: set[Subscription] = set()  # those of them that wait for their socket
        self._outside: set[Subscription] = set()  # were told last that they themselves are not there

    def of_changes(
        self, channel: str, change: str, members: Sequence[Member], watchers: Collection[Subscription]
    ) -> None:
        """What changed; a watcher's own join is left out of what it gets."""
        bodies = encoded(members)
        pushes = self._pushes(channel, change, bodies)
        owners = {member.owner for member in members}
        for watcher in watchers:
            if watcher in self._behind:
                continue
            id = _owner(watcher).id
            if change == "join" and id in owners:
                self._send(watcher, self._of_others(channel, members, bodies, id))
                if watcher in self._outside:
                    self._on_room(watcher)  # a list in place of its own join, which it is not told of
            else:
                self._send(watcher, pushes)
                if change == "leave" and id in owners:
                    self._put_outside(watcher)

    def of_list(self, channel: str, members: Sequence[Member], watchers: Collection[Subscription]) -> None:
        """Who is there, in place of all that was told before."""
        pushes = self._pushes(channel, "presence", encoded(members))
        owners = {member.owner for member in members}
        for watcher in watchers:
            if watcher not in self._blocked:
                self._behind.discard(watcher)
                self._send(watcher, pushes)
                if _owner(watcher).id in owners:
                    self._outside.discard(watcher)
                else:
                    self._put_outside(watcher)

    def forget(self, watchers: Collection[Subscription]) -> None:
        """They got their list, or have ended meanwhile."""
        for watcher in watchers:
            if watcher not in self._blocked:
                self._behind.discard(watcher)

    def _put_outside(self, watcher: Subscription) -> None:
        self._outside = {other for other in self._outside if not other.ended}
        self._outside.add(watcher)

    def _send(self, watcher: Subscription, pushes: Sequence[PreparedMessage]) -> None:
        outbox = watcher.outbox
        if outbox.blocked:
            size = sum(len(push.frame(outbox.encoding)) for push in pushes)
            if outbox.queued_bytes + size > outbox.limit * BEHIND_PART:
                self._fall_behind(watcher)
                return
        elif len(pushes) > 1:
            outbox.hold(PreparedMessages(pushes))
            return
        for push in pushes:
            _owner(watcher).share(push)

    def _fall_behind(self, watcher: Subscription) -> None:
        self._behind.add(watcher)
        self._blocked.add(watcher)
        watcher.outbox.when_room(lambda: self._drained(watcher))

    def _drained(self, watcher: Subscription) -> None:
        self._blocked.discard(watcher)
        if watcher.ended:
            self._behind.discard(watcher)
        else:
            self._on_room(watcher)

    def _of_others(
        self, channel: str, members: Sequence[Member], bodies: Sequence[bytes], owner: str
    ) -> list[PreparedMessage]:
        """Joins, for one of those who joined. A state that it set since is no join: it is told of that."""
        others: list[bytes] = []
        own: list[bytes] = []
        for member, body in zip(members, bodies, strict=True):
            if member.owner != owner:
                others.append(body)
            elif member.state is not None:
                own.append(body)
        joins = self._pushes(channel, "join", others) if others else []
        return joins + (self._pushes(channel, "update", own) if own else [])

    def _pushes(self, channel: str, change: str, bodies: Sequence[bytes]) -> list[PreparedMessage]:
        """What does not fit into one frame follows as joins."""
        pages = [fragments(page) for page in paged(bodies, self._page_bytes) or [[]]]
        if change == "presence":
            first, *pages = pages
            joins = [replies.members_changed("join", channel, page) for page in pages]
            return [PreparedMessage(each) for each in (replies.presence(channel, first), *joins)]
        return [PreparedMessage(replies.members_changed(change, channel, page)) for page in pages]


def _owner(subscription: Subscription) -> Present:
    owner: Any = subscription.owner
    present: Present = owner
    return present
