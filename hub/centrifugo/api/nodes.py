"""What a node tells of itself to another that is asked for `channels` or `info`."""

import itertools
from collections.abc import Callable
from typing import Any

from ... import __version__
from ...cluster.commands import ClusterCommands
from ...connections.table import ConnectionTable
from ...recovery.table import ChannelTable

CHANNELS, INFO = "centrifugo_channels", "centrifugo_info"
MAX_CHANNELS = 10_000  # that one node names in one answer


class NodeInfo:
    """Answers the questions `CHANNELS` and `INFO`; nothing is awaited."""

    def __init__(
        self,
        node: str,
        connections: ConnectionTable,
        channels: ChannelTable,
        now: Callable[[], float],
    ) -> None:
        self._node = node
        self._connections = connections
        self._channels = channels
        self._now = now
        self._began = now()

    def answer(self, cluster: ClusterCommands) -> None:
        """From now on."""
        cluster.answer(CHANNELS, self.channels)
        cluster.answer(INFO, self.info)

    def channels(self, _command: dict[str, Any]) -> dict[str, int]:
        """The channels with subscribers here, and how many."""
        taken = (each for each in self._channels.open_channels() if each.subscribers)
        return {each.name: each.subscribers for each in itertools.islice(taken, MAX_CHANNELS)}

    def info(self, _command: dict[str, Any]) -> dict[str, Any]:
        """The node, as Centrifugo describes one."""
        subscribers = [each.subscribers for each in self._channels.open_channels()]
        users = {each.identity.user for each in self._connections.all() if each.identity is not None}
        return {
            "uid": self._node,
            "name": self._node,
            "version": __version__,
            "num_clients": len(self._connections),
            "num_users": len(users),
            "num_subs": sum(subscribers),
            "num_channels": sum(1 for each in subscribers if each),
            "uptime": int(self._now() - self._began),
        }
