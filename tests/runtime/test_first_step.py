"""The first step of a coroutine, without a task; and the rest of it, in one."""

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar, copy_context
from typing import Any

import pytest

from hub.runtime.first_step import begun_in_task, in_task, rest_of, together


async def nothing(log: list[str]) -> None:
    log.append("done")


async def test_what_does_not_wait_is_through_at_once() -> None:
    log: list[str] = []
    assert rest_of(nothing(log)) is None
    assert log == ["done"]


async def test_what_waits_goes_on_in_a_task() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    log: list[object] = []

    async def work() -> None:
        log.append(asyncio.current_task())
        log.append(await future)
        log.append(asyncio.current_task())

    rest = rest_of(work())
    assert rest is not None
    task = asyncio.create_task(rest)
    await asyncio.sleep(0)
    future.set_result(3)
    await task
    assert log == [None, 3, task]


async def test_it_may_be_ready_before_the_task_runs() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        assert await future == 3

    rest = rest_of(work())
    future.set_result(3)
    assert rest is not None
    await asyncio.create_task(rest)


async def test_what_it_waits_for_may_fail_or_be_cancelled() -> None:
    loop = asyncio.get_running_loop()
    failing: asyncio.Future[None] = loop.create_future()
    never: asyncio.Future[None] = loop.create_future()
    log: list[str] = []

    async def wait(future: asyncio.Future[None]) -> None:
        try:
            await future
        except ValueError:
            log.append("failed")
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    rests = [rest_of(wait(failing)), rest_of(wait(never))]
    tasks = [asyncio.create_task(rest) for rest in rests if rest is not None]
    failing.set_exception(ValueError())
    tasks[1].cancel()
    first, second = await asyncio.gather(*tasks, return_exceptions=True)
    assert first is None
    assert isinstance(second, asyncio.CancelledError)
    assert sorted(log) == ["cancelled", "failed"]


async def test_a_rest_that_is_given_up_is_closed() -> None:
    log: list[str] = []

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            log.append("closed")

    rest = rest_of(work())
    assert rest is not None
    rest.close()
    assert log == ["closed"]


async def test_a_timeout_is_that_of_the_step_and_not_of_who_called_it() -> None:
    log: list[str] = []

    async def work() -> None:
        await in_task()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.get_running_loop().create_future()
        log.append("too late")

    await asyncio.wait_for(together([work(), nothing(log), work()]), 10)
    assert log == ["done", "too late", "too late"]
    assert asyncio.current_task() is not None


async def test_results_are_in_order() -> None:
    async def wait(number: int) -> int:
        if number % 2:
            await asyncio.sleep(0)
        return number

    works: list[Coroutine[Any, Any, int]] = [wait(number) for number in range(5)]
    assert await together(works) == [0, 1, 2, 3, 4]


async def test_one_that_fails_at_once_ends_those_that_wait() -> None:
    log: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            log.append("ended")

    async def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await together([wait(), fail(), wait()])
    assert log == ["ended"]


# With a task from the first step on


async def test_what_does_not_wait_is_through_at_once_and_has_a_task_of_its_own() -> None:
    mine = asyncio.current_task()
    seen: list[object] = []

    async def work() -> int:
        seen.append(asyncio.current_task())
        return 7

    assert begun_in_task(work(), copy_context()) == (7, None)
    assert asyncio.current_task() is mine
    assert isinstance(seen[0], asyncio.Task)
    assert seen[0] is not mine
    await asyncio.sleep(0)
    assert seen[0].done()


async def test_what_waits_goes_on_in_the_same_task_with_what_bound_to_it() -> None:
    async def work() -> str:
        begun_in = asyncio.current_task()
        async with asyncio.timeout(20):
            await asyncio.sleep(0.001)
        assert asyncio.current_task() is begun_in
        try:
            async with asyncio.timeout(0.001):
                await asyncio.sleep(20)
        except TimeoutError:
            return "late"
        return "never"

    result, task = begun_in_task(work(), copy_context())
    assert result is None
    assert task is not None
    assert await task == "late"


async def test_in_its_own_context() -> None:
    name: ContextVar[str] = ContextVar("name", default="nobody")

    async def work() -> str:
        name.set("ann")
        await asyncio.sleep(0)
        return name.get()

    _, task = begun_in_task(work(), copy_context())
    assert name.get() == "nobody"
    assert task is not None
    assert await task == "ann"
    assert name.get() == "nobody"


async def test_what_it_raises_is_the_callers_and_the_task_is_cancelled_like_any() -> None:
    async def bad() -> None:
        raise KeyError("a")

    with pytest.raises(KeyError):
        begun_in_task(bad(), copy_context())
    await asyncio.sleep(0)

    async def long() -> None:
        await asyncio.sleep(3600)

    _, task = begun_in_task(long(), copy_context())
    assert task is not None
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
