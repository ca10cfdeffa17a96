"""The one exception that becomes an answer: whose fault it is stands in its code."""

import re

from .codes import HTTP_STATUS, RETRYABLE, ErrorCode, Outcome

_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*)*")  # a JWT, or what was left of one


def without_tokens(text: str) -> str:
    """`text`, which may quote what somebody sent, without a token that stood in the wrong place."""
    return _TOKEN.sub("[a token]", text) if "eyJ" in text else text


class HubError(Exception):
    """A command, request or connection is refused, and `reason` says exactly why.

    `reason` goes to the peer and into logs as it is: it never holds a token, a ticket or a payload.
    `retry_after_ms` accompanies ``limit``, ``rate_limited`` and ``unavailable``. `outcome` says whether it may
    have been done all the same; only what failed half-way may (``internal``, and where it is said).
    """

    def __init__(
        self,
        code: ErrorCode,
        reason: str,
        *,
        channel: str | None = None,
        retry_after_ms: int | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        reason = without_tokens(reason)
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.channel = channel
        self.retry_after_ms = retry_after_ms
        self.user: str | None = (
            None  # whom it is about, where that is proven: for those who look, not for the peer
        )
        self.outcome = outcome or (Outcome.UNKNOWN if code is ErrorCode.INTERNAL else Outcome.NOT_DONE)

    @property
    def retry(self) -> bool:
        """Whether the same command may succeed later, unchanged."""
        return self.code in RETRYABLE

    @property
    def status(self) -> int:
        """The HTTP status that says the same."""
        return HTTP_STATUS[self.code]

    def fields(self) -> dict[str, object]:
        """The fields of ``hub.error`` and of a failed entry in ``results``, without `type` and `id`."""
        fields: dict[str, object] = {"code": self.code.value, "reason": self.reason}
        if self.channel is not None:
            fields["channel"] = without_tokens(self.channel)
        fields["retry"] = self.retry
        fields["outcome"] = self.outcome.value
        if self.retry_after_ms is not None:
            fields["retry_after_ms"] = self.retry_after_ms
        return fields
