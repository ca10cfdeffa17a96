"""Standing work goes on whatever happens, and says where it does not."""

import asyncio
from collections import Counter

import pytest

from hub.runtime.standing import AT_LEAST_S, StandingWork


class Away(Exception):
    """The storage is away."""


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def rounds(work: StandingWork, errors: list[BaseException | None], clock: Clock) -> None:
    """Let a work go through `errors`, a second each; then it hangs."""

    async def once() -> None:
        clock.now += 1.0
        if not errors:
            await asyncio.Event().wait()
        if (error := errors.pop(0)) is not None:
            raise error

    task = asyncio.create_task(work.run("registering", once, lambda: 0.0, 1.0))
    while errors:
        await asyncio.sleep(0)
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    "error", [UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no text"), KeyError("x"), OSError()]
)
async def test_no_exception_ends_it(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    clock, faults = Clock(), Counter[str]()
    await rounds(StandingWork(clock, Away, faults), [error, None, error, None], clock)
    assert faults == {"registering": 2}
    assert caplog.text.count("registering failed, and goes on") == 1


async def test_what_passes_is_no_fault_and_no_standstill() -> None:
    clock, faults = Clock(), Counter[str]()
    work = StandingWork(clock, Away, faults)
    await rounds(work, [Away("not now")] * 50, clock)
    assert faults == {}
    assert work.still() == []


async def test_standing_still_is_said_and_taken_back() -> None:
    clock = Clock()
    work = StandingWork(clock, Away, Counter())
    await rounds(work, [ValueError()] * (int(AT_LEAST_S) + 2), clock)
    (said,) = work.still()
    assert said.startswith("registering has stood still for 1")
    await rounds(work, [None], clock)
    assert work.still() == []


async def test_one_that_hangs_stands_still_too() -> None:
    clock = Clock()
    work = StandingWork(clock, Away, Counter())
    await rounds(work, [None], clock)
    clock.now += AT_LEAST_S + 1
    assert len(work.still()) == 1
