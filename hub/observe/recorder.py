"""The flight recorder: what a node remembers of clients that are gone, of refusals and of gaps, for a while.

Rings by kind, each with a budget of its own in bytes, so that a flood of strangers pushes out nothing of users.
In a storm there is one entry a user and kind, with a count. Nothing is kept of a connection while it lives: what
it had is read off it when it ends.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import Any

import orjson

from ..connections.observer import Ending, Observed, Stranger
from ..delivery.channel import Subscription
from ..protocol import codes
from ..protocol.errors import HubError
from .text import shown

ALL = 1_000_000  # more than fit into it
KEPT_S = 15 * 60.0
SAME_S = 60.0  # another of the same kind and user within so long counts as one with the one before
MOST_CHANNELS = 12  # of one connection, with positions; of the others only the number
FEW = 8  # ends of one user in a minute that are told apart
MOST_BYTES = 1024  # of one entry
MOST_TEXT = 200
ENTRY_BYTES = 400  # what an entry costs beside its text (measured)
BYTES_A_USER = 2000  # of the budget, for each whose ends of this minute are counted: a twentieth of it
SHARES = {"ends": 0.7, "refusals": 0.15, "strangers": 0.1, "gaps": 0.05}


@dataclass(slots=True)
class _Entry:
    time: float
    count: int
    data: bytes


class Ring:
    """Entries by key, oldest first, at most so many bytes of them, none older than 15 minutes. `read` makes fields
    of what an entry holds."""

    def __init__(
        self, budget: int, wall: Callable[[], float], read: Callable[[Any], dict[str, Any]] = dict
    ) -> None:
        self._read = read
        self._budget = budget
        self._wall = wall
        self._bytes = 0
        self.forgot = 0.0  # when the newest was kept that had to go before its time
        self._entries: OrderedDict[tuple[object, ...], _Entry] = OrderedDict()

    def put(self, key: tuple[object, ...], data: bytes) -> None:
        """Keep an entry, JSON; in place of one of its key that is younger than a minute, which it counts in."""
        data = bytes(memoryview(data))  # copied: what orjson makes keeps 4 KB (measured)
        now = self._wall()
        before = self._entries.pop(key, None)
        count = 1
        if before is not None:
            self._bytes -= len(before.data) + ENTRY_BYTES
            if now - before.time < SAME_S:
                count += before.count
        self._entries[key] = _Entry(now, count, data)
        self._bytes += len(data) + ENTRY_BYTES
        while self._entries:
            oldest = next(iter(self._entries.values()))
            young = now - oldest.time <= KEPT_S
            if young and self._bytes <= self._budget:
                break
            if young:
                self.forgot = oldest.time
            self._bytes -= len(self._entries.popitem(last=False)[1].data) + ENTRY_BYTES

    def newest_first(self, of: str | None = None) -> Iterator[dict[str, Any]]:
        """What is kept and young enough; `of`: only what begins its key. What is not asked for is not unpacked."""
        oldest = self._wall() - KEPT_S
        for key, entry in reversed(self._entries.items()):
            if entry.time < oldest:
                return  # and so are those behind it
            if of is None or key[0] == of:
                fields = self._read(orjson.loads(entry.data))
                yield {**fields, "time": int(entry.time * 1000), "count": entry.count}

    @property
    def bytes(self) -> int:
        """About what it holds."""
        return self._bytes


class FlightRecorder:
    """`Observer` that remembers. `now` is monotonic seconds, `wall` Unix seconds, `budget` bytes in all."""

    def __init__(self, node: str, now: Callable[[], float], wall: Callable[[], float], budget: int) -> None:
        self._node = node
        self._now = now
        self._wall = wall
        self._rings = {
            kind: Ring(int(budget * share), wall, *([self._ended] if kind == "ends" else []))
            for kind, share in SHARES.items()
        }
        self.began = wall()
        self._minute = 0
        self._ends_of: dict[str, int] = {}  # of this minute
        self._users_most = budget // BYTES_A_USER

    def admitted(self, connection: Observed) -> None:
        """As `Observer.admitted`: it is read off the connection when it ends."""

    def ended(self, connection: Observed, ending: Ending) -> None:
        """As `Observer.ended`."""
        user, code = connection.who[0], int(ending.code)
        channels = [_place(each) for each in islice(connection.subscriptions.values(), MOST_CHANNELS)]
        row = (
            *self._row(connection, channels),
            code,
            ending.reason[:MOST_TEXT],
            ending.by_hub,
            ending.unread_bytes,
            ending.unread_frames,
            ending.unacked_bytes,
        )
        data = orjson.dumps(row)
        while len(data) > MOST_BYTES and channels:
            channels.pop()
            data = orjson.dumps(row)
        # A user's tabs are told apart; a storm of one user is one entry with a count.
        one = connection.member if self._in_last_minute(user) <= FEW else None
        self._rings["ends"].put((user, code, one), data)

    def _in_last_minute(self, user: str) -> int:
        """How many connections of the user ended in this minute, this one counted."""
        minute = int(self._wall() // SAME_S)
        if minute != self._minute:
            self._minute, self._ends_of = minute, {}
        ends = self._ends_of[user] = (
            self._ends_of.pop(user, 0) + 1
        )  # at the end of the dict: in a storm it stays
        if len(self._ends_of) > self._users_most:
            del self._ends_of[next(iter(self._ends_of))]
        return ends

    def turned_away(self, who: Stranger, error: HubError) -> None:
        """As `Observer.turned_away`."""
        fields = {
            "kind": "turned_away",
            "node": self._node,
            "user": who.user,
            "address": who.address,
            "origin": None if who.origin is None else shown(who.origin),
            "code": error.code.value,
            "reason": shown(error.reason, 300),
        }
        ring = "strangers" if who.user is None else "refusals"
        self._rings[ring].put((who.user or who.address, who.origin, error.code), orjson.dumps(fields))

    def refused(self, connection: Observed, error: HubError) -> None:
        """As `Observer.refused`."""
        user = connection.who[0]
        fields = {
            "kind": "refused",
            "node": self._node,
            "user": user,
            "connection": connection.id,
            "address": connection.address,
            "channel": error.channel,
            "code": error.code.value,
            "reason": shown(error.reason, 300),
        }
        self._rings["refusals"].put((user, error.channel, error.code), orjson.dumps(fields))

    def gap(self, channel: str, start: int, end: int, *, filled: bool) -> None:
        """As `Observer.gap`."""
        fields = {
            "kind": "gap",
            "node": self._node,
            "channel": channel,
            "from": start,
            "to": end,
            "filled": filled,
        }
        self._rings["gaps"].put((channel, start), orjson.dumps(fields))

    def _row(self, connection: Observed, channels: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
        """A connection as it is kept: values without names, as this is done for each that ends."""
        lasted = self._now() - connection.opened_at
        return (
            connection.id,
            connection.member,
            connection.who[0],
            connection.address,
            int((self._wall() - lasted) * 1000),
            channels,
            len(connection.subscriptions),
            connection.last_error and connection.last_error[:MOST_TEXT],
        )

    def described(self, connection: Observed, about: str) -> dict[str, Any]:
        """A connection and where its subscriptions stand, that of the channel `about` before all."""
        subscriptions = connection.subscriptions
        names = islice((name for name in subscriptions if name != about), MOST_CHANNELS)
        first = [subscriptions[about]] if about in subscriptions else []
        places = [_place(each) for each in (*first, *(subscriptions[name] for name in names))]
        return self._fields(self._row(connection, places))

    def _fields(self, row: Sequence[Any]) -> dict[str, Any]:
        """A row with the names of its values."""
        id, member, user, address, opened, channels, count, last_error = row[:8]
        return {
            "kind": "ended",
            "node": self._node,
            "connection": id,
            "member": member,
            "user": user,
            "address": address,
            "opened": opened,
            "channels": dict(map(_named, channels)),
            "channel_count": count,
            "last_error": last_error and shown(last_error),
        }

    def _ended(self, row: Sequence[Any]) -> dict[str, Any]:
        code, reason, by_hub, unread_bytes, unread_frames, unacked_bytes = row[8:]
        return {
            **self._fields(row),
            "code": code,
            "name": codes.name(code),
            "reason": shown(reason, MOST_TEXT),
            "by": "hub" if by_hub else "peer",
            "unread_bytes": unread_bytes,
            "unread_frames": unread_frames,
            "unacked_bytes": unacked_bytes,
        }

    def ends(self, most: int = ALL, **query: str | None) -> list[dict[str, Any]]:
        """Ended connections, newest first, by `user`, `connection` or `channel`; of a user by any unless named."""
        return self._newest(("ends",), most, query)

    def refusals(self, most: int = ALL, **query: str | None) -> list[dict[str, Any]]:
        """Refusals of users and of strangers, newest first."""
        kinds = ("refusals",) if query.get("user") is not None else ("refusals", "strangers")
        return self._newest(kinds, most, query)

    def strangers(self, most: int = ALL) -> list[dict[str, Any]]:
        """Refusals of those who said no user, newest first."""
        return self._newest(("strangers",), most, {})

    def gaps(self, channel: str, most: int = ALL) -> list[dict[str, Any]]:
        """Gaps of a channel on this node, newest first."""
        return list(islice(self._rings["gaps"].newest_first(channel), most))

    def _newest(self, kinds: Sequence[str], most: int, query: dict[str, str | None]) -> list[dict[str, Any]]:
        rings = (self._rings[kind].newest_first(query.get("user")) for kind in kinds)
        found = merge(*rings, key=lambda each: -int(each["time"]))
        return list(islice((each for each in found if _fits(each, query)), most))

    @property
    def since(self) -> float:
        """From when on it knows of every end and every refusal of users: its start, 15 minutes ago, or what the
        budget has room for (Unix s)."""
        told = (self._rings[kind].forgot for kind in ("ends", "refusals"))
        return max(self.began, self._wall() - KEPT_S, *told)

    @property
    def bytes(self) -> int:
        """About what it holds."""
        return sum(ring.bytes for ring in self._rings.values())


def _place(subscription: Subscription) -> tuple[Any, ...]:
    """Where a subscription began and stands."""
    channel = subscription.channel
    return (
        channel.name,
        channel.epoch,
        subscription.began,
        subscription.began_at,
        channel.place(subscription) if channel.epoch else None,
        subscription.begun,
        subscription.began_in,
        None if subscription.merged is None else list(subscription.merged),
        subscription.own is not None,
    )


def _named(place: Sequence[Any]) -> tuple[str, dict[str, Any]]:
    name, epoch, since, start, to, begun, begun_in, merged, own_left_out = place
    fields = {"epoch": epoch, "since": since, "from": start, "to": to, "begun": begun}
    if begun_in != epoch:
        fields["of"] = begun_in
    if merged:
        fields["merged"] = merged
    if own_left_out:
        fields["own_left_out"] = True
    return name, fields


def _fits(entry: dict[str, Any], query: dict[str, str | None]) -> bool:
    user, connection, channel = (query.get(name) for name in ("user", "connection", "channel"))
    return (
        (user is None or entry.get("user") == user)
        and (connection is None or connection in (entry.get("connection"), entry.get("member")))
        and (channel is None or channel in (entry.get("channels") or ()) or entry.get("channel") == channel)
    )
