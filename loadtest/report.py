"""The table on the screen and the file beside it."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from typing import TYPE_CHECKING

from rich.table import Table

from loadtest.results import FAULTS, Result

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

#: Figures whose ratio between targets means something.
RATIOS = (
    "cpu_us_per_delivery",
    "cpu_us_per_connect",
    "cpu_us_per_publication",
    "cpu_us_per_client",
    "kb_per_connection",
)
#: More results than this do not fit beside each other; then these figures stand for all.
_COLUMNS = 8
_SHORT = (
    "deliveries",
    "lost",
    "doubled",
    "cpu_us_per_delivery",
    "cpu_percent_of_a_core",
    "p50_ms",
    "p99_ms",
    "held_a_second",
)


def show(results: list[Result], console: Console, *, title: str) -> None:
    """One column a target, one row a figure; with many results, one row each."""
    if len(results) > _COLUMNS:
        _show_as_rows(results, console, title)
        return
    table = Table(title=title, title_justify="left")
    table.add_column("figure")
    for result in results:
        table.add_column(result.target + (" (interrupted)" if result.interrupted else ""), justify="right")
    for name in dict.fromkeys(name for result in results for name in result.figures):
        cells = [_cell(name, result.figures.get(name)) for result in results]
        table.add_row(name.replace("_", " "), *cells)
    console.print(table)


def _show_as_rows(results: list[Result], console: Console, title: str) -> None:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for name in _SHORT:
        table.add_column(name.replace("_", " "), justify="right")
    for result in results:
        table.add_row(result.target, *(_cell(name, result.figures.get(name)) for name in _SHORT))
    console.print(table)


def show_ratios(results: list[Result], console: Console) -> None:
    """The first target over each other one: below 1 means cheaper."""
    base, others = results[0], results[1:]
    table = Table(title=f"{base.target} over …", title_justify="left")
    table.add_column("ratio of")
    for other in others:
        table.add_column(other.target, justify="right")
    for name in RATIOS:
        if base.figures.get(name):
            cells = [
                f"{base.figures[name] / other.figures[name]:.2f}" if other.figures.get(name) else "-"
                for other in others
            ]
            table.add_row(name.replace("_", " "), *cells)
    console.print(table)


def save(results: list[Result], path: Path, options: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(
            {
                "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "machine": {
                    "cores": os.cpu_count(),
                    "kernel": platform.release(),
                    "python": sys.version.split()[0],
                },
                "options": options,
                "results": [result.as_json() for result in results],
            },
            indent=1,
        )
        + "\n"
    )


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    text = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"
    return f"[bold red]{text}[/]" if name in FAULTS and value else text
