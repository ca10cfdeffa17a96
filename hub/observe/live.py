"""The channel ``hub:nodes``: all nodes' figures, every other second, for as long as somebody here looks.

Its events pass no broker: the node that has a watcher asks the others, and tells its own watchers. So it goes on
while the storage is away, with what this node knows by itself.
"""

import itertools

import orjson

from ..cluster.commands import ClusterCommands
from ..protocol.event import Event
from ..recovery.table import ChannelTable
from .overview import Observed

CHANNEL = "hub:nodes"
EVENT = "nodes"
EVERY_S = 2.0
ASK_S = 1.0


class LiveNodes:
    """Tells who listens to `CHANNEL`; `round` is called every `EVERY_S` seconds."""

    def __init__(self, node: Observed, channels: ChannelTable, cluster: ClusterCommands) -> None:
        self._node = node
        self._channels = channels
        self._cluster = cluster
        self._numbers = itertools.count(1)

    async def round(self) -> None:
        """One event, where anybody listens."""
        channel = self._channels.get(CHANNEL)
        if channel is None or not channel.subscribers:
            return
        nodes, complete = await self._cluster.ask_all("overview", ASK_S)
        payload = orjson.dumps({"nodes": nodes, "complete": complete, "from": self._node.id})
        id = f"e_{self._node.id}_{next(self._numbers)}"
        now = int(self._node.wall() * 1000)
        channel.announce("", Event(CHANNEL, 0, id, now, EVENT, payload, key=self._node.id))
