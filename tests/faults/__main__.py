"""``python -m tests.faults``: every fault, and the table of what came of it, as measured now.

--repeat N   each N times            --only NAME   this fault (again for more)
--jobs N     so many at one time     --write FILE  put the table into the file, between its marks
--list       the names

``--only bridge-…`` inflicts the faults of bridges instead, whose names begin so (tests/sources/faults.py): the
servers of other makers that they need are installed by ``make test-sources``.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from pathlib import Path

from . import FAULTS
from .scenario import Fault, Outcome, run
from .table import HEAD, row, write


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description="Every fault, and what came of it."
    )
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="each fault N times")
    parser.add_argument("--only", action="append", metavar="NAME", help="only this fault; again for more")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="so many at one time")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="put the table into FILE, between its marks"
    )
    parser.add_argument("--list", action="store_true", help="print the names")
    return parser.parse_args()


async def _once(fault: Fault, number: int, jobs: asyncio.Semaphore, found: list[Outcome]) -> None:
    async with jobs:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="hub-fault-") as folder:
            try:
                outcome = await run(fault, Path(folder))
            except Exception as error:  # the servers themselves failed: that is no pass either
                outcome = Outcome(fault, problems=[f"{type(error).__name__}: {error}"])
    took = time.monotonic() - begun
    print(f"{fault.name} {number}: {'WRONG' if outcome.problems else 'ok'}, {took:.0f} s", file=sys.stderr)
    for problem in outcome.problems:
        print(f"  {problem}", file=sys.stderr, flush=True)
    found.append(outcome)


async def _all(faults: list[Fault], repeat: int, jobs: int, found: list[Outcome]) -> None:
    gate = asyncio.Semaphore(jobs)
    await asyncio.gather(
        *(_once(fault, number, gate, found) for number in range(1, repeat + 1) for fault in faults)
    )


def main() -> int:
    """0 where all passed. An interrupt ends it early, with the table of what was run."""
    if any(word.removeprefix("--only=").startswith("bridge-") for word in sys.argv[1:]):
        from ..sources.faults import main as bridges  # it needs the libraries of all kinds

        return bridges()
    arguments = _arguments()
    if arguments.list:
        print("\n".join(fault.name for fault in FAULTS))
        return 0
    unknown = set(arguments.only or ()) - {fault.name for fault in FAULTS}
    if unknown:
        sys.exit(f"no such fault: {', '.join(sorted(unknown))}")
    faults = [fault for fault in FAULTS if not arguments.only or fault.name in arguments.only]
    found: list[Outcome] = []
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_all(faults, arguments.repeat, arguments.jobs, found))
    runs = {fault: [outcome for outcome in found if outcome.fault is fault] for fault in faults}
    lines = [HEAD, *(row(fault, outcomes) for fault, outcomes in runs.items() if outcomes)]
    print("\n".join(lines))
    if arguments.write is not None:
        write(arguments.write, lines)
    return int(any(outcome.problems for outcome in found))


if __name__ == "__main__":
    sys.exit(main())
