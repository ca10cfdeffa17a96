"""Each guide is done as it is written, from an empty folder: its files, its commands, and what they print."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.markdown import ROOT, Block, blocks, commands, outputs, ports, promised, script, write_files
from ..support.pace import SCALE
from ..support.server import API_KEY, JWT_SECRET, RunningHub, free_port, running_hub

NEED_MORE = ("celery", "django", "fastapi", "flask", "rq")
"""Frameworks that `make test-sources` installs; and a worker of Celery's takes its time."""

DOCS = ROOT / "docs"
PAGES = [
    page
    for page in (DOCS / "python.md", DOCS / "moving.md", *sorted((DOCS / "guides").glob("*.md")))
    if commands(page)
]


def used(page: Path) -> list[Block]:
    """The files of a page that its commands, or its other files, name."""
    files = [block for block in blocks(page) if block.file is not None]
    texts = {block: block.text.replace(block.file or "", "", 1) for block in (*files, *commands(page))}
    return [block for block in files if any(Path(block.file or "").stem in text for text in texts.values())]


LOOKS_AT = [block for page in PAGES for block in (*used(page), *commands(page), *outputs(page))]
DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def running() -> Iterator[RunningHub]:
    with running_hub() as hub:
        yield hub


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    port = free_port()
    server = subprocess.Popen(
        [shutil.which("redis-server") or "redis-server", "--port", str(port), "--save", ""]
    )
    yield f"redis://127.0.0.1:{port}"
    server.terminate()
    server.wait()


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.stem, marks=[pytest.mark.sources] if page.stem in NEED_MORE else [])
        for page in PAGES
    ],
)
def test_a_guide_does_what_it_says(
    page: Path, running: RunningHub, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    places = {port: str(free_port()) for port in ports(page)}
    write_files(page, tmp_path, places)
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "notification-hub-client").symlink_to(ROOT / "client_js")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}",
        "HUB_URL": running.url,
        "HUB_API_KEY": API_KEY,
        "HUB_JWT_SECRET": JWT_SECRET,
        "PYTHONUNBUFFERED": "1",
        "NODE_OPTIONS": "--experimental-websocket",  # Node.js 20 has one, and does not show it
        "HUB_DRAIN_NOTICE": "0",
        "HUB_DRAIN_SECONDS": "0",
    }
    if "REDIS_URL" in page.read_text():
        environment["REDIS_URL"] = request.getfixturevalue("redis_url")
    shell = subprocess.Popen(
        ["bash", "-c", script(page, places)],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        printed, _ = shell.communicate(timeout=DEADLINE_S * SCALE)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)  # what it left behind, where it failed
    assert shell.returncode == 0, printed
    missing = [line for line in promised(page) if line not in printed]
    assert not missing, printed


@pytest.mark.sources
def test_the_site_is_built_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("index", "readme", "routes", "protocol", "guides/django"):
        assert (tmp_path / "site" / f"{name}.html").exists()
    page = (tmp_path / "site" / "index.html").read_text()
    assert not re.search(r'<(?:script|link)[^>]*(?:src|href)="https?:', page), "a page needs no network"
