"""A few schedules at each run: those that ever failed, one of each topology, and one whose witnesses lie.

They run beside each other, on servers of their own, because most of their time is waiting.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from ..faults.items import Item, Seen, Start
from .lasting import OverSqlite
from .play import Outcome, play
from .saboteur import ALL, Sabotage
from .schedule import KEPT, LOST, TOPOLOGIES, draw
from .topologies import OfCluster, Topology, WithSentinel

FAILED_ONCE = (153346, 384378)
"""Seeds that once broke a promise."""

SHORT = (*FAILED_ONCE, 0, 2, 3, 4, 235)
SABOTAGED = 5
JOBS = 4


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[int, asyncio.Task[Outcome]]]:
    gate = asyncio.Semaphore(JOBS)

    async def one(seed: int) -> Outcome:
        async with gate:
            return await play(draw(seed), tmp_path_factory.mktemp(f"seed{seed}"))

    chosen = {
        int(str(item.callspec.params["seed"]))
        for item in request.session.items
        if isinstance(item, pytest.Function)
        if item.module is request.module and item.originalname == "test_schedule"
    }
    tasks = {seed: asyncio.create_task(one(seed)) for seed in chosen}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("seed", SHORT)
async def test_schedule(seed: int, outcomes: dict[int, asyncio.Task[Outcome]]) -> None:
    outcome = await outcomes[seed]
    assert outcome.wrong == []
    assert outcome.delivered > outcome.published > 0


async def test_a_witness_that_lies_is_found_out(tmp_path: Path) -> None:
    """Of a real run the notes are spoiled in each way in turn."""
    ways = itertools.cycle(ALL)

    def lie(notes: Sequence[Item]) -> Sequence[Item]:
        return list(next(ways)(notes))

    outcome = await play(draw(SABOTAGED, "single"), tmp_path, lie)
    liars = {why.partition(": ")[0] for why in outcome.wrong}
    assert len(liars) == 6  # three witnesses of two channels


@pytest.mark.parametrize("way", ALL, ids=lambda way: str(way.__name__))
def test_a_lie_changes_what_is_told(way: Sabotage) -> None:
    notes: list[Item] = [
        Start(0.0, "e1", 0, 0, False, None, ()),
        *(Seen(0.0, n, n, "k") for n in range(1, 8)),
    ]
    assert list(way(notes)) != notes


def test_the_same_seed_is_the_same_schedule() -> None:
    assert [draw(seed) for seed in range(50)] == [draw(seed) for seed in range(50)]
    assert {draw(seed).topology for seed in range(50)} == set(TOPOLOGIES)


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_every_fault_can_be_done(topology: str) -> None:
    kind = {"sentinel": WithSentinel, "cluster": OfCluster, "sqlite": OverSqlite}.get(topology, Topology)
    for fault in (*KEPT[topology], *LOST[topology]):
        assert hasattr(kind, "_" + fault.replace("-", "_"))
