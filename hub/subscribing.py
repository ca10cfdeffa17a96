"""Subscribing: from the command, or the token's channels, to the reply and what follows it."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from . import catchup, joining
from .channel import Channel
from .checks import check_presence, check_subscribe, identity_of, owns_inbox
from .connection import Connection, about
from .node import Node
from .presence import Arrival, members_fields
from .protocol.codes import ErrorCode
from .protocol.commands import Subscribe, SubscribeMany
from .protocol.errors import HubError
from .subscription import Subscription

ROOM = 2048  # bytes of a reply beside its snapshot
BATCH = 32  # subscriptions of one command that open at once


@dataclass(slots=True)
class _Joined:
    """A subscription that is ready to begin, and what its reply says."""

    command: Subscribe
    subscription: Subscription
    start: joining.Start
    fields: dict[str, Any]
    arrival: Arrival | None

    def reply(self, room: int) -> tuple[dict[str, Any], bool]:
        """The reply's fields, and whether the snapshot found room in them."""
        snapshot = self.start.snapshot
        if snapshot is None:
            return self.fields, True
        if not snapshot.fits(room):
            return {**self.fields, **snapshot.deferred}, False
        return {**self.fields, **snapshot.inline}, True


async def subscribe(node: Node, connection: Connection, command: Subscribe) -> None:
    joined = await _join(node, connection, command)
    fields, complete = joined.reply(_room(node, connection))
    connection.reply(command.id, {"type": "hub.subscribed", **fields})
    _begin(node, connection, joined, complete)


async def subscribe_many(node: Node, connection: Connection, command: SubscribeMany) -> None:
    results = await _join_all(node, connection, command.entries)
    # One frame for all: snapshots that do not fit into it follow.
    room = _room(node, connection) - 400 * len(results)
    replies: list[dict[str, Any]] = []
    complete: list[bool] = []
    for result in results:
        if isinstance(result, HubError):
            replies.append(result.fields())
            complete.append(True)
            continue
        fields, whole = result.reply(room)
        if whole and result.start.snapshot is not None:
            room -= result.start.snapshot.size
        replies.append(fields)
        complete.append(whole)
    connection.reply(command.id, {"type": "hub.subscribed", "results": replies})
    for result, whole in zip(results, complete, strict=True):
        if isinstance(result, _Joined):
            _begin(node, connection, result, whole)
            await asyncio.sleep(0)


def _room(node: Node, connection: Connection) -> int:
    """Bytes of snapshot that a reply may hold; none while the socket has enough to do: the pages that follow
    instead wait for it."""
    return 0 if connection.outbox.crowded else node.settings.frame_bytes - ROOM


async def _join_all(
    node: Node, connection: Connection, entries: Sequence[Subscribe | HubError]
) -> list[_Joined | HubError]:
    """All are ready to begin together, so each counts towards the limit before it has begun, and what a
    renewal or a close took away meanwhile is looked at once more."""
    results: list[_Joined | HubError] = []
    ready: set[str] = set()
    for at in range(0, len(entries), BATCH):
        batch = entries[at : at + BATCH]
        joined = await asyncio.gather(*(_try_join(node, connection, entry, ready) for entry in batch))
        results += (_admitted(node, connection, result, ready) for result in joined)
    return [_admitted(node, connection, result, ready) for result in results]


async def _try_join(
    node: Node, connection: Connection, entry: Subscribe | HubError, ready: Collection[str]
) -> _Joined | HubError:
    if isinstance(entry, HubError):
        return entry
    try:
        return await _join(node, connection, entry, ready)
    except HubError as error:
        return about(entry, error)


def _admitted(
    node: Node, connection: Connection, result: _Joined | HubError, ready: set[str]
) -> _Joined | HubError:
    """The same, unless it may not begin any more."""
    if isinstance(result, HubError):
        return result
    try:
        _may_subscribe(node, connection, result.command, ready)
    except HubError as error:
        _turn_back(node, connection, result.command, result.subscription.channel, result.arrival)
        return about(result.command, error)
    ready.add(result.command.channel)
    return result


async def _join(
    node: Node, connection: Connection, command: Subscribe, ready: Collection[str] = ()
) -> _Joined:
    """Everything up to the reply. The channel stays in use until `_begin` or `_turn_back`."""
    _may_subscribe(node, connection, command, ready)
    channel = await node.channels.acquire(command.channel)
    arrival = None if command.presence is None else node.presence.arrive(connection, channel.name)
    try:
        fields = await _personal(node, connection, command, channel)
        start = await joining.start(
            node.channels,
            channel,
            command.since,
            node.settings.recovery_limit,
            node.settings.frame_bytes,
        )
        _may_subscribe(node, connection, command, ready)  # a renewal or a close may have come in between
    except BaseException:
        _turn_back(node, connection, command, channel, arrival)
        raise
    subscription = Subscription(
        connection,
        connection.outbox,
        channel,
        own=None if command.echo else connection.member,
        rate=command.max_rate,
        presence=command.presence,
    )
    if command.since is not None and channel.namespace.stored:
        recovered = start.gap is None
        node.metrics.recovered += recovered
        node.metrics.unrecovered += not recovered
    return _Joined(command, subscription, start, {**_place(channel, start, command), **fields}, arrival)


def _place(channel: Channel, start: joining.Start, command: Subscribe) -> dict[str, Any]:
    """Where the subscription begins, as the contract writes it."""
    fields: dict[str, Any] = {"channel": channel.name}
    if not channel.namespace.stored:
        return fields
    fields["epoch"] = start.epoch
    fields["offset"] = start.top
    if command.since is not None:
        fields["recovered"] = start.gap is None
        if start.gap is None:
            fields["missed"] = start.missed or 0
        else:
            fields["gap"] = start.gap.fields()
    return fields


async def _personal(
    node: Node, connection: Connection, command: Subscribe, channel: Channel
) -> dict[str, Any]:
    """What a reply says to this user only: who is there, and what is unread."""
    fields: dict[str, Any] = {}
    if command.presence is not None:
        members = await node.presence.enter(connection, channel, command.presence)
        fields["members"] = members_fields(members)
    if channel.namespace.inbox and owns_inbox(identity_of(connection), channel.name):
        inbox = await node.broker.inbox(channel.name, identity_of(connection).user)
        fields["unread"] = inbox.unread
    return fields


def _begin(node: Node, connection: Connection, joined: _Joined, complete: bool) -> None:
    """After the reply: what was missed, then live."""
    subscription, start = joined.subscription, joined.start
    channel = subscription.channel
    if connection.closed:
        _turn_back(node, connection, joined.command, channel, joined.arrival)
        return
    node.replace(connection, subscription)
    pages = () if complete or start.snapshot is None else start.snapshot.pushes
    if start.epoch == channel.epoch:
        catchup.begin(node.channels, node.tasks, subscription, start.at, start.events, pages)
    else:
        # The numbering changed between the decision and now: say where it stands instead.
        token = channel.catch_up(subscription, start.at)
        node.tasks.spawn(node.channels.reposition(subscription, token, start.epoch, start.at))
    if joined.arrival is not None:
        node.presence.arrived(joined.arrival, connection, channel)
    node.channels.release(channel)


def _turn_back(
    node: Node, connection: Connection, command: Subscribe, channel: Channel, arrival: Arrival | None
) -> None:
    """A subscription does not begin after all: nothing of it stays, least of all a member that is not there."""
    node.channels.release(channel)
    if arrival is None or command.presence is None:
        return
    node.presence.turned_back(arrival)
    standing = connection.subscriptions.get(channel.name)
    if standing is not None and standing.presence == command.presence:
        return
    user, _ = connection.who
    node.presence.leave(connection, user, channel.name, command.presence, at_once=not connection.closed)


def _may_subscribe(
    node: Node, connection: Connection, command: Subscribe, ready: Collection[str] = ()
) -> None:
    """Whether the rights and the limit allow it. `ready`: further channels that are about to be subscribed."""
    namespace = node.namespaces.of(command.channel)
    identity = identity_of(connection)
    check_subscribe(identity, command.channel)
    if command.presence is not None:
        check_presence(identity, command.channel, enabled=namespace.presence)
    most = node.settings.max_channels
    taken = connection.subscriptions.keys() | ready
    if command.channel not in taken and len(taken) >= most:
        raise HubError(
            ErrorCode.LIMIT, f"{most} channels are subscribed, more are not allowed", retry_after_ms=60_000
        )
