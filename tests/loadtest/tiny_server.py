"""A WebSocket server of one thread, with a chosen defect, in the dialect of the plain Starlette loop."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable
from typing import Self

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"

#: What a subscriber gets instead of the frames that it should get.
Defect = Callable[[list[bytes]], list[bytes]]


def text_frame(payload: bytes) -> bytes:
    size = len(payload)
    head = bytes((0x81, size)) if size < 126 else b"\x81\x7e" + size.to_bytes(2, "big")
    return head + payload


class TinyServer:
    """Every POST is a publication to every subscriber; ``group`` of them are handed on together."""

    def __init__(
        self, *, defect: Defect = lambda sent: sent, upgrade: bytes = SWITCH, group: int = 1, pieces: int = 0
    ) -> None:
        self._defect = defect
        self._upgrade = upgrade
        self._group = group
        self._pieces = pieces
        self._held: list[bytes] = []
        self._subscribers: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._stop_read, self._stop_write = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._stop_read, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop_write.send(b"x")
        self._thread.join(10)
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._stop_write.close()
        self._selector.close()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._stop_read:
                    return
                if key.fileobj is self._listener:
                    self._selector.register(self._listener.accept()[0], selectors.EVENT_READ)
                elif isinstance(key.fileobj, socket.socket):
                    self._read(key.fileobj)

    def _read(self, sock: socket.socket) -> None:
        data = sock.recv(1 << 16)
        if not data:
            self._selector.unregister(sock)
            if sock in self._subscribers:
                self._subscribers.remove(sock)
            sock.close()
        elif data.startswith(b"GET"):
            sock.sendall(self._upgrade + (text_frame(b"joined") if self._upgrade is SWITCH else b""))
            self._subscribers.append(sock)
        elif data.startswith(b"POST"):
            self._publish(data)
            sock.sendall(ACCEPTED)

    def _publish(self, data: bytes) -> None:
        self._held.append(text_frame(data.partition(b"\r\n\r\n")[2]))
        if len(self._held) < self._group:
            return
        sent = b"".join(self._defect(self._held))
        self._held = []
        size = self._pieces or max(1, len(sent))
        for subscriber in self._subscribers:
            subscriber.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for start in range(0, len(sent), size):
                subscriber.sendall(sent[start : start + size])
