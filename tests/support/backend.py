"""A small HTTP server on the loopback address that answers as it is told to, defects included."""

import asyncio
import base64
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


@dataclass(frozen=True)
class Request:
    """What came in; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def check_signature(self, secret: str = SECRET) -> None:
        """As a receiver does by Standard Webhooks."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        content = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        right = "v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode()
        assert right in self.headers["webhook-signature"].split(" ")


Answer = tuple[int, Mapping[str, str], bytes]
Handler = Callable[[Request], Awaitable["Answer | bytes | None"]]
"""An answer; or raw bytes in place of one; or None: the connection is reset."""


class Backend:
    """`seen` are the requests; `at_once` is the most that were under way together."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.seen: list[Request] = []
        self.at_once = 0
        self._now = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/path"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _read(reader)) is not None:
                self.seen.append(request)
                self._now += 1
                self.at_once = max(self.at_once, self._now)
                try:
                    answer = await self.handler(request)
                finally:
                    self._now -= 1
                if answer is None:
                    writer.transport.abort()
                    return
                writer.write(answer if isinstance(answer, bytes) else _written(*answer))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client is gone, or the test is over
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    line = await reader.readline()
    if not line:
        return None
    method, path, _ = line.decode().split(" ")
    headers = {}
    while (line := await reader.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode().partition(":")
        headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path, headers, body)


def _written(status: int, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def says(value: Any, status: int = 200) -> Handler:
    """Always this, as JSON."""

    async def answer(_: Request) -> Answer:
        return status, {}, json.dumps(value).encode()

    return answer
