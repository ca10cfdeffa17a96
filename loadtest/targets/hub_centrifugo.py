"""The hub, whose clients speak the Centrifugo protocol (docs/centrifugo.md): JSON, the token in ``connect``."""

from __future__ import annotations

import json

from loadtest import frames
from loadtest.targets.hub import Hub


class CentrifugoHub(Hub):
    """Clients by another protocol; publishers and channels as `Hub`'s."""

    name = "hub-centrifugo"
    title = "this hub, Centrifugo protocol"

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), "HUB_CENTRIFUGO": "true"}

    def open_request(self, slot: int, channels: tuple[int, ...], query: str = "") -> bytes:
        return frames.upgrade_request(
            "/connection/websocket",
            f"{self.host}:{self.port}",
            headers="Sec-WebSocket-Protocol: centrifuge-json\r\n",
        )

    def after_open(self, slot: int, channels: tuple[int, ...]) -> bytes:
        commands: list[dict[str, object]] = [{"id": 1, "connect": {"token": self.token(slot)}}]
        positions = self.positions.get(slot, {})
        for id, number in enumerate(channels, 2):
            request: dict[str, object] = {"channel": self.channel(number)}
            if (position := positions.get(number)) is not None:
                request |= {"recover": True, "epoch": position[0], "offset": position[1]}
            commands.append({"id": id, "subscribe": request})
        lines = "\n".join(json.dumps(each, separators=(",", ":")) for each in commands)
        return frames.client_frame(frames.TEXT, lines.encode())

    def replies_wanted(self, channels: tuple[int, ...]) -> int:
        return 1 + len(channels)

    def is_control(self, payload: bytes) -> bool:
        return b"lt:" not in payload

    def is_joined(self, payload: bytes) -> bool:
        return payload.startswith(b'{"id":')

    def epochs(self, channels: tuple[int, ...], payload: bytes) -> dict[int, str]:
        if b'"subscribe":' not in payload:
            return {}
        reply = json.loads(payload.split(b"\n", 1)[0])
        return {channels[reply["id"] - 2]: reply["subscribe"]["epoch"]}

    def answer(self, payload: bytes) -> bytes:
        return frames.client_frame(frames.TEXT, b"{}") if payload == b"{}" else b""

    def refusal(self, payload: bytes) -> str:
        return payload[:400].decode() if b'"error":' in payload else ""
