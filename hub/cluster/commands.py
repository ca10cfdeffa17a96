"""What all nodes do together: disconnect, revoke, and say who is connected where."""

import itertools
from collections.abc import Callable, Collection
from typing import Any

from ..auth.revocations import Revocations, parse
from ..broker.base import Registry
from ..connections.channel_rights import ChannelRights
from ..connections.connection import Connection
from ..connections.table import ConnectionTable
from ..delivery.channel import Subscription
from ..protocol.codes import CloseCode, ErrorCode
from ..protocol.commands import Subscribe, Unsubscribe
from ..protocol.errors import HubError
from ..protocol.position import Position
from ..recovery.table import ChannelTable
from .bus import CommandBus
from .peers import said_deaf_s
from .revocation_ledger import RevocationLedger

MERGES_TOLD = 5
MAX_DESCRIBED = 1000  # connections that one node describes in one answer


class ClusterCommands:
    """Commands that reach every node, this one included, and what this node does when it hears them."""

    def __init__(
        self,
        node: str,
        registry: Registry,
        ledger: RevocationLedger,
        bus: CommandBus,
        connections: ConnectionTable,
        channels: ChannelTable,
        revocations: Revocations,
        now: Callable[[], float],
    ) -> None:
        self._node = node
        self._registry = registry
        self._ledger = ledger
        self._bus = bus
        self._connections = connections
        self._channels = channels
        self._revocations = revocations
        self._now = now
        self.on_revoked: Callable[[str, float], None] | None = None  # told of what this node has revoked
        bus.handlers.update(
            disconnect=self._on_disconnect,
            revoke=self._on_revoke,
            subscribe=self._on_subscribe,
            unsubscribe=self._on_unsubscribe,
            connections=self._on_find_connections,
            subscribers=self._on_count_subscribers,
        )

    async def disconnect(self, *, user: str | None, connection: str | None, reconnect: bool) -> None:
        """Close a user's connections, or one connection, on every node.

        Raises:
            HubError: the storage is away.
        """
        await self._bus.send("disconnect", user=user, connection=connection, reconnect=reconnect)

    async def subscribe(
        self,
        *,
        user: str | None,
        connection: str | None,
        channel: str,
        since: Position | None,
        deadline_s: float,
    ) -> tuple[int, bool]:
        """Give a user's connections, or one, the right to a channel, and subscribe them: how many there were, and
        whether every node answered.

        Raises:
            HubError: the storage is away.
        """
        position = None if since is None else str(since)
        target = {"user": user, "connection": connection, "channel": channel}
        return await self._count("subscribe", deadline_s, **target, since=position)

    async def unsubscribe(
        self, *, user: str | None, connection: str | None, channel: str, deadline_s: float
    ) -> tuple[int, bool]:
        """End the subscription of a user's connections, or of one; as `subscribe`.

        Raises:
            HubError: the storage is away.
        """
        target = {"user": user, "connection": connection, "channel": channel}
        return await self._count("unsubscribe", deadline_s, **target)

    async def _count(self, do: str, deadline_s: float, **fields: str | None) -> tuple[int, bool]:
        nodes = await self._nodes()
        answers = await self._bus.ask(do, nodes, deadline_s, **fields)
        return sum(answers), len(answers) >= nodes

    async def revoke(self, entry: str, until: float) -> None:
        """Take tokens back, on every node, also those that start later. `entry` is ``sub:…`` or ``jti:…``.

        Raises:
            HubError: ``bad_message``; or the storage is away.
        """
        entry = self._revocations.stamp(entry)
        self._apply(entry, until)
        await self._ledger.put(entry, until)
        await self._bus.send("revoke", entry=entry, until=until)
        if self.on_revoked is not None:
            self.on_revoked(entry, until)

    async def learn_revocations(self) -> None:
        """Take over what the nodes know together: a command may have been missed, or be older than this node.

        Raises:
            HubError: the storage is away.
        """
        for entry, until in await self._ledger.read():
            self._apply(entry, until)

    async def find_connections(
        self, query: dict[str, str | None], deadline_s: float
    ) -> tuple[list[dict[str, Any]], bool]:
        """Connections of all nodes by user, id, channel or address; and whether every node answered."""
        answers, complete = await self.ask_all("connections", deadline_s, query=query)
        found = [each for answer in answers for each in answer]
        if address := query.get("address"):  # of which a node of an older version knows nothing
            found = [each for each in found if each["address"] == address]
        return found, complete

    def answer(self, question: str, handler: Callable[[dict[str, Any]], Any]) -> None:
        """From now on this node answers `question`; the answer is a value of JSON, and None is none."""
        self._bus.handlers[question] = handler

    async def ask_all(self, question: str, deadline_s: float, **fields: Any) -> tuple[list[Any], bool]:
        """The answers of all nodes that answer in time, and whether all did. Where the storage is away, which is
        when one asks, this node's own is all there is."""
        try:
            nodes = await self._nodes()
            answers = await self._bus.ask(question, nodes, deadline_s, **fields)
        except HubError:
            return [self._bus.handlers[question](fields)], False
        return answers, len(answers) >= nodes

    async def ask_one(self, question: str, deadline_s: float, **fields: Any) -> Any | None:
        """The answer of the one node that has an answer; None where none came in time.

        Raises:
            HubError: the storage is away.
        """
        answers = await self._bus.ask(question, 1, deadline_s, **fields)
        return answers[0] if answers else None

    async def silent(self, answered: Collection[str]) -> dict[str, float]:
        """Nodes that did not answer; of each, for how long it had heard nothing when it last said so (s)."""
        try:
            nodes = await self._registry.nodes()
        except HubError:
            return {}
        return {node: said_deaf_s(info) for node, info in nodes.items() if node not in answered}

    async def count_subscribers(self, channel: str, deadline_s: float) -> int:
        """Subscriptions of a channel on all nodes that answer in time.

        Raises:
            HubError: the storage is away.
        """
        return sum(await self._bus.ask("subscribers", await self._nodes(), deadline_s, channel=channel))

    async def _nodes(self) -> int:
        return len(await self._registry.nodes()) or 1

    # Heard

    def _on_disconnect(self, command: dict[str, Any]) -> None:
        for connection in self._meant(command):
            if command["reconnect"]:
                connection.close(CloseCode.OVERLOADED, "a service asked for a new connection")
            else:
                connection.close(CloseCode.KICKED, "a service closed this connection")

    def _meant(self, command: dict[str, Any]) -> list[Connection]:
        """The connections here that a command names, by user or id."""
        if command["user"]:
            return self._connections.of_user(command["user"])
        found = self._connections.get(command["connection"])
        return [] if found is None else [found]

    def _on_subscribe(self, command: dict[str, Any]) -> int:
        since = None if command["since"] is None else Position.parse(command["since"])
        targets = self._meant(command)
        for connection in targets:
            connection.start(Subscribe(None, command["channel"], since, given=True))
        return len(targets)

    def _on_unsubscribe(self, command: dict[str, Any]) -> int:
        targets = self._meant(command)
        for connection in targets:
            connection.start(Unsubscribe(None, command["channel"], taken=True))
        return len(targets)

    def _on_revoke(self, command: dict[str, Any]) -> None:
        self._apply(command["entry"], command["until"])

    def _apply(self, entry: str, until: float) -> None:
        if not self._revocations.add(entry, until):
            return
        about = parse(entry)
        targets = (
            self._connections.of_user(about.value) if about.kind == "sub" else list(self._connections.all())
        )
        for connection in targets:
            if connection.identity is not None and self._revocations.is_revoked(connection.identity):
                connection.close(CloseCode.REVOKED, "this token was revoked")
            elif connection.rights is not None:
                self._withdraw_revoked(connection, connection.rights)

    def _withdraw_revoked(self, connection: Connection, rights: ChannelRights) -> None:
        """End the subscriptions whose own tokens were taken back."""
        for right in rights.all():
            if self._revocations.is_revoked(right):
                why = f"the token of {right.channel} was revoked"
                connection.node.withdraw(connection, right.channel, ErrorCode.REVOKED, why)

    def _on_find_connections(self, command: dict[str, Any]) -> list[dict[str, Any]]:
        query = command["query"]
        found: Collection[Connection]
        if query["connection"]:
            one = self._connections.get(query["connection"])
            found = [one] if one is not None else []
        else:
            found = self._connections.of_user(query["user"]) if query["user"] else self._connections.all()
        wanted, address = query["channel"], query.get("address")
        matching = (
            each
            for each in found
            if (not wanted or wanted in each.subscriptions) and (not address or address == each.address)
        )
        most = min(MAX_DESCRIBED, int(query.get("limit") or MAX_DESCRIBED))
        return [self._described(each) for each in itertools.islice(matching, most)]

    def _on_count_subscribers(self, command: dict[str, Any]) -> int:
        channel = self._channels.get(command["channel"])
        return channel.subscribers if channel is not None else 0

    def _described(self, connection: Connection) -> dict[str, Any]:
        """A connection as a person at three in the morning wants to see it."""
        identity = connection.identity
        return {
            "connection": connection.id,
            "node": self._node,
            "user": identity.user if identity else None,
            "address": connection.address,
            "encoding": connection.session.encoding.name.lower(),
            "age_s": round(self._now() - connection.opened_at, 1),
            "silent_s": round(self._now() - connection.last_heard, 1),
            "outbox": {
                "blocked": connection.outbox.blocked,
                "entries": connection.outbox.queued,
                "bytes": connection.outbox.queued_bytes,
            },
            "channels": {name: _place(s) for name, s in connection.subscriptions.items()},
            "last_error": connection.last_error,
        }


def _place(subscription: Subscription) -> dict[str, Any]:
    channel = subscription.channel
    catching = channel.catching is not None and subscription in channel.catching
    waiting = subscription.queued > 0 or not subscription.plain
    return {
        "epoch": channel.epoch,
        "offset": subscription.sent if catching or waiting else channel.top,
        "top": channel.top,
        "queued": subscription.queued,
        "state": "replaying" if catching else "live",
        **({} if subscription.merged is None else {"merged": list(subscription.merged)[-MERGES_TOLD:]}),
    }
