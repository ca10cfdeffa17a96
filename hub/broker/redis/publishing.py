"""Publishing straight into Redis: what a backend uses that has no need of a hub in between.

The same scripts as a node's, so that all guarantees hold; whatever the Redis user may do is allowed. What the
namespaces are is read from where the nodes wrote it.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from redis.credentials import CredentialProvider

from ...protocol.errors import HubError
from ...protocol.event import Publication
from ..base import Published
from .channels import RedisChannels
from .client.address import Remap, parse
from .client.errors import unavailable
from .client.tuning import Stats, Tuning
from .due import DueList
from .greeting import Look
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
        return await self._leases.publish(publications, ordered=ordered)
