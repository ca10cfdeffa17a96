"""Each fault once. They run beside each other, on servers of their own, because most of their time is waiting."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from . import FAULTS
from .scenario import Fault, Outcome, run

JOBS = 5


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, asyncio.Task[Outcome]]]:
    gate = asyncio.Semaphore(JOBS)

    async def one(fault: Fault) -> Outcome:
        async with gate:
            return await run(fault, tmp_path_factory.mktemp(fault.name))

    ours = [item for item in request.session.items if isinstance(item, pytest.Function)]
    chosen = {item.callspec.params["name"] for item in ours if item.module is request.module}
    longest_first = sorted(FAULTS, key=lambda fault: not fault.red)
    tasks = {fault.name: asyncio.create_task(one(fault)) for fault in longest_first if fault.name in chosen}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", [fault.name for fault in FAULTS])
async def test_fault(name: str, outcomes: dict[str, asyncio.Task[Outcome]]) -> None:
    outcome = await outcomes[name]
    assert outcome.problems == []
