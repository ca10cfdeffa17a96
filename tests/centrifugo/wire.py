"""A client of the Centrifugo protocol, of nothing but frames."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from hub.centrifugo import protobuf

from ..support.pace import SCALE, patience
from ..support.server import RunningHub
from . import their_protocol

Message = dict[str, Any]


def address(hub: RunningHub) -> str:
    return hub.ws_url.removesuffix("/ws") + "/connection/websocket"


class Receiver:
    """What comes, message by message, however it does."""

    async def receive(self) -> Message:
        raise NotImplementedError

    async def reply(self, id: int) -> Message:
        """That to the command `id`; what came before it is passed over."""
        while (message := await self.receive()).get("id") != id:
            pass
        return message

    async def push(self, kind: str) -> Message:
        """The next of a kind; what came before it is passed over."""
        while kind not in (message := await self.receive()).get("push", {}):
            pass
        found: Message = message["push"]
        return found


class Wire(Receiver):
    """One socket. Replies and pushes come in order; pings are answered and left out, but for a `silent` one."""

    def __init__(self, socket: ClientConnection, binary: bool) -> None:
        self.socket = socket
        self.silent = False
        self._binary = binary
        self._received: list[Message] = []

    async def send(self, *commands: Message) -> None:
        if not self._binary:
            await self.socket.send("\n".join(json.dumps(each) for each in commands))
            return
        bodies = (ParseDict(each, their_protocol.Command()).SerializeToString() for each in commands)
        await self.socket.send(b"".join(protobuf.delimited(each) for each in bodies))

    async def receive(self) -> Message:
        async with patience(10):
            while not self._received:
                self._received = [each for each in self._decoded(await self.socket.recv()) if each]
        return self._received.pop(0)

    async def ask(self, *commands: Message) -> Message:
        """The reply to the last of them; what came before it is passed over."""
        await self.send(*commands)
        return await self.reply(commands[-1]["id"])

    async def closed(self) -> tuple[int, str]:
        with pytest.raises(ConnectionClosed) as closed:
            await self._to_the_end()
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code, closed.value.rcvd.reason

    async def _to_the_end(self) -> None:
        async with patience(10):
            while True:
                await self.socket.recv()

    async def quiet(self) -> None:
        await asyncio.sleep(0.2 * SCALE)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                self._received += [each for each in self._decoded(await self.socket.recv()) if each]
        assert not self._received

    def _decoded(self, data: str | bytes) -> list[Message]:
        if isinstance(data, str):
            return [json.loads(line) for line in data.split("\n")]
        return [
            MessageToDict(their_protocol.Reply.FromString(each), preserving_proto_field_name=True)
            for each in protobuf.messages(data)
        ]


@contextlib.asynccontextmanager
async def opened(hub: RunningHub, token: str | None = None, *, binary: bool = False) -> AsyncIterator[Wire]:
    """A socket, connected where there is a token."""
    protocol = "centrifuge-protobuf" if binary else "centrifuge-json"
    async with connect(address(hub), subprotocols=[protocol], ping_interval=None) as socket:  # type: ignore[list-item]
        wire = Wire(socket, binary)
        if token is not None:
            assert "connect" in await wire.ask({"id": 1, "connect": {"token": token}})
        yield wire
