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
from ..protocol import codes
from ..protocol.errors import HubError
from .text import shown

ALL = 1_000_000  # more than fit into it
KEPT_S = 15 * 60.0
SAME_S = 60.0  # another of the same kind and user within so long counts as one with the one before
MOST_CHANNELS = 12  # of one connection, with positions; of the others only the number
FEW = 8  # ends of one user in a minute that are told apart
MOST_BYTES = 1024  # of one entry
SHARES = {"ends": 0.7, "refusals": 0.15, "strangers": 0.1, "gaps": 0.05}


@dataclass(slots=True)
class _Entry:
    time: float
    count: int
    data: bytes


class Ring:
    """Entries by key, oldest first, at most so many bytes of them, none older than 15 minutes."""

    def __init__(self, budget: int, wall: Callable[[], float]) -> None:
        self._budget = budget
        self._wall = wall
        self._bytes = 0
        self.forgot = 0.0  # when the newest was kept that had to go before its time
        self._entries: OrderedDict[tuple[object, ...], _Entry] = OrderedDict()

    def put(self, key: tuple[object, ...], fields: dict[str, Any]) -> None:
        """Keep `fields`; in place of one of the same key that is younger than a minute, which it counts in."""
        now = self._wall()
        before = self._entries.pop(key, None)
        count = 1
        if before is not None:
            self._bytes -= len(before.data) + 100
            if now - before.time < SAME_S:
                count += before.count
        data = orjson.dumps(fields)
        self._entries[key] = _Entry(now, count, data)
        self._bytes += len(data) + 100  # about what an entry costs beside its text
        while self._entries:
            oldest = next(iter(self._entries.values()))
            young = now - oldest.time <= KEPT_S
            if young and self._bytes <= self._budget:
                break
            if young:
                self.forgot = oldest.time
            self._bytes -= len(self._entries.popitem(last=False)[1].data) + 100

    def newest_first(self, of: str | None = None) -> Iterator[dict[str, Any]]:
        """What is kept and young enough; `of`: only what begins its key. What is not asked for is not unpacked."""
        oldest = self._wall() - KEPT_S
        for key, entry in reversed(self._entries.items()):
            if entry.time < oldest:
                return  # and so are those behind it
            if of is None or key[0] == of:
                yield {**orjson.loads(entry.data), "time": int(entry.time * 1000), "count": entry.count}

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
        self._rings = {kind: Ring(int(budget * share), wall) for kind, share in SHARES.items()}
        self.began = wall()
        self._minute = 0
        self._ended: dict[str, int] = {}

    def admitted(self, connection: Observed) -> None:
        """As `Observer.admitted`: it is read off the connection when it ends."""

    def ended(self, connection: Observed, ending: Ending) -> None:
        """As `Observer.ended`."""
        user = connection.who[0]
        fields: dict[str, Any] = {
            **self.described(connection),
            "code": int(ending.code),
            "name": codes.name(ending.code),
            "reason": shown(ending.reason, 200),
            "by": "hub" if ending.by_hub else "peer",
            "unread_bytes": ending.unread_bytes,
            "unread_frames": ending.unread_frames,
            "unacked_bytes": ending.unacked_bytes,
        }
        # A user's tabs are told apart; a storm of one user is one entry with a count.
        one = connection.member if self._in_last_minute(user) <= FEW else None
        self._rings["ends"].put((user, int(ending.code), one), fields)

    def _in_last_minute(self, user: str) -> int:
        """How many connections of the user ended in this minute, this one counted."""
        minute = int(self._wall() // SAME_S)
        if minute != self._minute:
            self._minute, self._ended = minute, {}
        self._ended[user] = self._ended.get(user, 0) + 1
        return self._ended[user]

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
        self._rings[ring].put((who.user or who.address, who.origin, error.code), fields)

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
        self._rings["refusals"].put((user, error.channel, error.code), fields)

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
        self._rings["gaps"].put((channel, start), fields)

    def described(self, connection: Observed) -> dict[str, Any]:
        """A connection and where its subscriptions stand, in about a kilobyte."""
        lasted = self._now() - connection.opened_at
        channels: dict[str, Any] = {}
        for name, subscription in list(connection.subscriptions.items())[:MOST_CHANNELS]:
            channel = subscription.channel
            channels[name] = {
                "epoch": channel.epoch,
                "since": subscription.began,
                "from": subscription.began_at,
                **({"begun": subscription.begun} if subscription.begun != "live" else {}),
                **({"of": subscription.began_in} if subscription.began_in != channel.epoch else {}),
                "to": channel.place(subscription) if channel.epoch else None,
                **({"merged": [list(pair) for pair in subscription.merged]} if subscription.merged else {}),
                **({"own_left_out": True} if subscription.own is not None else {}),
            }
        fields = {
            "kind": "ended",
            "node": self._node,
            "connection": connection.id,
            "member": connection.member,
            "user": connection.who[0],
            "address": connection.address,
            "opened": int((self._wall() - lasted) * 1000),
            "channels": channels,
            "channel_count": len(connection.subscriptions),
            "last_error": connection.last_error and shown(connection.last_error, 200),
        }
        while len(orjson.dumps(channels)) > MOST_BYTES - 400 and channels:
            channels.popitem()
        return fields

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


def _fits(entry: dict[str, Any], query: dict[str, str | None]) -> bool:
    user, connection, channel = (query.get(name) for name in ("user", "connection", "channel"))
    return (
        (user is None or entry.get("user") == user)
        and (connection is None or connection in (entry.get("connection"), entry.get("member")))
        and (channel is None or channel in (entry.get("channels") or ()) or entry.get("channel") == channel)
    )
