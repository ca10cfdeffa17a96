"""``python -m tests.faults``: the table of docs/reliability.md, as measured now."""

import asyncio
import sys
import tempfile
from pathlib import Path

from .faults import FAULTS
from .run import Outcome, run


def _sees(outcome: Outcome) -> str:
    causes = sorted({gap.cause for verdict in outcome.verdicts for gap in verdict.gaps})
    return f"a gap, cause {' and '.join(causes)}" if causes else "every event, in order"


def _row(outcome: Outcome) -> str:
    lost = max(len(verdict.lost) for verdict in outcome.verdicts)
    healed = f"{outcome.healed_s:.1f}"
    cells = (outcome.fault.name, _sees(outcome), healed, str(lost), str(outcome.refused), str(outcome.stored))
    return f"| {' | '.join(cells)} |"


async def main() -> int:
    print("| fault | what a subscriber sees | seconds until healed | events lost | refused | stored |")
    print("|---|---|---|---|---|---|")
    wrong = 0
    for fault in FAULTS:
        with tempfile.TemporaryDirectory() as folder:
            outcome = await run(fault, Path(folder))
        print(_row(outcome), flush=True)
        for problem in outcome.problems():
            wrong += 1
            print(f"WRONG: {problem}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
