"""The command side of one Redis server: a link kept up, and a circuit breaker.

The link is the breaker: while it is up, callers share it; while it is down, every caller is refused at once,
and told when the next try is due. A server that owes a reply for longer than `patience` is down.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import hiredis

from .address import Address
from .connection import Command, Link, LinkError, Reply, open_link
from .errors import code_of, failed, unavailable
from .server_clock import ServerClock
from .tuning import Stats, Tuning, log

Resolve = Callable[[], Awaitable[Address]]
"""Where the server is right now: asked before each connect (a Sentinel may have another answer)."""

Greet = Callable[[Link], Awaitable[None]]
"""Called on each new link before it is used; may raise `LinkError` or `WrongServer`."""


OLDEST = (6, 2)
"""The oldest version of Redis whose commands are enough."""

LOOK: Sequence[Command] = (("INFO", "replication"), ("TIME",))
"""What tells a server's role, its data's lineage and its clock."""


class WrongServer(Exception):
    """The server answers, and must not be used: what differs is said."""


class Commander:
    """The command side of one Redis server: a link kept up, and a circuit breaker. `incarnation` names the
    server process and the lineage of its data.

    `scripts` are given to the server whenever it may have forgotten them. `rights` are commands that its user must
    be allowed: they are tried on each new link, and not carried out. `clock` is the server's.
    """

    def __init__(
        self,
        name: str,
        resolve: Resolve,
        greet: Greet,
        scripts: Sequence[bytes],
        rights: Sequence[Command],
        client: str,
        tuning: Tuning,
        stats: Stats,
    ) -> None:
        self.name = name
        self.incarnation = ""
        self.address: Address | None = None
        self.refusal: WrongServer | None = None
        self.settled = asyncio.Event()  # the first try has ended, well or not
        self.up = asyncio.Event()  # commands are answered
        self._resolve = resolve
        self._greet = greet
        self._scripts = scripts
        self._rights = rights
        self._client = client
        self._tuning = tuning
        self._stats = stats
        self._link: Link | None = None
        self._lost = asyncio.Event()
        self._refreshing: asyncio.Future[list[Reply]] | None = None
        self._why = "not connected yet"
        self._retry_at = 0.0
        self.clock = ServerClock((tuning.patience + 1) * 1000)
        self._run_id = ""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Connect, and stay connected, from now on."""
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._keep(), name=f"redis {self.name}")

    async def close(self) -> None:
        """Let go."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        if self._link is not None:
            self._link.abort("closed")

    @property
    def why(self) -> str:
        """Why commands are not answered, in the server's words; empty while they are."""
        return "" if self.usable else self._why

    @property
    def usable(self) -> bool:
        """Whether commands are answered."""
        return self._link is not None and self._link.open

    def call(self, commands: Sequence[Command]) -> "asyncio.Future[list[Reply]]":
        """Send commands in one write; the future gives their replies or `LinkError`.

        Raises:
            HubError: ``unavailable``, at once.
        """
        link = self._link
        if link is None or not link.open:
            raise self.down()
        if link.owing >= self._tuning.owed_max or link.waiting_bytes >= self._tuning.waiting_bytes_max:
            raise unavailable(f"{self.name} has more to do than it can now")
        return link.call(commands)

    def down(self) -> Exception:
        """The error of the open breaker."""
        wait = max(0.0, self._retry_at - asyncio.get_running_loop().time())
        return unavailable(f"the storage {self.name} can't be reached", wait + self._tuning.backoff_max / 4)

    def deadline(self) -> int:
        """Ms by the server's clock until which a command that is sent now may be carried out: later, its
        caller has been refused."""
        link = self._link
        if link is None:
            return 0  # `call` will refuse
        oldest = link.oldest
        return int(self.clock.now_ms(oldest + self._tuning.patience))

    async def refresh(self) -> None:
        """Read the incarnation anew.

        Raises:
            HubError: ``unavailable``.
        """
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = self.call(LOOK)  # one look for all who ask at the same time
        try:
            replies = await asyncio.shield(self._refreshing)
        except LinkError as error:
            raise unavailable(str(error)) from None
        self.learn(replies)

    async def load(self) -> None:
        """Give the server the scripts again: it forgot them.

        Raises:
            HubError: ``unavailable``.
        """
        try:
            await self.call([("SCRIPT", "LOAD", source) for source in self._scripts])
        except LinkError as error:
            raise unavailable(str(error)) from None

    def reconnect(self, why: str) -> None:
        """The server is not what it was (a replica now): look for the right one."""
        if self._link is not None and self._link.open:
            self._stats.note("reconnects", "%s: connecting anew: %s", self.name, why)
            self._link.abort(why)

    async def follow(self) -> None:
        """Go where the server that is meant is now.

        Raises:
            LinkError: nobody can say.
        """
        address = await self._resolve()
        if self.address is not None and address != self.address:
            self.reconnect(f"the master is {address.name} now")

    async def _keep(self) -> None:
        backoff = self._tuning.backoff()
        while True:
            self._lost.clear()
            try:
                link = await self._connect()
            except Exception as error:  # whatever a server answers, the next try may find another
                self._fail(error)
                delay = backoff.next()
                self._retry_at = self._loop.time() + delay
                await asyncio.sleep(delay)
                continue
            backoff.reset()
            self.refusal = None
            self._link = link
            self.up.set()
            self.settled.set()
            log.info("%s: connected", self.name)
            await self._lost.wait()
            self.up.clear()
            self._link = None
            self._retry_at = self._loop.time()

    def _fail(self, error: Exception) -> None:
        self._why = str(error)
        if isinstance(error, LinkError | WrongServer):
            self._stats.note("connect_failures", "%s", self._why)
        else:
            self._stats.fault("%s: connecting failed", self.name)
        if isinstance(error, WrongServer):
            self.refusal = error
        self.settled.set()

    async def _connect(self) -> Link:
        address = await self._resolve()
        link = await open_link(
            address, client=self._client, patience=self._tuning.patience, on_lost=self._on_lost
        )
        try:
            commands: list[Command] = [("INFO", "server"), ("INFO", "memory"), *LOOK]
            commands += [("SCRIPT", "LOAD", source) for source in self._scripts]
            replies = await link.call(commands)
            for reply in replies:
                if isinstance(reply, hiredis.ReplyError):
                    raise LinkError(f"{self.name}: {reply}")
            server, memory = _info(replies[0]), _info(replies[1])
            self._run_id = server.get("run_id", "")
            self._learn(replies[2], replies[3], self._loop.time())
            self._check(server, memory)
            await self._try_rights(link)
            await self._greet(link)
            self.address = address
        except BaseException:
            link.abort("refused")
            raise
        return link

    async def _try_rights(self, link: Link) -> None:
        """Queue what the hub does, and have it thrown away."""
        replies = await link.call([("MULTI",)])
        if not isinstance(replies[0], hiredis.ReplyError):
            replies = await link.call([*self._rights, ("DISCARD",)])
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError) and code_of(str(reply)) == "NOPERM":
                raise LinkError(f"{self.name}: {reply}")

    def _check(self, server: dict[str, str], memory: dict[str, str]) -> None:
        version = server.get("redis_version", "")
        if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < OLDEST:
            raise WrongServer(
                f"{self.name} runs Redis {version}: the hub needs {OLDEST[0]}.{OLDEST[1]} or newer"
            )
        policy = memory.get("maxmemory_policy", "noeviction")
        if policy != "noeviction" and memory.get("maxmemory", "0") != "0":
            # Nothing breaks, it is only lost: subscribers are told of gaps that the hub did not need to have.
            why = "%s: maxmemory-policy %s throws events away, noeviction would say when memory is full"
            self._stats.note("evicting", why, self.name, policy)

    def _on_lost(self, reason: str) -> None:
        if self._task is not None:
            self._stats.note("disconnects", "%s: connection lost: %s", self.name, reason)
        self._why = reason
        self._lost.set()

    def learn(self, replies: Sequence[Reply]) -> None:
        """Take in the replies to `LOOK`.

        Raises:
            HubError: ``unavailable``: the server has become a replica, or would not say.
        """
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                raise failed(str(reply))
        try:
            self._learn(replies[0], replies[1], self._loop.time())
        except LinkError as error:
            self.reconnect(str(error))
            raise unavailable(str(error)) from None

    def _learn(self, replication: Any, clock: Any, now: float) -> None:
        facts = _info(replication)
        if facts.get("role", "master") != "master":
            raise LinkError(f"{self.name}: it is a replica now")
        self.incarnation = _incarnation(self._run_id, facts)
        # The reply is at most a round trip old, so the estimate errs to the early side.
        stepped = self.clock.learn(int(clock[0]) * 1000 + int(clock[1]) / 1000, now)
        if stepped:
            self._stats.note("clock_steps", "%s: its clock was stepped by %.0f s", self.name, stepped / 1000)


def incarnation_of(server: Any, replication: Any) -> str:
    """The server process and the lineage of its data, by its ``INFO`` of these two sections."""
    return _incarnation(_info(server).get("run_id", ""), _info(replication))


def _incarnation(run_id: str, replication: dict[str, str]) -> str:
    return f"{run_id[:16]}-{replication.get('master_replid', '')[:16]}"


def _info(text: Any) -> dict[str, str]:
    """The lines of ``INFO``; in RESP3 it comes as bytes too."""
    lines = (text if isinstance(text, str) else bytes(text).decode("utf-8", "replace")).splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)
