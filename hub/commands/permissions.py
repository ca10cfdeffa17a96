"""Checks that several commands share."""

from ..auth.identity import Identity
from ..connections.channel_rights import Either, Rights
from ..connections.connection import Connection
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError


def identity_of(connection: Connection) -> Identity:
    """Who a connection is.

    Raises:
        HubError: ``unauthenticated``: it is over, or has not said so yet.
    """
    if connection.identity is None or connection.closed:
        raise HubError(ErrorCode.UNAUTHENTICATED, "the connection is over")
    return connection.identity


def rights_in(connection: Connection, channel: str) -> Rights:
    """What a connection may do in a channel: by its token, and by that channel's.

    Raises:
        HubError: ``unauthenticated``, as `identity_of`.
    """
    identity = identity_of(connection)
    right = None if connection.rights is None else connection.rights.get(channel)
    return identity if right is None else Either(identity, right)


def owns_inbox(identity: Identity, channel: str) -> bool:
    """In `user:` the read cursor belongs to that user; elsewhere each reader has one."""
    return not channel.startswith("user:") or channel == identity.own_channel


def check_subscribe(rights: Rights, channel: str) -> None:
    """Raises:
    HubError: ``forbidden``.
    """
    if not rights.may_subscribe(channel):
        raise forbidden(f"no grant of this token allows subscribe on {channel}")


def check_presence(rights: Rights, channel: str, *, enabled: bool) -> None:
    """`enabled`: the channel's namespace has presence.

    Raises:
        HubError: ``bad_channel`` or ``forbidden``.
    """
    if not enabled:
        raise bad_channel(f"the namespace of {channel} has no presence")
    if not rights.may_presence(channel):
        raise forbidden(f"no grant of this token allows presence on {channel}")


def forbidden(why: str) -> HubError:
    """A right is missing."""
    return HubError(ErrorCode.FORBIDDEN, why)


def bad_channel(why: str) -> HubError:
    """The channel is not of the kind that this needs."""
    return HubError(ErrorCode.BAD_CHANNEL, why)
