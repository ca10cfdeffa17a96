"""Messages as HTTP streams write them: server-sent events (WHATWG HTML section 9.2) and NDJSON.

A block of one channel's stream is the same bytes for all receivers, its `id:` line too. Where a stream has several
channels the id says where each stands, and is the receiver's own: `Encoding.PARTS` keeps a block's pieces apart
until `cursor.Cursor` joins them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from .frames import Encoding
from .position import Position

BEGIN = Position("", 0)
"""The position of a reader that has no snapshot yet: it has to begin anew."""

BEGIN_TEXT = b"-"
_OWN = ("error", "open", "message")  # an EventSource's own events: these types go out as `message`


def written(encoding: Encoding, kind: str, channel: str, at: Position | None, body: bytes) -> bytes:
    """A message of type `kind` for receivers of `encoding`; `at` is where it puts them in its channel."""
    body = _one_line(body)
    if encoding is Encoding.NDJSON:
        return body + b"\n"
    event = b"" if kind in _OWN else b"event: %s\n" % kind.encode()
    place = b"" if at is None else _text(at)
    data = b"data: %s\n" % body
    if encoding is Encoding.SSE:
        id = b"id: %s\n" % place if place and place != BEGIN_TEXT else b""
        return b"%s%s%s\n" % (id, event, data)
    part = b"\0".join((channel.encode(), place, event, data))
    return len(part).to_bytes(4, "big") + part


def parts(data: bytes) -> Iterator[bytes]:
    """The blocks of joined `Encoding.PARTS`, each without its length: channel, place, event and data with a NUL
    between each two. `place` is empty where no position moves; `event` and `data` are whole lines."""
    at = 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : end]
        at = end


def reached(message: Mapping[str, Any]) -> Position | None:
    """Where a message of the hub puts its reader, as far as its own fields say it; None: where it was."""
    kind = message["type"]
    if kind not in ("hub.subscribed", "hub.resubscribe") or "epoch" not in message:
        return None
    if message.get("recovered"):
        return None
    return BEGIN if message.get("more") else Position(message["epoch"], message["offset"])


def _text(at: Position) -> bytes:
    return BEGIN_TEXT if at == BEGIN else str(at).encode()


def _one_line(body: bytes) -> bytes:
    """JSON without raw line ends: outside its strings they are white space, and inside none may stand."""
    if b"\n" in body or b"\r" in body:
        return body.replace(b"\n", b" ").replace(b"\r", b" ")
    return body
