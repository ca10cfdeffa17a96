"""Commands that wait for their one reply, by `id`."""

import asyncio
from collections.abc import Callable
from typing import Any

from .errors import NotConnected
from .items import error_of

OnReply = Callable[[dict[str, Any]], None]
Waiter = OnReply | asyncio.Future[dict[str, Any]]


class Requests:
    """The unanswered commands of one connection.

    `on_silence` is called when a command's deadline passes: a hub that does not answer is no connection.
    """

    def __init__(self, on_silence: Callable[[str], None]) -> None:
        self._pending: dict[int, tuple[str, Waiter, asyncio.TimerHandle]] = {}
        self._on_silence = on_silence
        self.last = 0
        self.answered = 0  # the highest id that had an answer

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def waiting(self) -> list[int]:
        """The ids without an answer."""
        return [*self._pending]

    def add(self, kind: str, deadline: float, on_reply: OnReply) -> int:
        """The id of a new command; `on_reply` gets its reply (also ``hub.error``) at once when it is read."""
        return self._add(kind, deadline, on_reply)

    def expect(self, kind: str, deadline: float) -> tuple[int, asyncio.Future[dict[str, Any]]]:
        """The id of a new command and its reply to come; the future raises `HubError` for a ``hub.error``."""
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        # Twice the time: its caller has a deadline of its own, and a slow answer is not yet a dead hub.
        return self._add(kind, 2 * deadline, future), future

    def forget(self, id: int) -> None:
        """A command that could not be sent."""
        self._pending.pop(id)[2].cancel()

    def resolve(self, message: dict[str, Any]) -> bool:
        """Hand a reply to whom it belongs; False where it belongs to no command of ours."""
        id = message.get("id")
        if type(id) is not int or (found := self._pending.pop(id, None)) is None:
            return False
        self.answered = max(self.answered, id)
        _, waiter, timer = found
        timer.cancel()
        if not isinstance(waiter, asyncio.Future):
            waiter(message)
        elif not waiter.done():
            if message.get("type") == "hub.error":
                waiter.set_exception(error_of(message))
            else:
                waiter.set_result(message)
        return True

    def fail(self, reason: str) -> None:
        """The connection is gone: futures raise `NotConnected`, callbacks are dropped."""
        pending, self._pending = self._pending, {}
        for _, waiter, timer in pending.values():
            timer.cancel()
            if isinstance(waiter, asyncio.Future) and not waiter.done():
                waiter.set_exception(NotConnected(reason))
                waiter.exception()  # retrieved: whoever gave up waiting is no warning

    def _add(self, kind: str, deadline: float, waiter: Waiter) -> int:
        self.last += 1
        timer = asyncio.get_running_loop().call_later(deadline, self._silent, self.last)
        self._pending[self.last] = (kind, waiter, timer)
        return self.last

    def _silent(self, id: int) -> None:
        kind, waiter, _ = self._pending[id]
        if isinstance(waiter, asyncio.Future) and waiter.done():
            del self._pending[id]  # its caller gave up first
            return
        self._on_silence(f"no answer to {kind}")
