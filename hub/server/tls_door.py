"""The door of a TLS port: a TCP connection until its handshake is over (RFC 8446), then what speaks behind it.

Who knocks has done nothing yet but cost: a handshake holds tens of KB and takes a millisecond of the loop. So it
is begun in the newcomers' share of the loop (nothing of it is read before), it has a deadline, and there is a
bound: of whom most are there the oldest goes.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any, Protocol, cast

from ..auth.addresses import TrustedProxies, network_of
from ..connections.admission import Admission
from ..connections.http_connections import RESERVE, HttpConnections, Placement
from ..runtime.floods import Floods
from ..settings import Settings
from ..tls.server import ServerTls
from .listener import BACKLOG

log = logging.getLogger(__name__)

HANDSHAKES = 512
COST_S = 0.001  # what the cryptography of one takes of the loop, later
REST_S = 1.0  # where it has none to give, as there is no descriptor left


class Lobby(Protocol):
    """The parts of a node that a door needs."""

    settings: Settings
    admission: Admission
    floods: Floods


class TlsPort:
    """What the doors of a process share. `connections` are all of it, doors included; `make` gives what speaks
    behind a door; `handshakes` are the doors."""

    def __init__(
        self,
        tls: ServerTls,
        node: Lobby,
        proxies: TrustedProxies,
        connections: set[Any],
        make: Callable[[], asyncio.Protocol],
    ) -> None:
        self.tls = tls
        self.node = node
        self.proxies = proxies
        self.connections = connections
        self.make = make
        most_of_one = node.settings.max_http_connections_per_address
        self.handshakes = HttpConnections(HANDSHAKES + RESERVE, most_of_one)


class TlsServer:
    """Takes connections of one listening socket, which it closes at its end; otherwise as an `asyncio.Server`."""

    def __init__(self, listening: socket.socket, port: TlsPort) -> None:
        self._socket = listening
        self._port = port
        self._resting: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        listening.listen(BACKLOG)
        self._loop = asyncio.get_running_loop()
        self._listen()

    def close(self) -> None:
        """Take no more."""
        if self._resting is not None:
            self._resting.cancel()
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    async def wait_closed(self) -> None:
        """It is closed at once; those that were taken go on."""

    def _listen(self) -> None:
        self._resting = None
        self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        for _ in range(BACKLOG):  # as many as the loop itself takes in one turn
            try:
                taken, peer = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return
            except OSError as error:
                log.error("no connection can be accepted: %s", error.strerror)
                self._loop.remove_reader(self._socket)
                self._resting = self._loop.call_later(REST_S, self._listen)
                return
            Door(self._port, taken, peer).open()


class Door:
    """One connection on its way in; an `http_connections.HttpConnection`."""

    busy = False

    def __init__(self, port: TlsPort, taken: socket.socket, peer: Any) -> None:
        self._port = port
        self._socket: socket.socket | None = taken
        self._task: asyncio.Task[None] | None = None
        self.network: str | None = None
        if isinstance(peer, tuple) and not port.proxies.trusts(peer[0]):
            self.network = network_of(peer[0])

    def open(self) -> None:
        """Count it, unless there is no place, and wait for its turn."""
        port, admission = self._port, self._port.node.admission
        port.connections.add(self)
        for counted, total in (
            (admission.http_connections, len(port.connections)),
            (port.handshakes, len(port.handshakes) + 1),
        ):
            if counted.enter(self, total) is Placement.REFUSED:
                self._end()
                return
        admission.accept_queue.enter(self._begin)

    def make_room(self) -> None:
        """End at once: it was slow, and others come."""
        why = "TLS handshakes that were not finished made room for others"
        self._port.node.floods.note("handshakes", self.network, why)
        self._end()

    def shutdown(self) -> None:
        """uvicorn stops."""
        self._end()

    def leave(self) -> None:
        """It is no door any more."""
        self._port.connections.discard(self)
        self._port.handshakes.leave(self)
        self._port.node.admission.http_connections.leave(self)

    def _begin(self) -> None:
        if self._socket is not None:
            self._port.node.admission.accept_queue.charge(COST_S)
            self._task = asyncio.get_running_loop().create_task(self._shake(self._socket))
            self._socket = None

    async def _shake(self, taken: socket.socket) -> None:
        port = self._port
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: Behind(self, port.make),
                taken,
                ssl=port.tls.context,
                ssl_handshake_timeout=port.node.settings.auth_timeout,
                ssl_shutdown_timeout=port.node.settings.close_timeout,
            )
        except ssl.SSLError as error:
            self._failed(error.reason or "")
        except OSError:  # it went away, or its time is up
            self._failed("it was not finished")
        finally:
            self.leave()

    def _failed(self, why: str) -> None:
        self._port.tls.failed_handshakes += 1
        log.debug("a TLS handshake failed: %s", why)

    def _end(self) -> None:
        self.leave()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        elif self._task is not None:
            self._task.cancel()


class Behind(asyncio.Protocol):
    """The handshake is over: from here on another one speaks."""

    def __init__(self, door: Door, make: Callable[[], asyncio.Protocol]) -> None:
        self._door = door
        self._make = make

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called before anything that came behind the handshake is read."""
        self._door.leave()
        protocol = self._make()
        cast("asyncio.Transport", transport).set_protocol(protocol)
        protocol.connection_made(transport)
