"""A WebSocket client for tests: it shows what is on the wire, and waits with a deadline.

async with connect(hub.ws_url, token) as wire:
    reply = await wire.ask("subscribe", channel="job:42")
    event = await wire.expect("job_status")
"""

import asyncio
import itertools
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal
from urllib.parse import urlencode

import msgpack
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websockets_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from .pace import SCALE

DEADLINE_S = 5.0

Encoding = Literal["json", "msgpack", "none"]
"""``none`` asks for no subprotocol: JSON, and console lines."""

Place = Literal["header", "subprotocol", "query", "ticket", "message"]

Message = dict[str, Any]


class Wire:
    """One connection. `welcome` is its `hub.welcome`, empty until it came."""

    def __init__(self, websocket: ClientConnection, encoding: Encoding) -> None:
        self.websocket = websocket
        self.welcome: Message = {}
        self._packed = encoding == "msgpack"
        self._ids = itertools.count(1)
        self._kept: deque[Message] = deque()

    @property
    def id(self) -> str:
        """The connection's id, by its welcome."""
        found: str = self.welcome["connection"]
        return found

    async def send(self, type: str, **fields: Any) -> None:
        """Send a message of this connection's encoding."""
        message = {"type": type, **fields}
        await self.send_raw(msgpack.packb(message) if self._packed else json.dumps(message))

    async def send_raw(self, data: str | bytes) -> None:
        """Send one frame: text for `str`, binary for `bytes`."""
        async with asyncio.timeout(DEADLINE_S * SCALE):
            await self.websocket.send(data)

    async def receive(self, within: float = DEADLINE_S) -> Message:
        """The next message.

        Raises:
            TimeoutError: none came in `within` seconds.
            ConnectionClosed: the connection is over.
        """
        return self._kept.popleft() if self._kept else await self._next(within)

    async def expect(self, type: str, within: float = DEADLINE_S) -> Message:
        """The next message, which must be of this type."""
        message = await self.receive(within)
        assert message["type"] == type, f"not {type}: {message}"
        return message

    async def until(self, type: str, within: float = DEADLINE_S) -> list[Message]:
        """Everything up to the first message of this type, which is the last of the list."""
        found: list[Message] = []
        async with asyncio.timeout(within * SCALE):
            while not found or found[-1]["type"] != type:
                found.append(await self.receive(within))
        return found

    async def ask(self, type: str, within: float = DEADLINE_S, **fields: Any) -> Message:
        """Send a command with an id; its reply. What came before the reply is received later, in order."""
        id = next(self._ids)
        await self.send(type, id=id, **fields)
        return await self.reply(id, within)

    async def reply(self, id: int | str, within: float = DEADLINE_S) -> Message:
        """The reply to the command with this id."""
        for message in self._kept:
            if message.get("id") == id:
                self._kept.remove(message)
                return message
        async with asyncio.timeout(within * SCALE):
            while True:
                message = await self._next(within)
                # An event has an id too: its own, beside the channel's offset.
                if message["type"].startswith("hub.") and message.get("id") == id:
                    return message
                self._kept.append(message)

    async def quiet(self, seconds: float = 0.2) -> None:
        """Nothing comes for so long."""
        try:
            message = await self.receive(seconds)
        except TimeoutError:
            return
        raise AssertionError(f"nothing was expected, this came: {message}")

    async def closed(self, within: float = DEADLINE_S) -> int:
        """Read until the hub closes; its close code. What it said before is received later, in order."""
        async with asyncio.timeout(within * SCALE):
            while True:
                try:
                    self._kept.append(await self._next(within))
                except ConnectionClosed as closed:
                    return closed.rcvd.code if closed.rcvd is not None else 1006

    def abort(self) -> None:
        """Cut the TCP connection without a closing handshake."""
        self.websocket.transport.abort()

    async def _next(self, within: float) -> Message:
        async with asyncio.timeout(within * SCALE):
            data = await self.websocket.recv()
        if self._packed:
            assert isinstance(data, bytes), f"a text frame on a MessagePack connection: {data[:200]}"
            message: Message = msgpack.unpackb(data)
        else:
            assert isinstance(data, str), f"a binary frame on a JSON connection: {data[:200]!r}"
            message = json.loads(data)
        return message


@asynccontextmanager
async def connect(
    url: str,
    token: str | None = None,
    *,
    encoding: Encoding = "json",
    place: Place = "header",
    query: Sequence[tuple[str, str]] = (),
    headers: Mapping[str, str] | None = None,
    origin: str | None = None,
    welcomed: bool = True,
    local_addr: tuple[str, int] | None = None,
) -> AsyncIterator[Wire]:
    """A connection, its token in one of the five places (``ticket``: `token` is a ticket).

    With `welcomed` it is taken only with a `hub.welcome`. `query` are further parameters, as `since` and
    `resume`.

    Raises:
        InvalidStatus: the handshake was refused by HTTP; `problem` reads it.
    """
    protocols = [] if encoding == "none" else [f"hub.v1.{encoding}"]
    parameters = list(query)
    sent = dict(headers or {})
    if token is not None:
        if place == "header":
            sent["Authorization"] = f"Bearer {token}"
        elif place == "subprotocol":
            protocols.append(f"hub.token.{token}")
        elif place != "message":
            parameters.append(("token" if place == "query" else "ticket", token))
    if parameters:
        url = f"{url}?{urlencode(parameters)}"
    options: dict[str, Any] = {} if local_addr is None else {"local_addr": local_addr}
    async with websockets_connect(
        url,
        subprotocols=[Subprotocol(name) for name in protocols] or None,
        additional_headers=sent,
        origin=Origin(origin) if origin is not None else None,
        compression=None,
        max_size=None,
        proxy=None,
        **options,
        open_timeout=DEADLINE_S * SCALE,
        close_timeout=DEADLINE_S * SCALE,
    ) as websocket:
        wire = Wire(websocket, encoding)
        if place == "message" and token is not None:
            await wire.send("authenticate", token=token)
        if welcomed:
            wire.welcome = await wire.expect("hub.welcome")
        yield wire


def problem(refused: InvalidStatus) -> Message:
    """The problem body of a refused handshake, with its HTTP status as `status`."""
    body: Message = json.loads(refused.response.body or b"{}")
    assert body.get("status") == refused.response.status_code, body
    return body
