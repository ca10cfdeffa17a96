"""What was done against those who flood: counted, and told in the log once a minute and kind."""

import logging
from collections import Counter
from collections.abc import Callable

log = logging.getLogger(__name__)

EVERY_S = 60.0


class Floods:
    """`counts` by kind. The log names the address of the first in each minute: there may be thousands."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.counts: Counter[str] = Counter()
        self._now = now
        self._quiet_until: dict[str, float] = {}
        self._untold: Counter[str] = Counter()

    def note(self, kind: str, address: str | None, what: str) -> None:
        """Somebody at `address` was stopped; `kind` is one of a few words, `what` says it in a sentence."""
        self.counts[kind] += 1
        now = self._now()
        if now < self._quiet_until.get(kind, now):
            self._untold[kind] += 1
            return
        self._quiet_until[kind] = now + EVERY_S
        before = self._untold.pop(kind, 0)
        log.warning("%s: %s (%d more since the last such line)", address or "unknown address", what, before)
