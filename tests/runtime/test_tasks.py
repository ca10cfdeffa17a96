"""The set of tasks: what fails is logged, and nothing outlives its owner."""

import asyncio

import pytest

from hub.runtime.tasks import Tasks


def test_all_end_with_their_owner_but_the_one_that_closes() -> None:
    async def story() -> None:
        tasks, ended = Tasks(), []

        async def forever(name: str) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(name)

        async def closer() -> None:
            await asyncio.sleep(0)
            await tasks.close()
            ended.append("closer")

        tasks.spawn(forever("a"))
        tasks.spawn(forever("b"), "named")
        assert "named" in {task.get_name() for task in asyncio.all_tasks()}
        tasks.spawn(closer())
        while "closer" not in ended:
            await asyncio.sleep(0)
        assert sorted(ended) == ["a", "b", "closer"]
        tasks.spawn(forever("late"))
        await asyncio.sleep(0)
        assert len(tasks) == 0

    asyncio.run(story())


def test_a_failure_is_logged_with_its_place(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        raise RuntimeError("the storage burns")

    async def story() -> None:
        tasks = Tasks()
        tasks.spawn(fails())
        while len(tasks):
            await asyncio.sleep(0)

    asyncio.run(story())
    (record,) = caplog.records
    assert record.exc_info is not None
    assert "the storage burns" in str(record.exc_info[1])
