"""A real hub as a process of its own, its tokens, and a TCP proxy that cuts links."""

import asyncio
import json
import os
import random
import socket
import sys
import time
from types import TracebackType
from typing import Any

import httpx
import jwt

SECRET = "a secret of 32 characters or more, for tests"
KEY = "a key of a service, only for tests"
START = 20.0  # seconds for a process to come up on a busy machine


def token(user: str = "ann", ttl: float = 3600, secret: str = SECRET, **hub: Any) -> str:
    """A JWT; without grants given it may do everything on all shipped namespaces."""
    everything = {"subscribe": ["*"], "publish": ["*"], "presence": ["*"]}
    return jwt.encode({"sub": user, "exp": time.time() + ttl, "hub": {**everything, **hub}}, secret, "HS256")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RealHub:
    """``hub serve`` on the memory broker; `settings` are HUB_* names without the prefix."""

    def __init__(self, port: int | None = None, **settings: Any) -> None:
        self.port = port or free_port()
        self._settings = {
            f"HUB_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
            for name, value in settings.items()
        }
        self._process: asyncio.subprocess.Process | None = None

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    async def __aenter__(self) -> "RealHub":
        own = {"HUB_JWT_SECRET": SECRET, "HUB_API_KEYS": json.dumps({"tests": KEY})}
        command = (sys.executable, "-m", "hub", "serve", "--port", str(self.port))
        self._process = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, **own, **self._settings}
        )
        try:
            await self._ready()
        except BaseException:
            await self.kill()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()

    async def kill(self) -> None:
        """As -9 does it."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def _ready(self) -> None:
        assert self._process is not None
        async with asyncio.timeout(START), httpx.AsyncClient() as http:
            while True:
                assert self._process.returncode is None, "the hub ended at its start"
                try:
                    if (await http.get(f"{self.http}/readyz")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass  # not listening yet
                await asyncio.sleep(0.05)


class Proxy:
    """Forwards TCP to `port`; `cut` resets every link, `target` may be moved."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.cuts = 0
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def ws(self) -> str:
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/ws"

    def cut(self) -> int:
        """Reset all links, in the middle of whatever they carry; returns how many there were."""
        links, self._links = self._links, set()
        for link in links:
            link.transport.abort()
        self.cuts += len(links) // 2
        return len(links) // 2

    def cut_one(self) -> None:
        """Reset one side of one link, at random; the other side sees an end."""
        if self._links:
            random.choice([*self._links]).transport.abort()
            self.cuts += 1

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._links |= {writer, far_writer}
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        except OSError:
            pass  # a link that was cut
        finally:
            self._links.discard(sink)
            sink.transport.abort()
