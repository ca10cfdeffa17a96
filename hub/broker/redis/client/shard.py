"""One Redis server as the broker uses it: commands, listening, and the canary that watches both.

The canary is a message that the node publishes to itself through the server, once a `pulse`. Commands that
are answered while the canary is not heard mean a deaf listener, whatever its socket says: it is made anew.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection
from secrets import token_hex

import hiredis

from ....protocol.errors import HubError
from ...base import ShardHealth
from .command_connection import LOOK, Commander
from .connection import LinkError
from .subscriber_connection import Hearer, ShardListener
from .tuning import Stats, Tuning


class Shard:
    """One Redis server as the broker uses it: commands, listening, and the canary that watches both.
    `canary` is the pub/sub name that this node sends its own to.

    Whatever else is heard goes to `hearer`; without one nothing is listened to. `follows`: another server may
    become the one that is meant (Sentinel), while the old one still answers. `let_go` ends what finds it.
    """

    def __init__(
        self,
        commander: Commander,
        listen: Callable[[Hearer], ShardListener],
        hearer: Hearer | None,
        canary: str,
        tuning: Tuning,
        stats: Stats,
        let_go: Callable[[], Awaitable[None]],
        *,
        sharded: bool = False,
        follows: bool = False,
    ) -> None:
        self.name = commander.name
        self.commander = commander
        self.listener = listen(self)
        self._hearer = hearer
        self.canary = canary.encode()
        self.publish = "SPUBLISH" if sharded else "PUBLISH"
        self._tuning = tuning
        self._stats = stats
        self._nonce = token_hex(6)
        self._heard_at = 0.0
        self._rtt = 0.0
        self._refusal = ""  # of the last canary, in the server's words
        self._restored: dict[str, None] = {}  # listened to again, and not reported yet
        self._reporting: asyncio.Task[None] | None = None
        self._follows = follows
        self._let_go = let_go
        self._task: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Connect both sides, and let the canary sing."""
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self.commander.start()
        if self._hearer is not None:
            self.listener.wish([self.canary.decode()])
            self.listener.start()
        self._task = self._loop.create_task(self._watch(), name=f"canary {self.name}")
        if self._follows:
            self._following = self._loop.create_task(self._follow(), name=f"master {self.name}")

    async def close(self) -> None:
        """Let go."""
        for task in (self._task, self._reporting, self._following):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        await asyncio.gather(self.listener.close(), self.commander.close())
        await self._let_go()

    def health(self) -> ShardHealth:
        """As the node sees it now."""
        silent = 0.0
        if self._task is not None and self._hearer is not None:
            silent = self._loop.time() - min(self._heard_at, self.listener.answered_at)
        deaf = silent if silent > self._tuning.overdue else 0.0
        why = self.commander.why or self.listener.refusal or self._refusal
        return ShardHealth(self.name, self.commander.usable, deaf, self._rtt, why)

    # redis_listener.Hearer

    def on_message(self, name: bytes, data: bytes) -> None:
        """A message on a subscribed name."""
        if name == self.canary:
            self._heard(data)
        elif self._hearer is not None:
            self._hearer.on_message(name, data)

    def on_restored(self, names: Collection[str]) -> None:
        """Messages on these may have been lost. Whoever is told will read what was stored meanwhile, so it is
        said when reading works too."""
        self._restored.update(dict.fromkeys(names))
        if self.commander.usable:
            self._report()
        elif self._reporting is None:
            self._reporting = self._loop.create_task(self._report_later())

    async def _report_later(self) -> None:
        await self.commander.up.wait()
        self._reporting = None
        self._report()

    def _report(self) -> None:
        restored, self._restored = self._restored, {}
        if restored and self._hearer is not None:
            self._hearer.on_restored(restored)

    def on_moved(self, names: Collection[str]) -> None:
        """These belong elsewhere now."""
        if self._hearer is not None:
            self._hearer.on_moved(names)

    # The canary

    def _heard(self, data: bytes) -> None:
        nonce, _, sent = data.partition(b"|")
        try:
            sent_at = float(sent)
        except ValueError:
            nonce = b""
        if nonce != self._nonce.encode():
            self._stats.note("foreign_canaries", "%s: a canary that is not this node's", self.name)
            return
        self._heard_at = self._loop.time()
        self._rtt = self._heard_at - sent_at

    async def _watch(self) -> None:
        while True:
            try:
                await self._sing()
            except (HubError, LinkError):
                pass  # `health` says it
            except Exception:
                self._stats.fault("%s: the canary failed", self.name)
            await asyncio.sleep(self._tuning.pulse)

    async def _follow(self) -> None:
        """Events that an old master still takes after its replica was promoted are lost: notice soon."""
        while True:
            await asyncio.sleep(self._tuning.pulse)
            try:
                await self.commander.follow()
            except LinkError:
                pass  # no Sentinel answers: whoever is the master stays
            except Exception:
                self._stats.fault("%s: following the master failed", self.name)

    async def _sing(self) -> None:
        if self._hearer is None:
            await self.commander.refresh()
            return
        song = f"{self._nonce}|{self._loop.time()}"
        sung, *facts = await self.commander.call([(self.publish, self.canary, song), *LOOK])
        self.commander.learn(facts)
        self._refusal = str(sung) if isinstance(sung, hiredis.ReplyError) else ""
        if self._refusal:
            self._stats.note("canary_refused", "%s: the canary was refused: %s", self.name, sung)
        self._judge()

    def _judge(self) -> None:
        """Commands are answered. If the canary is not heard either, it is the listening that is broken."""
        since = self.listener.connected_at
        now = self._loop.time()
        if since is not None and self.listener.address != self.commander.address:
            self.listener.abort("the master is another server now")
        elif since is not None and now - max(since, self._heard_at) > self._tuning.overdue:
            self.listener.abort("the canary is not heard")
