"""`make attack`: every flood against a hub of its own, and the table of what another client noticed.

python -m tests.attack [--seconds 10] [--settle 30] [NAME...]
"""

import argparse
import sys

from .floods import FLOODS
from .stage import Row, run

HEAD = (
    "| flood | part | MB/s | thousand/s | cut | p99 of another, ms | /livez at most, ms "
    "| memory, MB: quiet, more, after | |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def line(row: Row) -> str:
    """A row of the table."""
    sent, seen = row.sent, row.seen
    mb = [round(size / 1e6) for size in (row.quiet, row.peak - row.quiet, row.after)]
    cells = (
        row.flood.name,
        row.flood.part,
        f"{sent.bytes / 1e6 / max(sent.seconds, 1e-9):.1f}",
        f"{sent.units(row.flood) / 1000:.1f}",
        str(sent.cut),
        f"{seen.p99() * 1000:.1f}",
        f"{max(seen.livez, default=float('inf')) * 1000:.1f}",
        f"{mb[0]}, {mb[1]:+}, {mb[2]}",
        ", ".join(row.faults()) or "held",
    )
    return "| " + " | ".join(cells) + " |"


def main() -> int:
    """The command; 1 where a bound was not held."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack")
    parser.add_argument("names", nargs="*", help="some of the floods; all of them by default")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--settle", type=float, default=30.0, help="memory has so long to be back, s")
    args = parser.parse_args()
    chosen = [flood for flood in FLOODS if not args.names or flood.name in args.names]
    print(HEAD, flush=True)
    bad = 0
    for flood in chosen:
        row = run(flood, args.seconds, args.settle)
        bad += bool(row.faults())
        print(line(row), flush=True)
    return 1 if bad or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
