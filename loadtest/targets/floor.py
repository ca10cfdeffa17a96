"""The floor: C, epoll, one send(2) a socket, and nothing else. No server that keeps its promises is below."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from loadtest import frames
from loadtest.targets.base import PEERS_DIR, Command, Target, Unavailable

if TYPE_CHECKING:
    from pathlib import Path


class Floor(Target):
    """One channel only: every subscriber gets every event."""

    name = "floor"
    title = "the floor (C, epoll)"
    has_channels = False

    def command(self, scratch: Path) -> Command:
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            raise Unavailable("no C compiler: make peers")
        program = scratch / "floor"
        subprocess.run(
            [compiler, "-O2", "-Wall", "-Werror", "-o", str(program), str(PEERS_DIR / "floor.c")],
            check=True,
            timeout=60,
        )
        return Command([str(program), str(self.port)], {}, scratch)

    def open_request(self, slot: int, channels: tuple[int, ...], query: str = "") -> bytes:
        return frames.upgrade_request("/ws", f"{self.host}:{self.port}")
