"""Standing work: what a node does again and again for as long as it lives, whatever comes of it.

Work that ends at its first surprise is a node that looks well and is not: its members leave, it learns of no
revocation. So an exception is counted and logged, the work goes on, and one that has not come round for too
long is said (`still`), for `/readyz`.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

ROUNDS = 4  # that may fail before the work counts as standing still
AT_LEAST_S = 10.0
_LOG_S = 30.0  # between two stack traces of one work


class StandingWork:
    """Every work of one node or broker. `passing` are the exceptions that say "not now": no fault, and a round all
    the same. `faults` counts the others by the work's name."""

    def __init__(self, now: Callable[[], float], passing: type[Exception], faults: Counter[str]) -> None:
        self._now = now
        self._passing = passing
        self._faults = faults
        self._rounds: dict[
            str, tuple[float, float]
        ] = {}  # when the last one ended, and how long one may take

    async def run(
        self, name: str, work: Callable[[], Awaitable[object]], pause: Callable[[], float], longest_s: float
    ) -> None:
        """Do `work` for ever, with `pause` seconds between; a round and its pause last `longest_s` at most."""
        allowed = max(AT_LEAST_S, ROUNDS * longest_s)
        self._rounds[name] = self._now(), allowed
        logged = float("-inf")
        while True:
            try:
                await work()
                self._rounds[name] = self._now(), allowed
            except self._passing as error:
                self._rounds[name] = self._now(), allowed
                log.info("%s waits: %s", name, error)
            except Exception:
                self._faults[name] += 1
                if self._now() - logged >= _LOG_S:
                    logged = self._now()
                    log.exception("%s failed, and goes on", name)
            await asyncio.sleep(pause())

    def still(self) -> list[str]:
        """The works that have not come round for too long, in words."""
        now = self._now()
        return [
            f"{name} has stood still for {now - since:.0f} s"
            for name, (since, allowed) in self._rounds.items()
            if now - since > allowed
        ]
