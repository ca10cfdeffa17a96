"""The real hub as a process for async tests, its tokens, and a proxy whose far end can be moved."""

import asyncio
import contextlib
import random
import signal
import time
from types import TracebackType
from typing import Any

import jwt

from tests.support.proxy import Proxy as FaultyProxy
from tests.support.server import API_KEY, JWT_SECRET, RunningHub, running_hub

KEY = API_KEY


def token(user: str = "ann", ttl: float = 3600, secret: str = JWT_SECRET, **hub: Any) -> str:
    """A JWT; without grants given it may do everything on all shipped namespaces."""
    everything = {"subscribe": ["*"], "publish": ["*"], "presence": ["*"]}
    return jwt.encode({"sub": user, "exp": time.time() + ttl, "hub": {**everything, **hub}}, secret, "HS256")


class RealHub:
    """``hub serve``, on the memory broker unless `args` say otherwise; started and stopped in a thread."""

    def __init__(self, *args: str, **settings: Any) -> None:
        self._stack = contextlib.ExitStack()
        self._running = running_hub(*args, **settings)
        self._hub: RunningHub | None = None

    @property
    def hub(self) -> RunningHub:
        assert self._hub is not None
        return self._hub

    @property
    def http(self) -> str:
        return self.hub.url

    @property
    def ws(self) -> str:
        return self.hub.ws_url

    async def __aenter__(self) -> "RealHub":
        self._hub = await asyncio.to_thread(self._stack.enter_context, self._running)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._stack.__exit__, kind, error, trace)

    async def kill(self) -> None:
        """As -9 does it."""
        await asyncio.to_thread(self.hub.stop, signal.SIGKILL)


class Proxy(FaultyProxy):
    """As a context, before a hub."""

    def __init__(self, hub: RealHub) -> None:
        super().__init__("127.0.0.1", hub.hub.port)
        self.cuts = 0

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    def move(self, hub: RealHub) -> None:
        """New connections go to this hub, as a balancer does it."""
        self.target = ("127.0.0.1", hub.hub.port)

    def cut_one(self) -> None:
        """Reset one side of one link, at random; the other side sees an end."""
        if self._writers:
            random.choice(random.choice([*self._writers.values()])).transport.abort()
            self.cuts += 1

    async def __aenter__(self) -> "Proxy":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
