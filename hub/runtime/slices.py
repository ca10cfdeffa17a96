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
