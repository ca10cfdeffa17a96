"""The figures that this project holds itself to, measured in one go and set beside their bounds."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.table import Table

from loadtest.bench import Options
from loadtest.redis_server import own_redis
from loadtest.runner import in_turn, prepare_hub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.progress import Progress

    from loadtest.results import Result

#: Peers of the fan-out, with the largest ratio of the hub's CPU a delivery to theirs.
_RATIOS = {"nchan": 1.15, "starlette": 0.6, "python-socketio": 0.2}


@dataclass(frozen=True, slots=True)
class Row:
    """One measured value beside its bound."""

    what: str
    value: float
    bound: float
    unit: str
    least: bool = False  # the bound is one from below

    @property
    def held(self) -> bool:
        return self.value >= self.bound if self.least else self.value <= self.bound


@dataclass(frozen=True, slots=True)
class Case:
    """A run of the hub alone and the figures of it that are bounded: figure → (words, bound, unit)."""

    group: str
    scenario: str
    options: Options
    bounds: dict[str, tuple[str, float, str]]
    redis: bool = False
    workers: int = 1


def cases() -> list[Case]:
    """Everything but the comparison."""
    micro = "µs"
    return [
        Case(
            "batch",
            "fan-out",
            Options(clients=1000, events=30, rate=5, batch=50),
            {"cpu_us_per_delivery": ("fan-out to 1,000 in batches of 50, a delivery", 0.5, micro)},
        ),
        Case(
            "batch",
            "fan-out",
            Options(clients=10_000, events=10, rate=1, batch=50),
            {"cpu_us_per_delivery": ("fan-out to 10,000 in batches of 50, a delivery", 0.5, micro)},
        ),
        Case(
            "memory",
            "idle",
            Options(clients=5000, channels=1, seconds=2),
            {"kb_per_connection": ("idle connection, 1 channel", 8.0, "KB")},
        ),
        Case(
            "memory",
            "idle",
            Options(clients=5000, channels=3, seconds=2),
            {"kb_per_connection": ("idle connection, 3 channels", 9.0, "KB")},
        ),
        Case(
            "idle",
            "idle",
            Options(clients=18_000, channels=1, seconds=60, processes=2),
            {
                "hub_mb": ("18,000 idle connections, in all", 200.0, "MB"),
                "idle_cpu_percent": ("18,000 idle connections with heartbeats", 5.0, "% of a core"),
                "thrown_out": ("18,000 idle connections, thrown out", 0, ""),
            },
        ),
        Case(
            "connect",
            "connect",
            Options(clients=3000),
            {"cpu_us_per_connect": ("connect, authenticate, subscribe", 350.0, micro)},
        ),
        Case(
            "publish",
            "publish",
            Options(events=2000),
            {"cpu_us_per_publication": ("publish by HTTP, one event", 150.0, micro)},
        ),
        Case(
            "publish",
            "publish",
            Options(events=150, batch=100),
            {"cpu_us_per_publication": ("publish by HTTP in batches of 100, an event", 15.0, micro)},
        ),
        Case(
            "redis",
            "publish",
            Options(events=2000),
            {
                "cpu_us_per_publication": ("publish through Redis, hub", 250.0, micro),
                "redis_cpu_us_per_publication": ("publish through Redis, Redis itself", 25.0, micro),
            },
            redis=True,
        ),
        Case(
            "redis",
            "publish",
            Options(events=300, publishers=32),
            {
                "cpu_us_per_publication": ("publish through Redis, 32 publishers at once, hub", 250.0, micro),
                "redis_cpu_us_per_publication": ("the same, Redis itself", 25.0, micro),
            },
            redis=True,
        ),
        Case(
            "redis",
            "publish",
            Options(events=150, batch=100),
            {
                "cpu_us_per_publication": ("publish through Redis in batches of 100, hub", 40.0, micro),
                "redis_cpu_us_per_publication": ("the same, Redis itself", 25.0, micro),
            },
            redis=True,
        ),
        Case(
            "resume",
            "resume",
            Options(clients=10_000, channels=50),
            {"cpu_us_per_client": ("resume: 3 channels, 20 missed events, a client", 500.0, micro)},
        ),
        Case(
            "resume",
            "resume",
            Options(clients=10_000, channels=50),
            {
                "cpu_us_per_client": ("the same over Redis", 500.0, micro),
                "redis_reads": ("the same, reads of Redis (50 channels)", 50.0, ""),
            },
            redis=True,
        ),
        Case(
            "long",
            "idle",
            Options(clients=100_000, channels=1, seconds=600, processes=6),
            {
                "hub_mb": ("100,000 idle over 6 workers and Redis, the hub in all", 1177.6, "MB"),
                "thrown_out": ("the same, lost in 10 minutes", 0, ""),
            },
            redis=True,
            workers=6,
        ),
    ]


def measure(groups: set[str], progress: Progress, rounds: int) -> Iterator[tuple[Row, Result]]:
    """The rows of the chosen groups, each as soon as it is known."""
    if "fan-out" in groups:
        yield from _compared(Options(clients=1000, events=40), rounds, progress)
        yield from _compared(Options(clients=10_000, events=8), rounds, progress)
    for case in cases():
        if case.group in groups:
            yield from _alone(case, progress)


def _compared(options: Options, rounds: int, progress: Progress) -> Iterator[tuple[Row, Result]]:
    prepare = prepare_hub(broker="memory://", workers=1, settings={})
    hub, *peers = in_turn("fan-out", ["hub", *_RATIOS], rounds, options, progress, prepare)
    name = "cpu_us_per_delivery"
    for peer, bound in zip(peers, _RATIOS.values(), strict=True):
        what = (
            f"fan-out to {options.clients:,}: {hub.figures[name]:.2f} µs a delivery, over "
            f"{peer.target} ({peer.figures[name]:.2f})"
        )
        yield Row(what, hub.figures[name] / peer.figures[name], bound, "×"), hub


def _alone(case: Case, progress: Progress) -> Iterator[tuple[Row, Result]]:
    with ExitStack() as stack:
        broker, options = "memory://", case.options
        if case.redis:
            broker = stack.enter_context(own_redis())
            options = replace(options, redis=broker)
        prepare = prepare_hub(broker=broker, workers=case.workers, settings={})
        (result,) = in_turn(case.scenario, ["hub"], 1, options, progress, prepare)
    for figure, (what, bound, unit) in case.bounds.items():
        yield Row(what, result.figures.get(figure, float("nan")), bound, unit), result


GROUPS = ("fan-out", *dict.fromkeys(case.group for case in cases()))


def show(rows: list[Row], console: Console) -> None:
    """The table for docs/performance.md."""
    table = Table(title="measured beside the bounds", title_justify="left")
    for heading in ("figure", "measured", "bound", ""):
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    for row in rows:
        least = "≥ " if row.least else ""
        verdict = "held" if row.held else "[bold red]missed[/]"
        table.add_row(row.what, f"{row.value:,.2f} {row.unit}", f"{least}{row.bound:g} {row.unit}", verdict)
    console.print(table)
