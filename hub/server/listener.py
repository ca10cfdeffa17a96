"""Taking connections from the kernel, and taking none where even a refusal would be too much.

At the worst (more newcomers wait to be read than a few seconds suffice for, or hardly a descriptor is left)
nothing is accepted for a moment. Newcomers wait in the kernel's backlog then, and beyond it their TCP tries again
after a second or more: that spreads even a herd which no refusal impresses.
"""

import asyncio
import logging
import math
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from ..runtime.counters import Counters

log = logging.getLogger(__name__)

PAUSE_S = 0.5
BACKLOG = 256  # the loop accepts all that wait in one turn: so many hold it up for some 15 ms, and no more


class Accepting(Protocol):
    """What an `asyncio.Server` can."""

    def close(self) -> None:
        """Accept no more."""

    async def wait_closed(self) -> None:
        """Until it does not."""


class SocketListener:
    """Listens on `sockets`, which stay the caller's; `serve` begins to take the connections of one, `overfull`
    says that it is the worst. `servers` are those that accept just now, none while it pauses, which `counters`
    counts."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        serve: Callable[[socket.socket], Awaitable[Accepting]],
        overfull: Callable[[], bool],
        counters: Counters,
    ) -> None:
        self.servers: list[Accepting] = []
        self._counters = counters
        self._sockets = sockets
        self._serve = serve
        self._overfull = overfull
        self._until = 0.0

    async def open(self) -> None:
        """Accept. The kernel goes on listening for as long as the caller's sockets are open."""
        for sock in self._sockets:
            self.servers.append(await self._serve(sock.dup()))

    def end(self) -> None:
        """Accept no more, ever; the kernel gives new connections to whoever else has the port."""
        for server in self.servers:
            server.close()
        self.servers.clear()
        for sock in self._sockets:
            sock.close()
        self._until = math.inf

    async def tick(self) -> None:
        """Called about ten times a second."""
        now = asyncio.get_running_loop().time()
        if not self.servers:
            if now >= self._until:
                await self.open()
        elif self._overfull():
            log.warning("too many connections at once: none is accepted for %g s", PAUSE_S)
            self._counters.accept_pauses += 1
            self._until = now + PAUSE_S
            for server in self.servers:
                server.close()
            self.servers.clear()
