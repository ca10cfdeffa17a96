"""What the nodes say of themselves, every few seconds: how many they hold, and how many more they take."""

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

import orjson

log = logging.getLogger(__name__)

HEAVY_PART = 8  # a user is told of from a part of the limit on, so that what nodes say stays short


def describe(connections: int, accept_rate: float, heavy: Mapping[str, int], deaf_s: float = 0.0) -> bytes:
    """What a node says: `accept_rate` is 0 while it departs; `heavy` are its users with many connections; `deaf_s`,
    for how long it has heard nothing of what is announced (s), as it can't be asked then."""
    said = {"connections": connections, "accept_rate": round(accept_rate, 1), "heavy": heavy}
    return orjson.dumps({**said, "deaf_s": round(deaf_s, 1)} if deaf_s else said)


def said_deaf_s(info: bytes) -> float:
    """For how long a node had heard nothing when it last said so (s); 0 where it says nothing of it."""
    try:
        return float(orjson.loads(info).get("deaf_s", 0.0))
    except (ValueError, TypeError, AttributeError):
        return 0.0


class Peers:
    """The other nodes, as they last said. Old by some seconds, and good enough for limits and windows."""

    def __init__(self, node: str) -> None:
        self._node = node
        self.accept_rate = 0.0
        self._held: Counter[str] = Counter()

    def heard(self, nodes: Mapping[str, bytes]) -> None:
        """What all nodes say; one that says nonsense is passed over."""
        rate, held = 0.0, Counter[str]()
        for node, info in nodes.items():
            if node == self._node:
                continue
            try:
                said: dict[str, Any] = orjson.loads(info)
                rate += float(said["accept_rate"])
                held.update({user: int(count) for user, count in said["heavy"].items()})
            except (ValueError, KeyError, TypeError, AttributeError):
                log.info("node %s says something of itself that this version cannot read", node)
        self.accept_rate, self._held = rate, held

    def held(self, user: str) -> int:
        """Connections of a user on the other nodes, where it has many."""
        return self._held[user]
