"""Who is in a channel, as this node tells its subscribers: batched, so that a crowd costs little.

The truth lies in the broker (`broker.base.Presence`); here are only the watchers.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import orjson

from .broker.base import Broker, Member
from .channel import Channel
from .protocol.errors import HubError
from .pushes import Push
from .subscription import Subscription
from .tasks import Tasks

CHANGES = ("join", "leave", "update")


class Present(Protocol):
    """A connection, as presence sees it."""

    @property
    def id(self) -> str:
        """The connection's id, the owner of its members."""

    @property
    def member(self) -> str:
        """What an unnamed member is called."""

    @property
    def who(self) -> tuple[str, bytes | None]:
        """The user, and the token's `info`."""

    def share(self, push: Push) -> None:
        """Send it something."""


def member_fields(member: Member) -> dict[str, Any]:
    """A member as the contract writes it: ``as`` where it has a name of its own, else ``connection``."""
    fields: dict[str, Any] = {"user": member.user, "as" if member.named else "connection": member.name}
    if member.info is not None:
        fields["info"] = orjson.Fragment(member.info)
    if member.state is not None:
        fields["state"] = orjson.Fragment(member.state)
    return fields


def members_fields(members: Iterable[Member], *, by_user: bool = False) -> list[dict[str, Any]]:
    """The members; one entry a user, with how many there are of it, where `by_user`."""
    if not by_user:
        return [member_fields(member) for member in members]
    users: dict[str, dict[str, Any]] = {}
    for member in members:
        entry = users.setdefault(member.user, {"user": member.user, "members": 0})
        entry["members"] += 1
        if member.info is not None:
            entry["info"] = orjson.Fragment(member.info)
    return list(users.values())


class Arrival:
    """A connection that has read the members of `channel` and does not yet hear of changes; `missed` says that
    there was one."""

    __slots__ = ("channel", "missed", "owner")

    def __init__(self, channel: str, owner: str) -> None:
        self.channel = channel
        self.owner = owner
        self.missed = False


class PresenceBoard:
    """Enters and leaves members, and tells watchers of changes in batches of `batch_s` seconds."""

    def __init__(
        self,
        broker: Broker,
        tasks: Tasks,
        get_channel: Callable[[str], Channel | None],
        batch_s: float,
        grace_s: float,
    ) -> None:
        self._broker = broker
        self._tasks = tasks
        self._get_channel = get_channel
        self._batch_s = batch_s
        self._grace_s = grace_s
        self._changes: dict[str, dict[tuple[str, str], tuple[str, Member]]] = {}
        self._arrivals: dict[str, list[Arrival]] = {}

    def arrive(self, connection: Present, channel: str) -> "Arrival":
        """Somebody is about to watch: until it is one of the watchers, changes are noted for it. Ends with
        `arrived` or `turned_back`."""
        arrival = Arrival(channel, connection.id)
        self._arrivals.setdefault(channel, []).append(arrival)
        return arrival

    def arrived(self, arrival: "Arrival", connection: Present, channel: Channel) -> None:
        """It is one of the watchers now; where its list of members is old already, it gets a fresh one."""
        self.turned_back(arrival)
        if arrival.missed:
            self._tasks.spawn(self._refresh(channel, connection))

    def turned_back(self, arrival: "Arrival") -> None:
        """It does not come."""
        arrivals = self._arrivals.get(arrival.channel, [])
        if arrival in arrivals:
            arrivals.remove(arrival)
        if not arrivals:
            self._arrivals.pop(arrival.channel, None)

    async def enter(self, connection: Present, channel: Channel, name: str) -> list[Member]:
        """Become present; returns the members, this one included.

        Raises:
            HubError: what the broker says.
        """
        user, info = connection.who
        member = Member(user, name or connection.member, bool(name), connection.id, info)
        await self._broker.presence.enter(channel.name, member)
        return await self._broker.presence.members(channel.name)

    def leave(self, connection: Present, user: str, channel: str, name: str, *, at_once: bool) -> None:
        """A subscription with presence ended; a connection that was cut may come back inside the grace."""
        grace = 0.0 if at_once else self._grace_s
        self._tasks.spawn(self._leave(channel, user, name or connection.member, connection.id, grace))

    async def _leave(self, channel: str, user: str, name: str, owner: str, grace_s: float) -> None:
        delay = 0.2
        while True:
            try:
                await self._broker.presence.leave(channel, user, name, owner, grace_s)
            except HubError:
                # The storage is away: the member would stay as a ghost until its node is gone, so try on.
                await asyncio.sleep(delay)
                delay = min(delay * 2, 10.0)
            else:
                return

    def on_change(self, channel: str, change: str, member: Member) -> None:
        """The broker's announcement; within a batch the last change of a member stands."""
        for arrival in self._arrivals.get(channel, ()):
            arrival.missed |= member.owner != arrival.owner
        if not self._watchers(channel):
            return
        batch = self._changes.get(channel)
        if batch is None:
            batch = self._changes[channel] = {}
            asyncio.get_running_loop().call_later(self._batch_s, self._flush, channel)
        key = (member.user, member.name)
        before = batch.pop(key, None)
        if before is not None and before[0] == "join" and change == "update":
            change = "join"  # it is new to the watchers all the same
        if before is not None and before[0] == "join" and change == "leave":
            return  # came and went: nobody needs to know
        if before is not None and before[0] == "leave" and change == "join":
            change = "update"  # it never left, as far as the watchers know
        batch[key] = (change, member)

    def refresh(self, channel: Channel) -> None:
        """Changes may have been missed: a fresh list for every watcher."""
        if self._watchers(channel.name):
            self._tasks.spawn(self._refresh(channel))

    async def _refresh(self, channel: Channel, one: Present | None = None) -> None:
        """A fresh list for `one` watcher, or for all."""
        delay = 0.2
        while self._watchers(channel.name):
            try:
                members = await self._broker.presence.members(channel.name)
            except HubError:
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5.0)
                continue
            if one is None:
                self._changes.pop(channel.name, None)
            push = Push({"type": "hub.presence", "channel": channel.name, "members": members_fields(members)})
            for watcher in self._watchers(channel.name):
                if one is None or _owner(watcher) is one:
                    _owner(watcher).share(push)
            return

    def _flush(self, channel: str) -> None:
        batch = self._changes.pop(channel, None)
        if not batch:
            return
        watchers = self._watchers(channel)
        for change in CHANGES:
            members = [member for kind, member in batch.values() if kind == change]
            if members:
                _tell(channel, change, members, watchers)

    def _watchers(self, channel: str) -> list[Subscription]:
        found = self._get_channel(channel)
        return [s for s in found.everyone() if s.presence is not None] if found is not None else []


def _tell(channel: str, change: str, members: Sequence[Member], watchers: Sequence[Subscription]) -> None:
    """One encoding for all; a watcher's own join is left out of what it gets."""
    push = _push(channel, change, members)
    owners = {member.owner for member in members} if change == "join" else set()
    for watcher in watchers:
        connection = _owner(watcher)
        if connection.id not in owners:
            connection.share(push)
            continue
        others = [member for member in members if member.owner != connection.id]
        if others:
            connection.share(_push(channel, change, others))


def _push(channel: str, change: str, members: Sequence[Member]) -> Push:
    return Push({"type": f"hub.{change}", "channel": channel, "members": members_fields(members)})


def _owner(subscription: Subscription) -> Present:
    owner: Any = subscription.owner
    present: Present = owner
    return present
