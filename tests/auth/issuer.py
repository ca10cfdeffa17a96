"""A real HTTP server that publishes a key set, well or badly."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from jwt.algorithms import get_default_algorithms

from .conftest import Pair


def jwk(pair: Pair, algorithm: str, **more: Any) -> dict[str, Any]:
    """The public half as a JSON Web Key."""
    document = get_default_algorithms()[algorithm].to_jwk(pair.private.public_key(), as_dict=True)
    return {**document, **more}


class Issuer:
    """Answers every request by `status` and `body`, once `gate` is open; counts them."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b'{"keys":[]}'
        self.requests = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.url = ""
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._port = 0

    def publish(self, *keys: dict[str, Any]) -> None:
        self.body = json.dumps({"keys": keys}).encode()

    async def up(self) -> None:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}/jwks.json"

    async def down(self) -> None:
        if self._server is not None:
            self._server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._server.wait_closed()
            self._server = None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                while await reader.readuntil(b"\r\n\r\n"):
                    self.requests += 1
                    await self.gate.wait()
                    head = f"HTTP/1.1 {self.status} X\r\ncontent-length: {len(self.body)}\r\n\r\n"
                    writer.write(head.encode() + self.body)
                    await writer.drain()
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    await issuer.up()
    try:
        yield issuer
    finally:
        await issuer.down()


async def until(condition: Any, within_s: float = 5.0) -> None:
    """Wait for a condition, not for a time."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)
