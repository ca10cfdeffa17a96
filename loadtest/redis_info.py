"""One INFO from a Redis server over a plain socket: the load test needs no client library for it."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from loadtest.accounting import parse_info


def redis_info(url: str, *, timeout: float = 5.0) -> dict[str, str]:
    """``INFO everything`` of ``redis://host:port``, flat."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 6379), timeout) as sock:
        sock.sendall(b"*2\r\n$4\r\nINFO\r\n$10\r\neverything\r\n")
        data = sock.recv(65536)
        size = int(data[1 : data.index(b"\r\n")])
        start = data.index(b"\r\n") + 2
        while len(data) < start + size + 2:
            more = sock.recv(65536)
            if not more:
                raise OSError("Redis hung up in the middle of INFO")
            data += more
    return parse_info(data[start : start + size].decode())
