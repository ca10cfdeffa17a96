"""Pictures: latency over time, and percentiles of every target side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # after the choice of a backend

if TYPE_CHECKING:
    from pathlib import Path

    from loadtest.latency import Timeline
    from loadtest.results import Result


def draw(results: list[Result], path: Path, *, title: str) -> None:
    """Write a PNG (or what the suffix says) with both pictures."""
    figure, (over_time, percentiles) = plt.subplots(2, 1, figsize=(9, 8), layout="constrained")
    for result in results:
        if result.timeline:
            seconds = [row[0] for row in result.timeline]
            middle = [row[1] for row in result.timeline]
            (line,) = over_time.plot(seconds, middle, label=f"{result.target} p50")
            over_time.plot(
                seconds,
                [row[2] for row in result.timeline],
                linestyle="--",
                color=line.get_color(),
                label=f"{result.target} p99",
            )
        if result.percentiles:
            percentiles.plot(
                list(result.percentiles), list(result.percentiles.values()), marker="o", label=result.target
            )
    for axes, heading, label in ((over_time, title, "seconds"), (percentiles, "percentiles", "")):
        axes.set(title=heading, xlabel=label, ylabel="latency, ms", yscale="log")
        axes.grid(visible=True, alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)


def draw_storm(
    path: Path, timeline: Timeline | None, arrivals: list[float], began: float, struck: float, *, title: str
) -> None:
    """Reconnects a second, and the latency of clients that the storm does not concern, over time."""
    figure, (coming, latency) = plt.subplots(2, 1, figsize=(9, 7), sharex=True, layout="constrained")
    if arrivals:
        seconds = [at - began for at in arrivals]
        coming.hist(seconds, bins=range(int(min(seconds)), int(max(seconds)) + 2))
    rows = timeline.rows(began) if timeline is not None else []
    latency.plot([row[0] for row in rows], [row[1] for row in rows], label="p50")
    latency.plot([row[0] for row in rows], [row[2] for row in rows], label="p99", linestyle="--")
    for axes, label in ((coming, "connections a second"), (latency, "latency, ms")):
        axes.axvline(struck - began, color="tab:red", linewidth=1)
        axes.set(ylabel=label)
        axes.grid(visible=True, alpha=0.3)
    latency.set(xlabel="seconds", yscale="log")
    latency.legend()
    coming.set(title=title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)
