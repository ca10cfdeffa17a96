"""Work put off to the end of the loop's turn, so that all that gathers in it leaves in one go."""

import logging
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger(__name__)


class Flushable(Protocol):
    """Something that gathered work during a turn."""

    def flush(self) -> None:
        """Do it now."""


class Turn:
    """Channels flush first (their events go to outboxes), then outboxes (one write a socket), then the rest.

    `call_soon` is the loop's. What registers has made sure itself that it does so once.
    """

    __slots__ = ("_call_soon", "_channels", "_later", "_outboxes", "_scheduled", "delivered")

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self._call_soon = call_soon
        self._channels: list[Flushable] = []
        self._outboxes: list[Flushable] = []
        self._later: list[Callable[[], None]] = []
        self._scheduled = False
        self.delivered = 0  # events handed to outboxes so far

    def channel(self, channel: Flushable) -> None:
        """`channel` has events for its subscribers."""
        self._channels.append(channel)
        if not self._scheduled:
            self._schedule()

    def outbox(self, outbox: Flushable) -> None:
        """`outbox` has frames for its socket."""
        self._outboxes.append(outbox)
        if not self._scheduled:
            self._schedule()

    def later(self, callback: Callable[[], None]) -> None:
        """Call back after all writes: for what must not happen inside a fan-out."""
        self._later.append(callback)
        if not self._scheduled:
            self._schedule()

    def run(self) -> None:
        """End the turn."""
        channels, self._channels = self._channels, []
        for channel in channels:
            _guarded(channel.flush)
        outboxes, self._outboxes = self._outboxes, []
        for outbox in outboxes:
            _guarded(outbox.flush)
        self._scheduled = False
        later, self._later = self._later, []
        for callback in later:
            _guarded(callback)

    def _schedule(self) -> None:
        self._scheduled = True
        self._call_soon(self.run)


def _guarded(flush: Callable[[], None]) -> None:
    """One failing channel or socket must not take the others' events with it."""
    try:
        flush()
    except Exception:
        log.exception("a flush failed")
