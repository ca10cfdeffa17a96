"""What a node counts. Plain integers on the hot paths; `Collector` turns them into Prometheus metrics."""

from collections import Counter

from .histogram import Histogram


class Counters:
    """Counters of one node, since its start."""

    __slots__ = (
        "accept_pauses",
        "bytes_received",
        "checks_failed",
        "closed",
        "commands",
        "connections_opened",
        "delivered",
        "errors",
        "faults",
        "gaps",
        "longest_lag_s",
        "loop_delay",
        "loop_lag_s",
        "lost",
        "publish_time",
        "published",
        "recovered",
        "refilled",
        "refused",
        "snapshots_let_go",
        "snapshots_refused",
        "unrecovered",
    )

    def __init__(self) -> None:
        self.accept_pauses = 0
        self.connections_opened = 0
        self.delivered = 0
        self.published = 0
        self.gaps = 0
        self.refilled = 0
        self.lost = 0
        self.recovered = 0
        self.unrecovered = 0
        self.checks_failed = 0
        self.snapshots_let_go = 0
        self.snapshots_refused = 0
        self.bytes_received = 0
        self.loop_lag_s = 0.0
        self.loop_delay = Histogram()
        self.publish_time = Histogram()
        self.longest_lag_s = 0.0  # since it was last looked at
        self.commands: Counter[str] = Counter()
        self.closed: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
