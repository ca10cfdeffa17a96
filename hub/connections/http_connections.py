"""TCP connections that are no WebSockets: who holds how many, and which goes first when there are too many.

A WebSocket is counted by `admission`. One that is none has not said who it is yet, or asks by HTTP; descriptors are
few, and strangers must not use them up:

    there is                               a new connection
    -------------------------------------  -------------------------------------------------------------------
    an address with its full share         of that address is refused
    room                                   is taken
    hardly any, and an idle one            takes the place of the one that is idle for longest
    hardly any, and an address with many   takes the place of the oldest of the address that has most, unless busy
    hardly any                             waits in the reserve: it is served if it asks for health or is a service
    a full reserve                         takes the place there of the oldest
"""

from enum import Enum
from typing import Protocol

SPARE = 448  # TCP connections beside the sockets that are allowed: of the descriptors that the limit leaves
RESERVE = 64  # of them
MANY = 32  # an address with more makes room for others when there is hardly any


class HttpConnection(Protocol):
    """A TCP connection. `network`: what counts as its address; None where it says nothing (a trusted proxy)."""

    network: str | None

    @property
    def busy(self) -> bool:
        """A request of it is being answered."""

    def make_room(self) -> None:
        """End at once: the place is needed."""


class Placement(Enum):
    """What becomes of a new connection."""

    TAKEN = 1
    RESERVE = 2
    REFUSED = 3


class HttpConnections:
    """TCP connections that are no WebSockets: who holds how many, and which goes first when there are too
    many. `evicted` and `refused` count."""

    def __init__(self, most: int, most_by_address: int) -> None:
        self.evicted = 0
        self.refused = 0
        self._room = most - RESERVE
        self._most_by_address = most_by_address
        self._by_network: dict[str | None, dict[HttpConnection, None]] = {}
        self._idle: dict[HttpConnection, None] = {}
        self._reserve: dict[HttpConnection, None] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_network.values()))

    def enter(self, connection: HttpConnection, total: int) -> Placement:
        """A new one; `total` TCP connections are open with it. Who is not refused calls `leave` at its end."""
        others = self._by_network.get(connection.network, {})
        if connection.network is not None and len(others) >= self._most_by_address:
            self.refused += 1
            return Placement.REFUSED
        placement = Placement.TAKEN
        if total > self._room and not self._evict():
            placement = Placement.RESERVE
            if len(self._reserve) >= RESERVE:
                self._send_away(next(iter(self._reserve)))
            self._reserve[connection] = None
        self._by_network.setdefault(connection.network, {})[connection] = None
        return placement

    def leave(self, connection: HttpConnection) -> None:
        """It is gone, or a WebSocket now."""
        others = self._by_network.get(connection.network, {})
        others.pop(connection, None)
        if not others:
            self._by_network.pop(connection.network, None)
        self._idle.pop(connection, None)
        self._reserve.pop(connection, None)

    def idle(self, connection: HttpConnection) -> None:
        """Its last request is answered, and no other has begun."""
        self._idle[connection] = None

    def awake(self, connection: HttpConnection) -> None:
        """A request of it has begun."""
        self._idle.pop(connection, None)

    def _evict(self) -> bool:
        victim = next(iter(self._idle), None) or self._of_many()
        if victim is not None:
            self._send_away(victim)
        return victim is not None

    def _of_many(self) -> HttpConnection | None:
        networks = (held for network, held in self._by_network.items() if network is not None)
        most: dict[HttpConnection, None] = max(networks, key=len, default={})
        if len(most) <= MANY:
            return None
        return next((held for held in most if not held.busy and held not in self._reserve), None)

    def _send_away(self, connection: HttpConnection) -> None:
        self.evicted += 1
        self.leave(connection)
        connection.make_room()
