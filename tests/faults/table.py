"""The table of docs/reliability.md: fault, what a subscriber sees, seconds until healed, events lost, refilled."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from .scenario import Fault, Outcome

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
HEAD = (
    "| fault | what a subscriber sees | until red, s | until healed, s (median, worst) "
    "| publishing refused after, ms | events lost, all told of | refilled | passed |\n"
    "|---|---|---|---|---|---|---|---|"
)


def row(fault: Fault, outcomes: Sequence[Outcome]) -> str:
    """One fault, by all of its runs."""
    passed = sum(not outcome.problems for outcome in outcomes)
    reds = [outcome.red_s for outcome in outcomes if outcome.red_s is not None]
    refusals = [outcome.refused_ms for outcome in outcomes if outcome.refused_ms is not None]
    healed = [outcome.healed_s for outcome in outcomes]
    cells = (
        fault.title,
        _sees(fault, outcomes),
        f"{max(reds):.1f}" if reds else "–",
        f"{median(healed):.1f}, {max(healed):.1f}",
        f"{median(refusals):.0f}" if refusals else "–",
        _range([outcome.lost for outcome in outcomes]),
        _range([outcome.refilled for outcome in outcomes]),
        f"{passed} of {len(outcomes)}",
    )
    return f"| {' | '.join(cells)} |"


def _sees(fault: Fault, outcomes: Sequence[Outcome]) -> str:
    causes = sorted({cause for outcome in outcomes for cause in outcome.causes})
    if causes:
        return f"the gap, by cause {' or '.join(f'`{cause}`' for cause in causes)}"
    return "every event, in order" if fault.open else "every event, in order, after a reconnect"


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low}–{high}"


def write(file: Path, lines: Sequence[str], marks: tuple[str, str] = (BEGIN, END), columns: int = 1) -> None:
    """Put the table where the marks are; rows of others stay there: the first `columns` tell."""
    begin, end = marks
    before, rest = file.read_text().split(begin)
    there, after = rest.split(end)
    rows = {
        tuple(line.split("|")[1 : columns + 1]): line
        for line in [*there.strip().splitlines(), *"\n".join(lines).splitlines()]
    }
    file.write_text(f"{before}{begin}\n" + "\n".join(rows.values()) + f"\n{end}{after}")
