"""Requests out of bytes, without I/O: httptools parses, and is fed one request at a time.

A parser that gets a whole read goes on to the next request before the first one is answered: who pipelines
fills the memory, and what stands behind an upgrade or a close is parsed as what it is not. Here nothing behind the
end of a request is looked at before `next`. What ends a request is known: a head, and a body in chunks, end with
an empty line; any other body has a length.

    HEAD ──▶ DONE                      no body
    HEAD ──▶ BODY or CHUNKS ──▶ DONE
    DONE ──`next`──▶ HEAD

Who asks again and again sends the same head each time, byte for byte. One that is like the last is not parsed
again: only here, between two requests, where nothing but a head can stand; and the parser, which has not seen it,
does not see its body either.
"""

import re
from enum import Enum
from http import HTTPStatus
from typing import Protocol

import httptools

from .head import BadRequest, Fields, Head, read_head, read_line, without_upgrade

HEAD_BYTES = 65_536
HEAD_FIELDS = 128
CHUNKS_OVERHEAD = 16_384  # bytes of sizes, extensions and trailers, over eight for each byte of the body
REPEATED_BYTES = 2048  # of a head that is looked for again
SLICES = 256  # that one call feeds: an empty line inside a chunk is a slice too

_EMPTY_LINE = b"\r\n\r\n"
_BEGINNING = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,24}(?: |\Z)")


class Handler(Protocol):
    """Who gets what a reader reads."""

    def on_head(self, head: Head) -> None:
        """A request begins."""

    def on_body(self, data: bytes) -> None:
        """A piece of its body."""

    def on_end(self) -> None:
        """It is whole."""


class _Phase(Enum):
    HEAD = 1
    BODY = 2
    CHUNKS = 3
    DONE = 4


class Reader:
    """Requests out of bytes, without I/O: httptools parses, and is fed one request at a time. `close` breaks
    the cycle between it and its parser."""

    __slots__ = (
        "_body",
        "_data",
        "_ended",
        "_fed",
        "_fields",
        "_handler",
        "_last",
        "_left",
        "_parser",
        "_phase",
        "_repeated",
        "_served",
    )

    def __init__(self, handler: Handler) -> None:
        self._handler: Handler | None = handler
        self._parser: httptools.HttpRequestParser | None = None
        self._phase = _Phase.HEAD
        self._data = b""
        self._fields: Fields = []
        self._ended = self._served = False
        self._left = 0
        self._fed = self._body = 0
        self._last: tuple[bytes, Head] | None = None
        self._repeated = False  # the parser knows nothing of the present request

    @property
    def done(self) -> bool:
        """A request is whole, and `next` was not called yet."""
        return self._phase is _Phase.DONE

    @property
    def in_head(self) -> bool:
        """A request's head is awaited, or is there in part."""
        return self._phase is _Phase.HEAD

    @property
    def served(self) -> bool:
        """There was a request before the one that is awaited."""
        return self._served

    @property
    def missing(self) -> int | None:
        """Bytes of the request that are still to come; None where nobody knows."""
        return None if self._phase is _Phase.CHUNKS else self._left

    @property
    def kept(self) -> int:
        """Bytes that wait: a part of a head, what stands behind a request, what `receive` left for later."""
        return len(self._data)

    def receive(self, data: bytes) -> bool:
        """Read on; whether it is to be called again with nothing, because there was too much for one call.

        Raises:
            BadRequest: this is no request, and nothing after it can be read.
        """
        if self._data:
            data, self._data = self._data + data, b""
        if self._phase is _Phase.HEAD:
            self._read_head(data)
            if self._phase is _Phase.HEAD:
                return False
            data = self.take()
        if self._phase is _Phase.BODY:
            data = self._read_body(data)
        elif self._phase is _Phase.CHUNKS:
            return self._read_chunks(data)
        self._data = data
        return False

    def next(self) -> bool:
        """Go on to the request behind one that is whole; as `receive`."""
        self._phase = _Phase.HEAD
        self._served = True
        return bool(self._data) and self.receive(b"")

    def take(self) -> bytes:
        """What stands behind the request, for who reads on after an upgrade."""
        data, self._data = self._data, b""
        return data

    def close(self) -> None:
        """Nothing more is read."""
        self._parser = self._handler = None
        self._phase = _Phase.DONE
        self._data = b""
        self._fields = []
        self._last = None

    # The parser's calls

    def on_header(self, name: bytes, value: bytes) -> None:
        """A line of the head; those of trailers are dropped (RFC 9112 section 7.1.2)."""
        if self._phase is not _Phase.HEAD:
            return
        if value[-1:] in (b" ", b"\t"):
            value = value.rstrip(b" \t")
        self._fields.append((name.lower(), value))
        if len(self._fields) > HEAD_FIELDS:
            raise _too_large(f"a head of over {HEAD_FIELDS} lines")

    def on_body(self, data: bytes) -> None:
        """A piece of the body, its chunks' sizes taken away."""
        self._body += len(data)
        if self._handler is not None:
            self._handler.on_body(data)

    def on_message_complete(self) -> None:
        """The end."""
        self._ended = True

    # Inside

    def _read_head(self, data: bytes) -> None:
        if data.startswith(b"\r\n"):
            data = data.lstrip(b"\r\n")  # section 2.2: left by a client after the body before
        end = data.find(_EMPTY_LINE)
        size = end + 4 if end >= 0 else len(data)
        if size > HEAD_BYTES:
            raise _too_large(f"a head of over {HEAD_BYTES} bytes")
        if end >= 0:
            self._data = data[size:]
            self._begin(self._known(data[:size]))
        elif not data or _BEGINNING.match(data):
            self._data = data
        else:
            raise _bad("this is not HTTP")

    def _known(self, data: bytes) -> Head:
        """The head of these bytes, whose body is not read yet."""
        last = self._last
        self._repeated = last is not None and last[0] == data
        if last is not None and self._repeated:
            return last[1]
        head = self._parsed(data)
        plain = head.length is not None and head.keep_alive and not head.websocket
        self._last = (data, head) if plain and len(data) <= REPEATED_BYTES else None
        return head

    def _parsed(self, data: bytes) -> Head:
        line = read_line(data)
        offered = self._parse(data)
        head = read_head(line, self._fields)
        if offered and not head.websocket:
            # The parser would take the body for another protocol's: it gets the head without the offer.
            self._parser = None
            self._parse(without_upgrade(data))
        self._fields = []
        return head

    def _parse(self, data: bytes) -> bool:
        """Whether the head offers an upgrade."""
        if self._parser is None:
            self._parser = httptools.HttpRequestParser(self)
        self._fields = []
        return self._feed(data)

    def _begin(self, head: Head) -> None:
        self._fed = self._body = 0
        self._left = head.length or 0
        if head.length is None:
            self._phase = _Phase.CHUNKS
        else:
            self._phase = _Phase.BODY if head.length else _Phase.DONE
        assert self._handler is not None
        self._handler.on_head(head)
        if head.length == 0 and self._handler is not None:
            self._handler.on_end()

    def _feed(self, data: bytes) -> bool:
        """Whether the parser has stopped for an upgrade."""
        assert self._parser is not None
        self._ended = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return True
        except httptools.HttpParserInvalidMethodError:
            raise BadRequest(HTTPStatus.NOT_IMPLEMENTED, "an unknown method") from None
        except httptools.HttpParserCallbackError as error:
            raise error.__context__ or error from None
        except httptools.HttpParserError as error:
            raise _bad(f"this is not HTTP: {error}") from None
        return False

    def _read_body(self, data: bytes) -> bytes:
        """What stands behind the body."""
        piece = data[: self._left]
        self._left -= len(piece)
        if piece and self._repeated:
            self.on_body(piece)
        elif piece:
            self._feed(piece)
        if not self._left:
            self._end()
        return data[len(piece) :]

    def _read_chunks(self, data: bytes) -> bool:
        for _ in range(SLICES):
            end = data.find(_EMPTY_LINE)
            # The beginning of an empty line waits for its rest.
            size = end + 4 if end >= 0 else len(data) - _beginning_of_end(data)
            if size:
                self._feed_chunks(data[:size])
                data = data[size:]
            if self._ended:
                self._end()
            if end < 0 or self._phase is not _Phase.CHUNKS:
                self._data = data
                return False
        self._data = data
        return True

    def _feed_chunks(self, data: bytes) -> None:
        self._feed(data)
        self._fed += len(data)
        if self._fed - self._body > CHUNKS_OVERHEAD + 8 * self._body:
            raise _too_large("chunk extensions or trailers over the limit")

    def _end(self) -> None:
        if self._phase is not _Phase.DONE:
            self._phase = _Phase.DONE
            if self._handler is not None:
                self._handler.on_end()


def _beginning_of_end(data: bytes) -> int:
    """How many of the last bytes may be the beginning of an empty line."""
    return next((size for size in (3, 2, 1) if data.endswith(_EMPTY_LINE[:size])), 0)


def _bad(why: str) -> BadRequest:
    return BadRequest(HTTPStatus.BAD_REQUEST, why)


def _too_large(why: str) -> BadRequest:
    return BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, why)
