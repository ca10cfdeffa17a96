"""Who holds the loop? Each step of an async handler is timed; one that lasts too long is named while it lasts.

A handler that computes, or calls what blocks, stops every connection of the node. The steps of its coroutine are
made by hand, so that each begins and ends here; a thread looks on, and logs where the handler stands.
"""

import logging
import sys
import threading
import time
import traceback
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any

log = logging.getLogger(__name__)

HOLD_S = 0.05
_LOOK_S = 0.025
_LOG_S = 10.0  # between two lines about one handler


class Watchdog:
    """Of one loop; `held` counts the steps that lasted too long."""

    def __init__(self, hold_s: float = HOLD_S) -> None:
        self.held = 0
        self._hold_s = hold_s
        self._name: str | None = None
        self._since = 0.0
        self._told: dict[str, float] = {}
        self._loop_thread = 0
        self._ended = threading.Event()

    def start(self) -> None:
        """Look on from now; called in the loop's thread."""
        self._loop_thread = threading.get_ident()
        threading.Thread(target=self._look_on, name="hub-watchdog", daemon=True).start()

    def close(self) -> None:
        """Look on no more."""
        self._ended.set()

    @coroutine
    def steps(self, name: str, work: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Run `work`, which is a handler of that name: what the loop would do with it, step by step."""
        value: Any = None
        error: BaseException | None = None
        while True:
            self._name, self._since = name, time.perf_counter()
            try:
                awaited = work.send(value) if error is None else work.throw(error)
            except StopIteration as stop:
                return stop.value
            finally:
                took = time.perf_counter() - self._since
                self._name = None
                if took >= self._hold_s:
                    self.held += 1
                    self._tell(name, f"held the event loop for {took * 1000:.0f} ms")
            try:
                value, error = (yield awaited), None
            except GeneratorExit:
                work.close()
                raise
            except BaseException as thrown:
                error = thrown

    def _look_on(self) -> None:
        while not self._ended.wait(_LOOK_S):
            name, since = self._name, self._since
            if name is None or time.perf_counter() - since < self._hold_s:
                continue
            frame = sys._current_frames().get(self._loop_thread)
            if frame is not None and self._name is name and self._since == since:
                stack = "".join(traceback.format_stack(frame, limit=8))
                self._tell(name, f"holds the event loop, and every connection with it; it is at\n{stack}")

    def _tell(self, name: str, what: str) -> None:
        now = time.monotonic()
        if now - self._told.get(name, float("-inf")) >= _LOG_S:
            self._told[name] = now
            log.warning("the handler %s %s", name, what)
