"""Every name in Redis, once. All keys of a channel share the hash tag {channel}: one slot in a Cluster.

| key | type | what |
|---|---|---|
| ``p:{c}:m`` | string | the numbering: epoch|offset|incarnation|previous epoch|offset at the fork (0…: see o) |
| ``p:{c}:s`` | stream | the history: id = offset, one field ``e`` |
| ``p:{c}:k`` | hash | the snapshot: key → offset|event |
| ``p:{c}:x`` | zset | when a key leaves the snapshot |
| ``p:{c}:v`` | hash | what guards a key: attempt|number|closed |
| ``p:{c}:l`` | hash | leases: key → id|deadline |
| ``p:{c}:c`` | hash | read cursors: user → epoch|offset |
| ``p:{c}:o`` | hash | sources: name → generation|number; '' → the epoch of the last write |
| ``p:{c}:f`` | string | the numbering's ancestors: epoch|epoch:offset at its fork|… |
| ``p:{c}:d`` | string | the epoch that was deleted for the present one |
| ``p:{c}:i:<digest>`` | string | an answered ``event_id``: body's digest|epoch|offset |
| ``p:{c}:p`` · ``:n`` | hash | presence: member → packed; node → until when its members are present |
| ``p:{c}:u`` | hash | node → until when it has subscribers; '' where that was told: only for webhooks |
| ``p:{c}:e`` | pub/sub | announcements |
| ``p:{c}:r`` | string | of no matter: a replica that has it has what was written before; for a second |
| ``p:{c}:w:<endpoint>`` | list | what waits for a webhook: ms|number|announcement |
| ``p:{c}:wl:<endpoint>`` | hash | who has that queue, until when, tries, when again, the last number |
| ``p:{hooks-b}`` · ``p:{hooks}`` | zset · hash | which queues to look at, and when; what is kept of endpoints |
| ``p:{conns-<node>}`` | hash | connection → what is told should its node die; '' → until when it lives |
| ``p:{due-b}`` | zset | what is to be looked at, and when: leases, leaves, nodes |
| ``p:{nodes}`` | hash | the nodes that live |
| ``p:{revoked}:signed`` · ``p:{revoked}`` | zset | revocations, signed by nodes; the same for nodes of 0.1 |
| ``p:{dead}`` · ``p:{dead}:at`` | hash · zset | dead letters; when each was kept |
| ``p:{commands}`` · ``p:{canary-t}:<node>`` | pub/sub | commands to all nodes; a node's own canary |
| ``p:{t-<digest>}`` | string | a ticket |
| ``p:{canary-t}:rights`` | | what rights are tried out on; nothing is ever there |
| ``p:{settings}:ring`` · ``:namespaces`` | string | what the nodes agree on |
"""

from functools import lru_cache
from zlib import crc32

DUE_BUCKETS = 16


class KeyNames:
    """The names under one prefix."""

    def __init__(self, prefix: str) -> None:
        if not prefix or any(character in prefix for character in "{} \r\n"):
            raise ValueError("a prefix has at least one character, and no braces or spaces")
        self.prefix = prefix
        self.nodes = f"{prefix}:{{nodes}}"
        self.revoked = f"{prefix}:{{revoked}}"
        self.revoked_signed = f"{prefix}:{{revoked}}:signed"
        self.dead = (f"{prefix}:{{dead}}", f"{prefix}:{{dead}}:at")
        self.endpoints = f"{prefix}:{{hooks}}"
        self.commands = f"{prefix}:{{commands}}"
        self.settings = (f"{prefix}:{{settings}}:ring", f"{prefix}:{{settings}}:namespaces")
        self.base = lru_cache(maxsize=16384)(self._base)
        self.stored = lru_cache(maxsize=1024)(self._stored)

    def _base(self, channel: str) -> str:
        """What all keys of a channel begin with."""
        return f"{self.prefix}:{{{channel}}}:"

    def announcements(self, channel: str) -> str:
        """The pub/sub channel of a channel."""
        return self.base(channel) + "e"

    def fence(self, channel: str) -> str:
        """What is written behind publications, to see it arrive at replicas."""
        return self.base(channel) + "r"

    def _stored(self, channel: str) -> tuple[str, ...]:
        """The keys that every script of a numbering takes, in this order."""
        base = self.base(channel)
        return tuple(base + suffix for suffix in "mskxvlc")

    def answered(self, channel: str, digest: str) -> str:
        """The answer to a publication under an ``event_id``."""
        return f"{self.base(channel)}i:{digest}"

    def present(self, channel: str) -> tuple[str, str]:
        """The keys that every script of presence takes."""
        base = self.base(channel)
        return (base + "p", base + "n")

    def occupied(self, channel: str) -> str:
        """Which nodes have subscribers in a channel."""
        return self.base(channel) + "u"

    def connections(self, node: str) -> str:
        """The ledger of a node's connections."""
        return f"{self.prefix}:{{conns-{node}}}"

    def intents(self, channel: str, endpoint: str) -> tuple[str, str]:
        """What waits for an endpoint, and the state of that queue."""
        base = self.base(channel)
        return (f"{base}w:{endpoint}", f"{base}wl:{endpoint}")

    def due_tag(self, name: str, family: str = "due") -> str:
        """The tag of the due-list that `name` (of a channel) is on."""
        return f"{family}-{crc32(name.encode()) % DUE_BUCKETS}"

    def due(self, tag: str) -> str:
        """A due-list."""
        return f"{self.prefix}:{{{tag}}}"

    def ticket(self, digest: str) -> str:
        """A ticket, by the digest of its secret."""
        return f"{self.prefix}:{{t-{digest}}}"

    def rights(self, tag: str) -> str:
        """A name of the server that the tag belongs to, to try rights out on."""
        return f"{self.prefix}:{{{tag}}}:rights"

    def canary(self, tag: str, node: str) -> str:
        """A node's canary through the server that the tag belongs to."""
        return f"{self.prefix}:{{{tag}}}:{node}"
