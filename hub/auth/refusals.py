"""How a token is refused: in one line, with a reason that holds no part of the token."""

from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError


def invalid(reason: str) -> HubError:
    """The token is not good, and never will be."""
    return HubError(ErrorCode.TOKEN_INVALID, reason)


def expired(reason: str) -> HubError:
    """The token was good once."""
    return HubError(ErrorCode.TOKEN_EXPIRED, reason)


def missing(reason: str) -> HubError:
    """There is no token."""
    return HubError(ErrorCode.UNAUTHENTICATED, reason)
