"""A client that goes on sending commands over its limit: told so for a while, then not listened to, then closed."""

from enum import Enum

from ..runtime.bucket import TokenBucket

PAUSE_S = 1.0
PAUSES = 5  # in a row; the next one is the end
FORGET_S = 60.0  # after which a pause was no part of the row


class Verdict(Enum):
    """What is to be done about one more command over the limit, beside its answer."""

    ANSWER = "answer"
    PAUSE = "pause"
    CLOSE = "close"


class Overrun:
    """The refusals of one connection. `burst` of them at once, and a tenth of the limit's `rate`, are accidents."""

    __slots__ = ("_bucket", "_last", "_pauses")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._bucket = TokenBucket(rate / 10, burst, now)
        self._pauses = 0
        self._last = float("-inf")

    def judge(self, now: float) -> Verdict:
        """One more refusal at the monotonic time `now`."""
        if now < self._last + PAUSE_S or self._bucket.take(now) == 0.0:
            return Verdict.ANSWER  # in a pause: it was sent before the client could notice
        if now - self._last > FORGET_S:
            self._pauses = 0
        self._pauses += 1
        self._last = now
        return Verdict.CLOSE if self._pauses > PAUSES else Verdict.PAUSE
