"""A connection whose way down is an answer over HTTP, and whose way up is a request of its own for each frame.

Requests overtake each other, and a repeated one says the same once more. Ids of commands rise and are given once:
so a command whose id was here before is refused with the rest of its frame, as is a pong that was not asked for.
"""

from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from ..commands.host import Executes
from ..connections.connection import Host
from ..connections.transport import Transport
from ..protocol.codes import CloseCode
from .connection import CentrifugoConnection
from .dialect import CentrifugoDialect

REMEMBERED = 1024  # ids below the highest one; what is further below counts as repeated


class Outcome(StrEnum):
    """What became of a frame that came by a request of its own."""

    TAKEN = "taken"
    GONE = "gone"  # there is no such connection any more
    REPEATED = "repeated"
    BUSY = "busy"  # nothing is read of it for now, and as much as may wait waits already


class Repeated(Exception):
    """What came was here before."""


class SeenIds:
    """Which ids were here: a bit for each of the `REMEMBERED` below the highest."""

    __slots__ = ("_bits", "_highest")

    def __init__(self) -> None:
        self._highest = self._bits = 0

    def is_new(self, id: int) -> bool:
        """Whether this is the first time; from now on it is not."""
        ahead = id - self._highest
        if ahead > 0:
            self._bits = (self._bits << min(ahead, REMEMBERED) | 1) & ((1 << REMEMBERED) - 1)
            self._highest = id
            return True
        if ahead <= -REMEMBERED or self._bits >> -ahead & 1:
            return False
        self._bits |= 1 << -ahead
        return True


class EmulatedConnection(CentrifugoConnection):
    """See the module's head. What comes while nothing is to be read waits, as much as one message may be long."""

    __slots__ = ("_ids", "_issue", "_waiting", "_waiting_bytes")

    def __init__(
        self,
        node: Host,
        transport: Transport,
        dialect: CentrifugoDialect,
        address: str,
        *,
        executes: Executes,
    ) -> None:
        super().__init__(node, transport, dialect, address, executes=executes)
        self._ids = SeenIds()
        self._issue: Callable[[EmulatedConnection], str] | None = None
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0

    def begin(self, data: bytes, issue: "Callable[[EmulatedConnection], str]") -> None:
        """The frame that came with the request, `connect` ahead. `issue` makes the session under which later ones
        come, once it is known whose it is."""
        self._issue = issue
        try:
            self.receive(data, self._dialect.is_text)
        except Repeated:
            self.close(CloseCode.PROTOCOL_ERROR, "bad request: an id stands there twice")

    def deliver(self, data: bytes, text: bool) -> Outcome:
        """A frame that came by a request of its own."""
        if self.closed:
            return Outcome.GONE
        if text is not self._dialect.is_text:
            return Outcome.GONE  # the client of this session does not write like that
        if not self._paused:
            return self._read(data)
        if self._waiting_bytes + len(data) > self.node.settings.message_bytes:
            return Outcome.BUSY
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        return Outcome.TAKEN

    def _read(self, data: bytes) -> Outcome:
        try:
            self.receive(data, self._dialect.is_text)
        except Repeated:
            return Outcome.REPEATED
        return Outcome.TAKEN

    def _take(self, command: dict[str, Any]) -> None:
        id = command.get("id", 0)
        if id > 0 and not self._ids.is_new(id):
            raise Repeated
        super()._take(command)

    def _pong(self, command: dict[str, Any]) -> None:
        if not command and not self._pinged:
            raise Repeated
        super()._pong(command)

    def _resume(self, why: int) -> None:
        super()._resume(why)
        while self._waiting and not self._paused and not self.closed:
            data = self._waiting.popleft()
            self._waiting_bytes -= len(data)
            self._read(data)

    def gone(self, code: int) -> None:
        """Who lets go of the answer says goodbye in the only way that there is: they do not stay present."""
        super().gone(CloseCode.NORMAL if code == CloseCode.ABNORMAL else code)

    def _welcome(self, result: dict[str, Any]) -> None:
        if self._issue is not None:
            result["session"] = self._issue(self)
