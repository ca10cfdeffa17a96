"""Clients that are present in a channel, and the list of members that each computes from what it is told."""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from typing import Any

import msgpack
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

ROOM = "doc:room"


class Visitor:
    """One user, over any number of connections. `listed` is None until it has been given a list."""

    def __init__(self, user: str, urls: Sequence[str], token: str) -> None:
        self.user = user
        self.listed: set[str] | None = None
        self.story: list[dict[str, Any]] = []
        self._urls = urls
        self._token = token
        self._task: asyncio.Task[None] | None = None
        self._asking: set[asyncio.Task[None]] = set()

    @property
    def here(self) -> bool:
        return self._task is not None

    def come(self) -> None:
        self._task = asyncio.create_task(self._stay())

    async def go(self) -> None:
        """Away without a word: it is missed after the grace."""
        if self._task is not None:
            task, self._task = self._task, None
            for each in (task, *self._asking):
                each.cancel()
            await asyncio.gather(task, *self._asking, return_exceptions=True)
        self.listed = None

    async def _stay(self) -> None:
        while True:
            self.listed = None
            with contextlib.suppress(OSError, InvalidHandshake, TimeoutError, ConnectionClosed):
                async with connect(
                    random.choice(self._urls),
                    additional_headers={"Authorization": f"Bearer {self._token}"},
                    subprotocols=[Subprotocol("hub.v1.msgpack")],
                    compression=None,
                    proxy=None,
                    close_timeout=1.0,
                ) as socket:
                    await self._subscribe(socket)
                    async for data in socket:
                        self._take(socket, msgpack.unpackb(data))
            await asyncio.sleep(random.uniform(0.05, 0.3))

    async def _subscribe(self, socket: ClientConnection) -> None:
        command = {"type": "subscribe", "id": 1, "channel": ROOM, "presence": {"as": "tab"}}
        await socket.send(msgpack.packb(command))

    async def _again(self, socket: ClientConnection, error: dict[str, Any]) -> None:
        await asyncio.sleep(error["retry_after_ms"] / 1000)
        with contextlib.suppress(ConnectionClosed):
            await self._subscribe(socket)

    def _take(self, socket: ClientConnection, message: dict[str, Any]) -> None:
        self.story = [*self.story[-30:], message]
        kind = message["type"]
        users = {member["user"] for member in message.get("members", ())}
        if kind in ("hub.subscribed", "hub.presence"):
            self.listed = users
        elif kind == "hub.error":
            task = asyncio.create_task(self._again(socket, message))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        elif kind == "hub.join" and self.listed is not None:
            self.listed |= users
        elif kind == "hub.leave" and self.listed is not None:
            self.listed -= users
