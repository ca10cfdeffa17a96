"""What one run found, ready for the table, the JSON file and the comparison."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loadtest.latency import Timeline
    from loadtest.ledger import Count

#: Figures that say a run failed when they are not zero.
FAULTS = ("lost", "doubled", "out_of_order", "thrown_out")


@dataclass(slots=True)
class Result:
    """One scenario on one target. Figures carry their unit in the name: ``cpu_us_per_delivery``."""

    scenario: str
    target: str
    figures: dict[str, float] = field(default_factory=dict)
    timeline: list[tuple[float, float, float]] = field(default_factory=list)
    percentiles: dict[str, float] = field(default_factory=dict)
    interrupted: bool = False

    def record(self, **figures: float) -> None:
        self.figures.update(figures)

    def count(self, count: Count, lost: int) -> None:
        self.record(
            deliveries=count.delivered, lost=lost, doubled=count.doubled, out_of_order=count.out_of_order
        )

    def times(self, summary: dict[str, float], timeline: Timeline | None = None, start: float = 0.0) -> None:
        """Latency percentiles in ms, and their course when it was kept."""
        self.percentiles = summary
        self.record(**{f"{name}_ms": value for name, value in summary.items()})
        if timeline is not None:
            self.timeline = timeline.rows(start)

    @property
    def failed(self) -> bool:
        return any(self.figures.get(name, 0) for name in FAULTS)

    def as_json(self) -> dict[str, Any]:
        return {
            "scenario": self.scenario,
            "target": self.target,
            "interrupted": self.interrupted,
            "figures": self.figures,
            "latency_over_time": self.timeline,
        }


def merged(runs: list[Result]) -> Result:
    """The median of each figure over several runs of one target; faults are summed."""
    first = runs[0]
    figures = {}
    for name in first.figures:
        values = [run.figures[name] for run in runs if name in run.figures]
        figures[name] = sum(values) if name in FAULTS else median(values)
    return Result(
        first.scenario,
        first.target,
        figures,
        first.timeline,
        first.percentiles,
        any(run.interrupted for run in runs),
    )
