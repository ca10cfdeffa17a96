"""Who is in a channel, as this node tells its subscribers: batched, so that a crowd costs little.

The truth lies in the broker (`broker.base.Presence`); here is when its changes are told, and `notifier` tells them.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable

from ..broker.base import Broker, Member
from ..delivery.channel import Channel, Subscription
from ..protocol.errors import HubError
from ..runtime.backoff import REAL_TIME, Backoff
from ..runtime.tasks import Tasks
from .notifier import Notifier, Present

CHANGES = ("join", "leave", "update")
LAG_S = 2.0  # longer than an announcement is behind a list: they come from the storage by two ways


class Arrival:
    """A connection that has read the members of `channel` and does not yet hear of changes; `missed` says that
    there was one."""

    __slots__ = ("channel", "missed", "owner")

    def __init__(self, channel: str, owner: str) -> None:
        self.channel = channel
        self.owner = owner
        self.missed = False


class Batch:
    """What changed in a channel since its watchers were told last: of each member the last change stands.

    Of two that cancel each other out nothing is left to tell, but to who got a list meanwhile: that may have been
    read between the two, and be wrong for ever. What is true in the end stands in `cancelled` for them.
    """

    __slots__ = ("cancelled", "changes")

    def __init__(self) -> None:
        self.changes: dict[tuple[str, str], tuple[str, Member]] = {}
        self.cancelled: dict[tuple[str, str], tuple[str, Member]] = {}

    def add(self, change: str, member: Member) -> None:
        """One more change, as the broker announced it."""
        key = (member.user, member.name)
        before = self.changes.pop(key, None)
        if before is not None and before[0] == "join" and change == "update":
            change = "join"  # it is new to the watchers all the same
        elif before is not None and before[0] == "join" and change == "leave":
            self.cancelled[key] = (change, member)
            return  # came and went: nobody else needs to know
        elif before is not None and before[0] == "leave" and change == "join":
            self.cancelled[key] = (change, member)
            change = "update"  # it never left, as far as the others know
        self.changes[key] = (change, member)


class Newcomers:
    """Who got a list of a channel lately, by channel: for `LAG_S` at least, and no longer than twice that."""

    def __init__(self) -> None:
        self._young: dict[str, set[Subscription]] = {}
        self._old: dict[str, set[Subscription]] = {}

    def add(self, channel: str, watchers: Iterable[Subscription]) -> None:
        """They have one now."""
        if not self._young and not self._old:
            self._later()
        self._young.setdefault(channel, set()).update(watchers)

    def of(self, channel: str) -> Collection[Subscription]:
        """Those of a channel."""
        return self._young.get(channel, set()) | self._old.get(channel, set())

    def _later(self) -> None:
        asyncio.get_running_loop().call_later(LAG_S, self._age)

    def _age(self) -> None:
        self._young, self._old = {}, self._young
        if self._old:
            self._later()


class _Leave:
    """A leave that the broker has not confirmed. `tried`: it was asked once. `superseded`: the member is back."""

    __slots__ = ("superseded", "tried")

    def __init__(self) -> None:
        self.tried = asyncio.Event()
        self.superseded = False


class PresenceBoard:
    """Enters and leaves members, and tells watchers of changes in batches of `batch_s` seconds, in frames of at
    most `frame_bytes`."""

    def __init__(
        self,
        broker: Broker,
        tasks: Tasks,
        get_channel: Callable[[str], Channel | None],
        batch_s: float,
        grace_s: float,
        frame_bytes: int,
    ) -> None:
        self._broker = broker
        self._tasks = tasks
        self._get_channel = get_channel
        self._batch_s = batch_s
        self._grace_s = grace_s
        self._notifier = Notifier(frame_bytes, self._owe)
        self._owed: dict[Channel, set[Subscription]] = {}
        self._batches: dict[str, Batch] = {}
        self._arrivals: dict[str, list[Arrival]] = {}
        self._reading: Counter[str] = Counter()
        self._leaving: dict[tuple[str, str, str, str], _Leave] = {}
        self._newcomers = Newcomers()

    def arrive(self, connection: Present, channel: str) -> "Arrival":
        """Somebody is about to watch: until it is one of the watchers, changes are noted for it. Ends with
        `arrived` or `turned_back`."""
        arrival = Arrival(channel, connection.id)
        self._arrivals.setdefault(channel, []).append(arrival)
        return arrival

    def arrived(self, arrival: "Arrival", subscription: Subscription) -> None:
        """It is one of the watchers now; where its list of members is old already, it gets a fresh one."""
        self.turned_back(arrival)
        channel = subscription.channel
        self._newcomers.add(channel.name, (subscription,))
        if arrival.missed:
            self._tasks.spawn(self._refresh(channel, {subscription}))

    def turned_back(self, arrival: "Arrival") -> None:
        """It does not come."""
        arrivals = self._arrivals.get(arrival.channel, [])
        if arrival in arrivals:
            arrivals.remove(arrival)
        if not arrivals:
            self._arrivals.pop(arrival.channel, None)

    async def enter(
        self, connection: Present, channel: Channel, name: str, user: str, info: bytes | None
    ) -> list[Member]:
        """Become present; returns the members, this one included. `info` is what others see of the user.

        Raises:
            HubError: what the broker says.
        """
        member = Member(user, name or connection.member, bool(name), connection.id, info)
        leaving = self._leaving.get((channel.name, user, member.name, member.owner))
        if (
            leaving is not None
        ):  # what came first has its effect first, and none any more where it is tried again
            leaving.superseded = True
            await leaving.tried.wait()
        await self._broker.presence.enter(channel.name, member)
        return await self._broker.presence.members(channel.name)

    def leave(self, connection: Present, user: str, channel: str, name: str, *, at_once: bool) -> None:
        """A subscription with presence ended; a connection that was cut may come back inside the grace."""
        grace = 0.0 if at_once else self._grace_s
        key = (channel, user, name or connection.member, connection.id)
        leaving = self._leaving[key] = _Leave()
        self._tasks.spawn(self._leave(key, leaving, grace))

    async def _leave(self, key: tuple[str, str, str, str], leaving: _Leave, grace_s: float) -> None:
        backoff = Backoff(REAL_TIME, 0.2, 10.0)
        try:
            while not await self._try_leave(key, grace_s):
                leaving.tried.set()
                if not leaving.superseded:
                    await backoff.pause()
                if leaving.superseded:
                    return
        finally:
            leaving.tried.set()
            if self._leaving.get(key) is leaving:
                del self._leaving[key]

    async def _try_leave(self, key: tuple[str, str, str, str], grace_s: float) -> bool:
        try:
            await self._broker.presence.leave(*key, grace_s)
        except HubError:
            # The storage is away: the member would stay as a ghost until its node is gone, so it is tried again.
            return False
        return True

    def on_change(self, channel: str, change: str, member: Member) -> None:
        """The broker's announcement; within a batch the last change of a member stands."""
        for arrival in self._arrivals.get(channel, ()):
            arrival.missed |= member.owner != arrival.owner
        batch = self._batches.get(channel)
        if batch is None:
            if not self._watchers(channel):
                return
            batch = self._batches[channel] = Batch()
            self._flush_later(channel)
        batch.add(change, member)

    def refresh(self, channel: Channel) -> None:
        """Changes may have been missed: a fresh list for every watcher."""
        if self._watchers(channel.name):
            self._tasks.spawn(self._refresh(channel))

    def _owe(self, watcher: Subscription) -> None:
        """A watcher that fell behind can read again: a fresh list, read once for all who drain meanwhile."""
        owed = self._owed.setdefault(watcher.channel, set())
        if not owed:
            asyncio.get_running_loop().call_later(self._batch_s, self._pay, watcher.channel)
        owed.add(watcher)

    def _pay(self, channel: Channel) -> None:
        self._tasks.spawn(self._refresh(channel, self._owed.pop(channel)))

    async def _refresh(self, channel: Channel, only: set[Subscription] | None = None) -> None:
        """A fresh list for some watchers, or for all. What is announced while it is read waits, and follows it:
        handed on before it, a leave would be undone by the list."""
        backoff = Backoff(REAL_TIME, 0.2, 5.0)
        self._reading[channel.name] += 1
        try:
            while self._watchers(channel.name, only):
                if only is None:
                    self._batches.pop(channel.name, None)  # the list will hold it
                try:
                    members = await self._broker.presence.members(channel.name)
                except HubError:
                    await backoff.pause()
                    continue
                watchers = self._watchers(channel.name, only)
                self._notifier.of_list(channel.name, members, watchers)
                self._newcomers.add(channel.name, watchers)
                return
        finally:
            self._notifier.forget(only or ())
            self._reading -= Counter((channel.name,))

    def _flush_later(self, channel: str) -> None:
        asyncio.get_running_loop().call_later(self._batch_s, self._flush, channel)

    def _flush(self, channel: str) -> None:
        if self._reading[channel]:
            self._flush_later(channel)
            return
        batch = self._batches.pop(channel, None)
        if batch is None:
            return
        watchers = self._watchers(channel)
        if batch.cancelled and (newcomers := self._newcomers.of(channel)):
            self._tell(channel, batch.cancelled.values(), [each for each in watchers if each in newcomers])
        self._tell(channel, batch.changes.values(), watchers)

    def _tell(
        self, channel: str, changes: Collection[tuple[str, Member]], watchers: Collection[Subscription]
    ) -> None:
        for change in CHANGES:
            members = [member for kind, member in changes if kind == change]
            if members:
                self._notifier.of_changes(channel, change, members, watchers)

    def _watchers(self, channel: str, only: set[Subscription] | None = None) -> list[Subscription]:
        found = self._get_channel(channel)
        if found is None:
            return []
        return [s for s in found.everyone() if s.presence is not None and (only is None or s in only)]
