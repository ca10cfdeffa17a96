"""The publisher for code without an event loop: Django views, Celery tasks, scripts."""

import asyncio
import atexit
import concurrent.futures.thread  # noqa: F401  # it registers for the exit before this module does, so it runs after
import logging
import os
import sys
import threading
import weakref
from concurrent.futures import Future
from types import TracebackType
from typing import Any

from .errors import QueueFull
from .items import Published
from .loop_thread import LoopThread
from .publisher import Publisher

log = logging.getLogger("hub.publisher")
GRACE = 2.0  # seconds for a connection to be let go of, beyond a close's own time-out


class SyncPublisher:
    """A `Publisher` that runs in a thread of its own; takes the same arguments.

    The thread starts with the first event, and anew in a forked child: one made at import time works in
    preforking servers. Methods may be called from any thread.

    What `publish_nowait` queued is sent at the end of the process, within `exit_timeout` seconds, also in a
    forked child, of `multiprocessing` or of Celery; what could not be is logged. A process that ends by
    `os._exit` (RQ's work horse) or by a signal ends without a word: call `flush` before.
    """

    def __init__(self, url: str, *, exit_timeout: float = 5.0, **options: Any) -> None:
        self._url = url
        self._options = options
        self._exit_timeout = exit_timeout
        self.forget()
        _instances.add(self)

    def forget(self) -> None:
        """In a forked child: the thread stayed behind, and the lock may have been held."""
        self._lock = threading.Lock()
        self._runner: _Runner | None = None

    def publish(self, channel: str, event: str, payload: Any, **options: Any) -> Published:
        """Publish, and wait for the hub's answer; waits for room while the queue is full. Blocks until the
        hub has answered."""
        runner = self._running()
        return runner.submit(runner.publisher.publish(channel, event, payload, **options)).result()

    def publish_nowait(self, channel: str, event: str, payload: Any, **options: Any) -> Future[Published]:
        """Queue, and return the answer to come, which may be left alone: failures are logged. What that
        raises is in the future, and logged."""
        runner = self._running()
        return runner.submit(_queue(runner.publisher, channel, event, payload, options))

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until nothing is queued or under way, or for `timeout` seconds. Whether all has gone."""
        with self._lock:
            runner = self._runner
        if runner is None:
            return True
        try:
            runner.submit(asyncio.wait_for(runner.publisher.flush(), timeout)).result()
        except TimeoutError:
            return False
        return True

    def close(self, timeout: float | None = None) -> None:
        """Send what waits, no longer than `timeout` seconds, then end the thread."""
        with self._lock:
            runner, self._runner = self._runner, None
        if runner is not None:
            runner.close(timeout)

    def __enter__(self) -> "SyncPublisher":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def at_exit(self) -> None:
        """The process ends: nothing may keep it for longer than a little more than the bound."""
        try:
            self.close(self._exit_timeout)
        except Exception:
            log.exception("what was queued may not have been published")

    def _running(self) -> "_Runner":
        with self._lock:
            if self._runner is None:
                self._runner = _Runner(Publisher(self._url, **self._options))
                _watch_celery()
            return self._runner


class _Runner:
    """A publisher, and the thread with the loop that it lives in."""

    def __init__(self, publisher: Publisher) -> None:
        self.publisher = publisher
        self._thread = LoopThread("hub-publisher")
        self.submit = self._thread.submit
        try:
            self.submit(publisher.start()).result()
        except BaseException:
            self._thread.stop()
            raise

    def close(self, timeout: float | None) -> None:
        patience = None if timeout is None else timeout + GRACE
        self.submit(self.publisher.close(timeout)).result(patience)
        self._thread.stop()


async def _queue(
    publisher: Publisher, channel: str, event: str, payload: Any, options: dict[str, Any]
) -> Published:
    try:
        future = publisher.publish_nowait(channel, event, payload, **options)
    except QueueFull as error:
        log.warning("an event was not published: %s", error)
        raise
    return await future


_instances: "weakref.WeakSet[SyncPublisher]" = weakref.WeakSet()


def _forget_all() -> None:
    for publisher in _instances:
        publisher.forget()


def _at_exit(**_signal: Any) -> None:
    """Of the process, and of a Celery worker's."""
    for publisher in list(_instances):
        publisher.at_exit()


def _watch_celery() -> None:
    """A child of Celery's pool ends by `os._exit`, and says so by a signal of its own."""
    signals = sys.modules.get("celery.signals")
    if signals is not None:
        signals.worker_process_shutdown.connect(_at_exit, weak=False, dispatch_uid="notification-hub")


# Before Python's pools of threads end, without which no name can be resolved; `atexit` comes after them. It is what
# `concurrent.futures` itself uses, and where it is not there a connection that stands still serves.
getattr(threading, "_register_atexit", atexit.register)(_at_exit)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
