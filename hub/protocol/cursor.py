"""The cursor of an HTTP stream: the `id:` of its blocks, which an EventSource sends back as `Last-Event-ID`.

    channels    text
    ----------  -------------------------------------------------------------------------------
    one         its position, ``k3f9:17``
    up to 32    ``<hash of the list>,k3f9:17,-,…``: each channel's position in the order asked
    more        none: the stream can't be resumed

A channel whose snapshot was not sent to its end stands as ``-``.
"""

from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from hashlib import blake2b

from .codes import ErrorCode
from .errors import HubError
from .position import Position
from .stream import BEGIN_TEXT, parts

MOST = 32  # channels of a stream that can be resumed
MAX_TEXT = 2048  # characters


class Cursor:
    """Where one receiver stands, and its blocks with that as their id. `events` False leaves out their types."""

    def __init__(
        self, channels: Sequence[str], since: Mapping[str, Position], *, events: bool = True
    ) -> None:
        self._places = {name.encode(): BEGIN_TEXT for name in channels}
        for name, position in since.items():
            if name.encode() in self._places:
                self._places[name.encode()] = str(position).encode()
        self._head = b"" if len(channels) == 1 else b"%s," % digest(channels).encode()
        self._silent = len(channels) > MOST
        self._events = events

    def render(self, data: bytes) -> bytes:
        """Blocks of `Encoding.PARTS` as server-sent events. This is what several channels cost a delivery."""
        size = 4 + int.from_bytes(data[:4], "big")
        if size == len(data):
            return self._block(data[4:])
        return b"".join(map(self._block, parts(data)))

    def _block(self, part: bytes) -> bytes:
        channel, place, event, data = part.split(b"\0", 3)
        if not self._events:
            event = b""
        places = self._places
        if not place or channel not in places:
            return b"%b%b\n" % (event, data)
        places[channel] = place
        if self._silent or (not self._head and place == BEGIN_TEXT):
            return b"%b%b\n" % (event, data)
        return b"id: %b%b\n%b%b\n" % (self._head, b",".join(places.values()), event, data)


def parse(text: str, channels: Sequence[str]) -> dict[str, Position]:
    """The positions that a cursor of these channels holds; a channel that begins anew has none.

    Raises:
        HubError: ``bad_message``: it is of another list, or no cursor.
    """
    if len(text) > MAX_TEXT:
        raise _bad(f"the cursor is longer than {MAX_TEXT} characters")
    if len(channels) == 1:
        if "," in text:
            raise _bad("the cursor is of a stream of several channels, and this has one")
        return {channels[0]: Position.parse(text)}
    if len(channels) > MOST:
        raise _bad(f"a stream of more than {MOST} channels has no cursor")
    head, *places = text.split(",")
    if head != digest(channels) or len(places) != len(channels):
        raise _bad("the cursor is of another list of channels, or was cut short")
    pairs = zip(channels, places, strict=True)
    return {name: Position.parse(place) for name, place in pairs if place != BEGIN_TEXT.decode()}


def digest(channels: Sequence[str]) -> str:
    """Eight characters that stand for a list of channels in its order."""
    return urlsafe_b64encode(blake2b("\n".join(channels).encode(), digest_size=6).digest()).decode()


def _bad(why: str) -> HubError:
    return HubError(ErrorCode.BAD_MESSAGE, why)
