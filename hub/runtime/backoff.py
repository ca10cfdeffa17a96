"""When to try again: full jitter between tries, and the windows that the hub assigns."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

STABLE = 10.0  # seconds that a connection must have stood before the count of failures starts anew


@dataclass(frozen=True, slots=True)
class Timing:
    """Clock, sleep and randomness in one place, so that tests hand in their own.

    `now` is monotonic seconds, `random` is uniform in [0, 1).
    """

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random


REAL_TIME = Timing()


@dataclass(frozen=True, slots=True)
class Window:
    """Seconds from now, between which the hub wants a client back."""

    low: float
    high: float

    @classmethod
    def of(cls, value: Any) -> "Window | None":
        """From a message's ``{"min_ms":…,"max_ms":…}``; None where there is none or it is malformed."""
        if not isinstance(value, dict):
            return None
        low, high = value.get("min_ms"), value.get("max_ms")
        if type(low) is not int or type(high) is not int or not 0 <= low <= high:
            return None
        return cls(low / 1000, high / 1000)

    def pick(self, timing: Timing) -> float:
        """A random moment inside it."""
        return self.low + timing.random() * (self.high - self.low)


class Backoff:
    """Full jitter: after failure n (from 0) wait a random time up to min(`high`, `low` * 2**n) seconds, so that
    those whom one failure has hit do not come back together. The one rule for everything that tries again.

    `reset` after a success. Who keeps connections says how long one `lived` instead: the count starts anew only
    after 10 s, so that a hub that accepts and drops is not hammered.
    """

    __slots__ = ("_attempt", "_timing", "high", "low")

    def __init__(self, timing: Timing, low: float = 0.5, high: float = 20.0) -> None:
        self._timing = timing
        self._attempt = 0
        self.low = low
        self.high = high

    def adopt(self, window: Window | None) -> None:
        """Take the bounds of ``hub.welcome``."""
        if window is not None and window.high > 0:
            self.low, self.high = window.low, window.high

    def next(self) -> float:
        """The next delay in seconds."""
        ceiling = min(self.high, max(self.low, 0.001) * 2.0 ** min(self._attempt, 32))
        self._attempt += 1
        return self._timing.random() * ceiling

    async def pause(self) -> None:
        """Wait for the next delay."""
        await self._timing.sleep(self.next())

    def lived(self, seconds: float) -> None:
        """A connection ended after `seconds`."""
        if seconds >= STABLE:
            self._attempt = 0

    def reset(self) -> None:
        """Start anew."""
        self._attempt = 0
