"""One flood: what is sent, on how many connections, and the process that sends it as fast as sockets take it."""

import multiprocessing
import os
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

BLOCK = 1_000_000  # bytes of a prepared block
PATIENCE_S = 5.0
REDIAL_S = 0.01  # who was cut comes back


@dataclass(frozen=True)
class Target:
    """The hub that is attacked, and what an attacker may have of it."""

    port: int
    token: str
    api_key: str

    def upgrade(self, query: str = "", subprotocol: str = "hub.v1.json", path: str = "/ws") -> bytes:
        """A WebSocket's handshake."""
        return (
            f"GET {path}{query} HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Sec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
        ).encode()


@dataclass(frozen=True)
class Flood:
    """`head` begins each connection; where `upgraded`, `opening` follows its answer. Then `unit` follows again and
    again in blocks of 1 MB. `reads`: the attacker takes the answers. `once`: it sends `unit` once a connection and
    then is silent, or `drip`s a byte now and then. `prepare` is done before anything is measured.
    """

    name: str
    part: str
    unit: bytes
    head: Callable[[Target], bytes] = lambda _target: b""
    upgraded: bool = False
    opening: bytes = b""
    connections: int = 1
    reads: bool = True
    once: bool = False
    drip: bytes = b""
    prepare: Callable[[Target], None] | None = None


@dataclass
class Sent:
    """What the attacker got rid of."""

    seconds: float = 0.0
    bytes: int = 0
    cut: int = 0  # connections that the hub ended

    def units(self, flood: Flood) -> float:
        """Units a second."""
        return self.bytes / max(1, len(flood.unit)) / max(self.seconds, 1e-9)


class _Peer:
    """One of the attacker's connections."""

    def __init__(self, flood: Flood, target: Target) -> None:
        self.socket = socket.create_connection(("127.0.0.1", target.port), timeout=PATIENCE_S)
        head = flood.head(target)
        if head:
            self.socket.sendall(head)
        if flood.upgraded:
            answer = b""
            while b"\r\n\r\n" not in answer:
                data = self.socket.recv(65536)
                if not data:
                    raise ConnectionError("refused")
                answer += data
            if b" 101 " not in answer.split(b"\r\n")[0]:
                raise ConnectionError("refused")
            self.socket.sendall(flood.opening)
        self.socket.setblocking(False)
        count = 1 if flood.once else max(1, BLOCK // max(1, len(flood.unit)))
        self.block = memoryview(flood.unit * count)
        self.at = 0
        self.dripped = time.monotonic()


def attack(flood: Flood, target: Target, seconds: float, report: Connection) -> None:
    """Run in a process of its own, on the last core."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    sent = Sent()
    selector = selectors.DefaultSelector()
    began = time.monotonic()
    redial = began
    while (now := time.monotonic()) < began + seconds:
        if len(selector.get_map()) < flood.connections and now >= redial:
            redial = now + REDIAL_S / flood.connections
            _dial(flood, target, selector, sent)
        for key, events in selector.select(0.005):
            if not _serve(flood, key.data, events, sent):
                sent.cut += 1
                selector.unregister(key.fileobj)
                key.data.socket.close()
    sent.seconds = time.monotonic() - began
    for key in list(selector.get_map().values()):
        key.data.socket.close()
    report.send(sent)


def _dial(flood: Flood, target: Target, selector: selectors.BaseSelector, sent: Sent) -> None:
    try:
        peer = _Peer(flood, target)
    except OSError:
        sent.cut += 1
        return
    selector.register(peer.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, peer)


def _serve(flood: Flood, peer: _Peer, events: int, sent: Sent) -> bool:
    """Whether the connection still stands."""
    try:
        if events & selectors.EVENT_READ and flood.reads and not peer.socket.recv(262_144):
            return False
        if events & selectors.EVENT_WRITE:
            sent.bytes += _send(flood, peer)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True


def _send(flood: Flood, peer: _Peer) -> int:
    if peer.at < len(peer.block):
        size = peer.socket.send(peer.block[peer.at :])
        peer.at += size
        if peer.at == len(peer.block) and not flood.once:
            peer.at = 0
        return size
    if flood.drip and time.monotonic() - peer.dripped > 1.0:
        peer.dripped = time.monotonic()
        return peer.socket.send(flood.drip)
    return 0


def start(flood: Flood, target: Target, seconds: float) -> tuple[multiprocessing.Process, Connection]:
    """The attacker's process, and where it reports `Sent` at its end."""
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(target=attack, args=(flood, target, seconds, there), daemon=True)
    process.start()
    return process, here
