"""What happens in one run, drawn from its seed: the same seed gives the same faults in the same order."""

import random
from dataclasses import dataclass

TOPOLOGIES = ("single", "sentinel", "cluster", "ring", "workers", "sqlite")

# Of each topology: what destroys nothing, and what does.
_SERVER = ("restart", "kill-pubsub", "stop", "forget-scripts", "full", "step")
_SERVER_LOSSY = ("older", "empty", "flushall", "evict")
KEPT = {
    "single": (*_SERVER, "half-open", "cut"),
    "sentinel": ("failover", "failover-planned", "kill-pubsub", "forget-scripts"),
    "cluster": ("failover-planned", "move-slot", "move-slot-back", "kill-pubsub", "stop"),
    "ring": _SERVER,
    "workers": (*_SERVER, "kill-worker"),
    "sqlite": ("restart", "kill", "stop", "cut"),
}
LOST = {
    "single": _SERVER_LOSSY,
    "sentinel": ("failover-lagging", "flushall", "evict"),
    "cluster": ("flushall", "evict"),
    "ring": _SERVER_LOSSY,
    "workers": _SERVER_LOSSY,
    "sqlite": ("older", "empty"),
}
MOST = {"sentinel": 3, "cluster": 3}  # steps: a failover takes its time


@dataclass(frozen=True, slots=True)
class Step:
    """Events that are published before a fault, the fault, and a number from 0 to 1 that says how hard it is."""

    events: int
    fault: str
    hardness: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """`lossless`: whatever is published must come to everybody, and a gap is a failure."""

    seed: int
    topology: str
    lossless: bool
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        faults = ", ".join(f"{step.fault} {step.hardness:.2f}" for step in self.steps)
        return f"seed {self.seed}: {self.topology}, {'lossless' if self.lossless else 'lossy'}: {faults}"


def draw(seed: int, topology: str | None = None) -> Schedule:
    """The schedule of a seed."""
    chance = random.Random(seed)
    # the one that came last takes a sixth of the seeds: the others keep their topology
    *first, last = TOPOLOGIES
    drawn = last if seed // len(first) % len(TOPOLOGIES) == len(first) else first[seed % len(first)]
    topology = topology or drawn
    lossless = chance.random() < 0.5
    names = KEPT[topology] if lossless else (*KEPT[topology], *LOST[topology] * 3)
    count = chance.randint(2, MOST.get(topology, 5))
    steps = [Step(chance.randint(1, 25), chance.choice(names), chance.random()) for _ in range(count)]
    if not lossless:
        steps[chance.randrange(count)] = Step(
            chance.randint(1, 25), chance.choice(LOST[topology]), chance.random()
        )
    return Schedule(seed, topology, lossless, tuple(steps))
