"""The two closed tables of the contract: error codes, and close codes with what the client does next."""

from enum import IntEnum, StrEnum


class ErrorCode(StrEnum):
    """Why a command or a connection was refused: the ``code`` of ``hub.error``."""

    BAD_MESSAGE = "bad_message"
    UNKNOWN_TYPE = "unknown_type"
    UNAUTHENTICATED = "unauthenticated"
    TOKEN_INVALID = "token_invalid"
    TOKEN_EXPIRED = "token_expired"
    FORBIDDEN = "forbidden"
    REVOKED = "revoked"
    UNKNOWN_NAMESPACE = "unknown_namespace"
    BAD_CHANNEL = "bad_channel"
    LIMIT = "limit"
    RATE_LIMITED = "rate_limited"
    TOO_LARGE = "too_large"
    CONFLICT = "conflict"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


RETRYABLE = frozenset(
    {ErrorCode.LIMIT, ErrorCode.RATE_LIMITED, ErrorCode.UNAVAILABLE, ErrorCode.INTERNAL},
)
"""The same command may succeed later, unchanged."""


class Outcome(StrEnum):
    """What became of a command that was answered with an error."""

    NOT_DONE = "not_done"  # refused: nothing of it took effect
    UNKNOWN = "unknown"  # it may have been done all the same: repeat it with the same event_id


HTTP_STATUS: dict[ErrorCode, int] = {
    ErrorCode.BAD_MESSAGE: 400,
    ErrorCode.UNKNOWN_TYPE: 400,
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.TOKEN_INVALID: 401,
    ErrorCode.TOKEN_EXPIRED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.REVOKED: 403,
    ErrorCode.UNKNOWN_NAMESPACE: 404,
    ErrorCode.BAD_CHANNEL: 400,
    ErrorCode.LIMIT: 429,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.CONFLICT: 409,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.INTERNAL: 500,
}


class CloseCode(IntEnum):
    """Close codes of RFC 6455 section 7.4 that the hub uses, and its own in the private range."""

    NORMAL = 1000
    PROTOCOL_VIOLATION = 1002
    UNSUPPORTED_DATA = 1003
    ABNORMAL = 1006
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    INTERNAL = 1011
    DRAINING = 4100
    SLOW_CONSUMER = 4101
    HEARTBEAT_TIMEOUT = 4102
    OVERLOADED = 4103
    AUTH_TIMEOUT = 4108
    LIMIT = 4129
    TOKEN_EXPIRED = 4201
    TOKEN_INVALID = 4202
    PROTOCOL_ERROR = 4400
    FORBIDDEN = 4403
    REVOKED = 4410
    KICKED = 4411


class Then(StrEnum):
    """What a client does after a close."""

    WINDOW = "window"  # reconnect inside the window of hub.close, with backoff where it gave none
    BACKOFF = "backoff"  # reconnect with backoff, resume
    RENEW = "renew"  # get a new token first (once), then reconnect
    STOP = "stop"  # do not reconnect


_RANGES: dict[int, Then] = {41: Then.WINDOW, 42: Then.RENEW, 44: Then.STOP}
"""By the hundreds of a code: one that is added later is understood by a client of today."""

_THEN: dict[int, Then] = {
    CloseCode.SLOW_CONSUMER: Then.BACKOFF,
    CloseCode.HEARTBEAT_TIMEOUT: Then.BACKOFF,
    CloseCode.AUTH_TIMEOUT: Then.BACKOFF,
    CloseCode.PROTOCOL_VIOLATION: Then.STOP,
    CloseCode.UNSUPPORTED_DATA: Then.STOP,
    CloseCode.INVALID_DATA: Then.STOP,
    CloseCode.POLICY_VIOLATION: Then.STOP,
    CloseCode.MESSAGE_TOO_BIG: Then.STOP,
}


_REFUSALS: dict[ErrorCode, CloseCode] = {
    ErrorCode.BAD_MESSAGE: CloseCode.PROTOCOL_ERROR,
    ErrorCode.TOKEN_EXPIRED: CloseCode.TOKEN_EXPIRED,
    ErrorCode.FORBIDDEN: CloseCode.FORBIDDEN,
    ErrorCode.LIMIT: CloseCode.LIMIT,
    ErrorCode.RATE_LIMITED: CloseCode.LIMIT,
    ErrorCode.UNAVAILABLE: CloseCode.OVERLOADED,
    ErrorCode.INTERNAL: CloseCode.INTERNAL,
}


def refusal(code: ErrorCode) -> CloseCode:
    """How a connection is closed that is not let in for the reason `code`; by default its token is at fault."""
    return _REFUSALS.get(code, CloseCode.TOKEN_INVALID)


def then(code: int) -> Then:
    """What a client does after a close with `code`: its range decides, but for a few."""
    return _THEN.get(code) or _RANGES.get(code // 100, Then.BACKOFF)


def name(code: int) -> str:
    """The table's name of a close code, for logs and metrics: ``slow_consumer``."""
    try:
        return CloseCode(code).name.lower()
    except ValueError:
        return "other"
