"""The publisher for code without an event loop: Django views, Celery tasks, scripts."""

import asyncio
import logging
import os
import threading
import weakref
from collections.abc import Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, TypeVar

from .errors import QueueFull
from .items import Published
from .publisher import Publisher

T = TypeVar("T")
log = logging.getLogger("hub.publisher")


class SyncPublisher:
    """A `Publisher` that runs in a thread of its own; takes the same arguments.

    The thread starts with the first event, and anew in a forked child: one made at import time works in
    preforking servers. Methods may be called from any thread.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self._url = url
        self._options = options
        self.forget()
        _instances.add(self)

    def forget(self) -> None:
        """In a forked child: the thread stayed behind, and the lock may have been held."""
        self._lock = threading.Lock()
        self._runner: _Runner | None = None

    def publish(self, channel: str, event: str, payload: Any, **options: Any) -> Published:
        """As `Publisher.publish`; blocks until the hub has answered."""
        runner = self._running()
        return runner.submit(runner.publisher.publish(channel, event, payload, **options)).result()

    def publish_nowait(self, channel: str, event: str, payload: Any, **options: Any) -> Future[Published]:
        """As `Publisher.publish_nowait`; what that raises is in the future, and logged."""
        runner = self._running()
        return runner.submit(_queue(runner.publisher, channel, event, payload, options))

    def close(self) -> None:
        """Send what waits, then end the thread."""
        with self._lock:
            runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()

    def __enter__(self) -> "SyncPublisher":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _running(self) -> "_Runner":
        with self._lock:
            if self._runner is None:
                self._runner = _Runner(Publisher(self._url, **self._options))
            return self._runner


class _Runner:
    """A publisher, and the thread with the loop that it lives in."""

    def __init__(self, publisher: Publisher) -> None:
        self.publisher = publisher
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hub-publisher", daemon=True)
        self._thread.start()
        try:
            self.submit(publisher.start()).result()
        except BaseException:
            self._stop()
            raise

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        self.submit(self.publisher.close()).result()
        self._stop()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


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


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
