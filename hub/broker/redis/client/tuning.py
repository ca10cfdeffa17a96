"""Times and bounds of the Redis broker, and what it counts."""

import logging
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from ....runtime.backoff import REAL_TIME, Backoff
from .address import Site

log = logging.getLogger("hub.broker.redis")


@dataclass(frozen=True, slots=True)
class Tuning:
    """Seconds, unless the name says otherwise.

    `patience`: a server that owes a reply for so long is given up. `pulse`: pings, canaries and looks at the
    server's role. `overdue`: a canary not heard for so long means deaf. `linger`: an unlisten waits.
    `first_wait`: how long `start` waits for the servers. `backoff_min`, `backoff_max`: between two tries to
    connect. `visibility`: what a node took off the due-list comes back after so long. `sweep`: between two
    looks at it.
    """

    patience: float = 3.0
    pulse: float = 1.0
    overdue: float = 2.5
    linger: float = 3.0
    first_wait: float = 2.0
    backoff_min: float = 0.05
    backoff_max: float = 2.0
    visibility: float = 10.0
    sweep: float = 1.0
    batch: int = 500  # channels in one SUBSCRIBE, commands in one write
    owed_max: int = 50_000  # callers waiting on one server; beyond, they are refused at once
    waiting_bytes_max: int = 67_108_864  # bytes that a server has not taken yet; as above

    @classmethod
    def of(cls, sites: Iterable[Site]) -> "Tuning":
        """With the longest patience that the URLs ask for (``socket_timeout``)."""
        asked = [site.timeout for site in sites if site.timeout is not None]
        return cls(patience=max(asked)) if asked else cls()

    def backoff(self) -> Backoff:
        """Between two tries to connect."""
        return Backoff(REAL_TIME, self.backoff_min, self.backoff_max)


@dataclass(slots=True)
class Stats:
    """What happened, by name, since the start: for metrics. `note` logs each name at most twice a minute."""

    counts: Counter[str] = field(default_factory=Counter)
    _logged: dict[str, float] = field(default_factory=dict)

    def note(self, name: str, message: str, *args: object) -> None:
        """Count `name`, and log the message unless one of the same name was logged a short while ago."""
        self.counts[name] += 1
        if self._is_time(name):
            log.warning(message + " (%s: %d so far)", *args, name, self.counts[name])

    def fault(self, message: str, *args: object) -> None:
        """Count what nobody has foreseen, and log the exception that is being handled, as rarely."""
        self.counts["faults"] += 1
        if self._is_time(message):
            log.exception(message, *args)

    def _is_time(self, name: str) -> bool:
        now = time.monotonic()
        due = now - self._logged.get(name, -60.0) >= 30.0
        if due:
            self._logged[name] = now
        return due
