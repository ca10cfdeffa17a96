"""One client of the fleet: a raw socket, where it stands, and what it still has to say."""

from __future__ import annotations

import socket
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadtest.ledger import Receiver

#: Linux's ip(7): choose the local port at connect, so that one port serves several destinations.
_IP_BIND_ADDRESS_NO_PORT = 24


class Phase(Enum):
    CONNECTING = "connecting"
    UPGRADING = "upgrading"
    JOINING = "joining"
    LIVE = "live"
    CLOSED = "closed"


class Connection:
    """State of one socket; ``receiver`` belongs to the client and outlives it."""

    __slots__ = (
        "began_ns",
        "channels",
        "close_code",
        "fd",
        "pending",
        "phase",
        "receiver",
        "replies",
        "retry_after",
        "slot",
        "sock",
        "unsent",
    )

    def __init__(self, slot: int, channels: tuple[int, ...], receiver: Receiver, request: bytes) -> None:
        self.slot = slot
        self.channels = channels
        self.receiver = receiver
        self.unsent = request
        self.pending = b""
        self.phase = Phase.CONNECTING
        self.replies = 0
        self.close_code = 0
        self.retry_after = 0.0
        self.began_ns = 0
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.fd = self.sock.fileno()

    def start(self, source: str, target: tuple[str, int], *, receive_buffer: int = 0) -> None:
        """Begin to connect from ``source``; the outcome comes as writability (connect(2), EINPROGRESS)."""
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        self.sock.bind((source, 0))
        self.sock.connect_ex(target)

    def failure(self) -> int:
        """The pending error of a connect, 0 when it succeeded."""
        return self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def flush(self) -> bool:
        """Send what is unsent; True when nothing is left."""
        try:
            sent = self.sock.send(self.unsent)
        except BlockingIOError:
            return False
        self.unsent = self.unsent[sent:]
        return not self.unsent
