"""A publisher's connection: pipelined requests, counted answers, no waiting in between."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadtest.ways import Way


class PublishFailed(Exception):
    """The server refused a publication or hung up."""


class Publisher:
    """One TCP connection to the target's publishing side; polled by the fleet.

    A server may hang up on it while nothing is asked of it (it is then ``closed``, and ``open`` starts
    anew); with a publication under way that is a failure.
    """

    __slots__ = ("_pending", "answered", "asked", "closed", "fd", "sock", "unsent", "way")

    def __init__(self, way: Way) -> None:
        self.way = way
        self.asked = self.answered = 0
        self.open()

    def open(self, timeout: float = 10.0) -> None:
        """Connect, and say hello where the dialect has one."""
        self._pending = b""
        self.unsent = b""
        self.closed = False
        self.asked += self.way.hello_answers
        self.sock = socket.create_connection((self.way.host, self.way.publish_port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.way.greet(self.sock)
        self.sock.setblocking(False)
        self.fd = self.sock.fileno()

    @property
    def idle(self) -> bool:
        """All that was asked is answered."""
        return self.answered >= self.asked

    def send(self, data: bytes, answers: int) -> None:
        self.asked += answers
        self.unsent += data
        self.flush()

    def flush(self) -> bool:
        try:
            sent = self.sock.send(self.unsent)
        except BlockingIOError:
            return False
        self.unsent = self.unsent[sent:]
        return not self.unsent

    def receive(self) -> None:
        try:
            data = self.sock.recv(1 << 18)
        except BlockingIOError:
            return
        if self.idle:
            self.closed = True  # whatever it says to a silent client (408, nothing at all) is a farewell
            return
        if not data:
            raise PublishFailed(f"{self.way.name} closed the publisher's connection")
        data = self._pending + data
        answers, taken, refusal = self.way.answers(data)
        self._pending = data[taken:]
        self.answered += answers
        if refusal:
            raise PublishFailed(f"{self.way.name} refused a publication: {refusal}")

    def close(self) -> None:
        self.sock.close()
