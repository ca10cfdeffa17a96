"""One scenario on one freshly started target; and several targets in turn."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from loadtest import machine
from loadtest.bench import Bench, Options
from loadtest.fleet import Fleet
from loadtest.results import Result, merged
from loadtest.scenarios import SCENARIOS
from loadtest.server import running
from loadtest.targets import BY_NAME, Hub
from loadtest.targets.base import Target
from loadtest.targets.centrifugo import Centrifugo

if TYPE_CHECKING:
    from rich.progress import Progress

Prepare = Callable[[Target], None]


def run_once(
    scenario: str,
    target: Target,
    options: Options,
    progress: Progress,
    *,
    result: Result | None = None,
    url: bool = False,
) -> Result:
    """Start, measure, stop. What is found goes into ``result`` as it is found, for Ctrl-C's sake."""
    result = result if result is not None else Result(scenario, target.title)
    server_cores, load_cores = machine.cores()
    if getattr(target, "workers", 1) > 1:
        server_cores = load_cores = server_cores | load_cores  # several workers want more than one core
    os.sched_setaffinity(0, load_cores)
    if options.processes == 1:
        machine.need_descriptors(options.clients)
    with running(target, server_cores, url=url) as server:
        fleet = Fleet(target, sources=machine.SOURCES)
        try:
            SCENARIOS[scenario](Bench(server, fleet, result, options, progress))
        except KeyboardInterrupt:
            result.interrupted = True
            raise
        finally:
            fleet.close_all()
    return result


def fresh(name: str) -> Target:
    """A target on free ports with a secret of its own."""
    return BY_NAME[name](machine.free_port(), secret=secrets.token_hex(20), second_port=machine.free_port())


def in_turn(
    scenario: str, names: list[str], rounds: int, options: Options, progress: Progress, prepare: Prepare
) -> list[Result]:
    """A B A B: every target once a round, so that a drift of the machine meets all of them alike."""
    runs: dict[str, list[Result]] = {name: [] for name in names}
    try:
        for _ in range(rounds):
            for name in names:
                target = fresh(name)
                prepare(target)
                result = Result(scenario, target.title)
                runs[name].append(result)
                run_once(scenario, target, options, progress, result=result)
    except KeyboardInterrupt:
        measured = [merged(found) for found in runs.values() if found]
        raise Interrupted(measured) from None
    return [merged(found) for found in runs.values()]


def prepare_hub(*, broker: str, workers: int, settings: dict[str, str]) -> Prepare:
    """What applies to the hub alone, but for the Redis that it is over."""

    def prepare(target: Target) -> None:
        if isinstance(target, Hub):
            target.broker = broker
            target.workers = workers
            target.settings.update(settings)
        if isinstance(target, Centrifugo):
            target.broker = broker

    return prepare


class Interrupted(Exception):
    """Ctrl-C; ``results`` is what was measured until then."""

    def __init__(self, results: list[Result]) -> None:
        super().__init__("interrupted")
        self.results = results
