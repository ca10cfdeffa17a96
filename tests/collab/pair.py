"""Two nodes, and how the tests talk to them."""

import asyncio
import itertools
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.client import connect as websockets_connect
from websockets.typing import Subprotocol

from ..support.pace import SCALE
from ..support.server import RunningHub
from ..support.wire import DEADLINE_S, Message, Wire, connect

_numbers = itertools.count(1)


def fresh(namespace: str) -> str:
    """A channel that no other test uses."""
    return f"{namespace}:t{next(_numbers)}"


async def until(
    condition: Callable[[], Awaitable[Any]], what: str, within: float = DEADLINE_S, every: float = 0.05
) -> Any:
    """Wait until `condition` is true; its value."""
    deadline = time.monotonic() + within * SCALE
    while not (found := await condition()):
        assert time.monotonic() < deadline, f"not in {within} s: {what}"
        await asyncio.sleep(every)
    return found


class Pair:
    """Node `a` and node `b`; on the memory broker they are one."""

    def __init__(self, a: RunningHub, b: RunningHub) -> None:
        self.a = a
        self.b = b

    @property
    def nodes(self) -> tuple[RunningHub, RunningHub]:
        return self.a, self.b

    def token(self, user: str, **grants: Any) -> str:
        """A token that may do everything, but for the `grants` given."""
        everything = {"subscribe": ["*"], "publish": ["*"], "presence": ["*"]}
        token = self.a.token(user, **{**everything, **grants})
        self.b.secret(token)
        return token

    def connect(
        self, node: RunningHub, user: str, *, query: Sequence[tuple[str, str]] = (), **grants: Any
    ) -> AbstractAsyncContextManager[Wire]:
        return connect(node.ws_url, self.token(user, **grants), query=query)


async def batch(hub: RunningHub, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Publish by ``POST /v1/batch``, a thousand in each; the results."""
    results: list[dict[str, Any]] = []
    async with http(hub) as client:
        for at in range(0, len(events), 1000):
            answer = await client.post("/v1/batch", json={"events": events[at : at + 1000]})
            assert answer.status_code == 200, answer.text
            results += answer.json()["results"]
    return results


def http(hub: RunningHub, credentials: str | None = None) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {credentials or hub.api_key}"}
    return httpx.AsyncClient(
        base_url=hub.url, headers=headers, timeout=20 * SCALE, verify=False, trust_env=False
    )


async def publish(
    hub: RunningHub, channel: str, event: str = "tick", payload: Any = None, **more: Any
) -> Any:
    async with http(hub) as client:
        body = {"channel": channel, "event": event, "payload": payload, **more}
        answer = await client.post("/v1/publish", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()


async def get(hub: RunningHub, path: str, credentials: str | None = None) -> Any:
    async with http(hub, credentials) as client:
        answer = await client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()


@asynccontextmanager
async def slow(hub: RunningHub, token: str) -> AsyncIterator[Wire]:
    """A connection that takes little while nobody calls `receive`: a small socket buffer, and none of its own."""
    plug = socket.socket()
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plug.setblocking(False)
    await asyncio.get_running_loop().sock_connect(plug, ("127.0.0.1", hub.port))
    async with websockets_connect(
        hub.ws_url,
        sock=plug,
        subprotocols=[Subprotocol("hub.v1.json")],
        additional_headers={"Authorization": f"Bearer {token}"},
        compression=None,
        max_size=None,
        max_queue=1,
        proxy=None,
        ping_interval=None,
    ) as websocket:
        wire = Wire(websocket, "json")
        wire.welcome = await wire.expect("hub.welcome")
        yield wire


class Board:
    """What one subscriber knows of a channel: checked by the arithmetic of the contract with each event."""

    def __init__(self, reply: Message) -> None:
        assert reply["type"] == "hub.subscribed", reply
        self.offset: int = reply["offset"]
        self.keys: dict[str, Message] = {event["key"]: event for event in reply.get("snapshot", ())}
        self.complete = not reply.get("more")
        self.events: list[Message] = []
        self.conflated = 0

    def take(self, message: Message) -> None:
        if message["type"] == "hub.snapshot":
            assert not self.complete
            self.keys.update((event["key"], event) for event in message["events"])
            self.complete = not message["more"]
            return
        assert not message["type"].startswith("hub."), message
        assert self.complete, "an event among the pages of a snapshot"
        conflated = message.get("conflated", 0)
        assert message["offset"] == self.offset + 1 + conflated, (self.offset, message)
        self.offset = message["offset"]
        self.conflated += conflated
        self.events.append(message)
        if "key" in message:
            self.keys[message["key"]] = message

    async def read(self, wire: Wire, top: int) -> "Board":
        """Until it stands at `top`."""
        while not self.complete or self.offset < top:
            self.take(await wire.receive())
        return self

    @property
    def payloads(self) -> dict[str, Any]:
        return {key: event["payload"] for key, event in self.keys.items()}
