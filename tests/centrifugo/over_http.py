"""A client of the Centrifugo protocol over HTTP, of nothing but requests."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
from google.protobuf.json_format import MessageToDict, ParseDict

from hub.centrifugo import protobuf

from ..support.pace import patience
from ..support.server import RunningHub
from . import their_protocol
from .wire import Message, Receiver

JSON, BINARY = "application/json", "application/octet-stream"
KINDS = ["sse", "http_stream", "protobuf"]


class Answer(Receiver):
    """What comes down an answer, message by message; pings are left out unless `pings`."""

    def __init__(self, client: httpx.AsyncClient, kind: str, response: httpx.Response) -> None:
        self.client = client
        self.pings = False
        self.response = response
        self._kind = kind
        self._chunks = response.aiter_bytes()
        self._data = b""
        self.session = self.node = ""

    async def receive(self) -> Message:
        async with patience(10):
            while True:
                while (found := self._next()) is None:
                    self._data += await anext(self._chunks)
                if found or self.pings:
                    return found

    async def ended(self) -> Message:
        """The last message."""
        last: Message = {}
        with contextlib.suppress(StopAsyncIteration):
            while True:
                last = await self.receive()
        return last

    async def begin(self) -> Message:
        """The reply to connect."""
        reply = await self.reply(1)
        connected: Message = reply["connect"]
        self.session, self.node = connected["session"], connected["node"]
        return connected

    async def send(self, *commands: Message, **other: Any) -> httpx.Response:
        """By `/emulation`; `other` stands in place of the session, the node or the frame."""
        frame = encoded(self._kind, *commands)
        fields = {"session": self.session, "node": self.node, "data": frame, **other}
        base = str(self.response.url).split("/connection/")[0]
        base = fields.pop("base", base)
        if self._kind == "protobuf":
            body = their_protocol.EmulationRequest(**fields).SerializeToString()
            return await self.client.post(f"{base}/emulation", content=body, headers={"Content-Type": BINARY})
        fields["data"] = fields["data"].decode()
        return await self.client.post(f"{base}/emulation", json=fields)

    async def ask(self, command: Message) -> Message:
        answer = await self.send(command)
        assert answer.status_code == 204, answer.text
        return await self.reply(command["id"])

    def _next(self) -> Message | None:
        if self._kind == "protobuf":
            return self._next_binary()
        end = b"\n\n" if self._kind in ("sse", "uni_sse") else b"\n"
        block, found, rest = self._data.partition(end)
        if not found:
            return None
        self._data = rest
        if end == b"\n\n":
            if block.startswith(b"retry: "):
                return {}
            assert block.startswith(b"data: ")
            block = block.removeprefix(b"data: ")
        message: Message = json.loads(block)
        return message

    def _next_binary(self) -> Message | None:
        try:
            body = next(protobuf.messages(self._data))
        except (StopIteration, protobuf.Malformed):
            return None
        self._data = self._data[len(protobuf.delimited(body)) :]
        reply = their_protocol.Reply.FromString(body)
        message: Message = MessageToDict(reply, preserving_proto_field_name=True)
        return message


def encoded(kind: str, *commands: Message) -> bytes:
    if kind != "protobuf":
        return "\n".join(json.dumps(each) for each in commands).encode()
    bodies = (ParseDict(each, their_protocol.Command()).SerializeToString() for each in commands)
    return b"".join(protobuf.delimited(each) for each in bodies)


@contextlib.asynccontextmanager
async def opened(hub: RunningHub, kind: str, first: bytes) -> AsyncIterator[Answer]:
    """An answer whose request brought `first` along."""
    path = "http_stream" if kind == "protobuf" else kind
    url = f"{hub.url}/connection/{path}"
    async with httpx.AsyncClient(timeout=None) as client:
        if kind.endswith("sse"):
            opening = client.stream("GET", url, params={"cf_connect": first.decode()})
        else:
            headers = {"Content-Type": BINARY if kind == "protobuf" else JSON}
            opening = client.stream("POST", url, content=first, headers=headers)
        async with opening as response:
            yield Answer(client, kind, response)


@contextlib.asynccontextmanager
async def connected(hub: RunningHub, kind: str, token: str) -> AsyncIterator[Answer]:
    """One whose `connect` was answered."""
    async with opened(hub, kind, encoded(kind, {"id": 1, "connect": {"token": token}})) as answer:
        assert answer.response.status_code == 200
        await answer.begin()
        yield answer
