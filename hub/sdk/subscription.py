"""The application's side of a subscription: an async iterator that knows its position."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Any, Protocol

from hub.protocol.position import Position

from .buffer import Ended
from .feed import Feed
from .items import Gap, History, Item, Published, Snapshot

OnGap = Callable[[Gap], Awaitable[None] | None]
OnSnapshot = Callable[[Snapshot], Awaitable[None] | None]


class Commands(Protocol):
    """What a subscription has its client do."""

    def begin(self, feed: Feed) -> None:
        """Ask for the channel, now and after each reconnect."""

    def leave(self, feed: Feed) -> None:
        """Ask for it no more."""

    def taken(self, feed: Feed) -> None:
        """The application took an item: there is room for another."""

    @property
    def publish(self) -> Callable[..., Awaitable[Published]]:
        """`Client.publish`: one publication, and where it stands."""

    async def set_presence(self, channel: str, state: Any) -> None:
        """One's own state in the channel."""

    async def history(self, channel: str, since: Position | str | None = None, limit: int = 100) -> History:
        """Stored events."""

    async def call(self, message: dict[str, Any]) -> dict[str, Any]:
        """A command and its reply."""


class Subscription:
    """Events of one channel, in order, none twice, across reconnects; with gaps told.

    Iterate to get `Event`s, and in their place among them a `Gap` where events are lost for good and a
    `Snapshot` where a ``state`` channel begins or begins anew; `on_gap` and `on_snapshot` get them instead
    where given. Inside ``async with`` the subscription lives as long as the block, else as long as the
    iteration.

    Iteration ends when the subscription or the client is closed. It raises `HubError` where the hub refused
    or ended the subscription, and `Stopped` where the client had to stop.
    """

    def __init__(
        self, client: Commands, feed: Feed, on_gap: OnGap | None = None, on_snapshot: OnSnapshot | None = None
    ) -> None:
        self._client = client
        self._feed = feed
        self._on_gap = on_gap
        self._on_snapshot = on_snapshot
        self._started = False
        self._taken = feed.received

    @property
    def channel(self) -> str:
        """The channel's name."""
        return self._feed.channel

    @property
    def position(self) -> Position | None:
        """Where the application stands: behind the item it took last. As `since`, it continues from there.

        None before the hub's first answer and on ephemeral channels.
        """
        feed = self._feed
        return self._taken or feed.begun if len(feed.buffer) else feed.received

    @property
    def live(self) -> bool:
        """Whether the hub sends this channel's events at this moment."""
        return self._feed.link is not None

    @property
    def members(self) -> list[dict[str, Any]]:
        """Who is in the channel, where `presence` was asked for."""
        return self._feed.members.all()

    @property
    def unread(self) -> int | None:
        """Events beyond the user's read cursor, those not yet iterated included; None without an inbox."""
        return self._feed.unread

    async def start(self, timeout: float | None = 30.0) -> None:
        """Subscribe, and wait for the hub's answer.

        Raises:
            HubError: refused. TimeoutError: no answer in `timeout` seconds. Stopped: the client has stopped.
            ValueError: the client is subscribed to this channel already.
        """
        if not self._started:
            self._client.begin(self._feed)
            self._started = True
        try:
            async with asyncio.timeout(timeout):
                await asyncio.shield(self._feed.ready)
        except (TimeoutError, asyncio.CancelledError):
            await self.close()
            raise

    def adopted(self) -> None:
        """For `Client`: the hub has subscribed it already."""
        self._started = True

    async def close(self) -> None:
        """Unsubscribe. What was received already can still be iterated."""
        self._client.leave(self._feed)

    async def get(self) -> Item:
        """The next item.

        Raises:
            Ended: the subscription or the client was closed. HubError, Stopped: as in iteration.
        """
        while True:
            item = await self._feed.buffer.get()
            self._taken = item.position or self._taken
            self._client.taken(self._feed)
            if isinstance(item, Gap) and self._on_gap is not None:
                await _call(self._on_gap(item))
            elif isinstance(item, Snapshot) and self._on_snapshot is not None:
                await _call(self._on_snapshot(item))
            else:
                return item

    async def publish(self, event: str, payload: Any, **options: Any) -> Published:
        """`Client.publish` to this channel."""
        return await self._client.publish(self.channel, event, payload, **options)

    async def set_presence(self, state: Any) -> None:
        """What the others see of this member beside its `info`; told again after each reconnect.

        Raises:
            HubError: no right to, or too large. TimeoutError.
        """
        await self._client.set_presence(self.channel, state)
        self._feed.presence_state = state

    async def ack(self, position: Position | None = None) -> int | None:
        """Move the user's read cursor to `position`, by default behind the item taken last; returns `unread`.

        Raises:
            HubError: no inbox, or beyond the end. ValueError: there is no position yet. TimeoutError.
        """
        where = position or self.position
        if where is None:
            raise ValueError("there is no position to acknowledge yet")
        message = await self._client.call(
            {"type": "ack", "channel": self.channel, "epoch": where.epoch, "offset": where.offset}
        )
        self._feed.acked(message)
        return self.unread

    async def history(self, since: Position | str | None = None, limit: int = 100) -> History:
        """`Client.history` of this channel."""
        return await self._client.history(self.channel, since, limit)

    async def __aenter__(self) -> "Subscription":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def __aiter__(self) -> AsyncIterator[Item]:
        own = not self._started
        if own:
            await self.start()
        try:
            while True:
                try:
                    item = await self.get()
                except Ended:
                    return
                yield item
        finally:
            if own:
                await self.close()


async def _call(result: Awaitable[None] | None) -> None:
    if inspect.isawaitable(result):
        await result
