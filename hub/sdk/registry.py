"""All subscriptions of a client: asked for in batches on each new connection, fed, repaired, ended."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from hub.protocol.codec import dumps_json
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError

from .channel_tokens import ChannelTokens
from .feed import Feed
from .items import error_of
from .link import HubLink

log = logging.getLogger("hub.client")
MAX_ENTRY = 2048  # bytes of one entry of a batch; a well-formed one stays below 1,000
STALL = 1.0  # seconds that the reader waits for a slow application before it looks who waits behind it
_FATAL_AT_FIRST = ErrorCode.LIMIT
_ANOTHER_TOKEN = (ErrorCode.TOKEN_EXPIRED, ErrorCode.TOKEN_INVALID)  # once


class FeedRegistry:
    """All subscriptions of a client: asked for in batches on each new connection, fed, repaired, ended.

    `pressed` says whether the application waits for an answer that lies behind the events it does not take:
    then reading has to go on, and the feed that is full lapses until the application has caught up.
    """

    def __init__(self, pressed: Callable[[], bool], adopt: Callable[[str], Feed | None]) -> None:
        self._feeds: dict[str, Feed] = {}
        self._timers: dict[Feed, asyncio.TimerHandle] = {}
        self._pressed = pressed
        self._adopt = adopt
        self._link: HubLink | None = None
        self._tokens = ChannelTokens(self._ask_now, self._token_failed)

    def add(self, feed: Feed) -> None:
        """Begin a subscription.

        Raises:
            ValueError: the client has one on this channel.
            HubError: ``bad_message`` or ``too_large``: what was asked for could never be sent.
        """
        if len(dumps_json(feed.request())) > MAX_ENTRY:
            raise HubError(ErrorCode.TOO_LARGE, f"a subscription is {MAX_ENTRY} bytes of JSON at most")
        if feed.channel in self._feeds:
            raise ValueError(f"this client is subscribed to {feed.channel} already")
        self._feeds[feed.channel] = feed
        self.repair(feed)

    def remove(self, feed: Feed) -> None:
        """End a subscription at the application's wish."""
        if self._feeds.get(feed.channel) is feed:
            del self._feeds[feed.channel]
            for link in {feed.link, feed.asking} - {None}:
                if link is not None and link.alive:
                    link.post({"type": "unsubscribe", "channel": feed.channel})
        self._finish(feed, None)

    def end(self, error: BaseException | None) -> None:
        """The client stops."""
        self._tokens.end()
        for feed in [*self._feeds.values()]:
            self._finish(feed, error)
        self._feeds.clear()

    def up(self, link: HubLink) -> None:
        """A new connection: move everything over to it, by position."""
        self._link = link
        self._ask(link, [feed for feed in self._feeds.values() if not feed.lapsed])

    def down(self, link: HubLink) -> None:
        """A connection is gone."""
        if self._link is link:
            self._link = None
        for feed in self._feeds.values():
            if feed.link is link:
                feed.link = None
            if feed.asking is link:
                feed.asking = None

    def repair(self, feed: Feed, delay: float = 0.0) -> None:
        """Ask for everything after the feed's position, `delay` seconds from now, else at the next `up`."""
        if delay:
            loop = asyncio.get_running_loop()
            self._cancel(feed)
            self._timers[feed] = loop.call_later(delay, self.repair, feed)
            return
        feed.lapsed = False
        if self._feeds.get(feed.channel) is feed and self._link is not None and self._link.alive:
            self._ask(self._link, [feed])

    def reads(self, link: HubLink) -> bool:
        """Whether any feed still depends on `link`."""
        return any(feed.link is link for feed in self._feeds.values())

    async def handle(self, link: HubLink, message: dict[str, Any]) -> bool:
        """A message about a channel; False where it is about none of ours.

        Raises:
            HubError: ``bad_message``: the connection talks nonsense.
        """
        kind, channel = message.get("type"), message.get("channel")
        if kind == "hub.subscribed" and "id" not in message and isinstance(channel, str):
            self._announced(link, channel, message)
            return True
        feed = self._feeds.get(channel) if isinstance(channel, str) else None
        if feed is None or feed.link is not link:
            return False
        if not (isinstance(kind, str) and kind.startswith("hub.")):
            if not feed.receive(message):
                self._hole(feed, message)
        elif kind == "hub.token_expiring":
            self._tokens.renew(feed, link, message)
        elif kind == "hub.unsubscribed":
            self._withdrawn(feed, message)
        else:
            _notice(feed, kind, message)
        while feed.buffer.full and not await feed.buffer.room(STALL):
            if self._pressed():
                feed.lapse()
                return True
        return True

    def taken(self, feed: Feed) -> None:
        """The application took an item."""
        if feed.lapsed and feed.buffer.low:
            self.repair(feed)

    def _withdrawn(self, feed: Feed, message: dict[str, Any]) -> None:
        """A right has ended. One that only ran out comes back with another token."""
        if message.get("code") == ErrorCode.TOKEN_EXPIRED and feed.tokens is not None:
            feed.link = None
            self.repair(feed, max(feed.backoff.next(), 0.001))
            return
        code = ErrorCode.REVOKED if message.get("code") == ErrorCode.REVOKED else ErrorCode.FORBIDDEN
        self._fail(feed, HubError(code, str(message.get("reason")), channel=feed.channel))

    def _ask(self, link: HubLink, feeds: Iterable[Feed]) -> None:
        """At once, or once those that need one have a token of their channel."""
        now: list[Feed] = []
        for feed in feeds:
            if feed.tokens is None:
                now.append(feed)
            else:
                self._cancel(feed)
                feed.asking = link
                self._tokens.fetch(feed, link)
        self._ask_now(link, now)

    def _token_failed(self, feed: Feed, error: HubError) -> None:
        if self._feeds.get(feed.channel) is feed:
            self._refused(feed, error)

    def _ask_now(self, link: HubLink, feeds: Iterable[Feed]) -> None:
        """Batch subscribes, each within what the hub reads in one message."""
        batch: list[Feed] = []
        entries: list[dict[str, Any]] = []
        room = limit = link.welcome.message_bytes - 256
        for feed in feeds:
            entry = feed.request()
            size = len(dumps_json(entry)) + 1
            if entries and size > room:
                self._send(link, batch, entries)
                batch, entries, room = [], [], limit
            batch.append(feed)
            entries.append(entry)
            room -= size
        if entries:
            self._send(link, batch, entries)

    def _send(self, link: HubLink, feeds: list[Feed], entries: list[dict[str, Any]]) -> None:
        for feed in feeds:
            self._cancel(feed)
            feed.asking = link
        link.ask({"type": "subscribe", "channels": entries}, partial(self._answered, link, feeds))

    def _answered(self, link: HubLink, feeds: list[Feed], reply: dict[str, Any]) -> None:
        results = [reply] * len(feeds) if "code" in reply else reply.get("results")
        if not isinstance(results, list) or len(results) != len(feeds):
            raise HubError(ErrorCode.BAD_MESSAGE, "hub.subscribed has a result for each channel")
        for feed, entry in zip(feeds, results, strict=True):
            if self._feeds.get(feed.channel) is not feed or feed.asking is not link:
                continue  # ended, or asked for elsewhere since
            if "code" in entry:
                self._refused(feed, error_of(entry))
            else:
                feed.attach(link, entry)
                if feed.presence_state is not None:
                    state = {"type": "set_presence", "channel": feed.channel, "state": feed.presence_state}
                    link.post(state)

    def _announced(self, link: HubLink, channel: str, message: dict[str, Any]) -> None:
        """A channel of the token, at the start or later, when the hub could. It has replaced what the application
        had asked for itself, which is asked for again by position."""
        feed = self._feeds.get(channel)
        if feed is None:
            if (feed := self._adopt(channel)) is not None:
                self._feeds[channel] = feed
                feed.attach(link, message)
        elif feed.link is link and feed.asking is not link:
            self.repair(feed)

    def _refused(self, feed: Feed, error: HubError) -> None:
        feed.asking = feed.link = None
        if error.code in _ANOTHER_TOKEN and feed.tokens is not None and not feed.token_refused:
            feed.token_refused = True
            self.repair(feed, max(feed.backoff.next(), 0.001))
            return
        if not error.retry or (error.code is _FATAL_AT_FIRST and not feed.answered):
            self._fail(feed, error)
            return
        delay = feed.backoff.next() + (error.retry_after_ms or 0) / 1000
        log.warning("%s: %s, again in %.1f s", feed.channel, error.reason, delay)
        self.repair(feed, max(delay, 0.001))

    def _hole(self, feed: Feed, message: dict[str, Any]) -> None:
        """The next event is not the next: ask again from the position, soon, later where it does not help."""
        log.warning("%s: a hole before offset %s, repairing", feed.channel, message.get("offset"))
        feed.link = None
        self.repair(feed, max(feed.backoff.next(), 0.001))

    def _fail(self, feed: Feed, error: HubError) -> None:
        self._feeds.pop(feed.channel, None)
        self._finish(feed, error)

    def _finish(self, feed: Feed, error: BaseException | None) -> None:
        self._cancel(feed)
        feed.finish(error)

    def _cancel(self, feed: Feed) -> None:
        timer = self._timers.pop(feed, None)
        if timer is not None:
            timer.cancel()


def _notice(feed: Feed, kind: str, message: dict[str, Any]) -> None:
    if kind == "hub.snapshot":
        feed.snapshot_page(message)
    elif kind == "hub.gap":
        feed.gap(message)
    elif kind == "hub.resubscribe":
        feed.resubscribe(message)
    elif kind in ("hub.join", "hub.leave", "hub.update", "hub.presence"):
        feed.presence(kind.removeprefix("hub."), message)
    elif kind == "hub.acked":
        feed.acked(message)
