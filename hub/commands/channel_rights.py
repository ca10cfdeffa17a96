"""Rights for one channel: from a channel token, at `subscribe` and by `renew`, or given by a service."""

from ..auth.channel_right import ChannelRight
from ..connections.connection import Connection
from ..protocol import replies
from ..protocol.codes import ErrorCode
from ..protocol.commands import Renew, Subscribe
from ..protocol.errors import HubError
from .host import Subscribes
from .permissions import forbidden, identity_of, rights_in


async def right_for(node: Subscribes, connection: Connection, command: Subscribe) -> ChannelRight | None:
    """What a subscription brings along beside the connection's token: by its own token, or as a service's gift.
    One that brings nothing keeps what the subscription has that it replaces.

    Raises:
        HubError: what is wrong with the token; ``forbidden`` where it is another user's or channel's.
    """
    if command.given:
        return ChannelRight(identity_of(connection).user, command.channel)
    if command.token is not None:
        return await _verified(node, connection, command.channel, command.token)
    return None


def check_right(node: Subscribes, right: ChannelRight) -> None:
    """It was good a moment ago: is it still?

    Raises:
        HubError: ``token_expired`` or ``token_invalid``.
    """
    if right.expires_at <= node.wall():
        raise HubError(ErrorCode.TOKEN_EXPIRED, "the channel's token has expired")
    node.revocations.check(right)


async def renew(node: Subscribes, connection: Connection, command: Renew) -> None:
    """The command: another token for a subscription. A refused one leaves the old right in force."""
    right = await _verified(node, connection, command.channel, command.token)
    subscription = connection.subscriptions.get(command.channel)
    if subscription is None:
        raise HubError(ErrorCode.CONFLICT, f"{command.channel} is not subscribed: subscribe with the token")
    connection.hold(right)
    connection.reply(command.id, replies.renewed(command.channel, int(right.expires_at * 1000)))
    rights = rights_in(connection, command.channel)
    if subscription.presence is not None and not rights.may_presence(command.channel):
        why = f"the new token does not allow presence on {command.channel}"
        node.withdraw(connection, command.channel, ErrorCode.FORBIDDEN, why)


async def _verified(node: Subscribes, connection: Connection, channel: str, token: str) -> ChannelRight:
    right = await node.verify_channel(token)
    if right.user != identity_of(connection).user:
        raise forbidden("the channel token is another user's than this connection's")
    if right.channel != channel:
        raise forbidden("the channel token is for another channel")
    return right
