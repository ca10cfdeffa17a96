"""Calls one handler, within its bounds: how long, how many at once, and what becomes of an exception."""

import asyncio
import logging
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

from ..commands.application import FAILED
from ..protocol.codes import ErrorCode, Outcome
from ..protocol.errors import HubError
from ..runtime.first_step import begun_in_task
from .messages import Refuse
from .registry import Handler
from .threads import Threads
from .watchdog import Watchdog

log = logging.getLogger(__name__)

RETRY_MS = 1000
SELF_CANCELLED = "the handler cancelled itself"


class Late(Exception):
    """A handler did not answer in time."""


class Runner:
    """Async handlers run in the loop, each in a task of its own; plain functions in `threads`. `limit_s` is how
    long one may take, `most` how many run at once."""

    def __init__(self, limit_s: float, threads: Threads, most: int, watchdog: Watchdog) -> None:
        self._limit_s = limit_s
        self._threads = threads
        self._most = most
        self._watchdog = watchdog
        self._running = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, handler: Handler, argument: Any, context: Context | None = None) -> Any:
        """What it returned; it runs in `context`, by default in a copy of the present one.

        Raises:
            HubError: what it refused; ``unavailable``: it did not answer in time, or too many run; ``internal``: it
                failed, and the log says how.
        """
        if self._running >= self._most:
            raise busy(f"{self._most} handlers run already")
        self._running += 1
        try:
            result = await (self._in_loop if handler.is_async else self._in_thread)(
                handler, argument, context
            )
        except Late:
            log.warning("the handler %s did not answer within %g s", handler.name, self._limit_s)
            raise busy("the application did not answer in time") from None
        except Refuse as refused:
            result = refused
        except HubError:
            raise
        except Exception:
            log.exception("the handler %s failed", handler.name)
            raise HubError(ErrorCode.INTERNAL, FAILED) from None
        finally:
            self._running -= 1
        if isinstance(result, Refuse):
            raise HubError(result.code, result.reason, retry_after_ms=result.retry_after_ms)
        return result

    def close(self) -> None:
        """Nothing goes on."""
        for task in self._tasks:
            task.cancel()
        self._threads.close()

    async def _in_loop(self, handler: Handler, argument: Any, context: Context | None) -> Any:
        try:
            result, task = begun_in_task(self._watched(handler, argument), context or copy_context())
        except asyncio.CancelledError:
            raise RuntimeError(SELF_CANCELLED) from None
        if task is None:
            return result  # most know by themselves, and need neither a time limit nor a turn of the loop
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._tasks.add(task)

        def settle(task: asyncio.Task[Any]) -> None:
            self._tasks.discard(task)
            error = None if task.cancelled() else task.exception()
            if done.done():
                return
            if task.cancelled():
                done.set_exception(Late() if late else RuntimeError(SELF_CANCELLED))
            elif error is not None:
                done.set_exception(error)
            else:
                done.set_result(task.result())

        late = False

        def give_up() -> None:
            nonlocal late
            late = True
            task.cancel()
            if not done.done():
                done.set_exception(Late())

        task.add_done_callback(settle)
        return await self._within(done, give_up)

    async def _watched(self, handler: Handler, argument: Any) -> Any:
        return await self._watchdog.steps(handler.name, handler.function(argument))

    async def _in_thread(self, handler: Handler, argument: Any, context: Context | None) -> Any:
        if self._threads.stuck:
            raise busy("every thread of the application's handlers hangs")
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        job = self._threads.start(handler.function, argument, done, context or copy_context())

        def give_up() -> None:
            self._threads.give_up(job)
            if not done.done():
                done.set_exception(Late())

        return await self._within(done, give_up)

    async def _within(self, done: "asyncio.Future[Any]", give_up: Callable[[], None]) -> Any:
        """The result, in time; who waits for it no more ends it."""
        timer = asyncio.get_running_loop().call_later(self._limit_s, give_up)
        try:
            return await done
        except asyncio.CancelledError:
            give_up()
            raise
        finally:
            timer.cancel()


def busy(why: str) -> HubError:
    """Not now."""
    return HubError(ErrorCode.UNAVAILABLE, why, retry_after_ms=RETRY_MS, outcome=Outcome.NOT_DONE)
