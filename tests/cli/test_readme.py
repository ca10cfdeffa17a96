"""Every command of the README is run, in its order, in one shell; and the two commands at its head."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from ..support.pace import SCALE
from ..support.server import free_port
from . import readme
from .browser import browser

DEADLINE_S = 60.0


def environment(port: int) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    return {**clean, "HUB_PORT": str(port), "HUB_DRAIN_NOTICE": "0", "HUB_DRAIN_SECONDS": "0"}


class Shell:
    """One bash that is given block after block; its output up to a mark after each."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def run(self, text: str) -> str:
        """What a block printed; it must end with status 0."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{text}\necho status=$?\n".encode())
        printed = ""
        async with asyncio.timeout(DEADLINE_S * SCALE):
            while (line := (await self._process.stdout.readline()).decode()) != "":
                before, mark, status = line.partition("status=")
                printed += before
                if mark:
                    assert status.strip() == "0", f"{text}\n{printed}"
                    return printed
        raise AssertionError(f"the shell ended: {text}\n{printed}")


@contextlib.asynccontextmanager
async def shell(folder: Path, port: int) -> AsyncIterator[Shell]:
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-e",  # the first command that fails ends the block, and the test
        cwd=folder,
        env=environment(port),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield Shell(process)
    finally:
        # The shell leads a group of its own: what it has started in the background ends with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        async with asyncio.timeout(DEADLINE_S * SCALE):
            await process.communicate()


async def live(port: int) -> None:
    async with asyncio.timeout(DEADLINE_S * SCALE), httpx.AsyncClient(trust_env=False) as http:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await http.get(f"http://127.0.0.1:{port}/livez")).status_code == 200:
                    return
            await asyncio.sleep(0.05)


async def test_every_command_does_what_the_readme_says(tmp_path: Path) -> None:
    port = free_port()

    def here(text: str) -> str:
        text = text.replace(":8000", f":{port}").replace("hub init", f"hub init --port {port}")
        return text.replace("/tmp/first.html", f"{tmp_path}/first.html")

    (tmp_path / ".venv").symlink_to(readme.ROOT / ".venv")
    for name, text in readme.PROGRAMS.items():
        (tmp_path / name).write_text(here(text))
    start, token, page, publish, python, terminal, check = (here(block.text) for block in readme.COMMANDS)
    async with shell(tmp_path, port) as sh, browser() as chromium:
        await sh.run(". .venv/bin/activate")  # installing has a test of its own: tests/packaging
        await sh.run(start)
        await live(port)
        assert "valid: speaks for ann" in await sh.run(token)
        await sh.run(page)
        await chromium.open(f"file://{tmp_path}/first.html")
        await asyncio.to_thread(connected, port)
        assert '"offset":1' in await sh.run(publish)
        await chromium.until("document.getElementById('jobs').innerText.includes('job 42: running 40 %')")
        watched = await sh.run(python)
        assert "running 20 %" in watched
        assert "succeeded 100 %" in watched
        await chromium.until("document.getElementById('jobs').innerText.includes('job 42: succeeded 100 %')")
        await chromium.open(f"file://{tmp_path}/first.html")  # who opens it late
        await chromium.until("document.getElementById('jobs').innerText.includes('job 42: succeeded 100 %')")
        assert '"more"' in await sh.run(terminal)
        assert "ok       broker" in await sh.run(check)


def connected(port: int) -> None:
    """Wait until the page's socket is admitted."""
    deadline = time.monotonic() + DEADLINE_S * SCALE
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
        while time.monotonic() < deadline:
            found = re.search(r"^hub_connections\S* (\d+)", http.get("/metrics").text, re.M)
            if found is not None and float(found[1]) >= 1:
                return
            time.sleep(0.05)
    raise AssertionError("the page did not connect")


async def test_make_demo_shows_live_jobs_and_what_a_reconnect_recovers(tmp_path: Path) -> None:
    """The first of the two commands, and the page that it tells of."""
    port = free_port()
    process = subprocess.Popen(
        ["make", "demo"],
        cwd=readme.ROOT,
        env={**environment(port), "XDG_STATE_HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        await live(port)
        async with browser() as page:
            await page.open(f"http://127.0.0.1:{port}/")
            await page.until("document.getElementById('state').textContent.startsWith('connected')")
            board = "document.querySelector('hub-job-board').shadowRoot"
            await page.until(f"{board}.querySelectorAll('.row').length >= 5")
            await page.until(f"{board}.querySelector('.row[data-state=running]') !== null")
            await page.evaluate("document.getElementById('cut').click()")
            await page.until("document.getElementById('state').dataset.state == 'reconnecting'")
            back = r"/back after [\d.]+ s: [1-9]\d* missed events? came/"
            await page.until(f"{back}.test({board}.textContent)")
            figures = await page.evaluate(f"{board}.querySelector('.figures').textContent")
            assert "none lost" in figures
            assert "twice" not in figures
            assert page.console == []
    finally:
        os.killpg(process.pid, signal.SIGINT)
        printed, _ = await asyncio.to_thread(process.communicate, timeout=DEADLINE_S * SCALE)
    text = printed.decode()
    assert f"http://127.0.0.1:{port}/" in text
    assert f"npx wscat -c 'ws://127.0.0.1:{port}/ws?token=" in text
    assert "Traceback" not in text


def test_the_other_command_is_the_one_of_ci() -> None:
    block = readme.noted("tests/cli/test_readme.py")
    assert re.findall(r"^make (\w+)", block, re.M) == ["demo", "test"]
    assert (readme.ROOT / ".ci/run").read_text().rstrip().endswith("\nmake test")
