"""The listening side of one Redis server: one supervised subscriber connection.

What is wanted is decided here, without awaiting, in one place: a set of names, of which each change is sent
at the end of the loop's turn. Commands of one connection are carried out in order, so whatever crosses (a
last interest that ends while a first one begins), the last decision stands; a name is confirmed only by the
confirmation of the newest SUBSCRIBE that was sent for it.

Pub/sub forgets: after each reconnect everything wanted is subscribed anew, in batches, and then whatever was
listened to before is reported as lost once. Silence is never trusted: own pings with a deadline, and the
canary.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from typing import Any, Protocol

import hiredis

from ....runtime.first_step import in_task
from ....runtime.tasks import Tasks
from .address import Address
from .command_connection import Resolve
from .connection import Link, LinkError, Reply, open_link
from .errors import code_of, failed, unavailable
from .tuning import Stats, Tuning, log


class Hearer(Protocol):
    """Who is told. Called in the event loop, must not raise."""

    def on_message(self, name: bytes, data: bytes) -> None:
        """A message on a subscribed name."""

    def on_restored(self, names: Collection[str]) -> None:
        """Messages on these may have been lost; they are subscribed again."""

    def on_moved(self, names: Collection[str]) -> None:
        """These no longer belong to this server (Cluster)."""


class ShardListener:
    """The listening side of one Redis server: one supervised subscriber connection. `sharded`: by
    ``SSUBSCRIBE``, else ``SUBSCRIBE``.

    `groups` splits names into what one command may name: in a Cluster, those of one slot.
    """

    def __init__(
        self,
        name: str,
        resolve: Resolve,
        hearer: Hearer,
        client: str,
        tuning: Tuning,
        stats: Stats,
        *,
        sharded: bool = False,
        groups: Callable[[Iterable[str]], Iterable[list[str]]] | None = None,
    ) -> None:
        self.name = name
        self.connected_at: float | None = None
        self.answered_at = 0.0  # when its own words were last answered: a link may be dead in one direction
        self.refusal = ""  # why the last subscription was refused, in the server's words
        self.address: Address | None = None
        self._resolve = resolve
        self._hearer = hearer
        self._client = client
        self._tuning = tuning
        self._stats = stats
        self._groups = groups or (lambda names: [list(names)])
        self._subscribe = "SSUBSCRIBE" if sharded else "SUBSCRIBE"
        self._unsubscribe = "SUNSUBSCRIBE" if sharded else "UNSUBSCRIBE"
        self._message = b"smessage" if sharded else b"message"
        self._link: Link | None = None
        self._lost_link = asyncio.Event()
        self._wanted: set[str] = set()
        self._asked: dict[str, int] = {}  # name → the number of the newest SUBSCRIBE that was sent for it
        self._confirmed: set[str] = set()
        self._doubted: set[str] = set()  # heard before the link broke, not reported yet
        self._touched: dict[str, None] = {}  # changes to send at the end of this turn, in their order
        self._waiters: dict[str, asyncio.Future[None]] = {}
        self._number = 0
        self._failing = False  # connecting has failed, and nothing is heard since
        self._started = False
        self._closing = False
        self._tasks = Tasks()

    def start(self) -> None:
        """Connect, and stay connected, from now on."""
        self._loop = asyncio.get_running_loop()
        self._started = True
        self.answered_at = self._loop.time()
        self._tasks.spawn(self._keep())

    async def close(self) -> None:
        """Let go."""
        self._closing = True
        if self._link is not None:
            self._link.abort("closed")
        await self._tasks.close()
        for waiter in self._waiters.values():
            if not waiter.done():
                waiter.set_exception(unavailable("the hub is closing"))

    # What is wanted

    @property
    def wanted(self) -> Collection[str]:
        """The names that are wanted now."""
        return self._wanted

    async def want(self, name: str) -> None:
        """Returns once every later message on `name` will be heard.

        Raises:
            HubError: ``unavailable``, within `patience`; at once where connecting has failed.
        """
        self._wanted.add(name)
        if name in self._confirmed:
            return
        if self._failing:
            raise unavailable(f"the storage {self.name} can't be listened to", self._tuning.backoff_max / 2)
        waiter = self._waiters.get(name)
        if waiter is None:
            waiter = self._waiters[name] = asyncio.get_running_loop().create_future()
            waiter.add_done_callback(_seen)
        self._touch(name)  # also where another waits: the name may have been given up since
        await in_task()
        try:
            async with asyncio.timeout(self._tuning.patience):
                await asyncio.shield(waiter)
        except TimeoutError:
            raise unavailable(f"the storage {self.name} can't be listened to", 1.0) from None

    def wish(self, names: Iterable[str], *, doubted: bool = False) -> None:
        """As `want`, without waiting; `doubted` names are reported as restored once they are heard again."""
        for name in names:
            self._wanted.add(name)
            if doubted:
                self._doubted.add(name)
            if name not in self._confirmed:
                self._touch(name)

    def unwant(self, name: str) -> None:
        """The name is no longer of interest."""
        self._wanted.discard(name)
        self._doubted.discard(name)
        self._touch(name)

    def abort(self, why: str) -> None:
        """Give the connection up and make a new one."""
        if self._link is not None and self._link.open:
            self._stats.note("listener_aborts", "%s: listening anew: %s", self.name, why)
            self._link.abort(why)

    def _touch(self, name: str) -> None:
        if not self._started:
            return  # whatever is wanted when it is connected will be subscribed then
        if not self._touched:
            self._loop.call_soon(self._flush)
        self._touched[name] = None

    def _flush(self) -> None:
        touched, self._touched = self._touched, {}
        link = self._link
        if link is None or not link.open:
            return
        ended = [name for name in touched if name not in self._wanted and name in self._asked]
        for group in self._groups(ended) if ended else ():
            for name in group:
                del self._asked[name]
                self._confirmed.discard(name)
            self._tasks.spawn(self._settle(link.subscribe(self._unsubscribe, group)))
        begun = [name for name in touched if name in self._wanted and name not in self._asked]
        for batch in self._batches(begun):
            self._tasks.spawn(self._ask(link, batch))

    def _batches(self, names: Sequence[str]) -> Iterable[list[str]]:
        if not names:
            return
        for group in self._groups(names):
            for at in range(0, len(group), self._tuning.batch):
                yield group[at : at + self._tuning.batch]

    async def _settle(self, future: "asyncio.Future[list[Reply]]") -> None:
        with contextlib.suppress(LinkError):
            await future

    def _ask(self, link: Link, names: list[str]) -> Coroutine[Any, Any, None]:
        """Subscribe to `names` now; what is returned waits for it, and tells those who wait."""
        self._number += 1
        for name in names:
            self._asked[name] = self._number
        return self._confirm(names, self._number, link.subscribe(self._subscribe, names))

    async def _confirm(
        self, names: list[str], number: int, confirmations: "asyncio.Future[list[Reply]]"
    ) -> None:
        try:
            replies = await confirmations
        except LinkError:
            return  # the reconnect subscribes to everything wanted
        mine = [name for name in names if self._asked.get(name) == number]
        refused = next((reply for reply in replies if isinstance(reply, hiredis.ReplyError)), None)
        if refused is not None:
            self._refuse(mine, str(refused))
            return
        self.refusal = ""
        restored = []
        for name in mine:
            self._confirmed.add(name)
            if name in self._doubted:
                self._doubted.discard(name)
                restored.append(name)
            waiter = self._waiters.pop(name, None)
            if waiter is not None and not waiter.done():
                waiter.set_result(None)
        if restored:
            self._hearer.on_restored(restored)

    def _refuse(self, names: list[str], error: str) -> None:
        for name in names:
            self._asked.pop(name, None)
        if code_of(error) in ("MOVED", "CLUSTERDOWN", "CROSSSLOT"):
            self._hearer.on_moved(names)
            return
        self.refusal = error
        self._stats.note("subscribe_refused", "%s: subscribe was refused: %s", self.name, code_of(error))
        for name in names:
            waiter = self._waiters.pop(name, None)
            if waiter is not None and not waiter.done():
                waiter.set_exception(failed(error))
        if self._doubted:
            self.abort("subscribing anew was refused")

    # The connection

    async def _keep(self) -> None:
        backoff = self._tuning.backoff()
        while True:
            self._lost_link.clear()
            try:
                await self._listen()
                backoff.reset()
            except LinkError as error:
                self._failing = True
                self._stats.note("listener_failures", "%s", error)
            except Exception:
                self._stats.fault("%s: listening failed", self.name)
            self.connected_at = None
            self._forget()
            await backoff.pause()

    async def _listen(self) -> None:
        """Connect, subscribe to everything wanted, and stay until the connection is lost."""
        address = await self._resolve()
        link = await open_link(
            address,
            client=self._client,
            patience=self._tuning.patience,
            on_push=self._on_push,
            on_lost=self._on_lost,
        )
        self._link = link
        self.address = address
        names = list(self._wanted)
        await asyncio.gather(*(self._ask(link, batch) for batch in self._batches(names)))
        if not link.open:
            raise LinkError(f"{self.name}: lost while subscribing")
        self.connected_at = self._loop.time()
        self._failing = False
        log.info("%s: listening to %d names", self.name, len(names))
        while not self._lost_link.is_set():
            await self._settle(link.call([("PING",)]))
            if link.open:
                self.answered_at = self._loop.time()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._tuning.pulse):
                    await self._lost_link.wait()

    def _forget(self) -> None:
        """Nothing is heard any more: whatever was is in doubt until it is again."""
        self._link = None
        self._doubted |= self._confirmed & self._wanted
        self._confirmed.clear()
        self._asked.clear()

    def _on_lost(self, reason: str) -> None:
        if not self._closing:
            self._stats.note("listener_disconnects", "%s: no longer listening: %s", self.name, reason)
        self._lost_link.set()

    def _on_push(self, push: list[Any]) -> None:
        kind = push[0]
        if kind == self._message and len(push) == 3:
            self._hearer.on_message(push[1], push[2])
        elif kind in (b"unsubscribe", b"sunsubscribe") and len(push) >= 2 and push[1] is not None:
            self._unasked(bytes(push[1]).decode("utf-8", "replace"))
        else:
            self._stats.note("foreign_pushes", "%s: a push of an unknown kind", self.name)

    def _unasked(self, name: str) -> None:
        """The server ended a subscription by itself: its slot left. Ask again, and be told where it is."""
        self._stats.note("unasked_unsubscribes", "%s: it ended a subscription by itself", self.name)
        self._confirmed.discard(name)
        self._asked.pop(name, None)
        if name in self._wanted:
            self._doubted.add(name)
            self._touch(name)


def _seen(waiter: "asyncio.Future[None]") -> None:
    """Whoever waited may have given up before: then nobody looks at the error, which is no fault."""
    if not waiter.cancelled():
        waiter.exception()
