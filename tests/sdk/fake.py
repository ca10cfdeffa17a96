"""A hub made of the real `websockets` server and a script: for what a real hub does once in a blue moon."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

import msgpack
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

DEADLINE = 10.0


class Peer:
    """The hub's end of one connection; `received` are the client's messages in order."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.received: list[dict[str, Any]] = []
        self._news = asyncio.Condition()
        self._at = 0

    @property
    def token(self) -> str:
        assert self.socket.request is not None
        return self.socket.request.headers["Authorization"].removeprefix("Bearer ")

    @property
    def path(self) -> str:
        assert self.socket.request is not None
        return self.socket.request.path

    async def say(self, kind: str, **fields: Any) -> None:
        message = {"type": kind, **fields}
        binary = self.socket.subprotocol == "hub.v1.msgpack"
        await self.socket.send(msgpack.packb(message) if binary else json.dumps(message))

    async def welcome(self, **fields: Any) -> None:
        standard = {
            "connection": "c_1",
            "user": "ann",
            "expires_at": 2_000_000_000_000,
            "heartbeat_ms": 25_000,
            "reconnect": {"min_ms": 500, "max_ms": 20_000},
            "resume": "r-1",
            "limits": {"message_bytes": 65_536, "frame_bytes": 524_288, "channels": 128},
        }
        await self.say("hub.welcome", **{**standard, **fields})

    async def expect(self, kind: str) -> dict[str, Any]:
        """The client's next message, which is of `kind`."""
        async with asyncio.timeout(DEADLINE), self._news:
            await self._news.wait_for(lambda: len(self.received) > self._at)
        message = self.received[self._at]
        self._at += 1
        assert message["type"] == kind, message
        return message

    async def subscribed(self, *, gap: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
        """Answer the next subscribe, of one channel; `fields` are those of its result."""
        asked = await self.expect("subscribe")
        entry = {"channel": asked["channels"][0]["channel"], **fields}
        if gap is not None:
            entry |= {"recovered": False, "gap": gap}
        await self.say("hub.subscribed", id=asked["id"], results=[entry])
        entry_of: dict[str, Any] = asked["channels"][0]
        return entry_of

    async def event(self, channel: str, offset: int | None, payload: Any = None, **fields: Any) -> None:
        numbered = {} if offset is None else {"offset": offset}
        await self.say(
            "note", channel=channel, **numbered, id=f"e{offset}", time=1, payload=payload, **fields
        )

    async def read(self) -> None:
        async for data in self.socket:
            message = json.loads(data) if isinstance(data, str) else msgpack.unpackb(data)
            async with self._news:
                self.received.append(message)
                self._news.notify_all()

    async def gone(self) -> None:
        """Until the client has closed."""
        async with asyncio.timeout(DEADLINE):
            await self.socket.wait_closed()


Script = Callable[[Peer], Awaitable[None]]


class FakeHub:
    """Each connection runs the next script; when it returns, the connection stands until someone closes it.

    A `Response` in place of a script refuses the upgrade.
    """

    def __init__(self, *scripts: Script | Response) -> None:
        self._scripts = list(scripts)
        self._server: Server | None = None
        self.peers: list[Peer] = []
        self.refused = 0
        self.errors: list[BaseException] = []

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/ws"

    async def __aenter__(self) -> "FakeHub":
        self._server = await serve(
            self._connection,
            "127.0.0.1",
            0,
            subprotocols=[Subprotocol("hub.v1.json"), Subprotocol("hub.v1.msgpack")],
            process_request=self._request,
            ping_interval=None,
            close_timeout=1,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()
        if error is None:
            assert not self.errors, self.errors
            assert not self._scripts, f"{len(self._scripts)} scripts were not run"

    def _request(self, _socket: ServerConnection, _request: Request) -> Response | None:
        if self._scripts and isinstance(response := self._scripts[0], Response):
            self.refused += 1
            del self._scripts[0]
            return response
        return None

    async def _connection(self, socket: ServerConnection) -> None:
        if not self._scripts:
            self.errors.append(AssertionError("a connection that no script expects"))
            return
        script = self._scripts.pop(0)
        assert not isinstance(script, Response)
        peer = Peer(socket)
        self.peers.append(peer)
        reader = asyncio.create_task(peer.read())
        try:
            await script(peer)
            await asyncio.wait({reader})
        except ConnectionClosed:
            pass
        except BaseException as error:
            self.errors.append(error)
            raise
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)


def problem(status: int, detail: str, **headers: str) -> Response:
    """A refusal before the upgrade."""
    from websockets.datastructures import Headers

    body = json.dumps({"status": status, "detail": detail}).encode()
    fields = Headers({"Content-Type": "application/problem+json", "Content-Length": str(len(body))})
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    return Response(status, "HandshakeRefused", fields, body)


async def cut(peer: Peer) -> None:
    """A link that is gone without a word."""
    peer.socket.transport.abort()
    await peer.gone()
