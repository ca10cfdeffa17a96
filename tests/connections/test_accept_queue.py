"""Newcomers get a slice of the loop's time, in the order of coming, whatever one of them does."""

import asyncio
import time

import pytest

from hub.connections.accept_queue import PERIOD_S, SLICE_S, AcceptQueue


def busy(seconds: float) -> None:
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        pass


async def test_who_comes_alone_does_not_wait() -> None:
    done: list[int] = []
    assert AcceptQueue().enter(lambda: done.append(1))
    assert done == [1]


async def test_a_herd_is_taken_in_slices_and_in_order() -> None:
    doorstep, done, ticks = AcceptQueue(), [], []

    def work(number: int) -> None:
        busy(SLICE_S / 3)
        done.append(number)

    async def others() -> None:
        while len(done) < 120:
            ticks.append(len(done))
            await asyncio.sleep(0)

    began = time.perf_counter()
    for number in range(120):
        doorstep.enter(lambda number=number: work(number))  # type: ignore[misc]
    assert len(done) <= 4, "the first slice"
    await asyncio.wait_for(others(), 30)
    assert done == list(range(120))
    assert len(doorstep) == 0
    # A slice holds three, or a fourth begun at its end; so there were 30 periods, with others in between.
    assert time.perf_counter() - began >= 29 * PERIOD_S
    assert len(set(ticks)) >= 29


async def test_one_that_fails_takes_nobody_with_it() -> None:
    doorstep, done = AcceptQueue(), []
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context["exception"]))

    def fail() -> None:
        raise RuntimeError("broken")

    busy_first = doorstep.enter(lambda: busy(SLICE_S))
    assert busy_first
    assert not doorstep.enter(fail)
    assert not doorstep.enter(lambda: done.append(1))
    async with asyncio.timeout(5):
        while not done:
            await asyncio.sleep(PERIOD_S)
    assert [str(error) for error in errors] == ["broken"]
    with pytest.raises(RuntimeError):
        AcceptQueue().enter(fail)
