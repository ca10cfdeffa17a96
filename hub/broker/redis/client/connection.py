"""One connection to a Redis server: RESP3, pipelined, supervised.

A thin `asyncio.Protocol` over hiredis. Commands of one turn of the loop leave in one write, and their replies
come back in order, so that many concurrent callers share a round trip. Whatever goes wrong, every caller gets
an answer within `patience`: a server that owes a reply for longer is given up, and the link with it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

import hiredis
from redis.credentials import CredentialProvider

from .address import Address, Remap

Command = tuple[str | bytes | int | float, ...]
Reply = Any  # bytes, int, None, list, dict, or hiredis.ReplyError (returned, not raised)

_NOTHING = object()
_CONFIRMATIONS = frozenset({b"subscribe", b"unsubscribe", b"ssubscribe", b"sunsubscribe"})
_LOOK_S = 0.25  # how often the oldest debt is looked at


class LinkError(Exception):
    """The link can't be had or is gone: what was asked may have been carried out or not."""


class _Debt:
    """Replies that the server owes to one caller. `confirms` is the kind of push that counts as a reply."""

    __slots__ = ("confirms", "count", "future", "replies", "since")

    def __init__(
        self, count: int, future: "asyncio.Future[list[Reply]]", since: float, confirms: bytes
    ) -> None:
        self.count = count
        self.future = future
        self.since = since
        self.confirms = confirms
        self.replies: list[Reply] = []


class Link(asyncio.Protocol):
    """One connection to a Redis server: RESP3, pipelined, supervised. Made by `open_link`.

    `on_push` is called with every push that answers nothing; `on_lost` once, with the reason.
    """

    def __init__(
        self,
        name: str,
        patience: float,
        on_push: Callable[[list[Any]], None] | None = None,
        on_lost: Callable[[str], None] | None = None,
    ) -> None:
        self.name = name
        self.open = False
        self.waiting_bytes = 0
        self._patience = patience
        self._on_push = on_push
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._debts: deque[_Debt] = deque()
        self._out: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reason = "closed by the server"

    # Asking

    @property
    def owing(self) -> int:
        """How many callers wait."""
        return len(self._debts)

    @property
    def oldest(self) -> float:
        """Since when (the loop's time) the server has owed its oldest reply; now, where it owes none."""
        return self._debts[0].since if self._debts else self._loop.time()

    def call(self, commands: Sequence[Command]) -> "asyncio.Future[list[Reply]]":
        """Send commands; the future gives their replies, or `LinkError`."""
        return self._ask(commands, len(commands), b"")

    def subscribe(self, verb: str, channels: Sequence[str | bytes]) -> "asyncio.Future[list[Reply]]":
        """Send one ``SUBSCRIBE`` or the like: the future gives a confirmation for each name, or an error."""
        return self._ask([(verb, *channels)], len(channels), verb.lower().encode())

    def _ask(self, commands: Sequence[Command], count: int, confirms: bytes) -> "asyncio.Future[list[Reply]]":
        future: asyncio.Future[list[Reply]] = self._loop.create_future()
        if not self.open:
            future.set_exception(LinkError(f"{self.name}: {self._reason}"))
            return future
        self._debts.append(_Debt(count, future, self._loop.time(), confirms))
        if not self._out:
            self._loop.call_soon(self._flush)
        pack = hiredis.pack_command
        for command in commands:
            self._out.append(pack(command))  # type: ignore[arg-type]  # its stub knows one word only
        return future

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and self._transport is not None and self.open:
            data = b"".join(out)
            self._transport.write(data)
            self.waiting_bytes = self._transport.get_write_buffer_size()

    # Being answered (asyncio.Protocol)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No isinstance: uvloop's transports are their own kind.
        self._transport = cast("asyncio.Transport", transport)
        self.open = True
        self._timer = self._loop.call_later(_LOOK_S, self._look)

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        try:
            reader.feed(data)
            while self.open and (item := reader.gets()) is not _NOTHING:
                self._take(item)
        except hiredis.ProtocolError as error:
            self.abort(f"bytes that are no RESP: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        self._end(str(error) if error is not None else self._reason)

    def _take(self, item: Any) -> None:
        debt = self._debts[0] if self._debts else None
        if isinstance(item, hiredis.PushNotification):
            if debt is None or not debt.confirms or item[0] != debt.confirms:
                if self._on_push is not None:
                    self._on_push(item)
                return
        elif debt is None:
            self.abort("a reply that nobody asked for")
            return
        debt.replies.append(item)
        # An error answers a whole SUBSCRIBE, which else has a confirmation for each channel.
        if len(debt.replies) == debt.count or (debt.confirms and isinstance(item, hiredis.ReplyError)):
            self._debts.popleft()
            if not debt.future.done():
                debt.future.set_result(debt.replies)

    # The end

    def abort(self, reason: str) -> None:
        """Drop the connection now: whoever waits gets `LinkError`."""
        if self._transport is not None:
            self._transport.abort()
        self._end(reason)

    def _look(self) -> None:
        self._timer = self._loop.call_later(_LOOK_S, self._look)
        if self._debts and self._loop.time() - self._debts[0].since > self._patience:
            self.abort(f"no reply within {self._patience:g} s")

    def _end(self, reason: str) -> None:
        if not self.open:
            return
        self.open = False
        self._reason = reason
        if self._timer is not None:
            self._timer.cancel()
        debts, self._debts = self._debts, deque()
        for debt in debts:
            if not debt.future.done():
                debt.future.set_exception(LinkError(f"{self.name}: {reason}"))
        if self._on_lost is not None:
            self._on_lost(reason)


def remapped(remap: Remap | None, host: str, port: int) -> tuple[str, int]:
    """Where a server is reached that says it is at `host` and `port`.

    Raises:
        LinkError: `remap` failed.
    """
    if remap is None:
        return host, port
    try:
        host, port = remap((host, port))
    except Exception as error:  # the host program's own code
        raise LinkError(f"{host}:{port}: the address remap failed: {type(error).__name__}") from error
    return host, port


async def open_link(
    address: Address,
    *,
    client: str,
    patience: float,
    on_push: Callable[[list[Any]], None] | None = None,
    on_lost: Callable[[str], None] | None = None,
) -> Link:
    """Connect and introduce ourselves (``HELLO 3``, ``SELECT``), within `patience` seconds.

    Raises:
        LinkError: not reachable, or it refused the handshake.
    """
    # Only a link that was handed out reports its loss: before that, the exception says it.
    ready = False

    def lost(reason: str) -> None:
        if ready and on_lost is not None:
            on_lost(reason)

    link = Link(address.name, patience, on_push, lost)
    try:
        async with asyncio.timeout(address.connect_timeout or patience):
            await _connect(link, address)
        async with asyncio.timeout(patience):
            await _hello(link, address, client)
    except (OSError, TimeoutError) as error:
        link.abort("not reached")
        raise LinkError(f"{address.name}: {str(error) or 'no answer in time'}") from None
    except BaseException:
        link.abort("not reached")
        raise
    ready = True
    return link


async def _connect(link: Link, address: Address) -> None:
    loop = asyncio.get_running_loop()
    if address.path is not None:
        await loop.create_unix_connection(lambda: link, address.path)
        return
    tls = address.tls
    await loop.create_connection(
        lambda: link,
        address.host,
        address.port,
        ssl=tls,
        server_hostname=address.host if tls is not None and tls.check_hostname else None,
    )


async def _hello(link: Link, address: Address, client: str) -> None:
    hello: list[str | bytes | int | float] = ["HELLO", 3]
    user, password = await _credentials(address)
    if password is not None:
        hello += ["AUTH", user or "default", password]
    commands: list[Command] = [(*hello, "SETNAME", client)]
    if address.db:
        commands.append(("SELECT", address.db))
    for reply in await link.call(commands):
        if isinstance(reply, hiredis.ReplyError):
            raise LinkError(f"{address.name}: {reply}")


async def _credentials(address: Address) -> tuple[str | None, str | None]:
    """As whom to connect, at this moment: passwords rotate.

    Raises:
        LinkError: the provider failed.
    """
    provider = address.credentials
    if provider is None:
        return address.user, address.password
    try:
        given = await _ask(provider)
    except Exception as error:  # the host program's own code; its words may quote what it was given
        raise LinkError(f"{address.name}: the credential provider failed: {type(error).__name__}") from error
    return (given[0], given[1]) if len(given) == 2 else (None, given[0])


async def _ask(provider: CredentialProvider) -> Sequence[str]:
    """A provider that does not wait by itself is asked in a thread: it may read a file, or call a service."""
    kind = type(provider)
    asynchronous = getattr(kind, "get_credentials_async", None)  # not before redis-py 5.3
    if asynchronous is None or asynchronous is getattr(CredentialProvider, "get_credentials_async", None):
        return await asyncio.to_thread(provider.get_credentials)
    given: Sequence[str] = await asynchronous(provider)
    return given
