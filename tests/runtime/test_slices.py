"""Long work of many tasks, a piece a turn."""

import asyncio

from hub.runtime.slices import OneATurn, mapped


async def test_one_task_a_turn_in_the_order_of_coming() -> None:
    pages, done = OneATurn(), list[int]()

    async def answer(number: int) -> None:
        for _ in range(3):
            await pages.turn()
            done.append(number)

    tasks = [asyncio.create_task(answer(number)) for number in range(5)]
    most = 0
    while not all(task.done() for task in tasks):
        before = len(done)
        await asyncio.sleep(0)
        most = max(most, len(done) - before)
    assert most == 1
    assert done == [*range(5)] * 3


async def test_who_goes_away_while_waiting_holds_nobody_up() -> None:
    pages = OneATurn()
    gone, stays = (asyncio.create_task(pages.turn()) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait_for(stays, 10)


async def test_a_long_map_is_whole() -> None:
    assert await mapped(str, range(200)) == [str(number) for number in range(200)]
