"""Publishing straight into Redis: what a backend uses that has no need of a hub in between.

The same scripts as a node's, so that all guarantees hold; whatever the Redis user may do is allowed. What the
namespaces are is read from where the nodes wrote it.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence

from redis.credentials import CredentialProvider

from ...protocol.codes import ErrorCode
from ...protocol.errors import HubError
from ...protocol.event import Publication
from ..base import Published, Route, Waiting
from .channels import RedisChannels
from .client.address import Remap, parse
from .client.errors import unavailable
from .client.tuning import Stats, Tuning
from .due import DueList
from .greeting import Look
from .intents import FAMILY, RedisIntents
from .keys import KeyNames
from .leases import RedisLeases
from .servers import make_topology
from .store import Store


class RedisPublishing:
    """Publishing straight into Redis: what a backend uses that has no need of a hub in between. `urls` and
    `prefix` are the hub's own; `name` is for the server's list of clients."""

    def __init__(
        self,
        urls: str,
        *,
        prefix: str = "hub",
        name: str = "publisher",
        clock: Callable[[], float] = time.time,
        tuning: Tuning | None = None,
        credentials: CredentialProvider | None = None,
        address_remap: Remap | None = None,
    ) -> None:
        self.stats = Stats()
        self._sites = parse(urls, credentials)
        self._tuning = tuning or Tuning.of(self._sites)
        self._keys = KeyNames(prefix)
        self._clock = clock
        self._look = Look(self._keys, self._sites, "this publisher", needs_a_hub=True)
        self._leases: RedisLeases | None = None
        self._topology = make_topology(
            self._sites, self._keys, name, self._look, None, self._tuning, self.stats, address_remap
        )

    async def start(self) -> None:
        """Connect, and read the namespaces.

        Raises:
            WrongServer: no hub has ever run on these servers, or one with other servers does.
            HubError: ``unavailable``: none of them answers.
        """
        await self._topology.start()
        settled = [shard.commander.settled.wait() for shard in self._topology.shards()]
        await asyncio.wait([asyncio.ensure_future(each) for each in settled], timeout=self._tuning.first_wait)
        refusals = [shard.commander.refusal for shard in self._topology.shards()]
        for refusal in refusals:
            if refusal is not None:
                await self.close()
                raise refusal
        namespaces = self._look.namespaces
        if namespaces is None:
            await self.close()
            raise unavailable("the storage can't be reached", 1.0)
        store = Store(self._topology, self._tuning, self.stats)
        channels = RedisChannels(store, self._topology, self._keys, namespaces, self._clock, self.stats)
        due = DueList(store, self._keys, self._tuning, self.stats)
        if self._look.webhooks:
            waiting = Waiting(_routes(self._look.webhooks), lambda *_: 60.0, lambda *_: None, 0)
            due_hooks = DueList(store, self._keys, self._tuning, self.stats, FAMILY)
            channels.intents = RedisIntents(store, self._keys, due_hooks, self.stats, first_look_s=0.0)
            channels.intents.route(waiting)
        self._leases = RedisLeases(channels, store, self._topology, self._keys, namespaces, due)

    async def close(self) -> None:
        """Let go."""
        await self._topology.close()

    async def publish(
        self, publications: Sequence[Publication], *, ordered: bool = False
    ) -> list[Published | HubError]:
        """Store and announce each, in order where the channel is the same; an error in one leaves the
        others."""
        if self._leases is None:
            raise RuntimeError("start() comes first")
        if not self._look.through_hub:
            return await self._leases.publish(publications, ordered=ordered)
        refusals = [self._refusal(publication) for publication in publications]
        going = [each for each, no in zip(publications, refusals, strict=True) if no is None]
        published = iter(await self._leases.publish(going, ordered=ordered))
        return [next(published) if refusal is None else refusal for refusal in refusals]

    def _refusal(self, publication: Publication) -> HubError | None:
        name = publication.channel.partition(":")[0]
        if name not in self._look.through_hub:
            return None
        why = f"events of the namespace {name} are checked by the hub (a schema, or handlers): publish over HTTP"
        return HubError(ErrorCode.FORBIDDEN, why, channel=publication.channel)


def _routes(webhooks: Mapping[str, Sequence[str]]) -> Route:
    """Who waits for a channel's events; ``*`` in a pattern is any run of characters."""
    matching = {
        name: re.compile("|".join(".*".join(map(re.escape, each.split("*"))) for each in channels))
        for name, channels in webhooks.items()
    }

    def route(channel: str, what: str) -> tuple[str, ...]:
        if what != "event":
            return ()
        return tuple(name for name, channels in matching.items() if channels.fullmatch(channel))

    return route
