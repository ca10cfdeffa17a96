"""`HubTestClient`: a hub's handlers tried out without a network, in a clock of its own.

    def test_a_closed_document_takes_no_readers():
        with HubTestClient(hub) as client:
            ann = client.connect("ann")
            with pytest.raises(HubError, match="closed"):
                ann.subscribe("doc:closed")

Time passes only when everybody waits, or by `advance`: a lease that ends in an hour costs a test nothing. Plain
functions run in real threads, and are waited for.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, TypeVar

import orjson

from .app import Hub
from .auth.grants import pattern
from .auth.identity import Grants, Identity
from .broker.base import Published
from .commands.authenticate import admit
from .connections.connection import Connection
from .node import Node
from .protocol.codes import ErrorCode
from .protocol.errors import HubError
from .protocol.frames import Encoding, bodies
from .protocol.replies import Window

EVERYTHING = ("*",)
_PATIENCE_S = 60.0  # of the hub's clock, in which an answer must come
_TOKEN_S = 86_400.0

_Result = TypeVar("_Result")


class _Loop(asyncio.SelectorEventLoop):
    """`time` jumps to the next timer where nothing else is to be done. `busy`: threads are at work, so that it
    passes as it does for everybody."""

    def __init__(self) -> None:
        super().__init__()
        self.busy: Callable[[], int] = lambda: 0
        self._skipped = 0.0
        select = self._selector.select  # type: ignore[attr-defined]

        def jump(timeout: float | None) -> Any:
            if self.busy():
                return select(0.005 if timeout is None else min(timeout, 0.005))
            ready = select(0)
            if ready or (timeout is not None and timeout <= 0):
                return ready
            if timeout is None:
                raise RuntimeError("everybody waits, and no timer is set")
            self._skipped += timeout
            return select(0)

        self._selector.select = jump  # type: ignore[attr-defined]

    def time(self) -> float:
        return super().time() + self._skipped

    def wall(self) -> float:
        """Unix seconds, by this clock."""
        return time.time() + self._skipped


class _Wire:
    """A transport that keeps what is written, and the code that it is closed with."""

    def __init__(self) -> None:
        self.messages: deque[dict[str, Any]] = deque()
        self.closed: tuple[int, str] | None = None

    def write(self, data: bytes) -> None:
        """As `Transport.write`."""
        self.messages.extend(orjson.loads(body) for body in bodies(data))

    def close(self, code: int, reason: str, window: Window | None = None) -> None:
        """As `Transport.close`."""
        self.closed = (code, reason)

    def ping(self) -> None:
        """As `Transport.ping`: the peer answers by nothing."""

    def sent_away(self, window: Window) -> None:
        """As `Transport.sent_away`."""

    def pause_reading(self) -> None:
        """As `Transport.pause_reading`."""

    def resume_reading(self) -> None:
        """As `Transport.resume_reading`."""

    def unacknowledged(self) -> int | None:
        """As `Transport.unacknowledged`."""
        return None

    def admitted(self) -> None:
        """As `Transport.admitted`."""


class HubTestClient:
    """A hub that runs for as long as this is entered; over ``memory://``, whatever its settings say."""

    def __init__(self, hub: Hub) -> None:
        if hub.settings.broker != "memory://":
            hub.settings = hub.settings.model_copy(update={"broker": "memory://"})
        self.hub = hub
        self._loop = _Loop()
        self._lifespan = hub.lifespan()

    def __enter__(self) -> "HubTestClient":
        self.hub.wall = self._loop.wall
        self._run(self._lifespan.__aenter__())
        self._loop.busy = self.hub.busy_threads
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._run(self._lifespan.__aexit__(None, None, None))
        finally:
            self._loop.close()
            self.hub.wall = time.time

    def connect(
        self,
        user: str,
        *,
        subscribe: Sequence[str] = EVERYTHING,
        publish: Sequence[str] = EVERYTHING,
        presence: Sequence[str] = EVERYTHING,
        channels: Sequence[str] = (),
        info: Any = None,
    ) -> "TestConnection":
        """A connection of `user`, with the rights of such a token.

        Raises:
            HubError: it was refused.
        """
        rights = Grants(*(pattern(tuple(each)) for each in (subscribe, publish, presence)))
        shown = None if info is None else orjson.dumps(info)
        end = self._loop.wall() + _TOKEN_S
        identity = Identity(user, end, rights, tuple(channels), shown, name=user)
        wire = _Wire()
        node = self._node
        connection = self._in_loop(lambda: Connection(node, wire, Encoding.JSON, False, "test"))
        opened = TestConnection(self, connection, wire)
        self._run(admit(node, connection, identity, None, {}))
        opened._settle()
        return opened

    def publish(self, channel: str, event: str, payload: Any, **options: Any) -> Published:
        """`Hub.publish`, from outside the hub's loop."""
        return self._run(self.hub.publish(channel, event, payload, **options))

    def advance(self, seconds: float) -> None:
        """Let time pass, and all that is due in it happen."""
        self._run(asyncio.sleep(seconds))

    @property
    def _node(self) -> Node:
        node = self.hub.node
        assert node is not None, "use it as a context manager: with HubTestClient(hub) as client"
        return node

    def _in_loop(self, make: Callable[[], _Result]) -> _Result:
        async def inside() -> _Result:
            return make()

        return self._run(inside())

    def _run(self, work: Awaitable[_Result]) -> _Result:
        async def inside() -> _Result:
            return await work

        return self._loop.run_until_complete(inside())


class TestConnection:
    """A client's end: commands raise `HubError` where they are refused. `welcome` is its `hub.welcome`, and
    `closed` the code and reason that the hub closed it with."""

    __test__ = False  # no class of tests, whatever its name

    def __init__(self, client: HubTestClient, connection: Connection, wire: _Wire) -> None:
        self._client = client
        self._connection = connection
        self._wire = wire
        self._ids = 0
        self.welcome: dict[str, Any] = {}

    @property
    def id(self) -> str:
        """The connection's id."""
        return self._connection.id

    @property
    def closed(self) -> tuple[int, str] | None:
        """The code and the reason."""
        return self._wire.closed

    def subscribe(self, channel: str, **options: Any) -> dict[str, Any]:
        """`hub.subscribed`."""
        return self.ask("subscribe", channel=channel, **options)

    def publish(self, channel: str, event: str, payload: Any, **options: Any) -> dict[str, Any]:
        """`hub.published`."""
        return self.ask("publish", channel=channel, event=event, payload=payload, **options)

    def call(self, method: str, payload: Any = None) -> Any:
        """What the handler of `method` gives."""
        return self.ask("call", method=method, payload=payload)["payload"]

    def ask(self, type: str, **fields: Any) -> dict[str, Any]:
        """A command, and its reply.

        Raises:
            HubError: it is refused. TimeoutError: no answer.
        """
        self._ids += 1
        id = self._ids
        body = orjson.dumps({"type": type, "id": id, **fields})
        self._client._in_loop(lambda: self._connection.receive(body, True))
        return self._refusing(self._first(lambda message: message.get("id") == id, f"answer to {type}"))

    def receive(self, type: str | None = None) -> dict[str, Any]:
        """The next message, or the next of a type; those before it stay.

        Raises:
            TimeoutError: there is none.
        """
        return self._first(lambda message: type in (None, message["type"]), f"{type or 'message'}")

    def start(self, type: str, **fields: Any) -> None:
        """Send a command; its answer, where it has an `id`, is for `receive`."""
        body = orjson.dumps({"type": type, **fields})
        self._client._in_loop(lambda: self._connection.receive(body, True))

    def close(self) -> None:
        """The client goes away."""
        self._client._in_loop(lambda: self._connection.gone(1000))
        self._client.advance(0)

    def _first(self, wanted: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        client = self._client
        deadline = client._loop.time() + _PATIENCE_S
        while True:
            for message in self._wire.messages:
                if wanted(message):
                    self._wire.messages.remove(message)
                    return message
            if client._loop.time() >= deadline:
                raise TimeoutError(f"no {what} came")
            client.advance(0.01)

    def _settle(self) -> None:
        """Welcomed, or refused."""
        first = self._first(lambda message: message["type"] in ("hub.welcome", "hub.error"), "hub.welcome")
        self.welcome = self._refusing(first)

    def _refusing(self, message: dict[str, Any]) -> dict[str, Any]:
        if message["type"] != "hub.error":
            return message
        raise HubError(
            ErrorCode(message["code"]),
            message["reason"],
            channel=message.get("channel"),
            retry_after_ms=message.get("retry_after_ms"),
        )
