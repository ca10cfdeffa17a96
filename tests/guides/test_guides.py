"""Each guide is done as it is written, from an empty folder: its files, its commands, and what they print."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.markdown import ROOT, blocks, promised, script, write_files
from ..support.pace import SCALE
from ..support.server import API_KEY, JWT_SECRET, RunningHub, free_port, running_hub

NEED_MORE = ("celery", "django", "fastapi", "flask", "rq")
"""Frameworks that `make test-sources` installs; and a worker of Celery's takes its time."""

DOCS = ROOT / "docs"
PAGES = [
    page
    for page in (DOCS / "python.md", DOCS / "moving.md", *sorted((DOCS / "guides").glob("*.md")))
    if any(block.kind == "sh" and block.note is None for block in blocks(page))
]
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
    write_files(page, tmp_path)
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
        ["bash", "-c", script(page)],
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


_IMPORT = re.compile(r'import \{ ([^}]+) \} from "(notification-hub-client(?:/\w+)?)"')


def test_what_pages_import_from_the_client_is_there() -> None:
    """On every page, those for frameworks among them that are not built here."""
    wanted: dict[str, set[str]] = {}
    for page in DOCS.rglob("*.md"):
        for names, module in _IMPORT.findall(page.read_text()):
            wanted.setdefault(module, set()).update(each.strip() for each in names.split(","))
    assert wanted["notification-hub-client/react"] >= {"HubProvider", "useSnapshot"}
    exports = json.loads((ROOT / "client_js" / "package.json").read_text())["exports"]
    for module, names in wanted.items():
        entry = exports[f".{module.removeprefix('notification-hub-client')}"]
        path = ROOT / "client_js" / (entry if isinstance(entry, str) else entry["default"])
        text = path.read_text()
        for name in names:
            assert re.search(rf"export .*\b{name}\b|export \{{[^}}]*\b{name}\b", text), (
                f"{module} has no {name}"
            )


@pytest.mark.sources
def test_the_site_is_built_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("index", "readme", "routes", "protocol", "guides/django"):
        assert (tmp_path / "site" / f"{name}.html").exists()
    page = (tmp_path / "site" / "index.html").read_text()
    assert not re.search(r'<(?:script|link)[^>]*(?:src|href)="https?:', page), "a page needs no network"
