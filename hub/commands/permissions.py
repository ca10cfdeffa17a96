"""Checks that several commands share."""

from ..auth.identity import Identity
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


def owns_inbox(identity: Identity, channel: str) -> bool:
    """In `user:` the read cursor belongs to that user; elsewhere each reader has one."""
    return not channel.startswith("user:") or channel == identity.own_channel


def check_subscribe(identity: Identity, channel: str) -> None:
    """Raises:
    HubError: ``forbidden``.
    """
    if not identity.may_subscribe(channel):
        raise forbidden(f"no grant of this token allows subscribe on {channel}")


def check_presence(identity: Identity, channel: str, *, enabled: bool) -> None:
    """`enabled`: the channel's namespace has presence.

    Raises:
        HubError: ``bad_channel`` or ``forbidden``.
    """
    if not enabled:
        raise bad_channel(f"the namespace of {channel} has no presence")
    if not identity.may_presence(channel):
        raise forbidden(f"no grant of this token allows presence on {channel}")


def forbidden(why: str) -> HubError:
    """A right is missing."""
    return HubError(ErrorCode.FORBIDDEN, why)


def bad_channel(why: str) -> HubError:
    """The channel is not of the kind that this needs."""
    return HubError(ErrorCode.BAD_CHANNEL, why)
