"""What a node vouches for while it lives, in Redis: where it has subscribers, and who is connected to it.

Each bears the moment until when the node's word holds, which every sign of life sets anew (`keep`). The due-list of
webhooks makes a living node look when that moment has passed. It is told before anything is written, so a crash in
between leaves an item about nothing.
"""

from collections.abc import Sequence

import orjson

from ...protocol.errors import HubError
from ...runtime.tasks import Tasks
from ..attendance import Lost
from ..base import Kind
from .client.connection import Reply
from .client.hash_slot import tag_of
from .client.topology import Topology
from .due import DueList
from .intents import RedisIntents
from .keys import KeyNames
from .scripts import CONNECTIONS, OCCUPANCY
from .signs_of_life import FIRST_TTL_S, skipped_ms
from .store import Request, Store

_OCCUPIED, _LOST = "occupied", "lost"
_CHUNK = 500  # of channels or connections in one write
_NOT_HERE_S = 60.0  # nobody is to be told by this node: another one, with other settings, may look


class RedisOccupancy:
    """`Occupancy` over Redis."""

    def __init__(
        self, store: Store, topology: Topology, keys: KeyNames, due: DueList, node: str, intents: RedisIntents
    ) -> None:
        self._store = store
        self._topology = topology
        self._keys = keys
        self._due = due
        self._node = node
        self._intents = intents
        self._ttl_s = FIRST_TTL_S
        self._mine: set[str] = set()
        due.handlers[_OCCUPIED] = self._look

    async def enter(self, channel: str) -> None:
        """As `Occupancy.enter`."""
        self._mine.add(channel)
        await self._due.add((_OCCUPIED, channel), self._ttl_s)
        await self._settle(channel, await self._store.one(self._request(channel, self._node, self._ttl_s)))

    async def leave(self, channel: str, grace_s: float) -> None:
        """As `Occupancy.leave`."""
        self._mine.discard(channel)
        reply = await self._store.one(self._request(channel, self._node, grace_s))
        left_s = await self._settle(channel, reply)
        if left_s is not None:
            await self._due.add((_OCCUPIED, channel), left_s)

    async def keep(self, ttl_s: float) -> None:
        """This node lives for the next `ttl_s`.

        Raises:
            HubError: ``unavailable``; what could be kept is.
        """
        self._ttl_s = ttl_s
        failed = None
        channels = list(self._mine)
        for at in range(0, len(channels), _CHUNK):
            chunk = [channel for channel in channels[at : at + _CHUNK] if channel in self._mine]
            replies = await self._store.run([self._request(each, self._node, ttl_s) for each in chunk])
            for channel, reply in zip(chunk, replies, strict=True):
                if isinstance(reply, HubError):
                    failed = reply
                elif reply[0] == b"tell":  # what stood there was lost
                    await self._due.add((_OCCUPIED, channel), ttl_s)
                    await self._settle(channel, reply)
        if failed is not None:
            raise failed

    async def _look(self, channel: str) -> float | None:
        reply = await self._store.one(self._request(channel, "", 0.0))
        if reply[0] == b"tell" and not self._intents.endpoints(channel, "occupancy"):
            return _NOT_HERE_S
        return await self._settle(channel, reply)

    async def _settle(self, channel: str, reply: Reply) -> float | None:
        """Tell of a change, where there is one; in how many seconds to look again."""
        if reply[0] == b"tell":
            if refused := await self._intents.expect([channel], "occupancy"):
                raise refused[channel]
            reply = await self._store.one(self._request(channel, "", 0.0, tell=True))
            self._intents.written([channel], "occupancy")
        return max(0.001, int(reply[1]) / 1000) if reply[1] else None

    def _request(self, channel: str, node: str, for_s: float, *, tell: bool = False) -> Request:
        waiting = self._intents.endpoints(channel, "occupancy")
        names = (self._keys.occupied(channel), *self._intents.queues(channel, waiting))
        said = [
            orjson.dumps({"kind": kind.value, "channel": channel})
            for kind in (Kind.CHANNEL_OCCUPIED, Kind.CHANNEL_VACATED)
        ]
        skipped = skipped_ms(self._topology.of(channel))
        return Request(
            channel, OCCUPANCY, names, (node, int(for_s * 1000), "1" if tell else "0", *said, skipped)
        )


class RedisConnections:
    """`ConnectionLedger` over Redis. What changes is written by one task, in as few writes as it takes."""

    def __init__(self, store: Store, topology: Topology, keys: KeyNames, due: DueList, node: str) -> None:
        self._store = store
        self._topology = topology
        self._keys = keys
        self._due = due
        self._node = node
        self._ttl_s = FIRST_TTL_S
        self._tell: Lost | None = None
        self._held: dict[str, bytes] = {}
        self._changed: set[str] = set()
        self._begun = False
        self._writing = False
        self._tasks = Tasks()
        due.handlers[_LOST] = self._look

    def watch(self, lost: Lost) -> None:
        """As `ConnectionLedger.watch`."""
        self._tell = lost

    def opened(self, connection: str, about: bytes) -> None:
        """As `ConnectionLedger.opened`."""
        self._held[connection] = about
        self._change(connection)

    def closed(self, connection: str) -> None:
        """As `ConnectionLedger.closed`."""
        if self._held.pop(connection, None) is not None:
            self._change(connection)

    async def close(self) -> None:
        """Write no more."""
        await self._tasks.close()

    async def keep(self, ttl_s: float) -> None:
        """This node lives for the next `ttl_s`.

        Raises:
            HubError: ``unavailable``.
        """
        self._ttl_s = ttl_s
        if not self._begun:
            return
        reply = await self._keep([])
        if reply[1] == b"0":  # forgotten, or taken for dead
            await self._due.add((_LOST, self._node), ttl_s)
            self._changed.update(self._held)
        await self._write()

    def _change(self, connection: str) -> None:
        self._changed.add(connection)
        if not self._writing:
            self._writing = True
            self._tasks.spawn(self._write_soon())

    async def _write_soon(self) -> None:
        try:
            if not self._begun:
                await self._due.add((_LOST, self._node), self._ttl_s)
                self._begun = True
            await self._write()
        except HubError:
            pass  # the next sign of life, or the next change, writes it
        finally:
            self._writing = False

    async def _write(self) -> None:
        while self._changed:
            chunk = [self._changed.pop() for _ in range(min(_CHUNK, len(self._changed)))]
            try:
                await self._keep(chunk)
            except HubError:
                self._changed.update(chunk)
                raise

    async def _keep(self, connections: Sequence[str]) -> Reply:
        said = [part for each in connections for part in (each, self._held.get(each, b""))]
        return await self._store.one(self._request(self._node, "keep", int(self._ttl_s * 1000), *said))

    async def _look(self, node: str) -> float | None:
        """Tell of a dead node's connections; each is forgotten once that is noted."""
        if self._tell is None:
            return _NOT_HERE_S
        told: Sequence[bytes] = ()
        while True:
            skipped = skipped_ms(self._topology.of(self._tag(node)))
            reply = await self._store.one(self._request(node, "lost", skipped, *told))
            if reply[0] == b"early":
                return max(0.001, int(reply[1]) / 1000)
            if not reply[1]:
                return None
            await self._tell(reply[1][1::2])
            told = reply[1][::2]

    def _tag(self, node: str) -> str:
        return tag_of(self._keys.connections(node))

    def _request(self, node: str, *args: str | bytes | int) -> Request:
        return Request(self._tag(node), CONNECTIONS, (self._keys.connections(node),), args)
