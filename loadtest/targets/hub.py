"""The hub itself, by its own wire contract (docs/protocol.md)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from loadtest import frames, tokens
from loadtest.targets.base import Command, Target

API_KEY = "loadtest-key"
_SUBSCRIBED = b'{"type":"hub.subscribed"'


class Hub(Target):
    """Channels are ``doc:load-N``: every event numbered and stored, as most users would run it."""

    name = "hub"
    title = "this hub"
    broker = "memory://"
    workers = 1
    namespace = "doc"
    settings: dict[str, str] = {}

    def command(self, scratch: Path) -> Command:
        arguments = [str(Path(sys.executable).with_name("hub")), "serve", "--host", self.host,
                     "--port", str(self.port), "--broker", self.broker]
        if self.workers > 1:
            arguments += ["--workers", str(self.workers)]
        environment = {
            "HUB_JWT_SECRET": self.secret,
            "HUB_API_KEYS": json.dumps({"loadtest": API_KEY}),
            **self.settings,
        }
        return Command(arguments, environment, scratch)

    def channel(self, number: int) -> str:
        return f"{self.namespace}:load-{number}"

    def token(self, slot: int) -> str:
        return tokens.user_token(f"load-{slot}", self.secret, subscribe=["*"])

    def open_request(self, slot: int, channels: tuple[int, ...], query: str = "") -> bytes:
        return frames.upgrade_request(f"/ws?token={self.token(slot)}{query}", f"{self.host}:{self.port}",
                                      headers="Sec-WebSocket-Protocol: hub.v1.json\r\n")

    def after_open(self, slot: int, channels: tuple[int, ...]) -> bytes:
        if not channels:
            return b""
        return self.subscribe([{"channel": self.channel(number)} for number in channels])

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
        return self._post(path, f"Authorization: Bearer {API_KEY}\r\n") % len(body) + body

    def answers(self, data: bytes) -> tuple[int, int, str]:
        count, taken, refusal = super().answers(data)
        if not refusal and b'"code":"' in data[:taken]:
            refusal = data[data.index(b'"code":"'):][:200].decode("utf-8", "replace")
        return count, taken, refusal
