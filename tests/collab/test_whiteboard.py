"""The demo: its whiteboard as two people see it, and its board of jobs through a cut."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from ..cli.browser import Page, browser
from ..support.pace import SCALE
from ..support.server import free_port

STROKES = "document.querySelectorAll('#strokes polyline').length"
CURSOR = "document.querySelector('#cursors g text')?.textContent"
SHOTS = os.environ.get("HUB_TEST_SCREENSHOTS")
"""A folder for pictures of what is seen; none without."""


@contextlib.asynccontextmanager
async def demo() -> AsyncIterator[str]:
    """The address of a running demo."""
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    kept = tempfile.TemporaryDirectory(prefix="hub-demo-")
    clean |= {"HUB_PORT": str(port), "HUB_DRAIN_NOTICE": "0", "HUB_DRAIN_SECONDS": "0"}
    process = subprocess.Popen(
        [sys.executable, "-m", "hub.demo"],
        env={**clean, "XDG_STATE_HOME": kept.name},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        deadline = time.monotonic() + 20 * SCALE
        while not _answers(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGINT)
        printed, _ = await asyncio.to_thread(process.communicate, timeout=20 * SCALE)
        kept.cleanup()
    assert f"http://127.0.0.1:{port}/whiteboard" in printed.decode()
    assert "Traceback" not in printed.decode()


def _answers(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


async def mouse(page: Page, kind: str, x: int, y: int, *, held: bool = False) -> None:
    await page._call(
        "Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, button="left" if held else "none", clickCount=1
    )  # fmt: skip


async def stroke(page: Page, *points: tuple[int, int]) -> None:
    await mouse(page, "Pressed", *points[0], held=True)
    for point in points:
        await mouse(page, "Moved", *point, held=True)
    await mouse(page, "Released", *points[-1], held=True)


async def rename(page: Page, name: str, colour: str) -> None:
    await page.evaluate(
        f"document.getElementById('name').value = '{name}';"
        f"document.getElementById('colour').value = '{colour}';"
        "document.getElementById('me').dispatchEvent(new Event('input'))"
    )


async def here(page: Page, *names: str) -> None:
    listed = (
        "[...document.querySelectorAll('#members li')].map((li) => li.firstChild.textContent).sort().join()"
    )
    await page.until(f"{listed} === '{','.join(sorted(names))}'")


async def shoot(page: Page, name: str) -> None:
    if SHOTS:
        await page.screenshot(Path(SHOTS) / f"{name}.png")


ROOT = "document.querySelector('hub-job-board').shadowRoot"


async def a_board_through_a_cut(url: str, page: Page) -> None:
    """Jobs come live; cut off it says so where the button is, and counts down; back, nothing is missing."""
    await page.open(f"{url}/")
    await page.until(f"{ROOT}?.querySelectorAll('.row').length > 1")
    await page.until("document.getElementById('state').textContent === 'connected'")
    await page.evaluate("document.getElementById('cut').click()")
    await page.until("/^reconnecting in [0-9.]+ s$/.test(document.getElementById('state').textContent)")
    await page.until(f"/The connection is gone/.test({ROOT}.querySelector('.notice').textContent)")
    await page.until("document.getElementById('state').textContent === 'connected'")
    await page.until(f"/back after .* missed events? came/.test({ROOT}.querySelector('.past').textContent)")
    assert "none lost" in await page.evaluate(f"{ROOT}.querySelector('.figures').textContent")


async def two_people_draw(url: str, ann: Page, bob: Page) -> None:
    await ann.open(f"{url}/whiteboard")
    await ann.until("document.getElementById('count').textContent === '1'")
    await rename(ann, "Ann", "#c62f2f")
    await here(ann, "Ann")
    await stroke(ann, *((150 + 4 * n, 250 + (n * n) // 8) for n in range(40)))
    await ann.until(f"{STROKES} === 1")
    # A newcomer sees the drawing, and both see each other.
    await bob.open(f"{url}/whiteboard")
    await bob.until(f"{STROKES} === 1")
    await rename(bob, "Bob", "#16803c")
    await here(ann, "Ann", "Bob")
    await here(bob, "Ann", "Bob")
    drawn = "document.querySelector('#strokes polyline').getAttribute('points').trim().split(/\\s+/).length"
    await bob.until(f"{drawn} >= 40")
    await mouse(ann, "Moved", 500, 450)
    await bob.until(f"{CURSOR} === 'Ann'")
    await stroke(bob, (300, 300), (500, 350), (700, 300))
    await ann.until(f"{STROKES} === 2")
    await ann.until(f"{CURSOR} === 'Bob'")
    await shoot(ann, "whiteboard-ann")
    await shoot(bob, "whiteboard-bob")
    # A new name and colour reach the list and the cursor; a reload leaves one Bob, and the drawing.
    await rename(bob, "Robert", "#8a3ffc")
    await here(ann, "Ann", "Robert")
    await ann.until(f"{CURSOR} === 'Robert'")
    await bob.open(f"{url}/whiteboard")
    await bob.until(f"{STROKES} === 2")
    await here(ann, "Ann", "Robert")
    # One's own last stroke can be undone, by all seen; to clear asks first.
    await stroke(ann, (400, 400), (450, 420))
    await bob.until(f"{STROKES} === 3")
    await ann.evaluate("document.getElementById('undo').click()")
    await bob.until(f"{STROKES} === 2")
    await bob.evaluate("document.getElementById('clear').click()")
    assert await bob.evaluate(f"document.getElementById('ask').open && {STROKES}") == 2
    await bob.evaluate("document.getElementById('clear-yes').click()")
    await ann.until(f"{STROKES} === 0")
    await bob.open("about:blank")
    await here(ann, "Ann")
    await ann.until("document.querySelectorAll('#cursors g').length === 0")
    assert bob.console == []


async def test_the_demo() -> None:
    async with demo() as url, browser() as ann, browser() as bob:
        await two_people_draw(url, ann, bob)
        await a_board_through_a_cut(url, ann)
        assert ann.console == []
