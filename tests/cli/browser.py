"""A headless Chromium, driven by its DevTools protocol: what a person would see, and clicks."""

import asyncio
import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from ..support.pace import SCALE

DEADLINE_S = 20.0


class Page:
    """One page of the browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self.console: list[str] = []
        self._loaded = False

    async def open(self, url: str) -> None:
        """Go there, and wait until the page is loaded."""
        self._loaded = False
        await self._call("Page.navigate", url=url)
        async with asyncio.timeout(DEADLINE_S * SCALE):
            while not self._loaded:
                self._told(json.loads(await self._socket.recv()))

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; promises are awaited."""
        answer = await self._call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, expression: str, deadline: float = DEADLINE_S) -> Any:
        """Wait until an expression is true; its value."""
        try:
            async with asyncio.timeout(deadline * SCALE):
                while not (value := await self.evaluate(expression)):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            text = await self.evaluate("document.body.innerText")
            raise AssertionError(f"never true: {expression}\n{self.console}\n{text}") from None
        return value

    async def screenshot(self, path: Path) -> None:
        """Write a PNG of what is seen."""
        path.write_bytes(base64.b64decode((await self._call("Page.captureScreenshot"))["data"]))

    async def _call(self, method: str, **params: Any) -> dict[str, Any]:
        id = next(self._ids)
        await self._socket.send(json.dumps({"id": id, "method": method, "params": params}))
        async with asyncio.timeout(DEADLINE_S * SCALE):
            while True:
                message = json.loads(await self._socket.recv())
                if message.get("id") == id:
                    assert "error" not in message, message
                    found: dict[str, Any] = message["result"]
                    return found
                self._told(message)

    def _told(self, message: dict[str, Any]) -> None:
        if message["method"] == "Page.loadEventFired":
            self._loaded = True
        elif message["method"] == "Runtime.exceptionThrown":
            self.console.append(json.dumps(message["params"]["exceptionDetails"])[:500])
        elif message["method"] == "Runtime.consoleAPICalled":
            self.console.append(" ".join(str(each.get("value")) for each in message["params"]["args"]))


@contextlib.asynccontextmanager
async def browser(width: int = 1200, height: int = 800) -> AsyncIterator[Page]:
    """A browser with one page; it ends with the block."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program is not None, "the tests need Chromium: make test installs it"
    with tempfile.TemporaryDirectory(prefix="hub-browser-", ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            [
                *(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
                *("--no-first-run", "--remote-debugging-port=0", f"--user-data-dir={folder}"),
                *(f"--window-size={width},{height}", "about:blank"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            async with connect(await _page_address(Path(folder)), max_size=None, proxy=None) as socket:
                page = Page(socket)
                await page._call("Page.enable")
                await page._call("Runtime.enable")
                yield page
        finally:
            process.terminate()
            process.wait(DEADLINE_S)


async def _page_address(folder: Path) -> str:
    """The WebSocket of the first page, once the browser has written its port."""
    said = folder / "DevToolsActivePort"
    async with asyncio.timeout(DEADLINE_S * SCALE), httpx.AsyncClient(trust_env=False) as http:
        while True:
            await asyncio.sleep(0.05)
            lines = said.read_text().splitlines() if said.exists() else []
            if len(lines) < 2:
                continue
            targets = (await http.get(f"http://127.0.0.1:{lines[0]}/json/list")).json()
            for target in targets:
                if target["type"] == "page":
                    address: str = target["webSocketDebuggerUrl"]
                    return address
