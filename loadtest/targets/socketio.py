"""Socket.IO, on Python and on Node.js: protocol 5 over Engine.IO 4, WebSocket only."""

from __future__ import annotations

import json
import shutil
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from loadtest import frames, tokens
from loadtest.targets.base import PEERS_DIR, Command, Target, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

_PONG = frames.client_frame(frames.TEXT, b"3")


class SocketIO(Target):
    """The dialect of both servers: `0…` open, `40` connect, `2` ping, `3` pong, `42[…]` event."""

    def open_request(self, slot: int, channels: tuple[int, ...], query: str = "") -> bytes:
        return frames.upgrade_request("/socket.io/?EIO=4&transport=websocket", f"{self.host}:{self.port}")

    def after_open(self, slot: int, channels: tuple[int, ...]) -> bytes:
        token = tokens.user_token(f"load-{slot}", self.secret, subscribe=["*"])
        auth = json.dumps({"token": token, "channels": [str(number) for number in channels]})
        return frames.client_frame(frames.TEXT, b"40" + auth.encode())

    def replies_wanted(self, channels: tuple[int, ...]) -> int:
        return 1

    def is_joined(self, payload: bytes) -> bool:
        return payload.startswith(b"40")

    def answer(self, payload: bytes) -> bytes:
        return _PONG if payload == b"2" else b""

    def refusal(self, payload: bytes) -> str:
        return payload[:300].decode() if payload.startswith(b"44") else ""


class PythonSocketIO(SocketIO):
    name = "python-socketio"
    title = "python-socketio"

    def command(self, scratch: Path) -> Command:
        if find_spec("socketio") is None:
            raise Unavailable("python-socketio is not installed: make peers")
        arguments = [sys.executable, str(PEERS_DIR / "socketio_app.py"), self.host, str(self.port)]
        return Command(arguments, {"PEER_SECRET": self.secret}, scratch)


class NodeSocketIO(SocketIO):
    name = "socketio-node"
    title = "socket.io (Node.js)"

    def command(self, scratch: Path) -> Command:
        folder = PEERS_DIR / "node"
        node = shutil.which("node")
        if node is None or not (folder / "node_modules" / "socket.io").is_dir():
            raise Unavailable("Node.js or its package socket.io is not installed: make peers")
        arguments = [node, str(folder / "socketio_server.mjs"), self.host, str(self.port)]
        return Command(arguments, {"PEER_SECRET": self.secret, "NODE_ENV": "production"}, folder)
