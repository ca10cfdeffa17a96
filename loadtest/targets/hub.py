"""The hub itself, by its own wire contract (docs/protocol.md)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from loadtest import frames, tokens
from loadtest.targets.base import JOB_FIRST, PEERS_DIR, USER_FIRST, Command, Target

#: The generator is few addresses, and admission would only stretch its way in.
_WIDENED = {
    "HUB_MAX_CONNECTIONS_PER_ADDRESS": "200000",
    "HUB_MAX_HTTP_CONNECTIONS_PER_ADDRESS": "200000",
    "HUB_ACCEPT_RATE": "100000",
}
_SUBSCRIBED = b'{"type":"hub.subscribed"'


class Hub(Target):
    """Plain channels are ``doc:load-N``: every event numbered and stored, as most users would run it."""

    name = "hub"
    title = "this hub"
    resumes = True
    broker = "memory://"
    workers = 1
    #: Without the limits that one machine full of clients runs into; a storm measures just them.
    widened = True

    def __init__(self, port: int, *, host: str = "127.0.0.1", secret: str = "", second_port: int = 0) -> None:
        super().__init__(port, host=host, secret=secret, second_port=second_port)
        self.settings: dict[str, str] = {}
        self.api_key = "loadtest-key-of-a-server-that-lives-for-seconds"

    def command(self, scratch: Path) -> Command:
        arguments = [
            str(Path(sys.executable).with_name("hub")),
            "serve",
            "--host",
            self.host,
            "--port",
            str(self.port),
            "--broker",
            self.broker,
        ]
        if self.workers > 1:
            arguments += ["--workers", str(self.workers)]
        return Command(arguments, self._environment(), scratch)

    def _environment(self) -> dict[str, str]:
        return {
            "HUB_JWT_SECRET": self.secret,
            "HUB_API_KEYS": json.dumps({"loadtest": self.api_key}),
            **(_WIDENED if self.widened else {}),
            **self.settings,
        }

    def channel(self, number: int) -> str:
        if number >= USER_FIRST:
            return f"user:load-{number - USER_FIRST}"
        return f"job:load-{number}" if number >= JOB_FIRST else f"doc:load-{number}"

    @staticmethod
    def number(channel: str) -> int:
        """The inverse of ``channel``."""
        number = int(channel.rpartition("-")[2])
        return number + USER_FIRST if channel.startswith("user:") else number

    def token(self, slot: int) -> str:
        return tokens.user_token(f"load-{slot}", self.secret, subscribe=["*"])

    def open_request(self, slot: int, channels: tuple[int, ...], query: str = "") -> bytes:
        return frames.upgrade_request(
            f"/ws?token={self.token(slot)}{query}",
            f"{self.host}:{self.port}",
            headers="Sec-WebSocket-Protocol: hub.v1.json\r\n",
        )

    def after_open(self, slot: int, channels: tuple[int, ...]) -> bytes:
        if not channels:
            return b""
        positions = self.positions.get(slot, {})
        return self.subscribe([self._entry(number, positions.get(number)) for number in channels])

    def _entry(self, number: int, position: tuple[str, int] | None) -> dict[str, object]:
        entry: dict[str, object] = {"channel": self.channel(number)}
        if position is not None:
            entry["since"] = {"epoch": position[0], "offset": position[1]}
        return entry

    def subscribe(self, entries: list[dict[str, object]]) -> bytes:
        """The subscribe command for some ``{channel, since?}``, framed."""
        command: dict[str, object] = {"type": "subscribe", "id": 1}
        command |= entries[0] if len(entries) == 1 else {"channels": entries}
        return frames.client_frame(frames.TEXT, json.dumps(command, separators=(",", ":")).encode())

    def replies_wanted(self, channels: tuple[int, ...]) -> int:
        return 1

    def is_control(self, payload: bytes) -> bool:
        return payload.startswith(b'{"type":"hub.')

    def is_joined(self, payload: bytes) -> bool:
        return payload.startswith(_SUBSCRIBED)

    def epochs(self, channels: tuple[int, ...], payload: bytes) -> dict[int, str]:
        if not self.is_joined(payload):
            return {}
        reply = json.loads(payload)
        return {self.number(entry["channel"]): entry["epoch"] for entry in reply.get("results", [reply])}

    def refusal(self, payload: bytes) -> str:
        if payload.startswith(b'{"type":"hub.error"'):
            return payload[:400].decode()
        if payload.startswith(_SUBSCRIBED) and b'"code":"' in payload:
            return payload[:400].decode()
        return ""

    def publication(self, channel: int, payloads: list[bytes]) -> tuple[bytes, int]:
        name = self.channel(channel).encode()
        events = [b'{"channel":"%s","event":"load","payload":%s}' % (name, body) for body in payloads]
        if len(events) == 1:
            return self.post("/v1/publish", events[0]), 1
        return self.post("/v1/batch", b'{"events":[' + b",".join(events) + b"]}"), 1

    def post(self, path: str, body: bytes) -> bytes:
        return self._post(path, f"Authorization: Bearer {self.api_key}\r\n") % len(body) + body

    def answers(self, data: bytes) -> tuple[int, int, str]:
        count, taken, refusal = super().answers(data)
        if not refusal and b'"code":"' in data[:taken]:
            refusal = data[data.index(b'"code":"') :][:200].decode("utf-8", "replace")
        return count, taken, refusal


class PortableHub(Hub):
    """The hub inside another ASGI app: peers/portable.py."""

    name = "portable"
    title = "this hub, portable lane"

    def command(self, scratch: Path) -> Command:
        arguments = [sys.executable, str(PEERS_DIR / "portable.py"), self.host, str(self.port)]
        return Command(
            arguments,
            {"HUB_BROKER": self.broker, "PYTHONPATH": str(PEERS_DIR.parents[1]), **self._environment()},
            scratch,
        )
