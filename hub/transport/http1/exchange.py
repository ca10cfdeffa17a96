"""One request and its answer, as an ASGI app sees them (ASGI's HTTP specification, version 2.3).

Head and first piece of an answer leave in one write. An answer has a length or comes in chunks; to HTTP/1.0, which
knows no chunks, it ends with the connection (RFC 9112 section 6.3).
"""

import asyncio
import http
import logging
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Protocol

from starlette.types import ASGIApp, Message, Scope

from .direct import Handler
from .head import Fields, Head

log = logging.getLogger(__name__)

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BAD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in http.HTTPStatus
}
_NOTED = (b"content-length", b"connection")
_NO_BODY = (http.HTTPStatus.NO_CONTENT, http.HTTPStatus.NOT_MODIFIED)


@lru_cache(maxsize=1024)
def _field(name: bytes, value: bytes) -> tuple[bytes | None, bytes]:
    """A field of an answer as it is written, with its name where the exchange has to note it.

    Raises:
        RuntimeError: it is none.
    """
    if _NAME.fullmatch(name) is None or _BAD_VALUE.search(value):
        raise RuntimeError(f"the app answered with a field that is none: {name!r}")
    lower = name.lower()
    return lower if lower in _NOTED else None, b"%s: %s\r\n" % (name, value)


class Line(Protocol):
    """The connection that an exchange is on. `writing_paused`: the client does not take what was sent."""

    writing_paused: bool

    def write(self, data: bytes) -> None:
        """Send bytes of the answer."""

    async def drained(self) -> None:
        """Wait until the client has taken most of what was sent, or is gone."""

    def body_wanted(self) -> None:
        """The app waits for more of the body."""

    def can_follow(self) -> bool:
        """Whether another request may follow this one."""

    def over(self, exchange: "Exchange") -> None:
        """The answer is complete, or will never be."""


class Exchange:
    """One request and its answer, as an ASGI app sees them (ASGI's HTTP specification, version 2.3).
    `begun`: the app has begun to answer; `sent`: bytes of the answer have gone;
    `complete`: all have; `keep_alive`: another request may follow; `waiting_bytes` of the body wait for the app.
    `handler`: who is to answer without ASGI once the request is whole; None where the app does. `defaults` are
    fields of every answer."""

    __slots__ = (
        "_answer_head",
        "_body",
        "_chunked",
        "_defaults",
        "_expects_continue",
        "_gone",
        "_left",
        "_line",
        "_read",
        "_waiter",
        "_whole",
        "begun",
        "complete",
        "handler",
        "head",
        "keep_alive",
        "sent",
        "waiting_bytes",
    )

    def __init__(self, head: Head, line: Line, defaults: Fields) -> None:
        self.keep_alive = head.keep_alive
        self.begun = self.complete = self.sent = False
        self.waiting_bytes = 0
        self.head = head
        self.handler: Handler | None = None
        self._line = line
        self._expects_continue = head.expects_continue
        self._body: list[bytes] = []
        self._whole = self._read = self._gone = False
        self._waiter: asyncio.Future[None] | None = None
        self._answer_head = b""
        self._defaults = defaults
        self._chunked = False
        self._left: int | None = None

    # The connection's side

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Let the app answer."""
        try:
            await app(scope, self._receive, self._send)
            if not self.complete and not self._gone:
                log.error("an app returned without answering %s %s", self.head.method, self.head.path)
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("an app failed at %s %s", self.head.method, self.head.path)
        finally:
            if not self.complete:
                self._line.over(self)

    async def run_directly(self, handler: Handler) -> None:
        """Let the handler answer a request that is whole."""
        try:
            response = await handler(self.head, self._take_body())
            if not self._gone:
                self.begun = True
                self._answer_head = self._begin(response.status_code, response.raw_headers)
                self._send_body(bytes(response.body), more=False)
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("answering %s %s failed", self.head.method, self.head.path)
        finally:
            if not self.complete:
                self._line.over(self)

    def feed(self, data: bytes) -> None:
        """A piece of the body."""
        self._body.append(data)
        self.waiting_bytes += len(data)
        self._wake()

    def end(self) -> None:
        """The body is whole."""
        self._whole = True
        self._wake()

    def gone(self) -> None:
        """The client is gone, or nothing more is sent to it: the app learns it, and what it sends goes nowhere."""
        self._gone = True
        self._wake()

    # The app's side

    async def _receive(self) -> Message:
        while not self._gone and not self.complete:
            if not self._read and (self._body or self._whole):
                return self._piece()
            self._ask()
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return {"type": "http.disconnect"}

    def _piece(self) -> Message:
        data = self._take_body()
        self._read = self._whole
        self._line.body_wanted()
        return {"type": "http.request", "body": data, "more_body": not self._whole}

    def _take_body(self) -> bytes:
        body, self._body = self._body, []
        self.waiting_bytes = 0
        return body[0] if len(body) == 1 else b"".join(body)

    def _ask(self) -> None:
        if self._expects_continue and not self.begun:
            self._expects_continue = False
            self._line.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if not self._read:
            self._line.body_wanted()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def _send(self, message: Message) -> None:
        if self._line.writing_paused and not self._gone:
            await self._line.drained()
        if self._gone:
            return
        expected = "http.response.body" if self.begun else "http.response.start"
        if message["type"] != expected or self.complete:
            raise RuntimeError(f"the app sent {message['type']} where {expected} was due")
        if self.begun:
            self._send_body(message.get("body", b""), message.get("more_body", False))
        else:
            self.begun = True
            self._answer_head = self._begin(message["status"], message.get("headers", ()))

    def _begin(self, status: int, fields: Iterable[Any]) -> bytes:
        """The head of the answer, which waits for the first piece of its body."""
        lines = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status]
        for name, value in (*self._defaults, *fields):
            lower, written = _field(name, value)
            if lower is not None:
                self._note(lower, value)
            if lower != b"connection" or self.keep_alive:  # else it is said below
                lines.append(written)
        if status in _NO_BODY or self.head.method == "HEAD":
            self._left = 0
        elif self._left is None and self.head.version == "1.1" and self.keep_alive:
            self._chunked = True
            lines.append(b"transfer-encoding: chunked\r\n")
        elif self._left is None:
            self.keep_alive = False
        if not self._line.can_follow() or self._expects_continue:
            self.keep_alive = False
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        elif self.head.version == "1.0":
            lines.append(b"connection: keep-alive\r\n")
        lines.append(b"\r\n")
        return b"".join(lines)

    def _note(self, name: bytes, value: bytes) -> None:
        if name == b"content-length":
            self._left = int(value)
        elif name == b"connection" and b"close" in value.lower():
            self.keep_alive = False

    def _send_body(self, data: bytes, more: bool) -> None:
        if self.head.method == "HEAD":
            data = b""
        elif self._chunked:
            data = (b"%x\r\n%s\r\n" % (len(data), data) if data else b"") + (b"" if more else b"0\r\n\r\n")
        elif self._left is not None:
            self._left -= len(data)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("the app's answer is not as long as it said")
        head, self._answer_head = self._answer_head, b""
        if head or data:
            self.sent = True
            self._line.write(head + data)
        if not more:
            self.complete = True
            self._wake()
            self._line.over(self)
