"""Tasks of one owner: none is lost to the garbage collector, none fails in silence, none outlives it."""

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from typing import Any

from .first_step import rest_of

log = logging.getLogger(__name__)


CANCEL_AGAIN_S = 0.5


async def ended(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel them until they have ended. A library that is just timing out may swallow a cancellation, and who
    tries again and again, as one has to with a server that is away, would then never end."""
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)


class Tasks:
    """Spawns tasks, and ends them all at `close`."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str | None = None) -> None:
        """Run `coroutine` by itself; an exception out of it is a bug, and logged as such."""
        if self._closed:
            coroutine.close()
            return
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def begin(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """As `spawn`, but its first step at once, and without a task where that is all. In it there is no current
        task (`first_step`)."""
        if self._closed:
            coroutine.close()
            return
        try:
            rest = rest_of(coroutine)
        except Exception:
            log.exception("a first step failed")
            return
        if rest is not None:
            self.spawn(rest)

    def __len__(self) -> int:
        return len(self._tasks)

    def cancel(self) -> list[asyncio.Task[Any]]:
        """Cancel what still runs, and return it; who calls this out of one of them goes on itself."""
        self._closed = True
        current = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not current]
        for task in tasks:
            task.cancel()
        return tasks

    async def close(self) -> None:
        """Cancel what still runs, and wait for its end."""
        await asyncio.gather(*self.cancel(), return_exceptions=True)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task failed", exc_info=error)
