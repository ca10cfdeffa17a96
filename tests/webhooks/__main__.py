"""``python -m tests.webhooks --rounds 100``: so many nodes killed with -9 between storing and sending."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from .rounds import Outcome, Rounds


def say(outcome: Outcome) -> None:
    """How far it is, now and then."""
    if outcome.rounds % 10 == 0:
        print(outcome, flush=True)


def main() -> int:
    """Status 1 where an event was lost or came out of order."""
    parser = argparse.ArgumentParser(prog="python -m tests.webhooks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="hub-webhooks-") as folder:
        outcome = asyncio.run(Rounds(say).run(Path(folder), rounds))
    print(outcome, flush=True)
    for line in outcome.disorder():
        print(line)
    return 1 if outcome.missing() or outcome.disorder() else 0


if __name__ == "__main__":
    sys.exit(main())
