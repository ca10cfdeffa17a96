"""Keeps a client connected: opens, waits as the hub says, moves over before a node leaves, renews the token.

a connection                then
--------------------------  -----------------------------------------------------------------
is asked to leave (drain)   the next one is opened inside the window, takes over, the old one is closed
ends, window given          the next one inside the window
ends                        the next one with backoff
ends, token refused         a new token once, then as above; refused again: `TokenRefused`
ends, table says stop       `Stopped`
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from hub.protocol.codes import Then
from hub.protocol.errors import HubError

from ..runtime.backoff import Backoff, Timing
from ..runtime.tasks import Tasks
from .errors import NotConnected, Stopped, TokenRefused
from .handshake import Departure, Endpoint, HandshakeRefused
from .items import State, Status
from .link import HubLink
from .tokens import NoToken, TokenSource, renewal_wait

log = logging.getLogger("hub.client")
EXPIRING = 30.0  # seconds that a token has left at least when a hub that does not say how many (0.1) warns


class Supervisor:
    """Keeps a client connected: opens, waits as the hub says, moves over before a node leaves, renews the
    token. `up` and `down` are called as connections come and go; both may overlap in time.

    `settled` waits until nothing depends on an old connection any more.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        tokens: TokenSource,
        timing: Timing,
        handle: Callable[[HubLink, dict[str, Any]], Awaitable[None]],
        up: Callable[[HubLink], None],
        down: Callable[[HubLink], None],
        settled: Callable[[HubLink], Awaitable[None]],
        tell: Callable[[Status], None],
    ) -> None:
        self._endpoint = endpoint
        self._tokens = tokens
        self._timing = timing
        self._handle = handle
        self._up = up
        self._down = down
        self._settled = settled
        self._tell = tell
        self._backoff = Backoff(timing)
        self._resume: str | None = None
        self._renewed = False
        self._links: set[HubLink] = set()
        self._tasks = Tasks()

    async def run(self) -> None:
        """Run until cancelled.

        Raises:
            Stopped: the hub wants this client no more, or its token.
        """
        try:
            link = await self._establish(0.0)
            while True:
                following = await self._live(link)
                if link.alive:
                    self.spawn(self._retire(link))
                link = following
        finally:
            await self._close()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run beside, until the end of the client."""
        self._tasks.spawn(work)

    async def renew(self, link: HubLink, message: dict[str, Any]) -> None:
        """``hub.token_expiring``: a new token in place, at a moment of our own in the time that is left."""
        if isinstance(self._tokens, NoToken):
            return  # the hub closes at the certificate's end, and the next connection shows the one of that time
        if not self._tokens.renewable:
            log.warning("the token expires soon, and there is no callable to get a new one from")
            return
        left = message.get("expires_in_ms")
        elapsed = self._timing.now() - link.token_since
        seconds = left / 1000 if type(left) is int else EXPIRING
        await self._timing.sleep(renewal_wait(elapsed, seconds, self._timing.random))
        backoff = Backoff(self._timing, 1.0, 10.0)
        while link.alive:
            try:
                token = await self._tokens.get()
                await link.call({"type": "authenticate", "token": token})
                link.token_since = self._timing.now()
                return
            except (NotConnected, TokenRefused):
                return  # the next connection asks for a token of its own
            except HubError as error:
                log.warning("the new token was refused, the old one stays in force: %s", error.reason)
            except Exception as error:
                log.warning("no new token: %s", type(error).__name__)  # its text may quote a secret
            await backoff.pause()

    async def _live(self, link: HubLink) -> HubLink:
        """Use `link` until it ends or is asked to leave; returns the one that follows, already in use."""
        await _first(link.ended, link.drained)
        if link.ended.done():
            self._backoff.lived(self._timing.now() - link.born)
            departure = link.ended.result()
            return await self._establish(self._after(departure), departure.reason)
        window = link.drained.result()
        delay = window.pick(self._timing) if window is not None else self._backoff.next()
        following = asyncio.ensure_future(self._establish(delay, "the node is leaving", State.DRAINING))
        try:
            await _first(link.ended, following)
            if not following.done() and link.ended.result().then is Then.STOP:
                self._after(link.ended.result())
            return await following
        finally:
            following.cancel()
            await asyncio.wait({following})

    async def _establish(self, delay: float, reason: str = "", state: State = State.WAITING) -> HubLink:
        """The next connection, however long it takes, in use. `state` is told while it has to wait."""
        told = False
        while True:
            if delay > 0:
                self._tell(Status(state, reason, delay))
                await self._timing.sleep(delay)
            self._tell(Status(State.CONNECTING, reason))
            try:
                return await self._open()
            except HandshakeRefused as refused:
                reason = refused.departure.reason
                delay = self._after(refused.departure)
                # Once an outage is enough to know, the rest is for who looks closer.
                level = logging.INFO if told else logging.WARNING
                told = True
                log.log(
                    level,
                    "no connection to %s: %s; the next attempt is in %.1f s",
                    self._endpoint.where,
                    reason,
                    delay,
                )

    async def _open(self) -> HubLink:
        try:
            token = await self._tokens.get()
        except TokenRefused:
            raise
        except Exception as error:  # its text may quote a secret
            raise HandshakeRefused(Departure(Then.BACKOFF, f"no token: {type(error).__name__}")) from None
        socket, welcome = await self._endpoint.open(token, self._resume)
        encoding, deadline = self._endpoint.encoding, self._endpoint.deadline
        link = HubLink(socket, welcome, encoding, self._handle, self._timing, deadline)
        self._tell(Status(State.CONNECTED, welcome.connection, resumed=self._resume is not None))
        self._resume, self._renewed = welcome.resume, False
        self._backoff.adopt(welcome.reconnect)
        self._links.add(link)
        link.ended.add_done_callback(lambda _: self._lost(link))
        self._up(link)
        link.start()
        return link

    def _after(self, departure: Departure) -> float:
        """The seconds until the next attempt.

        Raises:
            Stopped: there is none.
        """
        if departure.then is Then.STOP:
            raise Stopped(departure.reason, departure.code)
        if departure.then is Then.RENEW:
            if self._renewed or not self._tokens.renewable:
                why = "twice" if self._renewed else "and there is no callable to get a new one from"
                raise TokenRefused(f"the hub refused the token, {why}: {departure.reason}", departure.code)
            self._renewed = True
        backoff = self._backoff.next()
        if departure.then is Then.WINDOW and departure.window is not None:
            return departure.window.pick(self._timing)
        return backoff

    async def _retire(self, link: HubLink) -> None:
        await self._settled(link)
        await link.close()

    def _lost(self, link: HubLink) -> None:
        self._links.discard(link)
        self._down(link)

    async def _close(self) -> None:
        await self._tasks.close()
        await asyncio.gather(*(link.close() for link in self._links), return_exceptions=True)


async def _first(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
