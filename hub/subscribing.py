"""Subscribing: from the command, or the token's channels, to the reply and what follows it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import catchup, joining
from .channel import Channel
from .checks import check_presence, check_subscribe, identity_of, owns_inbox
from .connection import Connection
from .node import Node
from .presence import members_fields
from .protocol.codes import ErrorCode
from .protocol.commands import Subscribe, SubscribeMany
from .protocol.errors import HubError
from .subscription import Subscription

ROOM = 2048  # bytes of a reply beside its snapshot
BATCH = 32  # subscriptions of one command that open at once


@dataclass(slots=True)
class _Joined:
    """A subscription that is ready to begin, and what its reply says."""

    subscription: Subscription
    start: joining.Start
    fields: dict[str, Any]

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
    fields, complete = joined.reply(node.settings.frame_bytes - ROOM)
    connection.reply(command.id, {"type": "hub.subscribed", **fields})
    _begin(node, connection, joined, complete)


async def subscribe_by_token(node: Node, connection: Connection, commands: Sequence[Subscribe]) -> None:
    """The channels that a token brings along; each is announced, or what is wrong with it."""
    for command in commands:
        try:
            await subscribe(node, connection, command)
        except HubError as error:
            error.channel = command.channel
            connection.refuse(None, error)


async def subscribe_many(node: Node, connection: Connection, command: SubscribeMany) -> None:
    results: list[_Joined | HubError] = []
    for at in range(0, len(command.entries), BATCH):
        entries = command.entries[at : at + BATCH]
        results += await asyncio.gather(*(_try_join(node, connection, entry) for entry in entries))
    if connection.closed:
        _abandon(node, results)
        return
    # One frame for all: snapshots that do not fit into it follow.
    room = node.settings.frame_bytes - ROOM - 400 * len(results)
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


async def _try_join(node: Node, connection: Connection, entry: Subscribe | HubError) -> _Joined | HubError:
    if isinstance(entry, HubError):
        return entry
    try:
        return await _join(node, connection, entry)
    except HubError as error:
        error.channel = entry.channel
        return error


def _abandon(node: Node, results: Sequence[_Joined | HubError]) -> None:
    for result in results:
        if isinstance(result, _Joined):
            node.channels.release(result.subscription.channel)


async def _join(node: Node, connection: Connection, command: Subscribe) -> _Joined:
    """Everything up to the reply. The channel stays in use until `_begin` or `_abandon`."""
    _may_subscribe(node, connection, command)
    channel = await node.channels.acquire(command.channel)
    try:
        fields = await _personal(node, connection, command, channel)
        start = await joining.start(
            node.channels,
            channel,
            command.since,
            node.settings.recovery_limit,
            node.settings.frame_bytes,
        )
        _may_subscribe(node, connection, command)  # a renewal or a close may have come in between
    except BaseException:
        node.channels.release(channel)
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
    return _Joined(subscription, start, {**_place(channel, start, command), **fields})


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
        node.channels.release(channel)
        return
    node.replace(connection, subscription)
    pages = () if complete or start.snapshot is None else start.snapshot.pushes
    if start.epoch == channel.epoch:
        catchup.begin(node.channels, node.tasks, subscription, start.at, start.events, pages)
    else:
        # The numbering changed between the decision and now: say where it stands instead.
        token = channel.catch_up(subscription, start.at)
        node.tasks.spawn(node.channels.reposition(subscription, token, start.epoch, start.at))
    node.channels.release(channel)


def _may_subscribe(node: Node, connection: Connection, command: Subscribe) -> None:
    namespace = node.namespaces.of(command.channel)
    identity = identity_of(connection)
    check_subscribe(identity, command.channel)
    if command.presence is not None:
        check_presence(identity, command.channel, enabled=namespace.presence)
    most = node.settings.max_channels
    if command.channel not in connection.subscriptions and len(connection.subscriptions) >= most:
        raise HubError(
            ErrorCode.LIMIT, f"{most} channels are subscribed, more are not allowed", retry_after_ms=60_000
        )
