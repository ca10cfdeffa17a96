"""One fault in one world, and what came of it."""

from dataclasses import dataclass
from pathlib import Path

from .faults import Fault
from .verdict import Verdict, judge
from .world import world


@dataclass
class Outcome:
    """`healed_s`: from the end of the fault until something new reached both subscribers."""

    fault: Fault
    healed_s: float
    stored: int
    refused: int
    verdicts: list[Verdict]

    def problems(self) -> list[str]:
        """What is not as it must be."""
        found = [why for verdict in self.verdicts for why in verdict.wrong]
        found += [
            f"{verdict.untold} lost, and nobody was told" for verdict in self.verdicts if verdict.untold
        ]
        gaps = [gap for verdict in self.verdicts for gap in verdict.gaps]
        if self.fault.gap and not gaps:
            found.append("no gap was told")
        if not self.fault.gap and gaps:
            found.append(f"gaps were told where everything could be refilled: {gaps}")
        return found


async def run(fault: Fault, folder: Path) -> Outcome:
    """Inflict it under a flow of events."""
    async with world(folder, *fault.options, history=fault.history, sentinel=fault.sentinel) as made:
        await made.until(lambda: len(made.record.stored) > 60)
        await fault.inflict(made)
        healed_s = await made.until_seen()
        await made.settle()
        verdicts = [judge(subscriber, made.record) for subscriber in made.subscribers]
        return Outcome(fault, healed_s, len(made.record.stored), len(made.record.refused), verdicts)
