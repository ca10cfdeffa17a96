"""The plain Starlette loop of sends, as most teams write it first: peers/starlette_loop.py."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from loadtest import frames, tokens
from loadtest.targets.base import PEERS_DIR, Command, Target

if TYPE_CHECKING:
    from pathlib import Path


class StarletteLoop(Target):
    name = "starlette"
    title = "plain Starlette loop"

    def command(self, scratch: Path) -> Command:
        arguments = [sys.executable, str(PEERS_DIR / "starlette_loop.py"), self.host, str(self.port)]
        return Command(arguments, {"PEER_SECRET": self.secret}, scratch)

    def open_request(self, slot: int, channels: tuple[int, ...], query: str = "") -> bytes:
        token = tokens.user_token(f"load-{slot}", self.secret, subscribe=["*"])
        names = "".join(f"&channel={number}" for number in channels)
        return frames.upgrade_request(f"/ws?token={token}{names}", f"{self.host}:{self.port}")

    def replies_wanted(self, channels: tuple[int, ...]) -> int:
        return 1

    def is_joined(self, payload: bytes) -> bool:
        return payload == b"joined"
