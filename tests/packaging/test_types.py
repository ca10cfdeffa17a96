"""What a user writes type-checks, in strict mode, with nothing but the package."""

import os
import subprocess
import sys
from pathlib import Path

from .tools import ROOT

PROGRAM = """
from starlette.applications import Starlette
from starlette.routing import Mount

from hub.app import Hub
from hub.client import Client
from hub.settings import Settings

settings = Settings(
    jwt_secret="32 bytes, or more, of a secret…",
    api_keys={"backend": "16 bytes or more", "worker": {"key": "16 bytes or more", "publish": ["job:*"]}},
    namespaces={"job": {"mode": "state", "history_size": 100}},
)
hub = Hub(settings)
app = Starlette(lifespan=hub.lifespan, routes=[Mount("/hub", hub.app)])


async def follow(client: Client) -> None:
    async for item in client.subscribe("job:42"):
        print(item.position)
"""


def test_plain_values_make_settings(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--follow-imports=silent",
        "--config-file=",
        str(program),
    ]
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    cache = ["--cache-dir", str(ROOT / ".mypy_cache")]
    done = subprocess.run(
        [*command, *cache], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
