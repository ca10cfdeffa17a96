"""What a bridge counts: for ``/metrics`` and ``/readyz``."""

from collections import Counter
from collections.abc import Sequence

from .records import Record


class BridgeStats:
    """Counters of one bridge since its start; `lag` and `oldest` are looked at now and then."""

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.kind = kind
        self.received = 0
        self.events = 0
        self.duplicates = 0
        self.settled_records = 0
        self.letters: Counter[str] = Counter()
        self.retries: Counter[str] = Counter()
        self.newest_ms: int | None = None
        self.last_problem = ""

    def handed_on(self, record: Record, *, duplicate: bool) -> None:
        """The hub has an event."""
        self.events += 1
        self.duplicates += duplicate
        if record.time_ms is not None:
            self.newest_ms = record.time_ms

    def all_handed_on(self, records: Sequence[Record]) -> None:
        """The hub has an event of each, and none is a repetition."""
        self.events += len(records)
        if records and records[-1].time_ms is not None:
            self.newest_ms = records[-1].time_ms

    def settled(self, records: int) -> None:
        """A batch is acknowledged at the source."""
        self.settled_records += records

    def dead(self, code: str) -> None:
        """A dead letter."""
        self.letters[code] += 1

    def retried(self, reason: str) -> None:
        """The hub was not reached."""
        self.retries["unreachable"] += 1
        self.last_problem = reason
