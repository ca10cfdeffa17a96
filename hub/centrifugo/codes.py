"""The hub's errors and closings in Centrifugo's numbers.

Its SDKs take closings of 3500 to 3999 and of 4500 to 4999 for final, and come back after all others: the hub's own
4400 and 4403 would bring them back for ever.
"""

from typing import Any

from ..protocol.codes import CloseCode, ErrorCode

NO_CODE = 1005  # RFC 6455 section 7.1.5
BAD_REQUEST = 3501
UNRECOVERABLE = 112
ALREADY_SUBSCRIBED = 105
BAD_CALL = 107
NOT_AVAILABLE = 108
UNSUBSCRIBED = 2000
INSUFFICIENT_STATE = 2500
SUBSCRIPTION_EXPIRED = 2501

_ERRORS: dict[ErrorCode, int] = {
    ErrorCode.BAD_MESSAGE: 107,
    ErrorCode.UNKNOWN_TYPE: 104,
    ErrorCode.UNAUTHENTICATED: 101,
    ErrorCode.TOKEN_INVALID: 103,
    ErrorCode.TOKEN_EXPIRED: 109,
    ErrorCode.FORBIDDEN: 103,
    ErrorCode.REVOKED: 103,
    ErrorCode.UNKNOWN_NAMESPACE: 102,
    ErrorCode.BAD_CHANNEL: 107,
    ErrorCode.LIMIT: 106,
    ErrorCode.RATE_LIMITED: 111,
    ErrorCode.TOO_LARGE: 107,
    ErrorCode.CONFLICT: ALREADY_SUBSCRIBED,
    ErrorCode.UNAVAILABLE: 100,
    ErrorCode.INTERNAL: 100,
}
_TEMPORARY = frozenset({ErrorCode.RATE_LIMITED, ErrorCode.UNAVAILABLE, ErrorCode.INTERNAL})

_CLOSINGS: dict[int, int] = {
    CloseCode.INTERNAL: 3004,
    CloseCode.POLICY_VIOLATION: BAD_REQUEST,
    CloseCode.DRAINING: 3001,
    CloseCode.SLOW_CONSUMER: 3008,
    CloseCode.HEARTBEAT_TIMEOUT: 3012,
    CloseCode.OVERLOADED: 3004,
    CloseCode.AUTH_TIMEOUT: 3004,
    CloseCode.LIMIT: 3504,
    CloseCode.TOKEN_EXPIRED: 3005,
    CloseCode.TOKEN_INVALID: 3500,
    CloseCode.PROTOCOL_ERROR: BAD_REQUEST,
    CloseCode.FORBIDDEN: 3507,
    CloseCode.REVOKED: 3503,
    CloseCode.KICKED: 3503,
}


def error(message: dict[str, Any], code: int | None = None) -> dict[str, Any]:
    """The `Error` of a `hub.error`; its message is the hub's own reason."""
    kind = ErrorCode(message["code"])
    fields: dict[str, Any] = {"code": code or _ERRORS[kind], "message": message["reason"]}
    return {**fields, "temporary": True} if kind in _TEMPORARY and code is None else fields


def closing(code: int) -> int:
    """The close code that the SDKs act on as the hub means it."""
    return _CLOSINGS.get(code, code)


def is_final(code: int) -> bool:
    """Whether the SDKs do not come back after this close code."""
    return 3500 <= code < 4000 or 4500 <= code < 5000


def unsubscribing(code: str | None) -> int:
    """The code of an unsubscribe push, by the `code` of `hub.unsubscribed`: an expired right is asked for anew."""
    return SUBSCRIPTION_EXPIRED if code == ErrorCode.TOKEN_EXPIRED else UNSUBSCRIBED
