"""Tokens of single channels: fetched before a subscribe, and again before one ends."""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError

from .errors import TokenRefused
from .feed import Feed
from .link import HubLink
from .tokens import renewal_wait

log = logging.getLogger("hub.client")
EXPIRING_S = 30.0  # what is left at least, where the hub does not say it


class ChannelTokens:
    """Asks the feeds' own sources, each in a task. What comes for a connection that is left goes nowhere."""

    def __init__(
        self,
        ask: Callable[[HubLink, Sequence[Feed]], None],
        failed: Callable[[Feed, HubError], None],
    ) -> None:
        self._ask = ask
        self._failed = failed
        self._tasks: set[asyncio.Task[None]] = set()

    def fetch(self, feed: Feed, link: HubLink) -> None:
        """Get a token, then subscribe on `link`."""
        self._spawn(self._subscribe(feed, link))

    def renew(self, feed: Feed, link: HubLink, message: dict[str, Any]) -> None:
        """``hub.token_expiring``: get a token and offer it, at a moment in the time that is left."""
        if feed.tokens is not None:
            left = message.get("expires_in_ms")
            self._spawn(self._renew(feed, link, left / 1000 if type(left) is int else EXPIRING_S))

    def end(self) -> None:
        """Ask no more."""
        for task in self._tasks:
            task.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="hub-client-channel-token")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _subscribe(self, feed: Feed, link: HubLink) -> None:
        try:
            token = await self._token(feed)
        except HubError as error:
            if feed.asking is link:
                self._failed(feed, error)
            return
        if feed.asking is link and link.alive:
            feed.token = token
            self._ask(link, [feed])

    async def _renew(self, feed: Feed, link: HubLink, left: float) -> None:
        """Where it fails, the subscription ends at its time, and is asked for anew."""
        await asyncio.sleep(renewal_wait(0.0, left, random.random))
        try:
            token = await self._token(feed)
        except HubError as error:
            log.warning("%s: no token to renew with: %s", feed.channel, error.reason)
            return
        if feed.link is link and link.alive:
            link.ask({"type": "renew", "channel": feed.channel, "token": token}, _renewed)

    async def _token(self, feed: Feed) -> str:
        assert feed.tokens is not None
        try:
            return await feed.tokens.get()
        except TokenRefused as refused:
            raise HubError(ErrorCode.FORBIDDEN, str(refused), channel=feed.channel) from None
        except Exception as error:  # the application's own, of whatever kind: worth another try
            why = f"the token callable failed ({type(error).__name__})"
            raise HubError(ErrorCode.UNAVAILABLE, why, channel=feed.channel) from error


def _renewed(reply: dict[str, Any]) -> None:
    """A node of 0.1 does not know the command, and nothing ends there."""
    if "code" in reply and reply["code"] != ErrorCode.UNKNOWN_TYPE:
        log.warning("a renewal was refused: %s", reply.get("reason"))
