"""A circuit breaker with the usual three states (M. Nygard, "Release It!"): closed, open, half open.

Closed, calls go through. After `failures` in a row it opens: calls are refused at once for `rest` seconds. Then it
is half open: one trial at a time, and `trials` good ones in a row close it, while one bad one opens it again.
"""

import random
from collections.abc import Callable
from enum import Enum


class BreakerState(Enum):
    """Whether calls go through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """The clock is handed in: monotonic seconds. `chance` is uniform in [0, 1): many breakers of one dead peer do
    not try it at the same moment."""

    __slots__ = (
        "_chance",
        "_failures",
        "_good",
        "_in_a_row",
        "_rest",
        "_trial",
        "_trials",
        "_until",
        "state",
    )

    def __init__(
        self,
        failures: int = 5,
        rest: float = 30.0,
        trials: int = 3,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.state = BreakerState.CLOSED
        self._failures = failures
        self._rest = rest
        self._trials = trials
        self._chance = chance
        self._in_a_row = 0
        self._good = 0
        self._until = 0.0
        self._trial = False

    def enter(self, now: float) -> float:
        """Whether a call may be made: 0.0, and then `succeeded`, `failed` or `gave_up` has to follow; else the
        seconds until it is worth asking again."""
        if self.state is BreakerState.CLOSED:
            return 0.0
        if self.state is BreakerState.OPEN:
            if now < self._until:
                return self._until - now
            self.state = BreakerState.HALF_OPEN
            self._good = 0
            self._trial = False
        if self._trial:
            return min(1.0, self._rest)
        self._trial = True
        return 0.0

    def succeeded(self) -> None:
        """The call was answered."""
        self._in_a_row = 0
        self._trial = False
        if self.state is BreakerState.HALF_OPEN:
            self._good += 1
            if self._good >= self._trials:
                self.state = BreakerState.CLOSED

    def failed(self, now: float) -> None:
        """The call was not answered, or the peer is not well."""
        self._trial = False
        self._in_a_row += 1
        if self.state is BreakerState.HALF_OPEN or self._in_a_row >= self._failures:
            self.state = BreakerState.OPEN
            self._in_a_row = 0
            self._until = now + self._rest * (0.75 + 0.5 * self._chance())

    def gave_up(self) -> None:
        """The call was cancelled: nothing is known of the peer."""
        self._trial = False
