"""Server-sent events for tests: what the standard (WHATWG HTML section 9.2.6) makes of a body, by the letter."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx

from .pace import SCALE

DEADLINE_S = 5.0


@dataclass
class Block:
    """One dispatched event; `id` is the last event id as it stands then."""

    event: str
    data: Any
    id: str


class Parser:
    """Takes lines, gives blocks. `retry` is the last reconnection time; `comments` counts."""

    def __init__(self) -> None:
        self.retry: int | None = None
        self.comments = 0
        self.last_id = ""
        self._event = ""
        self._data: list[str] = []

    def line(self, line: str) -> Block | None:
        if not line:
            data, self._data = self._data, []
            event, self._event = self._event or "message", ""
            return Block(event, json.loads("\n".join(data)), self.last_id) if data else None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                self.comments += 1
            case "event":
                self._event = value
            case "data":
                self._data.append(value)
            case "id":
                self.last_id = value
            case "retry":
                self.retry = int(value)
        return None

    def feed(self, text: str) -> Iterator[Block]:
        for line in text.split("\n"):
            block = self.line(line)
            if block is not None:
                yield block


class Stream:
    """An open stream, as server-sent events or as NDJSON."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.parser = Parser()
        self._lines = response.aiter_lines()
        self._sse = response.headers["content-type"].startswith("text/event-stream")

    async def next(self, within: float = DEADLINE_S) -> Block:
        """The next block; `EOFError` at the end."""
        with anyio.fail_after(within * SCALE):
            async for line in self._lines:
                if self._sse:
                    block = self.parser.line(line)
                    if block is not None:
                        return block
                elif line:
                    message = json.loads(line)
                    return Block(message["type"], message, "")
        raise EOFError

    async def expect(self, event: str, within: float = DEADLINE_S) -> Block:
        block = await self.next(within)
        assert block.event == event, f"not {event}: {block}"
        return block

    async def rest(self, within: float = DEADLINE_S) -> list[Block]:
        """Everything up to the end of the stream."""
        found = []
        try:
            while True:
                found.append(await self.next(within))
        except EOFError:
            return found


@asynccontextmanager
async def stream(
    url: str, token: str | None = None, *, body: Any = None, lines: bool = False, **headers: str
) -> AsyncIterator[Stream]:
    """``GET url``, or ``POST`` where there is a `body`."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    if lines:
        sent["Accept"] = "application/x-ndjson"
    timeout = httpx.Timeout(10 * SCALE, read=None)
    async with httpx.AsyncClient(timeout=timeout, trust_env=False) as client:
        method = "GET" if body is None else "POST"
        async with client.stream(method, url, headers=sent, json=body) as response:
            if response.status_code != 200:
                await response.aread()
            yield Stream(response)
