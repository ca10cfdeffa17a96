"""A connection that only listens: what it says is the request of a `connect`, once. Its channels are those that the
token brings, or that a service gives it.
"""

from typing import Any

import orjson

from ..protocol.codes import CloseCode
from ..protocol.session import SessionState
from .connection import CentrifugoConnection
from .framing import checked
from .protobuf import Malformed

CONNECT_ID = 1  # of the command that the request stands for; nobody sees it


class OneWayConnection(CentrifugoConnection):
    """See the module's head."""

    __slots__ = ()

    def receive(self, data: bytes, text: bool) -> None:
        """The request; JSON, and empty where it says nothing."""
        self.last_heard = self.node.now()
        if self.closed:
            return
        self.node.counters.bytes_received += len(data)
        if self._connecting or not text:
            why = "this connection is one-way" if text else "a frame of the other kind than this connection's"
            self.close(CloseCode.PROTOCOL_ERROR, f"bad request: {why}")
            return
        try:
            request = _request(data)
        except Malformed as error:
            self.close(CloseCode.PROTOCOL_ERROR, f"bad request: {error}")
            return
        self._take({"id": CONNECT_ID, "connect": request})

    def _welcome(self, result: dict[str, Any]) -> None:
        del result["pong"]  # there is no way for one

    def _ping(self) -> None:
        if self.session.state is not SessionState.OPEN:
            return
        self.outbox.push(self._dialect.framed([{}]))
        if self.transport is not None:
            self.transport.ping()  # whose answer is heard, where it has one


def _request(data: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(data or b"{}")
    except ValueError as error:
        raise Malformed(str(error)) from None
    return checked("ConnectRequest", {} if value is None else value)
