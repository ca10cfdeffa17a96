"""One node over a SQLite file, started again and again: what its clients see of it is one address."""

import asyncio
import contextlib
import os
import shutil
import signal
from pathlib import Path
from typing import Any

from ..support import server
from ..support.proxy import Proxy
from ..support.server import RunningHub
from .topologies import Topology


class LastingHub(RunningHub):
    """Whichever process serves now; its port is that of a proxy before it. Starting and stopping block."""

    def __init__(self, folder: Path, link: Proxy, settings: dict[str, Any]) -> None:
        self._folder = folder
        self._link = link
        self._environment = server._environment(settings)
        self._runs: list[RunningHub] = []
        first = self._run()
        super().__init__(first.process, link.port, folder)

    def start(self) -> None:
        """Again, on the file that the one before has left."""
        self.process = self._run().process

    def log(self) -> str:
        return "\n".join(run.log() for run in self._runs)

    def _run(self) -> RunningHub:
        folder = self._folder / f"run{len(self._runs)}"
        folder.mkdir()
        run = server._start((), self._environment, folder)
        self._runs.append(run)
        self._link.target = ("127.0.0.1", run.port)
        return run


class OverSqlite(Topology):
    """A single node that forgets nothing. What destroys something is what a person does to its file."""

    def __init__(self, folder: Path) -> None:
        super().__init__([], [])
        self._folder = folder
        self._file = folder / "hub.db"
        self._hub: LastingHub

    async def nodes(
        self, stack: contextlib.AsyncExitStack, settings: dict[str, Any]
    ) -> tuple[Proxy, list[RunningHub]]:
        link = await Proxy("127.0.0.1", 0).start()
        stack.push_async_callback(link.close)
        settings = {**settings, "broker": f"sqlite://{self._file}"}
        self._hub = await asyncio.to_thread(LastingHub, self._folder, link, settings)
        stack.push_async_callback(self._close)
        return link, [self._hub, self._hub]

    async def _close(self) -> None:
        await asyncio.to_thread(self._hub.stop)
        self._hub.check_log()

    async def _end(self, how: int) -> None:
        await asyncio.to_thread(self._hub.stop, how)

    async def _start(self) -> None:
        await asyncio.to_thread(self._hub.start)

    # What destroys nothing

    async def _restart(self, hardness: float) -> None:
        await self._end(signal.SIGTERM)
        await asyncio.sleep(hardness * 2)
        await self._start()

    async def _kill(self, hardness: float) -> None:
        await self._end(signal.SIGKILL)
        await asyncio.sleep(hardness * 2)
        await self._start()

    async def _stop(self, hardness: float) -> None:
        os.kill(self._hub.pid, signal.SIGSTOP)
        await asyncio.sleep(hardness * 6)
        os.kill(self._hub.pid, signal.SIGCONT)

    # What does

    async def _older(self, hardness: float) -> None:
        """A copy of yesterday put back."""
        await self._end(signal.SIGTERM)
        copy = self._folder / "copy.db"
        shutil.copyfile(self._file, copy)
        await self._start()
        await self.stage.until_published(1 + int(hardness * 40))
        await self._end(signal.SIGKILL)
        self._remove()
        shutil.copyfile(copy, self._file)
        await self._start()

    async def _empty(self, hardness: float) -> None:
        await self._end(signal.SIGKILL)
        self._remove()
        await self._start()

    def _remove(self) -> None:
        """The database, and not the mark beside it."""
        for end in ("", "-wal", "-shm"):
            self._file.with_name(self._file.name + end).unlink(missing_ok=True)
