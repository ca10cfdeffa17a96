"""RFC 6455 framing of what the server sends: unmasked, unfragmented, built once and shared by all sockets."""

from collections.abc import Iterator
from enum import IntEnum


class Encoding(IntEnum):
    """How a connection's messages are written. A WebSocket's subprotocol says which; the others are of HTTP streams
    (`protocol.stream`), and are not framed. Other protocols have a `dialects.Dialect` in its place."""

    JSON = 0
    MSGPACK = 1
    SSE = 2
    NDJSON = 3
    PARTS = 4  # server-sent events of several channels, each block's id yet to be written

    @property
    def is_text(self) -> bool:
        """Whether a socket's messages are text frames."""
        return self is Encoding.JSON


SUBPROTOCOLS: dict[str, Encoding] = {"hub.v1.json": Encoding.JSON, "hub.v1.msgpack": Encoding.MSGPACK}

# FIN with opcode text or binary (RFC 6455 section 5.2), by encoding.
_HEAD = (b"\x81", b"\x82")
_HEADER_SIZE = {126: 4, 127: 10}


def frame(body: bytes, encoding: Encoding) -> bytes:
    """One whole message as the bytes of one frame (RFC 6455 section 5.2)."""
    size = len(body)
    if size < 126:
        return _HEAD[encoding] + size.to_bytes(1, "big") + body
    if size < 65536:
        return _HEAD[encoding] + b"\x7e" + size.to_bytes(2, "big") + body
    return _HEAD[encoding] + b"\x7f" + size.to_bytes(8, "big") + body


def shortened(reason: str) -> str:
    """A close reason in at most 123 bytes of UTF-8 (RFC 6455 section 5.5: a control frame's payload is 125)."""
    return reason.encode(errors="replace")[:123].decode(errors="ignore")


def bodies(data: bytes) -> Iterator[bytes]:
    """The messages inside concatenated frames of `frame`, for a server that does its own framing."""
    at = 0
    while at < len(data):
        size = data[at + 1]
        start = at + _HEADER_SIZE.get(size, 2)
        if size >= 126:
            size = int.from_bytes(data[at + 2 : start], "big")
        at = start + size
        yield data[start:at]
