"""``python -m tests.schedules``: random schedules until the time is over, and each that broke a promise.

--minutes N     for how long (a schedule that was begun is finished)      --jobs N   so many at one time
--seed N        this one (again for more), in place of random ones        --topology NAME
--saboteur      witnesses lie: every schedule must be found to be wrong   --list     only say what would be done
"""

import argparse
import asyncio
import itertools
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from .play import Outcome, play
from .saboteur import ALL
from .schedule import TOPOLOGIES, Schedule, draw


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.schedules", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, action="append")
    parser.add_argument("--topology", choices=TOPOLOGIES)
    parser.add_argument("--saboteur", action="store_true")
    parser.add_argument("--list", action="store_true")
    return parser.parse_args()


def _schedules(arguments: argparse.Namespace) -> Iterator[Schedule]:
    begin = random.SystemRandom().randrange(10**6)
    seeds = iter(arguments.seed) if arguments.seed else itertools.count(begin)
    return (draw(seed, arguments.topology) for seed in seeds)


async def _work(schedules: Iterator[Schedule], until: float, arguments: argparse.Namespace) -> list[Outcome]:
    found: list[Outcome] = []
    sabotages = itertools.cycle(ALL)

    async def worker() -> None:
        for schedule in schedules:
            if time.monotonic() > until and not arguments.seed:
                return
            sabotage = next(sabotages) if arguments.saboteur else None
            with tempfile.TemporaryDirectory(prefix="hub-schedule-") as folder:
                outcome = await play(schedule, Path(folder), sabotage)
            found.append(outcome)
            _say(outcome)

    await asyncio.gather(*(worker() for _ in range(arguments.jobs)))
    return found


def _say(outcome: Outcome) -> None:
    verdict = "WRONG" if outcome.wrong else "ok"
    counts = f"{outcome.published} published, {outcome.delivered} delivered, {outcome.told} gaps"
    print(f"{outcome.schedule}: {verdict}; {counts}, {outcome.seconds:.0f} s", flush=True)
    for why in outcome.wrong:
        print(f"  {why}", flush=True)


def main() -> int:
    """0 where nothing was wrong; with a saboteur, where everything was."""
    arguments = _arguments()
    schedules = _schedules(arguments)
    if arguments.list:
        for schedule in itertools.islice(schedules, 20):
            print(schedule)
        return 0
    found = asyncio.run(_work(schedules, time.monotonic() + arguments.minutes * 60, arguments))
    wrong = [outcome for outcome in found if outcome.wrong]
    each = Counter(outcome.schedule.topology for outcome in found)
    published, delivered = (sum(getattr(o, name) for o in found) for name in ("published", "delivered"))
    print(f"{len(found)} schedules ({dict(each)}), {published} published, {delivered} delivered")
    print(f"{len(wrong)} wrong: {[outcome.schedule.seed for outcome in wrong]}")
    return int(len(wrong) != (len(found) if arguments.saboteur else 0))


if __name__ == "__main__":
    sys.exit(main())
