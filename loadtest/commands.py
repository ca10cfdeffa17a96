"""The commands that are more than one scenario: ``storm``, ``figures``, ``source``, ``sqlite``, ``beside``,
``handlers``."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rich.progress import Progress

from loadtest import applications, beside, figures, report, runner, source, sqlite, storm
from loadtest.exits import FAILED, INTERRUPTED, OK, TROUBLE, UNFIT, positive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rich.console import Console

    from loadtest.results import Result

R = TypeVar("R")


def storm_cli(words: Sequence[str], console: Console) -> int:
    """``storm`` with its own options; the same exit codes."""
    made = argparse.ArgumentParser(prog="python -m loadtest storm", description=storm.__doc__)
    add = made.add_argument
    add("--case", choices=[*storm.CASES, "all"], default="all")
    add("--clients", type=positive, default=10_000, help="half on each of two nodes (default 10000)")
    add("--herd", type=positive, default=2_000, help="clients without manners")
    add("--quiet", type=float, default=10.0, help="seconds of ordinary life before")
    add("--repeat", type=positive, default=1)
    add("--set", action="append", default=[], metavar="HUB_NAME=VALUE", help="a setting of both nodes")
    add("--json", type=Path, default=Path("build/loadtest/storm.json"))
    add("--plot", type=Path, help="draw reconnects and latency over time here, one picture a case")
    args = made.parse_args(words)
    cases = list(storm.CASES) if args.case == "all" else [args.case]
    results: list[Result] = []
    code = OK
    try:
        for _ in range(args.repeat):
            for case in cases:
                plan = storm.Storm(
                    case, args.clients, args.herd, args.quiet, dict(pair.split("=", 1) for pair in args.set)
                )
                results.append(storm.run(plan, console, args.plot))
    except KeyboardInterrupt:
        code = INTERRUPTED
    except TROUBLE as error:
        console.print(f"storm: {error}", style="red", highlight=False, markup=False)
        code = UNFIT
    for first in range(0, len(results), len(cases)):
        title = f"storm, round {first // len(cases) + 1}" if args.repeat > 1 else "storm"
        report.show(results[first : first + len(cases)], console, title=title)
    report.save(results, args.json, {"clients": args.clients, "herd": args.herd})
    missed = [f"{result.target}: {name}" for result in results for name in storm.missed(result)]
    for line in missed:
        console.print(f"missed: {line}", style="red", highlight=False)
    return code or (FAILED if missed else OK)


def source_cli(words: Sequence[str], console: Console) -> int:
    """``source KIND``: a bridge beside the bare client; exit code 1 when a bound is missed."""
    made = argparse.ArgumentParser(prog="python -m loadtest source", description=source.__doc__)
    made.add_argument("kinds", nargs="+", choices=source.KINDS, metavar="KIND", help=", ".join(source.KINDS))
    made.add_argument("--messages", type=positive, default=30_000, help="that wait before they are read")
    made.add_argument("--seconds", type=positive, default=10, help="of the flow that latency is taken of")
    args = made.parse_args(words)
    rows, code = _of_each(
        args.kinds,
        lambda kind: asyncio.run(source.measure(kind, args.messages, args.seconds)),
        "source",
        console,
    )
    figures.show(rows, console)
    return code or (OK if all(row.held for row in rows) else FAILED)


def _of_each(
    kinds: Iterable[str], measure: Callable[[str], Iterable[R]], command: str, console: Console
) -> tuple[list[R], int]:
    """The rows of all kinds until one is interrupted or can't be had, and the exit code for that."""
    rows: list[R] = []
    try:
        for kind in kinds:
            rows += measure(kind)
    except KeyboardInterrupt:
        return rows, INTERRUPTED
    except TROUBLE as error:
        console.print(f"{command}: {error}", style="red", highlight=False, markup=False)
        return rows, UNFIT
    return rows, OK


def sqlite_cli(words: Sequence[str], console: Console) -> int:
    """``sqlite``: what the file costs, and how long it holds the loop; exit code 1 when a bound is missed."""
    made = argparse.ArgumentParser(prog="python -m loadtest sqlite", description=sqlite.__doc__)
    made.add_argument("--seconds", type=positive, default=5, help="of one turn (default 5)")
    made.add_argument("--rounds", type=positive, default=3, help="rounds of A B A B")
    made.add_argument("--folder", default="/var/tmp", help="where the file is: on the disk that is meant")
    args = made.parse_args(words)
    rows = sqlite.measure(args.seconds, args.rounds, args.folder)
    figures.show(rows, console)
    return OK if all(row.held for row in rows) else FAILED


def beside_cli(words: Sequence[str], console: Console) -> int:
    """``beside``: what requests cost beside Centrifugo or another hub; exit code 1 when a bound is missed."""
    made = argparse.ArgumentParser(prog="python -m loadtest beside", description=beside.__doc__)
    made.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(beside.KINDS)} (default: all)")
    made.add_argument("--redis", action="store_true", help="both over one Redis")
    made.add_argument("--slices", type=positive, default=60, help="of each server (default 60)")
    made.add_argument("--against", type=Path, help="another hub's executable, in place of Centrifugo")
    args = made.parse_args(words)
    if unknown := set(args.kinds) - set(beside.KINDS):
        made.error(f"no such kind: {', '.join(sorted(unknown))}")
    rows, code = _of_each(
        args.kinds or beside.KINDS,
        lambda kind: beside.compare(kind, args.slices, args.against, redis=args.redis),
        "beside",
        console,
    )
    beside.show(rows, console)
    return code or (OK if all(row.held for row in rows) else FAILED)


def handlers_cli(words: Sequence[str], console: Console) -> int:
    """``handlers``: what those cost who decide and are told; exit code 1 when a bound is missed."""
    made = argparse.ArgumentParser(prog="python -m loadtest handlers", description=applications.__doc__)
    made.add_argument("--rounds", type=positive, default=25, help="pairs of turns (default 25)")
    args = made.parse_args(words)
    try:
        rows = applications.measure(args.rounds)
    except TROUBLE as error:
        console.print(f"handlers: {error}", style="red", highlight=False, markup=False)
        return UNFIT
    figures.show(rows, console)
    return OK if all(row.held for row in rows) else FAILED


def figures_cli(words: Sequence[str], console: Console) -> int:
    """``figures``: every bounded figure in one go; exit code 1 when a bound is missed."""
    made = argparse.ArgumentParser(prog="python -m loadtest figures", description=figures.__doc__)
    made.add_argument(
        "groups", nargs="*", metavar="GROUP", help=f"{', '.join(figures.GROUPS)} (default: all but long)"
    )
    made.add_argument("--rounds", type=positive, default=3, help="rounds of A B A B in the comparison")
    made.add_argument("--json", type=Path, default=Path("build/loadtest/figures.json"))
    args = made.parse_args(words)
    groups = set(args.groups) or set(figures.GROUPS) - {"long"}
    if unknown := groups - set(figures.GROUPS):
        made.error(f"no such group: {', '.join(sorted(unknown))}")
    rows: list[figures.Row] = []
    results: list[Result] = []
    code = OK
    try:
        with Progress(console=console, transient=True) as progress:
            for row, result in figures.measure(groups, progress, args.rounds):
                rows.append(row)
                if result not in results:
                    results.append(result)
    except (KeyboardInterrupt, runner.Interrupted):
        code = INTERRUPTED
    except TROUBLE as error:
        console.print(f"figures: {error}", style="red", highlight=False, markup=False)
        code = UNFIT
    figures.show(rows, console)
    report.save(results, args.json, {"groups": sorted(groups), "rounds": args.rounds})
    held = all(row.held for row in rows) and not any(result.failed for result in results)
    return code or (OK if held else FAILED)
