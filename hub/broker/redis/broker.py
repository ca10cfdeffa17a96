"""The broker over Redis: the composition of its parts.

    address ─▶ topology ─▶ shard (commander · listener · canary) ─▶ link
    channels · presence · leases · registry ─▶ store ─▶ topology

What is heard comes in at `on_message`, is read by `redis_format`, and goes to the node's `Listener`.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from redis.credentials import CredentialProvider

from ...namespaces import Namespaces
from ...protocol.errors import HubError
from ...protocol.event import Publication
from ...protocol.position import Position, Top
from ..base import MAX_DEAD_LETTERS, Inbox, Listener, Page, Published, ShardHealth
from ..witness import Witness
from . import format as wire
from .attendance import RedisConnections, RedisOccupancy
from .channels import RedisChannels
from .client.address import Remap, parse
from .client.tuning import Stats, Tuning, log
from .dead_letters import RedisDeadLetters
from .due import DueList
from .greeting import Greeting, Look
from .intents import FAMILY, RedisIntents
from .keys import KeyNames
from .leases import RedisLeases
from .presence import RedisPresence
from .registry import RedisRegistry
from .servers import make_topology
from .store import Store
from .witness import RedisWitnesses


class RedisBroker:
    """`Broker` over the Redis servers that `urls` name (`redis_address`).

    `prefix` begins every key. `node_id` names this node among the others. `clock` gives the time that events
    bear (Unix seconds); leases and deadlines go by the servers' own clocks. `stats` counts what happened.
    `credentials` are asked at each connect, before the URLs' own user and password; `address_remap` says where a
    server is reached that Sentinels or a Cluster name: redis-py's own extension points.
    `through_hub` are namespaces into which nobody may write but through a node: handlers have a say there.
    `webhooks` are endpoints with the channels whose events they wait for: who publishes past the nodes has to know.
    A `visitor` only looks whether all can be reached: it agrees on nothing and takes on no standing work.
    """

    def __init__(
        self,
        urls: str,
        namespaces: Namespaces,
        *,
        node_id: str,
        prefix: str = "hub",
        clock: Callable[[], float] = time.time,
        members_limit: int = 1000,
        dead_letters_limit: int = MAX_DEAD_LETTERS,
        tuning: Tuning | None = None,
        visitor: bool = False,
        credentials: CredentialProvider | None = None,
        address_remap: Remap | None = None,
        through_hub: Collection[str] = (),
        webhooks: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.stats = Stats()
        self._sites = parse(urls, credentials)
        self._tuning = tuning or Tuning.of(self._sites)
        self._node_id = node_id
        self._visitor = visitor
        self._keys = KeyNames(prefix)
        self._greeting = Greeting(self._keys, self._sites, namespaces, self.stats, through_hub, webhooks)
        self._listener: Listener | None = None
        self._channels_of: dict[bytes, str] = {}
        self._lingering: dict[str, asyncio.TimerHandle] = {}
        self._topology = make_topology(
            self._sites,
            self._keys,
            node_id,
            Look(self._keys, self._sites, "this node", needs_a_hub=False) if visitor else self._greeting,
            self,
            self._tuning,
            self.stats,
            address_remap,
        )
        store = Store(self._topology, self._tuning, self.stats)
        due = DueList(store, self._keys, self._tuning, self.stats)
        self._channels = RedisChannels(store, self._topology, self._keys, namespaces, clock, self.stats)
        self._leases = RedisLeases(self._channels, store, self._topology, self._keys, namespaces, due)
        self.presence = RedisPresence(
            store, self._topology, self._keys, due, node_id, members_limit, self.stats
        )
        self.dead_letters = RedisDeadLetters(store, self._keys, dead_letters_limit)
        self._due = due
        due_hooks = DueList(store, self._keys, self._tuning, self.stats, FAMILY)
        self.intents = RedisIntents(store, self._keys, due_hooks, self.stats)
        at = (store, self._topology, self._keys, due_hooks, node_id)
        self.occupancy = RedisOccupancy(*at, self.intents)
        self.connections = RedisConnections(*at)
        self._witnesses = RedisWitnesses(
            self._topology, self._keys, f"hub-{node_id}", self._tuning, self.stats
        )
        kept = (self.presence, self.occupancy, self.connections)
        self.registry = RedisRegistry(store, self._topology, self._keys, self._greeting, kept, self.stats)

    # Life

    async def start(self, listener: Listener) -> None:
        """Connect.

        Raises:
            WrongServer: a server belongs to another ring, or is no master, and says so at once.
        """
        self._listener = listener
        if self.intents.routed:
            self._channels.intents = self.presence.intents = self.intents
        await self._topology.start()
        self._topology.listen_always(self._keys.commands)
        settled = [shard.commander.settled.wait() for shard in self._topology.shards()]
        try:
            async with asyncio.timeout(self._tuning.first_wait):
                await asyncio.gather(*settled)
        except TimeoutError:
            pass  # it is tried again, and `health` says so
        for shard in self._topology.shards():
            if shard.commander.refusal is not None:
                await self.close()
                raise shard.commander.refusal
        if not self._visitor:
            self._due.start()
            self.intents.start()

    async def close(self) -> None:
        """Let go of everything, within 5 s."""
        for handle in self._lingering.values():
            handle.cancel()
        self._lingering.clear()
        async with asyncio.timeout(5.0):
            await self._due.close()
            await self.intents.close()
            await self.connections.close()
            await self._witnesses.close()
            await self._topology.close()
        self._listener = None

    def health(self) -> list[ShardHealth]:
        """Every shard."""
        return [shard.health() for shard in self._topology.shards()]

    def still(self) -> Sequence[str]:
        """Standing work of the broker's own that has not come round for too long, in words."""
        return self._due.standing.still()

    def counts(self) -> Mapping[str, int]:
        """What went wrong and was dealt with since the start, by a short name: for metrics."""
        return self.stats.counts

    # Channels

    async def publish(
        self, publications: Sequence[Publication], *, ordered: bool = False
    ) -> list[Published | HubError]:
        """Store and announce each, in order where the channel is the same; an error in one leaves the
        others."""
        return await self._leases.publish(publications, ordered=ordered)

    def witness(self, channels: Collection[str]) -> Witness:
        """Watches over what is published to `channels` from now on: whether it is on replicas too."""
        return self._witnesses.witness(channels)

    async def read(self, channel: str, after: int | None, limit: int) -> Page:
        """Up to `limit` stored events with offsets above `after`, or the newest `limit` where it is None."""
        return await self._channels.read(channel, after, limit)

    async def snapshot(self, channel: str) -> Page:
        """The latest event of each key in the order of offsets, complete at `top.offset` (`state` only)."""
        return await self._channels.snapshot(channel)

    async def tops(self, channels: Sequence[str]) -> list[Top | HubError]:
        """The numberings of many channels, one answer each: of several servers one may be away."""
        return await self._channels.tops(channels)

    async def ack(self, channel: str, user: str, position: Position) -> Inbox:
        """Move the read cursor up to `position`; a lower one changes nothing."""
        return await self._channels.ack(channel, user, position)

    async def inbox(self, channel: str, user: str) -> Inbox:
        """The read cursor (offset 0 where there is none or it is no longer good) and the unread count: top -
        max(cursor, first stored - 1)."""
        return await self._channels.inbox(channel, user)

    async def delete(self, channel: str) -> Position:
        """Delete all that is stored of a channel: another numbering begins, and knows that the one before was
        deleted."""
        return await self._channels.delete(channel)

    async def delete_key(self, channel: str, key: str) -> Position | None:
        """Delete a key and every stored event of it; one final event says so."""
        return await self._channels.delete_key(channel, key)

    # Listening

    async def listen(self, channel: str) -> None:
        """Take interest: returns once every later publication will reach `on_event`."""
        name = self._keys.announcements(channel)
        handle = self._lingering.pop(channel, None)
        if handle is not None:
            handle.cancel()
        self._channels_of[name.encode()] = channel
        try:
            await self._topology.of(channel).listener.want(name)
        except HubError:
            self._linger(channel)
            raise

    async def unlisten(self, channel: str) -> None:
        """Lose interest. Pages reload, so it waits a little."""
        self._linger(channel)

    def _linger(self, channel: str) -> None:
        handle = self._lingering.pop(channel, None)
        if handle is not None:
            handle.cancel()
        loop = asyncio.get_running_loop()
        self._lingering[channel] = loop.call_later(self._tuning.linger, self._forget, channel)

    def _forget(self, channel: str) -> None:
        self._lingering.pop(channel, None)
        name = self._keys.announcements(channel)
        self._channels_of.pop(name.encode(), None)
        for shard in self._topology.shards():
            if name in shard.listener.wanted:
                shard.listener.unwant(name)

    # What is heard (redis_listener.Hearer)

    def on_message(self, name: bytes, data: bytes) -> None:
        """A message on a subscribed name: from a node, or from whoever can write to the Redis."""
        channel = self._channels_of.get(name)
        try:
            if channel is not None:
                self._announced(channel, data)
            elif name == self._keys.commands.encode() and self._listener is not None:
                self._listener.on_command(data)
        except wire.Unreadable as error:
            self.stats.note("unreadable_messages", "a message was skipped: %s", error)
        except Exception:
            # A listener must not raise. If it does, the connection that all others depend on must not suffer.
            self.stats.counts["listener_faults"] += 1
            log.exception("hearing a message failed")

    def on_restored(self, names: Collection[str]) -> None:
        """Messages on these may have been lost."""
        channels = [
            channel for name in names if (channel := self._channels_of.get(name.encode())) is not None
        ]
        if channels and self._listener is not None:
            self.stats.counts["gaps"] += len(channels)
            self._listener.on_lost(channels)

    def on_moved(self, names: Collection[str]) -> None:
        """A Cluster moved these: the topology finds out where to."""
        self._topology.moved(names)

    def _announced(self, channel: str, data: bytes) -> None:
        listener = self._listener
        if listener is None:
            return
        kind = wire.kind(data)
        if kind == wire.EVENT:
            epoch, event = wire.announced(channel, data)
            listener.on_event(epoch, event)
        elif kind == wire.PRESENCE:
            change, member = wire.presence(data)
            listener.on_presence(channel, change, member)
        elif kind == wire.ACK:
            user, inbox = wire.ack(data)
            listener.on_ack(channel, user, inbox)
        elif kind == wire.RESET:
            self._reset(listener, channel, wire.why_reset(data))
        else:
            raise wire.Unreadable("an unknown kind")

    def _reset(self, listener: Listener, channel: str, cause: bytes) -> None:
        if cause == b"key":
            listener.on_erased(channel)
            return
        if cause == b"parts":
            why = "%s: parts of what was stored are gone: does its server evict keys?"
            self.stats.note("lost_parts", why, channel)
        if cause != b"deleted":
            self.stats.note("resets", "%s: its numbering began anew", channel)
        listener.on_lost([channel])
