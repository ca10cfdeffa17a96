"""How many connections a node takes, and how fast."""

from .bucket import Bucket
from .node import Node
from .protocol.codes import ErrorCode
from .protocol.errors import HubError


class Admission:
    """Limits for a node, an address, and the rate of new connections; returning clients go first.

    A fresh client needs a tenth of the bucket to be there, so that returning ones still get in when fresh
    ones would take all of it.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        settings = node.settings
        self._most = settings.connection_limit
        self._most_by_address = settings.max_connections_per_address
        self._rate = settings.accept_rate
        self._bucket = Bucket(settings.accept_rate, settings.accept_rate, node.now())
        self._waiting = 0.0
        self._then = node.now()

    def check(self, address: str, *, returning: bool) -> None:
        """Whether one more connection may come.

        Raises:
            HubError: ``unavailable`` (503, 4103) or ``limit`` (429, 4129), with when to come back.
        """
        node = self._node
        if node.draining and not node.accepting:
            raise HubError(
                ErrorCode.UNAVAILABLE, "this node is going away; another takes over", retry_after_ms=1000
            )
        if node.roster.sockets >= self._most:
            raise HubError(
                ErrorCode.UNAVAILABLE, f"{self._most} connections are open, this node takes no more",
                retry_after_ms=5000,
            )
        if node.roster.by_address[address] >= self._most_by_address:
            raise HubError(
                ErrorCode.LIMIT,
                f"{self._most_by_address} connections of one address are open, more are not allowed",
                retry_after_ms=30_000,
            )
        self._check_rate(returning)

    def _check_rate(self, returning: bool) -> None:
        now = self._node.now()
        # The queue that the refused would form: it shrinks at the rate at which connections are taken.
        self._waiting = max(0.0, self._waiting - (now - self._then) * self._rate)
        self._then = now
        if self._bucket.take(now, 1.0, reserve=0.0 if returning else 0.1) == 0.0:
            return
        self._waiting += 1
        wait_ms = int(1000 * (1 + self._waiting / self._rate))
        raise HubError(
            ErrorCode.UNAVAILABLE, "more clients come at once than this node can take", retry_after_ms=wait_ms
        )
