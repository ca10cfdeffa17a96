"""The client: one connection at a time, as many subscriptions as the hub allows, publications in order."""

import asyncio
import logging
import ssl as tls
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Literal
from uuid import uuid4

from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError
from hub.protocol.frames import Encoding
from hub.protocol.position import Position

from ..runtime.backoff import Backoff, Timing
from .addresses import socket_address
from .callbacks import tell
from .errors import NotConnected, Stopped
from .feed import Feed
from .handshake import Endpoint, Welcome
from .items import Event, History, PresenceChange, Published, State, Status, as_position, error_of
from .link import HubLink
from .publishing import UNKNOWN_AFTER, Publishing
from .registry import FeedRegistry
from .subscription import OnGap, OnSnapshot, Subscription
from .supervisor import Supervisor
from .tls import Cert, of_options
from .tokens import NoToken, Token, TokenSource
from .warnings import note_warnings

log = logging.getLogger("hub.client")
RETIRE = 10.0  # seconds that an old connection may go on after the next one took over


class Client:
    """A connection to the hub that comes back by itself.

    ```python
    async with Client("ws://hub:8000/ws", token=make_token) as hub:
        async with hub.subscribe("job:42") as job:
            async for event in job:
                print(event.type, event.payload)
    ```

    `url` is the hub's address, ``http://hub:8000`` (``https://example.com/hub`` where it is mounted), or its
    socket's, ``ws://hub:8000/ws``. `token` is a JWT, or a sync or async callable that returns one, called for
    each connection and renewal; None where a certificate says who connects. `ca` is a file of the certificates
    that are believed, in place of this machine's; `cert` the client's own, one file with its key or
    (certificate, key), read anew where it was renewed; `ssl` a context of one's own in place of both. `queue`
    bounds unanswered publications, `buffer` the untaken events of a subscription: when one is full, the client
    stops reading its socket. `when_disconnected`: whether `publish` waits for a connection or raises
    `NotConnected`. `timeout` (s) is the deadline of a connection attempt and of each command, `start_timeout`
    that of the first connection. `on_status` hears of connections, `on_error` of errors that answer no command,
    `on_subscription` gets the channels that the token subscribes by itself; without it they are left alone.
    """

    def __init__(
        self,
        url: str,
        token: Token | None = None,
        *,
        ca: str | None = None,
        cert: Cert | None = None,
        encoding: Literal["json", "msgpack"] = "json",
        queue: int = 1000,
        buffer: int = 1000,
        when_disconnected: Literal["queue", "refuse"] = "queue",
        timeout: float = 10.0,
        start_timeout: float = 30.0,
        unknown_after: float = UNKNOWN_AFTER,
        ssl: tls.SSLContext | None = None,
        headers: Sequence[tuple[str, str]] = (),
        proxy: str | Literal[True] | None = None,
        on_status: Callable[[Status], None] | None = None,
        on_error: Callable[[HubError], None] | None = None,
        on_subscription: Callable[[Subscription], None] | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._timing = timing or Timing()
        if token is None and cert is None and ssl is None:
            raise ValueError("a client needs a token, or a certificate that says who it is")
        self._endpoint = Endpoint(
            socket_address(url),
            Encoding[encoding.upper()],
            timeout,
            ssl,
            headers,
            proxy,
            of_options(socket_address(url), ca, cert),
        )
        self._tokens = NoToken() if token is None else TokenSource(token, timeout)
        self._limits = (queue, unknown_after)
        self._buffer = buffer
        self._refuse = when_disconnected == "refuse"
        self._start_timeout = start_timeout
        self._on_status = on_status
        self._on_error = on_error
        self._on_subscription = on_subscription
        self._link: HubLink | None = None
        self._blind: tuple[int, int] | None = None
        self._stopped: BaseException | None = None
        self._status = Status(State.STOPPED)
        self._task: asyncio.Task[None] | None = None

    # Life

    async def start(self) -> None:
        """Connect, and wait for the hub's welcome.

        Raises:
            Stopped: refused for good (`TokenRefused` for a token). TimeoutError: no welcome, and why.
        """
        if self._task is not None:
            raise RuntimeError("a client is started once")
        self._moved = asyncio.Event()
        self._publishing = Publishing(self._limits[0], self._timing, self._limits[1])
        self._registry = FeedRegistry(self._pressed, self._adopt)
        self._supervisor = Supervisor(
            self._endpoint,
            self._tokens,
            self._timing,
            self._handle,
            self._up,
            self._down,
            self._settled,
            self._tell,
        )
        self._connected = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="hub-client")
        try:
            async with asyncio.timeout(self._start_timeout):
                await self._link_up()
        except TimeoutError:
            why = self._status.reason or "no welcome"
            await self.close()
            raise TimeoutError(f"not connected within {self._start_timeout:g} s: {why}") from None
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Leave. Iterations end; publications raise `NotConnected`, or `UnknownOutcome` if they were sent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def wait(self) -> None:
        """Until the client has stopped. Raises: Stopped: why, unless it was closed."""
        if self._task is not None:
            await asyncio.wait({self._task})
        if self._stopped is not None and not isinstance(self._stopped, NotConnected):
            raise self._stopped

    async def __aenter__(self) -> "Client":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def status(self) -> Status:
        """The connection's state, and why."""
        return self._status

    @property
    def welcome(self) -> Welcome | None:
        """What the hub said to the present connection: user, connection, limits; None while there is none."""
        return self._link.welcome if self._link is not None else None

    # Subscriptions

    def subscribe(
        self,
        channel: str,
        *,
        since: Position | str | None = None,
        presence: bool | dict[str, str] | None = None,
        max_rate: float | None = None,
        echo: bool = True,
        on_gap: OnGap | None = None,
        on_snapshot: OnSnapshot | None = None,
        on_presence: Callable[[PresenceChange], None] | None = None,
        get_token: Callable[[], str | Awaitable[str]] | None = None,
    ) -> Subscription:
        """A subscription, to be entered with ``async with`` or iterated; one a channel.

        `since` continues after a position. `presence`: True, or ``{"as": "tab-1"}`` to name this member.
        `max_rate` is flushes a second; `echo` False leaves out one's own events. `on_gap` and `on_snapshot`
        (sync or async) are called in their place among the events, `on_presence` at once, from the reader.
        `get_token`, sync or async, returns a token for this channel alone: asked for each subscribe and renewal.
        """
        options: dict[str, Any] = {}
        if presence:
            options["presence"] = presence
        if max_rate is not None:
            options["max_rate"] = max_rate
        if not echo:
            options["echo"] = False
        tokens = None if get_token is None else TokenSource(get_token, self._endpoint.deadline)
        feed = Feed(
            channel, as_position(since), options, self._buffer, Backoff(self._timing), on_presence, tokens
        )
        return Subscription(self, feed, on_gap, on_snapshot)

    def begin(self, feed: Feed) -> None:
        """For `Subscription`."""
        if self._stopped is not None:
            raise self._stopped
        self._registry.add(feed)

    def leave(self, feed: Feed) -> None:
        """For `Subscription`."""
        self._registry.remove(feed)
        self._moved.set()

    def taken(self, feed: Feed) -> None:
        """For `Subscription`."""
        self._registry.taken(feed)

    # Commands

    async def publish(
        self,
        channel: str,
        event: str,
        payload: Any,
        *,
        key: str | None = None,
        final: bool = False,
        version: int | list[int] | None = None,
        event_id: str | None = None,
        meta: dict[str, str] | None = None,
    ) -> Published:
        """Publish, and wait for the hub's answer. Repeated with one `event_id` after a cut, stored once.

        Order: as called; only publications that the hub held back with ``rate_limited`` may be overtaken.

        Raises:
            HubError: the hub refused it. UnknownOutcome: no answer in 4 minutes.
            QueueFull, NotConnected, Stopped: it was not sent.
        """
        self._check_running()
        if self._refuse and self._link is None:
            raise NotConnected("there is no connection to publish on")
        event_id = event_id or f"e_{uuid4().hex}"
        message = _publish(channel, event, payload, key, final, version)
        if meta is not None:
            message["meta"] = meta
        return await self._publishing.add({**message, "event_id": event_id}, event_id).future

    async def batch(
        self, events: Sequence[dict[str, Any]], *, ordered: bool = False
    ) -> list[Published | HubError]:
        """Publish up to 100 events by one command; for each its answer, or what is wrong with it.

        An event is a dict in the contract's words: `channel`, `event`, `payload`, `key`, …. Each gets an
        `event_id` where it has none, so that it is stored once though the command is repeated after a cut.
        `ordered`: what is stored for a channel is a prefix of its events that were not refused for good.

        Raises:
            HubError: refused as a whole. TimeoutError: no answer within `timeout`; stored or not. Stopped.
        """
        sent = [{"event_id": f"e_{uuid4().hex}", **event} for event in events]
        reply = await self.call({"type": "batch", "events": sent, "ordered": ordered})
        note_warnings(reply)
        return [_answer(each, result) for each, result in zip(sent, reply["results"], strict=True)]

    def publish_nowait(self, channel: str, event: str, payload: Any, *, key: str | None = None) -> bool:
        """Send at once, expect no answer: for what is soon out of date (a cursor). Errors go to `on_error`.

        False where it was not sent: no connection, or one that does not keep up.
        """
        link = self._link
        if link is None or not link.alive or link.backlog >= 64:
            return False
        link.post(_publish(channel, event, payload, key, False, None))
        self._blind = (link.requests.last, self._publishing.last)
        return True

    async def presence(self, channel: str, *, by_user: bool = False) -> list[dict[str, Any]]:
        """Who is in a channel. Raises: HubError, TimeoutError, Stopped."""
        group = {"group": "user"} if by_user else {}
        members = (await self.call({"type": "presence", "channel": channel, **group})).get("members")
        return members if isinstance(members, list) else []

    async def set_presence(self, channel: str, state: Any) -> None:
        """One's own state in a channel, for this connection. Raises: HubError, TimeoutError, Stopped."""
        await self.call({"type": "set_presence", "channel": channel, "state": state})

    async def history(self, channel: str, since: Position | str | None = None, limit: int = 100) -> History:
        """Stored events after `since`, else the newest `limit`. Raises: HubError, TimeoutError, Stopped."""
        place = as_position(since)
        after = {"since": place._asdict()} if place is not None else {}
        reply = await self.call({"type": "history", "channel": channel, "limit": limit, **after})
        position = Position.checked(reply.get("epoch"), reply.get("offset"))
        events = tuple(Event.of(event, position.epoch) for event in reply.get("events", ()))
        return History(events, position, reply.get("more") is True)

    async def ping(self) -> int:
        """The hub's time in ms since the Unix epoch. Raises: TimeoutError, Stopped."""
        return int((await self.call({"type": "ping"}))["time"])

    async def call(self, message: dict[str, Any]) -> dict[str, Any]:
        """A command that may be repeated, and its reply; asked again on the next connection after a cut.

        Raises:
            HubError: refused. TimeoutError: no answer within `timeout`. Stopped.
        """
        timeout = self._endpoint.deadline
        try:
            async with asyncio.timeout(timeout):
                while True:
                    link = await self._link_up()
                    try:
                        return await link.call(message)
                    except NotConnected:
                        continue
        except TimeoutError:
            raise TimeoutError(f"no answer to {message['type']} within {timeout:g} s") from None

    # Inside

    async def _run(self) -> None:
        error: BaseException = NotConnected("the client was closed")
        try:
            await self._supervisor.run()
        except Stopped as stopped:
            log.warning("stopped: %s", stopped.reason)
            error = stopped
        except Exception as broken:
            log.exception("the client failed")
            error = broken
        finally:
            self._stopped = error
            closed = isinstance(error, NotConnected)
            self._registry.end(None if closed else error)
            self._publishing.end(error)
            self._connected.set()
            self._tell(Status(State.STOPPED, str(error)))

    async def _link_up(self) -> HubLink:
        while True:
            await self._connected.wait()
            self._check_running()
            if self._link is not None and self._link.alive:
                return self._link
            self._connected.clear()

    def _check_running(self) -> None:
        if self._task is None:
            raise NotConnected("the client was not started")
        if self._stopped is not None:
            raise self._stopped

    def _up(self, link: HubLink) -> None:
        self._link = link
        self._blind = None
        self._registry.up(link)
        self._publishing.up(link)
        self._connected.set()

    def _down(self, link: HubLink) -> None:
        if self._link is link:
            self._link = None
            self._connected.clear()
        self._registry.down(link)
        self._publishing.down(link)
        self._moved.set()

    async def _settled(self, link: HubLink) -> None:
        """Wait until nothing depends on an old connection, or long enough."""
        try:
            async with asyncio.timeout(RETIRE):
                while link.alive and (self._registry.reads(link) or self._publishing.awaits(link)):
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            log.warning("the old connection still had work after %g s", RETIRE)

    async def _handle(self, link: HubLink, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if self._publishing.answer(message) or await self._registry.handle(link, message):
            self._moved.set()
        elif kind == "hub.token_expiring" and "channel" not in message:
            self._supervisor.spawn(self._supervisor.renew(link, message))
        elif kind == "hub.error" and not self._settles(link, message):
            error = error_of(message)
            log.warning("the hub refused a command: %s", error.reason)
            tell(self._on_error, error)

    def _settles(self, link: HubLink, message: dict[str, Any]) -> bool:
        """Of a message that the hub could not read it does not know the id: its complaint is about the only command
        that has no answer yet, where there is one only, and nothing was sent without an id beside it.
        """
        if message.get("code") != ErrorCode.BAD_MESSAGE or "id" in message or "channel" in message:
            return False
        requests, publishing = link.requests, self._publishing
        if self._blind is not None:
            last, published = self._blind
            if requests.answered <= last and publishing.answered <= published:
                return False
        waiting = [*requests.waiting, *publishing.waiting(link)]
        if len(waiting) != 1:
            return False
        answer = {**message, "id": waiting[0]}
        return requests.resolve(answer) or publishing.answer(answer)

    def _pressed(self) -> bool:
        link = self._link
        return link is None or bool(len(link.requests) or len(self._publishing))

    def _adopt(self, channel: str) -> Feed | None:
        if self._on_subscription is None:
            return None
        feed = Feed(channel, None, {}, self._buffer, Backoff(self._timing))
        subscription = Subscription(self, feed)
        subscription.adopted()
        tell(self._on_subscription, subscription)
        return feed

    def _tell(self, status: Status) -> None:
        self._status = status
        tell(self._on_status, status)


def _publish(
    channel: str, event: str, payload: Any, key: str | None, final: bool, version: int | list[int] | None
) -> dict[str, Any]:
    message: dict[str, Any] = {"type": "publish", "channel": channel, "event": event, "payload": payload}
    if key is not None:
        message["key"] = key
    if final:
        message["final"] = True
    if version is not None:
        message["version"] = version
    return message


def _answer(event: dict[str, Any], result: dict[str, Any]) -> Published | HubError:
    """What became of one event of a batch."""
    note_warnings(result)
    if "code" in result:
        return error_of(result)
    return Published.of(result, event["event_id"], event["channel"])
