"""A thousand dashboards open a board of ten thousand keys at once, and read slowly: what the hub holds meanwhile.

python -m tests.attack.boards [--clients 1000] [--keys 10000] [--redis redis://…]
"""

import argparse
import contextlib
import json
import os
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from loadtest import frames, machine

from ..support.pace import SCALE
from ..support.server import RunningHub, running_hub

CHANNEL = "job:board"
MORE_BYTES = 60 << 20
SILENT_S = 2.0  # in which nobody reads
GULP = 16_384  # bytes that a client reads at once
WITHIN_S = 300.0
PAD = "x" * 120


def memory(pid: int) -> int:
    """Resident bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@dataclass
class Client:
    """One dashboard: a socket that holds little, and what it knows of the board."""

    socket: socket.socket
    buffer: bytes = b""
    upgraded: bool = False
    pages: list[bytes] = field(default_factory=list)  # a digest of each
    complete: bool = False


@dataclass
class Outcome:
    """What came of it. Bytes and seconds."""

    clients: int
    complete: int
    right: bool
    quiet: int
    peak: int
    seconds: float

    def faults(self) -> list[str]:
        """What was not held."""
        found = {
            "not all complete": self.complete < self.clients,
            "a board is wrong": not self.right,
            "memory": self.peak - self.quiet > MORE_BYTES,
        }
        return [name for name, wrong in found.items() if wrong]

    def __str__(self) -> str:
        more = (self.peak - self.quiet) / 1e6
        said = ", ".join(self.faults()) or "held"
        return (
            f"{self.clients} clients, {self.complete} complete after {self.seconds:.0f} s: "
            f"{self.quiet / 1e6:.0f} MB quiet, {more:+.0f} MB at most; {said}"
        )


class Crowd:
    """The clients, in one process: who is fast enough is told apart from who is right."""

    def __init__(self, hub: RunningHub, count: int) -> None:
        self.hub = hub
        self.selector = selectors.DefaultSelector()
        self.clients = [self._dial() for _ in range(count)]
        self.board: dict[bytes, dict[str, Any]] = {}  # pages by their digest: each is decoded once

    def _dial(self) -> Client:
        plug = socket.socket()
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plug.connect(("127.0.0.1", self.hub.port))
        token = self.hub.token("dash", subscribe=["job:*"])
        plug.sendall(frames.upgrade_request("/ws", "hub", headers=f"Authorization: Bearer {token}\r\n"))
        subscribe = json.dumps({"type": "subscribe", "id": 1, "channel": CHANNEL}).encode()
        plug.sendall(frames.client_frame(frames.TEXT, subscribe))
        plug.setblocking(False)
        client = Client(plug)
        self.selector.register(plug, selectors.EVENT_READ, client)
        return client

    def read(self) -> None:
        """A gulp of each that has something to read."""
        for key, _ in self.selector.select(0.05):
            client: Client = key.data
            data = client.socket.recv(GULP)
            assert data, f"the hub hung up: {client.buffer[-200:]!r}"
            self._take(client, data)

    def _take(self, client: Client, data: bytes) -> None:
        client.buffer += data
        if not client.upgraded:
            head = frames.split_head(client.buffer)
            if head is None:
                return
            status, _, client.buffer = head
            assert status == 101, status
            client.upgraded = True
        found, taken = frames.split_frames(client.buffer)
        client.buffer = client.buffer[taken:]
        for opcode, body in found:
            if opcode == frames.PING:
                client.socket.send(frames.client_frame(frames.PONG, body))
            elif opcode == frames.TEXT and body.startswith(b'{"type":"hub.snapshot"'):
                self._page(client, body)

    def _page(self, client: Client, body: bytes) -> None:
        digest = blake2b(body, digest_size=16).digest()
        if digest not in self.board:
            self.board[digest] = json.loads(body)
        client.pages.append(digest)
        client.complete = not self.board[digest]["more"]
        if client.complete:
            self.selector.unregister(client.socket)

    def is_right(self, keys: int) -> bool:
        """Whether each that is complete has every key with its latest value."""
        truth = {f"k{number}": [number, PAD] for number in range(keys)}
        seen = {tuple(client.pages) for client in self.clients if client.complete}
        return bool(seen) and all(
            {event["key"]: event["payload"] for page in pages for event in self.board[page]["events"]}
            == truth
            for pages in seen
        )

    def close(self) -> None:
        """All of them hang up."""
        for client in self.clients:
            client.socket.close()


def fill(hub: RunningHub, keys: int) -> None:
    """A board of so many keys."""
    http = hub.http()
    for start in range(0, keys, 500):
        events = [
            {"channel": CHANNEL, "event": "row", "payload": [number, PAD], "key": f"k{number}"}
            for number in range(start, min(keys, start + 500))
        ]
        http.post("/v1/batch", json={"events": events}).raise_for_status()


def open_board(hub: RunningHub, clients: int, keys: int) -> Outcome:
    """All open it, and nobody reads for a while; then all read slowly to the end."""
    fill(hub, keys)
    time.sleep(1.0)
    quiet = peak = memory(hub.pid)
    began = time.monotonic()
    crowd = Crowd(hub, clients)
    try:
        silent = time.monotonic() + SILENT_S
        deadline = began + WITHIN_S * float(SCALE)
        while time.monotonic() < silent:
            peak = max(peak, memory(hub.pid))
            time.sleep(0.05)
        while not all(client.complete for client in crowd.clients) and time.monotonic() < deadline:
            crowd.read()
            peak = max(peak, memory(hub.pid))
        complete = sum(client.complete for client in crowd.clients)
        return Outcome(clients, complete, crowd.is_right(keys), quiet, peak, time.monotonic() - began)
    finally:
        crowd.close()


@contextlib.contextmanager
def stage(clients: int, **settings: Any) -> Iterator[RunningHub]:
    """A hub that lets so many of one user and one address in."""
    machine.need_descriptors(2 * clients)
    with running_hub(max_connections_per_user=clients + 10, **settings) as hub:
        yield hub


def main() -> int:
    """The command; 1 where a bound was not held."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack.boards")
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--redis", metavar="URL", default="memory://")
    args = parser.parse_args()
    with stage(args.clients, broker=args.redis) as hub:
        outcome = open_board(hub, args.clients, args.keys)
    print(outcome)
    return 1 if outcome.faults() else 0


if __name__ == "__main__":
    sys.exit(main())
