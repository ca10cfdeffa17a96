"""How long a newcomer waits for the machine: ``python -m tests.guides.first_hour backend|frontend|nextjs``.

backend: from a clone to an event of one's own in a page, by the README. frontend: from ``npm create vite`` to a
live board, by the guide for React. nextjs: the same by that for Next.js. Each step is timed; what a person reads
and types comes on top.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from ..cli.browser import browser
from ..support.markdown import ROOT, blocks, placed, write_files
from ..support.server import JWT_SECRET, free_port, running_hub

SHOWS_S = 60.0


class Clock:
    """Prints what each step took."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        print(f"{time.monotonic() - began:7.1f} s  {what}", flush=True)

    def total(self, what: str) -> None:
        print(f"{time.monotonic() - self._began:7.1f} s  {what}", flush=True)


def sh(command: str, folder: Path, **environment: str) -> str:
    """Run it; what it printed."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("HUB_", "VIRTUAL_ENV"))
    }
    done = subprocess.run(
        ["bash", "-ec", command], cwd=folder, env={**clean, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextlib.contextmanager
def started(command: str, folder: Path, **environment: str) -> Iterator[None]:
    """Something that serves, ended with all that it started."""
    process = subprocess.Popen(
        ["bash", "-ec", command],
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


async def until_it_answers(url: str) -> None:
    async with asyncio.timeout(SHOWS_S), httpx.AsyncClient(trust_env=False) as http:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await http.get(url)).status_code < 500:
                    return
            await asyncio.sleep(0.05)


async def backend(folder: Path) -> None:
    """The README's way."""
    clock, port, here = Clock(), free_port(), folder / "hub"
    page = next(block.text for block in blocks(ROOT / "README.md") if "first.html <<END" in block.text)
    page = page.replace(":8000", f":{port}").replace("/tmp/first.html", str(folder / "first.html"))
    with clock.step("git clone"):
        sh(f"git clone -q {ROOT} hub", folder)
    with clock.step("python3 -m venv, pip install '.[server]'"):
        sh(f"{sys.executable} -m venv .venv && .venv/bin/pip install -q '.[server]'", here)
    venv = f"export PATH={here}/.venv/bin:$PATH; "
    sh(f"{venv}hub init --port {port}", here)
    with started(f"{venv}exec hub dev", here):
        with clock.step("hub init, hub dev"):
            await until_it_answers(f"http://127.0.0.1:{port}/livez")
        with clock.step("hub token, the page"):
            tokens = "export HUB_TOKEN=$(hub token --user ann --subscribe 'job:*' --channels job:42 --ttl 8h)"
            sh(f"{venv}{tokens}\n{page}", here)
        async with browser() as chromium:
            with clock.step("an event of one's own in the page"):
                await chromium.open(f"file://{folder}/first.html")
                event = """hub publish job:42 job_status '{"state":"running","progress":40}' --key 42"""
                await asyncio.to_thread(sh, f"{venv}{event}", here)
                await chromium.until("document.body.innerText.includes('job 42: running 40 %')")
    clock.total("from the clone to the event in the page")


async def frontend(folder: Path) -> None:
    """The way of the guide for React."""
    await by_guide("react", folder, "-- --port {port} --strictPort")


async def nextjs(folder: Path) -> None:
    """The way of the guide for Next.js."""
    await by_guide("nextjs", folder, "-- -p {port}")


async def by_guide(name: str, folder: Path, at: str) -> None:
    """The commands and files of a guide, beside a hub that runs, up to an event in the page that they make. `at`
    has its server listen where nobody else does."""
    guide, port, board = ROOT / "docs" / "guides" / f"{name}.md", free_port(), folder / "board"
    (typed,) = blocks(guide, "sh")
    create, enter, *install, serve = typed.text.splitlines()
    assert (enter, serve) == ("cd board", "npm run dev")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    (folder / ".env").write_text(f"HUB_JWT_SECRET={JWT_SECRET}\n")
    with running_hub(allowed_origins=["*"]) as hub:
        here = {"../client_js": str(ROOT / "client_js"), "http://127.0.0.1:8000": hub.url}
        clock = Clock()
        with clock.step(create.partition(" board")[0]):
            sh(create, folder)
        with clock.step("npm install, with the client"):
            sh(placed("\n".join(install), here), board, HUB_JWT_SECRET=JWT_SECRET, PATH=path)
        write_files(guide, board, {})
        with started(f"exec {serve} {at.format(port=port)}", board):
            with clock.step(serve):
                await until_it_answers(f"http://localhost:{port}/")
            async with browser() as chromium:
                with clock.step("a live board"):
                    await chromium.open(f"http://localhost:{port}/")
                    event = {"key": "7", "payload": {"state": "running"}}
                    await asyncio.to_thread(hub.publish, "job:team-a", "job_status", **event)
                    await chromium.until("document.body.innerText.includes('7: running')", SHOWS_S)
        clock.total("from an empty folder to the live board")


def main() -> int:
    """The command."""
    ways = {"backend": backend, "frontend": frontend, "nextjs": nextjs}
    if len(sys.argv) != 2 or sys.argv[1] not in ways:
        print((__doc__ or "").partition("\n")[0], file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="first-hour-", ignore_cleanup_errors=True) as folder:
        asyncio.run(ways[sys.argv[1]](Path(folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
