"""The client's half of RFC 6455, as small as a load generator needs it.

Text, binary, ping and close frames are understood; a fragmented message is an error, since no server
measured here fragments what it pushes and silently half-counting one would falsify a figure.
"""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
_FIN, _MASKED = 0x80, 0x80
#: A zero mask is legal (section 5.3 asks for unpredictability only where a proxy could be fooled) and
#: spares the generator the XOR; the server still unmasks as for any other key.
_ZERO_MASK = b"\0\0\0\0"


class FrameError(Exception):
    """The server sent bytes that are not a frame we can count."""


def upgrade_request(path: str, host: str, *, headers: str = "") -> bytes:
    """The opening handshake (RFC 6455 section 4.1); ``headers`` are extra lines ending in CRLF."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
    ).encode()


def client_frame(opcode: int, payload: bytes) -> bytes:
    """One masked frame (section 5.2) with FIN set."""
    size = len(payload)
    if size < 126:
        head = bytes((_FIN | opcode, _MASKED | size))
    elif size < 65536:
        head = bytes((_FIN | opcode, _MASKED | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((_FIN | opcode, _MASKED | 127)) + size.to_bytes(8, "big")
    return head + _ZERO_MASK + payload


def split_frames(data: bytes) -> tuple[list[tuple[int, bytes]], int]:
    """All complete server frames in ``data`` as (opcode, payload), and how many bytes they took."""
    frames: list[tuple[int, bytes]] = []
    at, end = 0, len(data)
    while end - at >= 2:
        first, size, start = data[at], data[at + 1], at + 2
        if size & _MASKED:
            raise FrameError("a server must not mask its frames (section 5.1)")
        if size == 126:
            size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
        elif size == 127:
            size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
        if start + size > end or start > end:
            break
        if not first & _FIN or first & 0x0F == 0:
            raise FrameError("a fragmented message: not counted, so not accepted")
        if first & 0x70:
            raise FrameError("a reserved bit is set, but no extension was offered (section 5.2)")
        frames.append((first & 0x0F, data[start : start + size]))
        at = start + size
    return frames, at


def close_code(payload: bytes) -> int:
    """The code of a close frame; 1005 when it has none (section 7.1.5)."""
    return int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005


def split_head(data: bytes) -> tuple[int, bytes, bytes] | None:
    """(status, head, rest) of an HTTP response, or None while its head is incomplete."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = data[:end]
    try:
        status = int(head.split(b" ", 2)[1])
    except (IndexError, ValueError) as error:
        raise FrameError(f"not an HTTP response: {head[:80]!r}") from error
    return status, head, data[end + 4 :]


def retry_after(head: bytes) -> float:
    """Seconds of a Retry-After header in its number form (RFC 9110 section 10.2.3); 0 without one."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"retry-after" and value.strip().isdigit():
            return float(value)
    return 0.0


def http_responses(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Complete responses in ``data`` as (status, body, bytes taken so far), with a length or in chunks."""
    at = 0
    while (parsed := split_head(data[at:])) is not None:
        status, head, rest = parsed
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            lowered = name.strip().lower()
            if lowered == b"content-length":
                length = int(value)
            elif lowered == b"transfer-encoding":
                length = -1
        if length < 0:
            whole = _chunks(rest)
            if whole is None:
                return
            body, size = whole
            at = len(data) - len(rest) + size
            yield status, body, at
            continue
        if len(rest) < length:
            return
        at = len(data) - len(rest) + length
        yield status, rest[:length], at


def _chunks(data: bytes) -> tuple[bytes, int] | None:
    """(body, bytes taken) of a body in chunks without trailers (RFC 9112 section 7.1); None: it is incomplete."""
    body, at = b"", 0
    while (end := data.find(b"\r\n", at)) >= 0:
        size = int(data[at:end].partition(b";")[0], 16)
        at = end + 2 + size + 2
        if at > len(data):
            return None
        if size == 0:
            return body, at
        body += data[end + 2 : at - 2]
    return None
