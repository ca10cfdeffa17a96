"""Long loops in pieces, so that nobody else waits for the whole."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")

SLICE = 64


async def mapped(function: Callable[[A], B], items: Sequence[A]) -> list[B]:
    """`function` of each, `SLICE` of them in a turn of the loop."""
    results: list[B] = []
    for at in range(0, len(items), SLICE):
        if at:
            await asyncio.sleep(0)
        results += map(function, items[at : at + SLICE])
    return results


class OneATurn:
    """Who passes does so alone in a turn of the loop, in the order of coming: for pieces of work that take a
    millisecond each, of any number of tasks."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def turn(self) -> None:
        """Wait for one's own."""
        async with self._lock:
            await asyncio.sleep(0)
