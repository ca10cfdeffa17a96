"""NATS over WebSocket for subscribers, its plain TCP port for the publisher: peers/nats.conf."""

from __future__ import annotations

import json
import shutil
from string import Template
from typing import TYPE_CHECKING

from loadtest import frames
from loadtest.targets.base import PEERS_DIR, Command, Target, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

_PONG = frames.client_frame(frames.BINARY, b"PONG\r\n")


class Nats(Target):
    """The publisher asks for ``verbose``, so that each publication is acknowledged."""

    name = "nats"
    title = "NATS over WebSocket"
    hello_answers = 1

    @property
    def publish_port(self) -> int:
        return self.second_port

    def command(self, scratch: Path) -> Command:
        server = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin")
        if server is None:
            raise Unavailable("nats-server is not installed: make peers")
        text = Template((PEERS_DIR / "nats.conf").read_text()).substitute(
            host=self.host, port=self.port, client_port=self.second_port, secret=self.secret
        )
        (scratch / "nats.conf").write_text(text)
        return Command([server, "-c", str(scratch / "nats.conf")], {}, scratch)

    def open_request(self, slot: int, channels: tuple[int, ...], query: str = "") -> bytes:
        return frames.upgrade_request("/", f"{self.host}:{self.port}")

    def after_open(self, slot: int, channels: tuple[int, ...]) -> bytes:
        subscriptions = b"".join(b"SUB load.%d %d\r\n" % (number, number + 1) for number in channels)
        return frames.client_frame(frames.BINARY, self._connect(False) + subscriptions + b"PING\r\n")

    def replies_wanted(self, channels: tuple[int, ...]) -> int:
        return 1

    def is_joined(self, payload: bytes) -> bool:
        return b"PONG\r\n" in payload

    def answer(self, payload: bytes) -> bytes:
        return _PONG if payload.startswith(b"PING\r\n") else b""

    def refusal(self, payload: bytes) -> str:
        return payload.decode() if payload.startswith(b"-ERR") else ""

    def publisher_hello(self) -> bytes:
        return self._connect(True)

    def publication(self, channel: int, payloads: list[bytes]) -> tuple[bytes, int]:
        return b"".join(b"PUB load.%d %d\r\n%s\r\n" % (channel, len(body), body) for body in payloads), len(
            payloads
        )

    def answers(self, data: bytes) -> tuple[int, int, str]:
        taken = data.rfind(b"\r\n") + 2 if b"\r\n" in data else 0
        lines = data[:taken].split(b"\r\n")
        refusal = next((line.decode() for line in lines if line.startswith(b"-ERR")), "")
        count = sum(line == b"+OK" for line in lines)
        return count, taken, refusal

    def _connect(self, verbose: bool) -> bytes:
        options = {"verbose": verbose, "pedantic": False, "auth_token": self.secret, "protocol": 1}
        return b"CONNECT " + json.dumps(options).encode() + b"\r\n"
