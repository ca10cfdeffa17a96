"""What one node knows of a user, a connection and a channel: the answer to another node's question."""

from collections.abc import Callable, Sequence
from typing import Any

from ..broker.base import ShardHealth
from ..connections.connection import Connection
from ..connections.table import ConnectionTable
from ..recovery.table import ChannelTable
from .recorder import FlightRecorder

MOST = 50  # connections or refusals of one kind in an answer


class NodeFacts:
    """Reads the node's tables and its recorder; nothing is awaited."""

    def __init__(
        self,
        node: str,
        connections: ConnectionTable,
        channels: ChannelTable,
        recorder: FlightRecorder,
        health: Callable[[], Sequence[ShardHealth]],
    ) -> None:
        self._node = node
        self._connections = connections
        self._channels = channels
        self._recorder = recorder
        self._health = health

    def past(self, command: dict[str, Any]) -> list[dict[str, Any]]:
        """Ended connections and refusals, by the command's `query`; a thousand, or its ``limit``."""
        query = command["query"]
        most = min(20 * MOST, int(query.get("limit") or 20 * MOST))
        wanted = {name: query.get(name) for name in ("user", "connection", "channel")}
        found = [*self._recorder.ends(most, **wanted), *self._recorder.refusals(most, **wanted)]
        return sorted(found, key=lambda each: -int(each["time"]))[:most]

    def about(self, command: dict[str, Any]) -> dict[str, Any]:
        """What bears on why an event of `channel` came to `user` or `connection`, or did not."""
        name, user, connection = command["channel"], command["user"], command["connection"]
        channel = self._channels.get(name)
        return {
            "node": self._node,
            "since": int(self._recorder.since * 1000),
            "deaf_s": max((each.deaf_s for each in self._health()), default=0.0),
            "storage": all(each.usable for each in self._health()),
            "channel": None if channel is None else {"epoch": channel.epoch, "top": channel.top},
            "live": [self._live(each, name) for each in self._of(user, connection)[:MOST]],
            "ends": self._recorder.ends(MOST, user=user, connection=connection),
            "refusals": self._recorder.refusals(MOST, user=user, connection=connection),
            "strangers": self._recorder.strangers(MOST),
            "gaps": self._recorder.gaps(name, MOST),
        }

    def _of(self, user: str | None, connection: str | None) -> list[Connection]:
        if connection is not None:
            found = self._connections.get(connection)
            return [] if found is None else [found]
        return [] if user is None else self._connections.of_user(user)

    def _live(self, connection: Connection, channel: str) -> dict[str, Any]:
        fields = self._recorder.described(connection, channel)
        subscription = connection.subscriptions.get(channel)
        outbox = connection.outbox
        return {
            **fields,
            "kind": "live",
            "unread_bytes": outbox.queued_bytes,
            "blocked": outbox.blocked,
            "subscribed": subscription is not None,
            "unacked_bytes": None if connection.transport is None else connection.transport.unacknowledged(),
            "queued": 0 if subscription is None else subscription.queued,
            "sent": None if subscription is None else subscription.sent,
            "held_from": None if subscription is None else subscription.held_from,
        }
