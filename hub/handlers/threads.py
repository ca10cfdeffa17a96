"""A pool of threads for plain functions, bounded, whose end nobody has to wait for.

The standard library's pool is joined when the interpreter ends, so that one function that hangs keeps a process
from its end. These threads are daemons. A function that runs past its time keeps its thread until it returns;
where all are taken so, calls are refused at once.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from contextvars import Context
from typing import Any


class Job:
    """One call. `done` is the caller's future, of its loop."""

    __slots__ = ("argument", "context", "done", "function", "given_up", "overdue", "started")

    def __init__(
        self, function: Callable[[Any], Any], argument: Any, done: "asyncio.Future[Any]", context: Context
    ) -> None:
        self.function = function
        self.argument = argument
        self.done = done
        self.context = context
        self.started = False
        self.given_up = False
        self.overdue = False


class Threads:
    """At most `most` threads, each made when it is first needed."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads = 0
        self._busy = 0  # jobs that were handed over and are not through; the loop's thread alone counts
        self._overdue = 0

    @property
    def stuck(self) -> bool:
        """Whether each thread runs something whose caller has given up."""
        return self._overdue >= self._most

    @property
    def busy(self) -> int:
        """Jobs under way, and those that wait for a thread."""
        return self._busy

    def start(
        self, function: Callable[[Any], Any], argument: Any, done: "asyncio.Future[Any]", context: Context
    ) -> Job:
        """Run `function(argument)` in a thread, in `context`; `done` gets its result or its exception."""
        job = Job(function, argument, done, context)
        self._busy += 1
        if self._busy > self._threads and self._threads < self._most:
            self._threads += 1
            threading.Thread(target=self._work, name=f"hub-handler-{self._threads}", daemon=True).start()
        self._jobs.put(job)
        return job

    def give_up(self, job: Job) -> None:
        """Its caller waits no more: what has not begun never will."""
        job.given_up = True
        if job.started and not job.overdue:
            job.overdue = True
            self._overdue += 1

    def close(self) -> None:
        """No more jobs: threads end when they have nothing to do."""
        for _ in range(self._threads):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            loop = job.done.get_loop()
            result: Any = None
            error: BaseException | None = None
            if not job.given_up:
                job.started = True
                try:
                    result = job.context.run(job.function, job.argument)
                except BaseException as raised:
                    error = raised
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(self._settle, job, result, error)
            del job, result, error

    def _settle(self, job: Job, result: Any, error: BaseException | None) -> None:
        self._busy -= 1
        if job.overdue:
            self._overdue -= 1
        if job.done.done():
            return
        if error is None:
            job.done.set_result(result)
        elif isinstance(error, Exception) and not isinstance(error, StopIteration):
            job.done.set_exception(error)
        else:
            job.done.set_exception(RuntimeError(f"{type(error).__name__} in a handler"))
