"""How cost grows: with subscribers, with channels, with worker processes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from loadtest.results import Result
from loadtest.runner import Prepare, fresh, run_once
from loadtest.targets import Hub

if TYPE_CHECKING:
    from rich.progress import Progress

    from loadtest.bench import Options
    from loadtest.targets.base import Target

SUBSCRIBERS = (1, 10, 100, 1_000, 10_000)
CHANNELS = (1, 10, 100, 1_000, 10_000, 100_000)
WORKERS = (1, 2, 3, 4)
RATES = (250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16_000.0)
#: A client takes at most 128 channels, so many channels need many clients.
_CHANNELS_A_CLIENT = 100


def run(name: str, options: Options, progress: Progress, prepare: Prepare) -> list[Result]:
    """One row for each size. Over Redis the last are worker processes: a fan-out, and the publications a second
    that are held (`open_loop`)."""
    results = []
    for clients in SUBSCRIBERS:
        sized = replace(options, clients=clients, events=options.events or 30)
        results.append(_one("fan-out", f"{clients:,} subscribers", name, sized, progress, prepare))
    for channels in CHANNELS:
        clients = max(100, channels // _CHANNELS_A_CLIENT)
        sized = replace(options, clients=clients, channels=channels, events=options.events or 500)
        results.append(_one("many-channels", f"{channels:,} channels", name, sized, progress, prepare))
    if options.redis:
        results.extend(_workers(name, options, progress, prepare))
    return results


def _workers(name: str, options: Options, progress: Progress, prepare: Prepare) -> list[Result]:
    results = []
    for workers in WORKERS:

        def with_workers(target: Target, count: int = workers) -> None:
            prepare(target)
            if isinstance(target, Hub):
                target.workers = count

        sized = replace(options, clients=1000, events=options.events or 30)
        results.append(_one("fan-out", f"{workers} workers", name, sized, progress, with_workers))
        flood = replace(options, publishers=8 * workers, at=RATES, seconds=options.seconds or 3.0)
        results.append(_one("publish", f"{workers} workers, publishing", name, flood, progress, with_workers))
    return results


def _one(
    scenario: str, label: str, name: str, options: Options, progress: Progress, prepare: Prepare
) -> Result:
    target = fresh(name)
    prepare(target)
    result = Result(scenario, label)
    return run_once(scenario, target, options, progress, result=result)
