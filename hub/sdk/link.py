"""One welcomed connection: reads in order, writes in order, notices silence, and tells once how it ended."""

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from websockets.exceptions import ConnectionClosed

from hub.protocol.codec import decode, dumps_json, transcode
from hub.protocol.codes import ErrorCode, Then
from hub.protocol.errors import HubError
from hub.protocol.frames import Encoding

from ..runtime.backoff import Timing, Window
from ..runtime.tasks import Tasks
from .handshake import Departure, Socket, Welcome, departure_of
from .requests import OnReply, Requests

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger("hub.client")


class HubLink:
    """A connection and its commands. `handle` gets every message that answers none, one after the other.

    While `handle` waits (a slow application), nothing more is read: back-pressure reaches the hub by TCP.
    """

    def __init__(
        self,
        socket: Socket,
        welcome: Welcome,
        encoding: Encoding,
        handle: "Callable[[HubLink, dict[str, Any]], Awaitable[None]]",
        timing: Timing,
        deadline: float,
    ) -> None:
        self._socket = socket
        self._encoding = encoding
        self._handle = handle
        self._timing = timing
        self._deadline = deadline
        self._notice: dict[str, Any] | None = None
        self._outgoing: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._stalled = False
        self._broken: str | None = None
        loop = asyncio.get_running_loop()
        self.welcome = welcome
        self.requests = Requests(self.abort)
        self.born = self.token_since = timing.now()
        self.drained: asyncio.Future[Window | None] = loop.create_future()
        self.ended: asyncio.Future[Departure] = loop.create_future()
        self._tasks = Tasks()

    def start(self) -> None:
        """Begin to read; called once the owner is ready for messages."""
        for name, part in (("read", self._read()), ("write", self._write()), ("watch", self._watch())):
            self._tasks.spawn(part, f"hub-client-{name}")

    @property
    def alive(self) -> bool:
        """Whether anything sent now may still arrive."""
        return not self.ended.done() and self._broken is None

    @property
    def backlog(self) -> int:
        """Messages not yet handed to the socket."""
        return len(self._outgoing)

    def post(self, message: dict[str, Any]) -> None:
        """Queue a message; the order of calls is the order on the wire.

        Raises:
            HubError: ``bad_message`` or ``too_large``: it could not be sent, the connection stands.
        """
        body = dumps_json(message)
        if self._encoding is Encoding.MSGPACK:
            body = transcode(body)
        if len(body) > (limit := self.welcome.message_bytes):
            raise HubError(ErrorCode.TOO_LARGE, f"the message has {len(body)} bytes, the hub reads {limit}")
        self._outgoing.append(body)
        self._wake.set()

    def ask(self, message: dict[str, Any], on_reply: OnReply) -> None:
        """Send a command; `on_reply` runs when its reply is read, before any later message is looked at."""
        self._send(self.requests.add(message["type"], self._deadline, on_reply), message)

    async def call(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a command and wait for its reply.

        Raises:
            HubError: the hub refused it.
            NotConnected: the connection ended first.
        """
        id, reply = self.requests.expect(message["type"], self._deadline)
        self._send(id, message)
        return await reply

    def _send(self, id: int, message: dict[str, Any]) -> None:
        try:
            self.post({**message, "id": id})
        except HubError:
            self.requests.forget(id)
            raise

    def abort(self, reason: str) -> None:
        """Drop the connection without a word: the peer is silent or talks nonsense."""
        if self._broken is None:
            self._broken = reason
            self._socket.transport.abort()

    async def close(self) -> None:
        """Close with 1000, and wait for the end (the socket's own limit is 5 s)."""
        await self._socket.close()
        await self.settle()

    async def settle(self) -> None:
        """Wait until nothing of this connection runs any more."""
        await self._tasks.close()

    async def _read(self) -> None:
        reason = None
        try:
            while True:
                message = decode(await self._socket.recv(decode=False), self._encoding)
                self._stalled = True
                await self._dispatch(message)
                self._stalled = False
        except ConnectionClosed:
            pass
        except HubError as error:
            reason = f"the hub sent an unreadable message: {error.reason}"
            log.warning("%s", reason)
        except Exception:
            reason = "the client failed on a message"
            log.exception(reason)
        finally:
            self._finish(reason)

    async def _dispatch(self, message: dict[str, Any]) -> None:
        if "id" in message and self.requests.resolve(message):
            return
        kind = message.get("type")
        if kind == "hub.close":
            self._notice = message
        elif kind == "hub.drain":
            if not self.drained.done():
                self.drained.set_result(Window.of(message.get("reconnect")))
        else:
            await self._handle(self, message)

    async def _write(self) -> None:
        try:
            while True:
                while self._outgoing:
                    await self._socket.send(self._outgoing.popleft(), text=self._encoding is Encoding.JSON)
                self._wake.clear()
                await self._wake.wait()
        except ConnectionClosed:
            return  # the reader tells why

    async def _watch(self) -> None:
        """The hub pings every heartbeat; after 1.5 intervals without any frame ask, and do not wait long."""
        quiet = self.welcome.heartbeat * 1.5
        loop = asyncio.get_running_loop()
        while self.alive:
            heard = self._socket.heard or loop.time()
            left = heard + quiet - loop.time()
            if left > 0 or self._stalled:
                await asyncio.sleep(max(left, quiet / 4))
                continue
            replied = asyncio.Event()
            self.ask({"type": "ping"}, lambda _reply, seen=replied: seen.set())  # type: ignore[misc]
            await replied.wait()

    def _finish(self, reason: str | None) -> None:
        self._socket.transport.abort()
        if self.ended.done():
            return
        if reason or self._broken:
            departure = Departure(Then.BACKOFF, reason or self._broken or "")
        else:
            departure = departure_of(self._socket, self._notice)
        self.ended.set_result(departure)
        self.requests.fail(departure.reason)
        self._tasks.cancel()  # nothing is written or watched any more
