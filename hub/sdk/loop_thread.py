"""An event loop in a thread of its own, for callers that have none."""

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for threads; a daemon, so that it never keeps a process. It does not live through a fork."""

    def __init__(self, name: str) -> None:
        self._pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin; the result comes in the future.

        Raises:
            RuntimeError: this is a forked child, or the loop's own thread, which would wait for itself.
        """
        if os.getpid() != self._pid:
            work.close()
            raise RuntimeError(
                "it was made before a fork, and its thread stayed behind: make one in the child"
            )
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("a callback may not wait for what its own thread has to do")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def stop(self) -> None:
        """End the loop and the thread; what runs in it should have ended."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
