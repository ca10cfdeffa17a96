"""nginx with the nchan module: peers/nginx.conf."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from string import Template

from loadtest import frames
from loadtest.targets.base import PEERS_DIR, Command, Target, Unavailable

_MODULES = (
    Path("/usr/lib/nginx/modules/ngx_nchan_module.so"),
    Path("/usr/share/nginx/modules/ngx_nchan_module.so"),
)


class Nchan(Target):
    name = "nchan"
    title = "nginx + nchan"

    def command(self, scratch: Path) -> Command:
        nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        module = next((path for path in _MODULES if path.exists()), None)
        if nginx is None or module is None:
            raise Unavailable("nginx or its module nchan is not installed: make peers")
        text = Template((PEERS_DIR / "nginx.conf").read_text()).substitute(
            user="user root;" if os.geteuid() == 0 else "",
            module=module,
            scratch=scratch,
            address=f"{self.host}:{self.port}",
        )
        (scratch / "nginx.conf").write_text(text)
        return Command([nginx, "-p", str(scratch), "-c", str(scratch / "nginx.conf")], {}, scratch)

    def open_request(self, slot: int, channels: tuple[int, ...], query: str = "") -> bytes:
        ids = ",".join(str(number) for number in channels)
        return frames.upgrade_request(f"/sub/{ids}", f"{self.host}:{self.port}")

    def publication(self, channel: int, payloads: list[bytes]) -> tuple[bytes, int]:
        request = self._post(f"/pub/{channel}")
        return b"".join(request % len(body) + body for body in payloads), len(payloads)
