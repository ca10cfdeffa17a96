"""What a Redis error means to whoever asked: one place maps them."""

from ....protocol.codes import ErrorCode, Outcome
from ....protocol.errors import HubError

# Errors that pass: the server is full, starting, changing its role, or its Cluster is.
_PASSING = {
    "OOM": "the storage is full",
    "LOADING": "the storage is starting",
    "BUSY": "the storage is busy with a script",
    "READONLY": "the storage is changing its master",
    "MASTERDOWN": "the storage has lost its master",
    "NOREPLICAS": "the storage has too few replicas",
    "MISCONF": "the storage can't save to its disk",
    "CLUSTERDOWN": "the storage's cluster is down",
    "TRYAGAIN": "the storage is moving the channel",
    "MOVED": "the storage is moving the channel",
    "ASK": "the storage is moving the channel",
}


def unavailable(why: str, retry_after_s: float = 0.5) -> HubError:
    """The storage can't be reached, or can't now."""
    retry_ms = min(5000, max(100, int(retry_after_s * 1000)))
    return HubError(ErrorCode.UNAVAILABLE, why, retry_after_ms=retry_ms)


def interrupted(why: str) -> HubError:
    """The storage was asked, and its answer was lost: it may have been done."""
    return HubError(ErrorCode.UNAVAILABLE, why, retry_after_ms=500, outcome=Outcome.UNKNOWN)


def code_of(message: str) -> str:
    """The first word of an error, wherever the server's version puts it when a script stumbles on it."""
    for code in _PASSING:
        if message.startswith(code) or f"-{code} " in message or f": {code} " in message:
            return code
    return message.split(" ", 1)[0]


def failed(message: str) -> HubError:
    """The error that a reply becomes. Redis's own words name keys and commands, never a payload."""
    code = code_of(message)
    if code in _PASSING:
        return unavailable(_PASSING[code], 1.0)
    return HubError(ErrorCode.INTERNAL, f"the storage answered {code}")
