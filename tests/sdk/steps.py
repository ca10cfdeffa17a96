"""Steps that tests have in common."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from hub.client import (
    Event,
    Item,
    Status,
)

from .fake import Peer


async def welcome(peer: Peer) -> None:
    await peer.welcome()


async def take(iterator: AsyncIterator[Item], count: int) -> list[Item]:
    return [await anext(iterator) for _ in range(count)]


def offsets(items: list[Item]) -> list[int | None]:
    assert all(isinstance(item, Event) for item in items), items
    return [item.offset for item in items]  # type: ignore[union-attr]


async def until(seen: list[Status], reached: Any) -> None:
    """`seen` grows by callback; look again each time the loop turned."""
    while not reached():
        await asyncio.sleep(0.005)


def note(offset: int, **fields: Any) -> dict[str, Any]:
    fields = {"payload": None, **fields}
    return {"type": "note", "channel": "job:1", "offset": offset, "id": f"e{offset}", "time": 1, **fields}
