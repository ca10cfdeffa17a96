"""What each command does: one function a command, over a connection and its node."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from ..connections.connection import Connection, rate_limited
from ..presence.members import members_fields
from ..protocol import replies
from ..protocol.codes import ErrorCode
from ..protocol.commands import (
    Ack,
    Authenticate,
    Call,
    Command,
    ListPresence,
    ReadHistory,
    Renew,
    SetPresence,
    Subscribe,
    SubscribeMany,
    Unsubscribe,
)
from ..protocol.errors import HubError
from ..protocol.event import Publication
from ..protocol.publications import Batch, Publish
from ..recovery.history import read_history
from ..recovery.replay import room
from .application import no_method
from .authenticate import authenticate
from .batch import publish_all
from .channel_rights import renew
from .host import Executes
from .permissions import check_presence, check_subscribe, forbidden, identity_of, owns_inbox, rights_in
from .publications import published_fields
from .subscribe import subscribe, subscribe_many

ROOM = 2048  # bytes of a reply beside the events in it


async def execute(node: Executes, connection: Connection, command: Command) -> None:
    """Do what a command asks for and answer it.

    Raises:
        HubError: why not; the caller answers with it.
    """
    node.counters.commands[type(command).__name__.lower()] += 1
    await _HANDLERS[type(command)](node, connection, command)


async def _unsubscribe(node: Executes, connection: Connection, command: Unsubscribe) -> None:
    if command.taken:
        why = "a service has ended this subscription"
        node.withdraw(connection, command.channel, ErrorCode.REVOKED, why)
        return
    connection.waits_no_more(command.channel)
    node.drop(connection, command.channel)
    connection.reply(command.id, replies.unsubscribed(command.channel))


async def _publish(node: Executes, connection: Connection, command: Publish) -> None:
    (result,) = await node.publish([_checked(node, connection, command)])
    if isinstance(result, HubError):
        raise result
    if command.id is not None or command.answered:
        fields = published_fields(command, result)
        connection.reply(command.id, replies.published(fields))


async def _batch(node: Executes, connection: Connection, command: Batch) -> None:
    def allow(entry: Publish) -> Publication:
        return _checked(node, connection, entry)

    results = await publish_all(node, command.entries, allow, ordered=command.ordered)
    connection.reply(command.id, replies.published_many(results, command.warnings))


def _checked(node: Executes, connection: Connection, command: Publish) -> Publication:
    """The publication, where this connection may publish it, and now.

    Raises:
        HubError: why not.
    """
    identity = identity_of(connection)
    allowed = rights_in(connection, command.channel).may_publish(command.channel)
    publication = node.publication_checks.publication(command, identity, connection.member, allowed=allowed)
    if not identity.service:
        namespace = node.namespaces.of(command.channel)
        name = command.channel.partition(":")[0]
        wait = connection.publish_wait(name, namespace)
        if wait:
            raise rate_limited(f"publications in {name} on this connection", wait)
    return publication


async def _history(node: Executes, connection: Connection, command: ReadHistory) -> None:
    namespace = node.namespaces.of(command.channel)
    check_subscribe(rights_in(connection, command.channel), command.channel)
    # Pages are long. One at a time, each once there is room for it: who asks for many at once is slow only
    # when it does not read, and no more than one waits in memory.
    async with connection.long_reply():
        if await room(connection.outbox, lambda: not connection.closed):
            most = node.settings.frame_bytes - ROOM
            fields = await read_history(node.broker, namespace, command, most)
            check_subscribe(rights_in(connection, command.channel), command.channel)
            connection.reply(command.id, replies.history(command.channel, fields))


async def _list_presence(node: Executes, connection: Connection, command: ListPresence) -> None:
    enabled = node.namespaces.of(command.channel).presence
    check_presence(rights_in(connection, command.channel), command.channel, enabled=enabled)
    if command.count:
        present, users = await node.broker.presence.count(command.channel)
        connection.reply(command.id, replies.presence_count(command.channel, present, users))
        return
    members = await node.broker.presence.members(command.channel)
    body = orjson.dumps(members_fields(members, by_user=command.by_user))
    if len(body) > node.settings.frame_bytes - ROOM:
        why = f"the list is {len(body)} bytes long, too long for a frame: GET …/presence has it"
        raise HubError(ErrorCode.TOO_LARGE, why, channel=command.channel)
    connection.reply(command.id, replies.presence(command.channel, orjson.Fragment(body)))


async def _set_presence(node: Executes, connection: Connection, command: SetPresence) -> None:
    enabled = node.namespaces.of(command.channel).presence
    identity = identity_of(connection)
    check_presence(rights_in(connection, command.channel), command.channel, enabled=enabled)
    subscription = connection.subscriptions.get(command.channel)
    if subscription is None or subscription.presence is None:
        why = f"this connection is not present in {command.channel}: subscribe with presence first"
        raise HubError(ErrorCode.CONFLICT, why)
    name = subscription.presence or connection.member
    await node.broker.presence.set_state(command.channel, identity.user, name, connection.id, command.state)
    connection.reply(command.id, replies.presence_set(command.channel, orjson.Fragment(command.state)))


async def _ack(node: Executes, connection: Connection, command: Ack) -> None:
    identity = identity_of(connection)
    if not node.namespaces.of(command.channel).inbox:
        raise HubError(ErrorCode.BAD_CHANNEL, f"the namespace of {command.channel} has no inbox")
    check_subscribe(rights_in(connection, command.channel), command.channel)
    if not owns_inbox(identity, command.channel):
        raise forbidden(f"the read cursor of {command.channel} is its user's only")
    if connection.acked is None:
        connection.acked = {}
    before = connection.acked.get(command.channel)
    connection.acked[command.channel] = command.position
    try:
        inbox = await node.broker.ack(command.channel, identity.user, command.position)
    except HubError:
        if before is None:
            del connection.acked[command.channel]
        else:
            connection.acked[command.channel] = before
        raise
    connection.reply(command.id, replies.acked(command.channel, inbox.cursor, inbox.unread))


async def _call(node: Executes, connection: Connection, command: Call) -> None:
    identity_of(connection)
    if node.application is None:
        raise no_method(command.method)
    payload = await node.application.call(connection, command)
    if len(payload) > node.settings.frame_bytes - ROOM:
        raise HubError(ErrorCode.TOO_LARGE, f"the result is {len(payload)} bytes long, too long for a frame")
    if command.id is not None:
        connection.reply(command.id, replies.result(orjson.Fragment(payload)))


_HANDLERS: dict[type, Callable[[Executes, Connection, Any], Awaitable[None]]] = {
    Authenticate: authenticate,
    Subscribe: subscribe,
    SubscribeMany: subscribe_many,
    Renew: renew,
    Unsubscribe: _unsubscribe,
    Publish: _publish,
    Batch: _batch,
    ReadHistory: _history,
    ListPresence: _list_presence,
    SetPresence: _set_presence,
    Ack: _ack,
    Call: _call,
}
