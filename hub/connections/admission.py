"""How many connections a node takes, and how fast.

The rate follows what the node really manages: while its event loop keeps up, the rate rises to the setting;
when the loop is late, it falls. Above the rate, handshakes wait in a queue, returning clients before fresh
ones; a socket that waits costs next to nothing. What the queue cannot take within a few seconds is refused,
and the refusal is held back a little: a client without manners comes back at once, and a thousand of them
would make a storm of refusals.
"""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable

from ..auth.addresses import network_of
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from ..runtime.bucket import TokenBucket
from ..runtime.time_share import TimeShare
from .http_connections import SPARE, HttpConnections

QUEUE_S = 5.0  # how long a handshake may have to wait
HELD_OVER = 256  # sockets over those that are allowed, for refusals that are held back
HOLD_S = (2.0, 5.0)
LAG_HIGH_S = 0.05
LAG_LOW_S = 0.02
BURST_S = 0.05  # what may come at once is what the rate brings in this time: a burst is what others feel
FRESH_PART = 0.4  # of the rate, for clients that do not come back from anywhere
RATE_LEAST = 20.0
PUMP_S = 0.02
ACCEPT_SLICE_S = 0.0015  # of a turn, or of each 5 ms, for newcomers of whom nothing was read yet
READ_SLICE_S = 0.002  # of each 5 ms, for what floods leave to be read


class Admission:
    """How many connections a node takes, and how fast. `accepting` False: the node departs, and takes nobody
    any more."""

    def __init__(
        self,
        rate: float,
        most: int,
        most_by_address: int,
        now: Callable[[], float],
        most_http_by_address: int = 1000,
    ) -> None:
        self.rate = rate
        self.accepting = True
        # To know who knocks, a request has to be parsed: a herd of 2,000 would keep the loop for half a second.
        self.accept_queue = TimeShare(ACCEPT_SLICE_S, eager=True)
        self.read_queue = TimeShare(READ_SLICE_S)  # of clients that send more than one turn takes
        self.http_connections = HttpConnections(most + SPARE, most_http_by_address)
        self.sockets = 0
        self.by_address: Counter[str] = Counter()
        self._most_rate = rate
        self._most = most
        self._most_by_address = most_by_address
        self._now = now
        self._bucket = TokenBucket(rate, _burst(rate), now())
        self._fresh_bucket = TokenBucket(rate * FRESH_PART, _burst(rate * FRESH_PART), now())
        self._returning: deque[asyncio.Future[None]] = deque()
        self._fresh: deque[asyncio.Future[None]] = deque()
        self._pump: asyncio.TimerHandle | None = None
        self._held = 0

    # Sockets

    def opened(self, address: str) -> None:
        """A socket was upgraded."""
        self.sockets += 1
        self.by_address[network_of(address)] += 1

    def lost(self, address: str) -> None:
        """A socket is gone."""
        self.sockets -= 1
        address = network_of(address)
        self.by_address[address] -= 1
        if self.by_address[address] <= 0:
            del self.by_address[address]

    @property
    def waiting(self) -> int:
        """Handshakes in the queue."""
        return len(self._returning) + len(self._fresh)

    # Handshakes

    async def admit(self, address: str, *, returning: bool) -> None:
        """Wait until one more connection may come.

        Raises:
            HubError: ``unavailable`` (503, 4103) or ``limit`` (429, 4129), with when to come back.
        """
        try:
            self._check(address)
        except HubError:
            if self.accepting:  # a node that departs sends its clients to another one at once
                await self._hold()
            raise
        if not self.waiting and self._take(returning):
            return
        if self.waiting >= self.rate * QUEUE_S and not self._make_room(returning):
            await self._hold()
            raise self._overloaded()
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._returning if returning else self._fresh).append(place)
        self._schedule()
        try:
            await place
        except asyncio.CancelledError:
            place.cancel()
            raise
        self._check(address)

    def _check(self, address: str) -> None:
        if not self.accepting:
            why = "this node is going away; another takes over"
            raise HubError(ErrorCode.UNAVAILABLE, why, retry_after_ms=1000)
        if self.sockets >= self._most:
            why = f"{self._most} connections are open, this node takes no more"
            raise HubError(ErrorCode.UNAVAILABLE, why, retry_after_ms=5000)
        if self.by_address[network_of(address)] >= self._most_by_address:
            why = f"{self._most_by_address} connections of one address are open, more are not allowed"
            raise HubError(ErrorCode.LIMIT, why, retry_after_ms=30_000)

    def _make_room(self, returning: bool) -> bool:
        """A returning client takes the place of the last fresh one."""
        if not returning or not self._fresh:
            return False
        last = self._fresh.pop()
        if not last.done():
            last.set_exception(self._overloaded())
        return True

    async def _hold(self) -> None:
        """Hold a refusal back, as long as there are sockets for it."""
        if self.sockets + self.waiting + self._held >= self._most + HELD_OVER:
            return
        self._held += 1
        try:
            await asyncio.sleep(random.uniform(*HOLD_S))
        finally:
            self._held -= 1

    def _overloaded(self) -> HubError:
        """The window grows with the number that wait and are held."""
        wait_ms = 1000 + int(1000 * (self.waiting + self._held) / self.rate)
        why = "more clients come at once than this node can take"
        return HubError(ErrorCode.UNAVAILABLE, why, retry_after_ms=wait_ms)

    def _schedule(self) -> None:
        if self._pump is None and self.waiting:
            self._pump = asyncio.get_running_loop().call_later(PUMP_S, self._release)

    def _release(self) -> None:
        """Let in as many as the rate allows, in the order of coming, returning ones first."""
        self._pump = None
        while self.waiting:
            queue = self._returning or self._fresh
            if queue[0].done():  # it gave up
                queue.popleft()
            elif self._take(queue is self._returning):
                queue.popleft().set_result(None)
            else:
                break
        self._schedule()

    def _take(self, returning: bool) -> bool:
        """Take a place of what the rate allows."""
        now = self._now()
        if not returning and self._fresh_bucket.take(now):
            return False
        return self._bucket.take(now) == 0.0

    def stop_accepting(self) -> None:
        """The node departs: who waits is sent to another one."""
        self.accepting = False
        for queue in (self._returning, self._fresh):
            while queue:
                place = queue.popleft()
                if not place.done():
                    place.set_result(None)  # the check after the wait refuses it

    # The rate

    def adapt(self, lag_s: float) -> None:
        """Follow the event loop: `lag_s` is how late it came to its last timer. Called several times a second."""
        if lag_s > LAG_HIGH_S:
            rate = max(RATE_LEAST, self.rate * 0.7)
        elif lag_s < LAG_LOW_S:
            rate = min(self._most_rate, self.rate * 1.05 + 1.0)
        else:
            return
        if rate != self.rate:
            self.rate = rate
            now = self._now()
            self._bucket.change_rate(rate, _burst(rate), now)
            self._fresh_bucket.change_rate(rate * FRESH_PART, _burst(rate * FRESH_PART), now)


def _burst(rate: float) -> float:
    return max(1.0, rate * BURST_S)
