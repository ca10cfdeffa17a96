"""Centrifugo 6 with its memory engine: ``make peers-centrifugo`` builds it from the Go module proxy."""

from __future__ import annotations

import json
from pathlib import Path

from loadtest import frames, tokens
from loadtest.targets.base import Command, Target, Unavailable

BINARY = Path("build/peers/centrifugo")
_PONG = frames.client_frame(frames.TEXT, b"{}")
_FIRST = 10  # the id of a subscribe is its channel's number and this: its answer does not name the channel


class Centrifugo(Target):
    """As the hub is measured: tokens checked, every event numbered and kept (1,000 of them for an hour), positions
    for recovery. It joins replies and pushes in one frame, and keeps no ids for repeats. `broker`: a Redis that the
    hub is measured over is its engine too."""

    name = "centrifugo"
    title = "Centrifugo"
    resumes = True
    replays_in_replies = True
    broker = "memory://"

    def command(self, scratch: Path) -> Command:
        if not BINARY.exists():
            raise Unavailable("Centrifugo is not built: make peers-centrifugo")
        config = scratch / "centrifugo.json"
        config.write_text(
            json.dumps(
                {
                    "http_server": {"address": self.host, "port": str(self.port)},
                    "http_api": {"key": self.secret},
                    "client": {"token": {"hmac_secret_key": self.secret}, "allowed_origins": ["*"]},
                    "channel": {
                        "namespaces": [
                            {
                                "name": "doc",
                                "allow_subscribe_for_client": True,
                                "allow_publish_for_client": True,
                                "history_size": 1000,
                                "history_ttl": "3600s",
                                "force_positioning": True,
                                "force_recovery": True,
                            }
                        ]
                    },
                    "log": {"level": "error"},
                    "engine": self._engine(),
                }
            )
        )
        return Command([str(BINARY.resolve()), "-c", str(config)], {"GOMAXPROCS": "1"}, scratch)

    def _engine(self) -> dict[str, object]:
        if self.broker.startswith("redis://"):
            return {"type": "redis", "redis": {"address": self.broker}}
        return {"type": "memory"}

    def channel(self, number: int) -> str:
        return f"doc:load-{number}"

    def open_request(self, slot: int, channels: tuple[int, ...], query: str = "") -> bytes:
        return frames.upgrade_request("/connection/websocket", f"{self.host}:{self.port}")

    def after_open(self, slot: int, channels: tuple[int, ...]) -> bytes:
        token = tokens.user_token(f"load-{slot}", self.secret, subscribe=["*"])
        commands: list[dict[str, object]] = [{"id": 1, "connect": {"token": token}}]
        positions = self.positions.get(slot, {})
        for number in channels:
            subscribe: dict[str, object] = {"channel": self.channel(number)}
            if number in positions:
                epoch, offset = positions[number]
                subscribe |= {"recover": True, "epoch": epoch, "offset": offset}
            commands.append({"id": _FIRST + number, "subscribe": subscribe})
        lines = "\n".join(json.dumps(command, separators=(",", ":")) for command in commands)
        return frames.client_frame(frames.TEXT, lines.encode())

    def replies_wanted(self, channels: tuple[int, ...]) -> int:
        return max(1, len(channels))

    def is_control(self, payload: bytes) -> bool:
        return b'{"id":' in payload or b"lt:" not in payload

    def is_joined(self, payload: bytes) -> int:
        return payload.count(b',"subscribe":{')

    def answer(self, payload: bytes) -> bytes:
        return _PONG if payload == b"{}" else b""

    def refusal(self, payload: bytes) -> str:
        return payload[:400].decode() if b',"error":{' in payload else ""

    def epochs(self, channels: tuple[int, ...], payload: bytes) -> dict[int, str]:
        replies = [json.loads(line) for line in payload.splitlines() if b',"subscribe":{' in line]
        return {reply["id"] - _FIRST: reply["subscribe"]["epoch"] for reply in replies}

    def publication(self, channel: int, payloads: list[bytes]) -> tuple[bytes, int]:
        name = self.channel(channel).encode()
        events = [b'{"channel":"%s","data":%s}' % (name, body) for body in payloads]
        if len(events) == 1:
            return self._call("/api/publish", events[0]), 1
        commands = b",".join(b'{"publish":%s}' % event for event in events)
        return self._call("/api/batch", b'{"commands":[' + commands + b"]}"), 1

    def answers(self, data: bytes) -> tuple[int, int, str]:
        count, taken, refusal = super().answers(data)
        return count, taken, refusal or (data[:taken][-400:].decode() if b'"error":{' in data[:taken] else "")

    def _call(self, path: str, body: bytes) -> bytes:
        return self._post(path, f"X-API-Key: {self.secret}\r\n") % len(body) + body
