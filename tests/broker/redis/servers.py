"""Real Redis processes for tests: started on free ports, and stopped by their pid."""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import hiredis

from hub.broker.redis.client.address import Address
from hub.broker.redis.client.connection import LinkError, open_link

from ...support.clock import OwnClock

_READY_S = 10.0
PROGRAM = os.environ.get("HUB_TEST_REDIS", "redis-server")
"""The server's binary: the same tests run over other versions, and Valkey."""


def free_port(also: int = 0) -> int:
    """A free TCP port of the loopback; with `also`, the one so far above it is free too (a Cluster's bus)."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            if not also:
                return port
            try:
                second.bind(("127.0.0.1", port + also))
            except (OSError, OverflowError):
                continue
            return port


_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """A test run that is killed leaves no server behind (prctl(2))."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class RedisServer:
    """One ``redis-server`` with its own folder, from `start` to `stop`, or for the time of an ``async with``.
    `options` are lines of its configuration."""

    def __init__(self, folder: Path, *options: str, port: int | None = None):
        self.folder = folder
        self.port = port or free_port()
        self.options = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"dir {folder}",
            'save ""',
            "appendonly no",
            "daemonize no",
            f"logfile {folder}/log",
            *options,
        ]
        self.clock: OwnClock | None = None
        self.environment: dict[str, str] = {}
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.port)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def own_clock(self) -> None:
        """From its start on it has a wall clock that `step` sets."""
        self.clock = OwnClock(self.folder)
        self.environment = self.clock.environment

    def step(self, seconds: float) -> None:
        """Its clock is so far ahead of the machine's from now on."""
        assert self.clock is not None
        self.clock.step(seconds)

    async def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "redis.conf"
        if not config.exists():
            config.write_text("\n".join(self.options) + "\n")
        self._process = await asyncio.create_subprocess_exec(
            PROGRAM,
            str(config),
            *(["--sentinel"] if any(line.startswith("sentinel ") for line in self.options) else []),
            stdout=asyncio.subprocess.DEVNULL,
            preexec_fn=die_with_parent,
            env={**os.environ, **self.environment},
        )
        await self.ready()

    async def ready(self) -> None:
        """Until it answers."""
        async with asyncio.timeout(_READY_S):
            while True:
                with contextlib.suppress(
                    LinkError, hiredis.ReplyError
                ):  # it is starting, or loading its data
                    if await self.command("PING") == b"PONG":
                        return
                await asyncio.sleep(0.02)

    async def command(self, *words: str | bytes | int) -> Any:
        """The reply to one command, on a connection of its own; an error of Redis is raised."""
        (reply,) = await self.pipeline([words])
        return reply

    async def pipeline(self, commands: Sequence[Sequence[str | bytes | int]]) -> list[Any]:
        """The replies to several commands that arrive together, as `command`."""
        link = await open_link(self.address, client="test", patience=_READY_S)
        try:
            replies = await link.call([tuple(words) for words in commands])
        finally:
            link.abort("done")
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                raise reply
        return replies

    def signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    async def replicated(self, barrier: str = "barrier") -> None:
        """Until a replica has all that is written so far. WAIT counts from the last write of its own connection,
        which goes to the key `barrier` (in a Cluster, one of this server's)."""
        async with asyncio.timeout(3 * _READY_S):
            while (await self.pipeline([("SET", barrier, "x"), ("WAIT", 1, 2000)]))[1] < 1:
                pass  # it is attaching

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.returncode is None

    def pause(self) -> None:
        """It stays, and answers nothing."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    async def kill(self) -> None:
        """At once, with whatever it had not saved."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """In order: it saves if it was configured to."""
        if self._process is not None and self._process.returncode is None:
            self.resume()
            await self._end(signal.SIGTERM)

    async def _end(self, number: int) -> None:
        assert self._process is not None
        self.signal(number)
        try:
            async with asyncio.timeout(_READY_S):
                await self._process.wait()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self._process.wait()

    def log(self) -> str:
        return (self.folder / "log").read_text()
