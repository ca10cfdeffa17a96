"""Plays one scenario: a WebSocket server that says what the scenario says, and compares what the client does."""

import asyncio
import contextlib
import http
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

PATIENCE_S = 20.0
Message = dict[str, Any]


class Failed(Exception):
    """The client did something else than the contract says; in words."""


class Peer:
    """One connection of the client: its commands, those aside that any client may send at any time."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.commands: asyncio.Queue[Message] = asyncio.Queue()

    async def send(self, message: Message) -> None:
        await self.socket.send(json.dumps(message))

    async def read(self) -> None:
        """Until the connection ends."""
        with contextlib.suppress(ConnectionClosed):
            async for text in self.socket:
                message = json.loads(text)
                if message.get("type") == "ping":
                    await self.send({"type": "hub.pong", "id": message.get("id"), "time": 1763690000000})
                elif message.get("type") != "unsubscribe":
                    await self.commands.put(message)


class Player:
    """One scenario. `handed` are the lines that the client's driver has printed so far, where there is one."""

    def __init__(self, scenario: Message, handed: Callable[[], list[Message]] | None = None) -> None:
        self._scenario = scenario
        self._handed = handed
        self._peers: list[Peer] = []
        self._new: asyncio.Queue[Peer] = asyncio.Queue()
        self._refusals: asyncio.Queue[Message] = asyncio.Queue()
        self._refused = asyncio.Event()
        self._attempts = 0

    @contextlib.asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[int]:
        """Serve; the port."""
        async with serve(
            self._connection,
            "127.0.0.1",
            port,
            subprotocols=["hub.v1.json"],  # type: ignore[list-item]
            select_subprotocol=_select,
            process_request=self._on_request,
            ping_interval=None,
        ) as server:
            yield _port(server)

    async def play(self) -> None:
        """Step by step.

        Raises:
            Failed: the client did something else.
        """
        for number, step in enumerate(self._scenario["steps"], 1):
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await self._step(step)
            except TimeoutError:
                raise Failed(f"step {number}, {json.dumps(step)}: it did not come") from None
            except (Failed, ConnectionClosed) as error:
                raise Failed(f"step {number}, {json.dumps(step)}: {error}") from None
        await self.handed(len(self._scenario["hands_over"]))

    async def handed(self, count: int) -> None:
        """Wait until the client has handed over the first `count` items, and compare them."""
        if self._handed is None:
            await asyncio.sleep(0.3)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while len(self._handed()) < count:
                    await asyncio.sleep(0.02)
        expected, got = self._scenario["hands_over"][:count], self._handed()[:count]
        if got != expected:
            raise Failed(f"it handed over {json.dumps(got)}, and not {json.dumps(expected)}")

    async def _step(self, step: Message) -> None:
        peer = self._peers[step.get("on", 0) - 1] if self._peers else None
        if "accept" in step:
            await self._accept()
        elif "refuse" in step:
            self._refusals.put_nowait(step["refuse"])
            await self._refused.wait()
            self._refused.clear()
        elif "nobody_for_ms" in step:
            before = self._attempts
            await asyncio.sleep(step["nobody_for_ms"] / 1000)
            if self._attempts > before:
                raise Failed("it came back")
        elif "handed" in step:
            await self.handed(step["handed"])
        elif "left" in step:
            await self._left(self._peers[step["left"] - 1])
        else:
            assert peer is not None
            await self._on(peer, step)

    async def _on(self, peer: Peer, step: Message) -> None:
        if "send" in step:
            await peer.send(step["send"])
        elif "subscribe" in step:
            await self._subscribed(peer, step)
        elif "close" in step:
            await peer.socket.close(step["close"]["code"], step["close"]["reason"])
        elif "cut" in step:
            peer.socket.transport.abort()
        else:
            raise AssertionError(f"no such step: {step}")

    async def _accept(self) -> None:
        """The next connection: its token, by whatever way, and the welcome."""
        peer = await self._new.get()
        request = peer.socket.request
        assert request is not None
        offered = request.headers.get_all("Sec-WebSocket-Protocol")
        if not (
            "Authorization" in request.headers
            or "token=" in request.path
            or any("hub.token." in each for each in offered)
        ):
            first = await peer.commands.get()
            if first.get("type") != "authenticate" or not isinstance(first.get("token"), str):
                raise Failed(f"without a token in the upgrade the first message is authenticate, not {first}")
        await peer.send(WELCOME)
        self._peers.append(peer)

    async def _subscribed(self, peer: Peer, step: Message) -> None:
        """One ``subscribe``, in either form, with the position that the client should have."""
        command = await peer.commands.get()
        if command.get("type") != "subscribe":
            raise Failed(f"it sent {json.dumps(command)}, and not subscribe")
        entries = command.get("channels", [command])
        wanted = step["subscribe"]
        if [entry.get("channel") for entry in entries] != [wanted["channel"]]:
            raise Failed(f"it subscribed {entries}")
        _compare(entries[0].get("since"), wanted["since"])
        fields: Message = step["answer"] if "answer" in step else step["error"]
        body = {"channel": wanted["channel"], **fields}
        if "channels" in command:
            answer = {"type": "hub.subscribed", "results": [body]}
        else:
            answer = {"type": "hub.error" if "error" in step else "hub.subscribed", **body}
        await peer.send({**answer, **({"id": command["id"]} if "id" in command else {})})

    async def _left(self, peer: Peer) -> None:
        await peer.socket.wait_closed()
        if peer.socket.close_code != 1000:
            raise Failed(f"it left by {peer.socket.close_code}, and not by 1000")

    async def _connection(self, socket: ServerConnection) -> None:
        peer = Peer(socket)
        self._new.put_nowait(peer)
        await peer.read()

    def _on_request(self, _socket: ServerConnection, _request: Request) -> Response | None:
        self._attempts += 1
        if self._refusals.empty():
            return None
        refusal = self._refusals.get_nowait()
        self._refused.set()
        body = json.dumps(refusal["body"]).encode()
        headers = Headers({"Content-Type": "application/problem+json", "Content-Length": str(len(body))})
        for name, value in refusal["headers"].items():
            headers[name] = value
        status = http.HTTPStatus(refusal["status"])
        return Response(status, status.phrase, headers, body)


WELCOME = {
    "type": "hub.welcome",
    "connection": "c_1",
    "node": "n_1",
    "user": "ann",
    "expires_at": 4102444800000,
    "heartbeat_ms": 25000,
    "reconnect": {"min_ms": 10, "max_ms": 200},
    "resume": "r1",
    "limits": {"message_bytes": 65536, "frame_bytes": 524288, "channels": 128},
}


def _select(_socket: ServerConnection, offered: Any) -> Any:
    return "hub.v1.json" if "hub.v1.json" in offered else None


def _compare(since: Any, wanted: Any) -> None:
    allowed = wanted["any"] if isinstance(wanted, dict) and "any" in wanted else [wanted]
    if isinstance(since, str):
        epoch, _, offset = since.partition(":")
        since = {"epoch": epoch, "offset": int(offset)}
    if since not in allowed:
        raise Failed(f"its position was {json.dumps(since)}, and not {' or '.join(map(json.dumps, allowed))}")


def _port(server: Server) -> int:
    port: int = next(iter(server.sockets)).getsockname()[1]
    return port
