"""What can end a client's work, beside the hub's own refusals (`HubError`)."""

from hub.protocol.codes import Outcome


class SdkError(Exception):
    """Base of the SDK's own errors; none of them holds a token. `outcome` as in `HubError`."""

    outcome = Outcome.NOT_DONE


class Stopped(SdkError):
    """The client has stopped and does not reconnect; `code` is the close code or HTTP status that said so."""

    def __init__(self, reason: str, code: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class TokenRefused(Stopped):
    """The hub refused the token, and a fresh one too (or there is no callable to get one from)."""


class NotConnected(SdkError):
    """There is no connection now, and the caller asked not to wait for one."""


class QueueFull(SdkError):
    """The bounded queue of publications is full."""


class UnknownOutcome(SdkError):
    """A publication was sent and never answered: it may or may not be stored. Code ``unknown_outcome``.

    A repetition with the same `event_id` is stored at most once for 5 minutes from the first attempt.
    """

    code = "unknown_outcome"
    outcome = Outcome.UNKNOWN

    def __init__(self, reason: str, event_id: str) -> None:
        super().__init__(reason)
        self.event_id = event_id
