"""The command line of the load test."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import Progress

from loadtest import growth, report, runner
from loadtest.bench import Options
from loadtest.commands import (
    beside_cli,
    figures_cli,
    handlers_cli,
    source_cli,
    sqlite_cli,
    storm_cli,
)
from loadtest.exits import FAILED, INTERRUPTED, OK, TROUBLE, UNFIT, positive
from loadtest.machine import Unfit
from loadtest.redis_server import own_redis
from loadtest.scenarios import COMPARABLE, SCENARIOS
from loadtest.targets import BY_NAME, PEERS, Hub
from loadtest.targets.hub_centrifugo import CentrifugoHub
from loadtest.ways import WAYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadtest.results import Result


#: A soak looks for what is never let go of: the history, which is kept for an hour, would pass for that.
_OF_SCENARIO = {"soak": {"HUB_NAMESPACES": '{"doc":{"history_ttl":30}}'}}


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m loadtest", description=__doc__)
    made.add_argument(
        "scenario",
        choices=[*SCENARIOS, "growth", "storm", "figures", "source", "sqlite", "beside", "handlers"],
        help="storm, figures, source, sqlite, beside and handlers have options of their own: storm --help",
    )
    add = made.add_argument
    add("--clients", type=positive, default=0)
    add("--channels", type=positive, default=0, help="channels in all; for idle and connect: a client")
    add("--events", type=positive, default=0, help="how many times to publish")
    add("--rate", type=float, default=10.0, help="times a second (default 10)")
    add("--batch", type=positive, default=1, help="events published in one go")
    add("--seconds", type=float, default=0.0, help="how long to hold (idle, soak, mixed-dashboard)")
    add("--missed", type=positive, default=20, help="events a returning client missed (resume)")
    add("--publishers", type=positive, default=1, help="who publish at the same time (publish)")
    add(
        "--by",
        choices=WAYS,
        default="http",
        help="how to publish (publish; redis: straight into it, with --redis)",
    )
    add(
        "--at",
        type=float,
        nargs="+",
        default=[],
        metavar="RATE",
        help="publications a second in all, held for --seconds each, whatever comes of them (publish)",
    )
    add("--slow", type=positive, default=0, help="clients that do not read (slow-consumers)")
    add("--size", type=positive, default=200, help="bytes of an event's payload")
    add("--processes", type=positive, default=1, help="load processes (idle)")
    add("--target", choices=list(BY_NAME), default="hub", help="what to measure")
    add("--protocol", choices=["hub.v1", "centrifugo"], default="hub.v1", help="what the hub's clients speak")
    add("--peers", nargs="*", metavar="PEER", help=f"compare with these ({', '.join(k.name for k in PEERS)})")
    add("--rounds", type=positive, default=0, help="rounds of A B A B (default 1, with --peers 2)")
    add("--url", help="ws://host:port of a running hub, whose costs are then not read")
    add("--secret", default="", help="the HS256 secret of the hub at --url")
    add("--api-key", default="", help="an API key of the hub at --url")
    add("--redis", action="store_true", help="run the hub over a Redis server started for it")
    add("--workers", type=positive, default=1, help="worker processes of the hub")
    add("--set", action="append", default=[], metavar="HUB_NAME=VALUE", help="a setting of the hub")
    add("--json", type=Path, help="where to write (default build/loadtest/SCENARIO.json)")
    add("--plot", type=Path, help="draw latency over time and percentiles here (PNG, SVG)")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; the exit code is 0, 1 for lost, doubled or reordered events, 2 for an unfit set-up."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    console = Console(width=None if sys.stdout.isatty() else 150)
    if words[:1] == ["storm"]:
        return storm_cli(words[1:], console)
    if words[:1] == ["figures"]:
        return figures_cli(words[1:], console)
    if words[:1] == ["source"]:
        return source_cli(words[1:], console)
    if words[:1] == ["handlers"]:
        return handlers_cli(words[1:], console)
    if words[:1] == ["sqlite"]:
        return sqlite_cli(words[1:], console)
    if words[:1] == ["beside"]:
        return beside_cli(words[1:], console)
    args = parser().parse_args(words)
    try:
        results = _measure(args, console)
    except runner.Interrupted as stop:
        _print(stop.results, args, console)
        return INTERRUPTED
    except TROUBLE as error:
        console.print(f"{args.scenario}: {error}", style="red", highlight=False, markup=False)
        return UNFIT
    _print(results, args, console)
    failed = [result for result in results if result.failed]
    for result in failed:
        console.print(
            f"[bold red]{result.target} failed:[/] events lost, doubled, out of order, or a "
            "client thrown out (see the table)"
        )
    return FAILED if failed else OK


def _measure(args: argparse.Namespace, console: Console) -> list[Result]:
    if args.protocol == "centrifugo":
        if args.target != Hub.name:
            raise Unfit("--protocol is the hub's")
        args.target = CentrifugoHub.name
    options = Options(
        clients=args.clients,
        channels=args.channels,
        events=args.events,
        rate=args.rate,
        batch=args.batch,
        seconds=args.seconds,
        processes=args.processes,
        slow=args.slow,
        missed=args.missed,
        publishers=args.publishers,
        by=args.by,
        at=tuple(args.at),
        size=args.size,
        plot=args.plot is not None,
    )
    with ExitStack() as stack:
        broker = "memory://"
        if args.redis:
            broker = options.redis = stack.enter_context(own_redis())
        settings = _OF_SCENARIO.get(args.scenario, {}) | dict(pair.split("=", 1) for pair in args.set)
        prepare = runner.prepare_hub(broker=broker, workers=args.workers, settings=settings)
        progress = stack.enter_context(Progress(console=console, transient=True))
        if args.scenario == "growth":
            return growth.run(args.target, options, progress, prepare)
        if args.url:
            return [_against_url(args, options, progress)]
        rounds = args.rounds or (2 if args.peers is not None else 1)
        return runner.in_turn(args.scenario, _names(args), rounds, options, progress, prepare)


def _names(args: argparse.Namespace) -> list[str]:
    if args.peers is None:
        return [args.target]
    if args.scenario not in COMPARABLE:
        raise Unfit(f"{args.scenario} asks for what peers do not have; comparable: {', '.join(COMPARABLE)}")
    chosen = args.peers or [kind.name for kind in PEERS]
    unknown = [name for name in chosen if name not in BY_NAME]
    if unknown:
        raise Unfit(f"no such peer: {', '.join(unknown)}")
    single = args.scenario == "many-channels"
    resume = args.scenario == "resume"
    return [
        args.target,
        *(
            name
            for name in chosen
            if (BY_NAME[name].has_channels or not single) and (BY_NAME[name].resumes or not resume)
        ),
    ]


def _against_url(args: argparse.Namespace, options: Options, progress: Progress) -> Result:
    parts = urlsplit(args.url)
    if parts.scheme != "ws" or not parts.hostname or not parts.port:
        raise Unfit("--url must be ws://host:port (TLS and compression are left out of the measurement)")
    target = BY_NAME[args.target](parts.port, host=parts.hostname, secret=args.secret)
    if isinstance(target, Hub):
        target.api_key = args.api_key
    return runner.run_once(args.scenario, target, options, progress, url=True)


def _print(results: list[Result], args: argparse.Namespace, console: Console) -> None:
    report.show(results, console, title=args.scenario)
    if args.peers is not None and len(results) > 1:
        report.show_ratios(results, console)
    path = args.json or Path("build/loadtest") / f"{args.scenario}.json"
    report.save(
        results,
        path,
        {name: str(value) for name, value in vars(args).items() if name not in ("secret", "api_key")},
    )
    console.print(f"figures: {path}", highlight=False)
    if args.plot:
        from loadtest import plot  # matplotlib takes a second to import and is needed only here

        plot.draw(results, args.plot, title=args.scenario)
        console.print(f"picture: {args.plot}", highlight=False)


def entry() -> None:
    sys.exit(main())
