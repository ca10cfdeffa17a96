"""From a token to a session that is open: the limits, the welcome, and the channels that the token brings."""

from collections.abc import Mapping, Sequence

from ..auth.identity import Identity
from ..connections.connection import Connection
from ..connections.observer import Stranger
from ..protocol import codes, replies
from ..protocol.codes import ErrorCode
from ..protocol.commands import Authenticate
from ..protocol.errors import HubError
from ..protocol.fields import CommandId
from ..protocol.position import Position
from ..protocol.session import SessionState
from .host import LetsIn
from .permissions import forbidden, rights_in
from .token_channels import subscribe_by_token


async def authenticate(node: LetsIn, connection: Connection, command: Authenticate) -> None:
    """The command: the first time it lets in, later it renews in place."""
    try:
        identity = await node.verify(command.token)
    except HubError as error:
        if connection.session.state is SessionState.WAITING:
            refuse(connection, error, command.id)
            return
        raise
    if connection.closed:
        return
    if connection.session.state is SessionState.OPEN:
        await _renew(node, connection, identity, command)
    else:
        await admit(node, connection, identity, command.resume, command.since, command.id)


def refuse(connection: Connection, error: HubError, id: CommandId = None) -> None:
    """Say why a token or a connection is not taken, and close."""
    connection.node.observer.turned_away(Stranger(connection.address, error.user), error)
    connection.refuse(id, error)
    window = None
    if error.retry_after_ms is not None:
        window = (error.retry_after_ms, 2 * error.retry_after_ms)
    connection.close(codes.refusal(error.code), error.reason, window)


async def admit(
    node: LetsIn,
    connection: Connection,
    identity: Identity,
    resume: str | None,
    since: Mapping[str, Position],
    id: CommandId = None,
) -> None:
    """Let a connection in: `hub.welcome`, then the channels of its token."""
    returning = node.returning(resume, identity.user)
    try:
        if node.application is not None:
            identity = await node.application.connect(connection, identity, renewal=False)
            if connection.session.state is not SessionState.WAITING:
                return  # it is over, or let in by another of its commands
        node.enter(connection, identity, returning)
    except HubError as error:
        refuse(connection, error, id)
        return
    connection.reply(id, _welcome(node, connection, identity))
    channels = identity.channels
    await _subscribe_by_token(node, connection, channels, since)


async def _renew(node: LetsIn, connection: Connection, identity: Identity, command: Authenticate) -> None:
    """A new token in place of the old: the same user, perhaps other rights."""
    assert connection.identity is not None
    if identity.user != connection.identity.user:
        raise forbidden("the new token is another user's; open a connection of its own for it")
    if node.application is not None:
        identity = await node.application.connect(connection, identity, renewal=True)
        if connection.closed:
            return
    connection.renewed(identity)
    connection.reply(command.id, replies.authenticated(identity.user, _milliseconds(identity.expires_at)))
    for name in list(connection.subscriptions):
        rights = rights_in(connection, name)
        present = connection.subscriptions[name].presence is not None
        verb = "subscribe" if not rights.may_subscribe(name) else "presence"
        if verb == "subscribe" or (present and not rights.may_presence(name)):
            reason = f"no grant of the new token allows {verb} on {name}"
            node.withdraw(connection, name, ErrorCode.FORBIDDEN, reason)
    new = [name for name in identity.channels if name not in connection.subscriptions]
    await _subscribe_by_token(node, connection, new, command.since)


async def _subscribe_by_token(
    node: LetsIn, connection: Connection, channels: Sequence[str], since: Mapping[str, Position]
) -> None:
    commands = [connection.subscription_by_token(name, since.get(name)) for name in channels]
    await subscribe_by_token(node, connection, commands)


def _welcome(node: LetsIn, connection: Connection, identity: Identity) -> replies.Message:
    return welcome(node, connection, identity, resume=node.resume_token(connection, identity))


def welcome(
    node: LetsIn,
    connection: Connection,
    identity: Identity,
    *,
    resume: str | None = None,
    resumable: bool | None = None,
) -> replies.Message:
    """`hub.welcome`, of a socket with `resume`, of a stream with `resumable`."""
    settings = node.settings
    return replies.welcome(
        connection=connection.id,
        node=node.id,
        user=identity.user,
        expires_at=_milliseconds(identity.expires_at),
        heartbeat_ms=settings.heartbeat_ms,
        reconnect=(settings.reconnect_min_ms, settings.reconnect_max_ms),
        resume=resume,
        resumable=resumable,
        message_bytes=settings.message_bytes,
        frame_bytes=settings.frame_bytes,
        channels=settings.max_channels,
    )


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
