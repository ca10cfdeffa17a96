"""The console in a real Chromium: signing in and out, each page, an action, by keyboard, and with Redis away."""

import asyncio
import json
from pathlib import Path
from typing import Any

from ..broker.redis.servers import RedisServer
from ..cli.browser import Page, browser
from ..support.pace import SCALE
from ..support.server import API_KEY, running_hub
from ..support.wire import connect

OPS = "ops-write-key-0123456789"
RIGHTS: dict[str, Any] = {"subscribe": ["*"], "publish": ["*"], "presence": ["*"]}
KEYS = {"backend": API_KEY, "ops": {"key": OPS, "admin": "write", **RIGHTS}}
TEXT = "document.getElementById('main').innerText"


async def sign_in(page: Page, key: str) -> None:
    typed = f"document.querySelector('input[name=key]').value = {json.dumps(key)}"
    await page.evaluate(f"{typed}; document.querySelector('form.door').requestSubmit()")


async def go(page: Page, where: str, shown: str) -> None:
    await page.evaluate(f"location.hash = {json.dumps(where)}")
    await page.until(f"/{shown}/.test({TEXT})")


async def click(page: Page, text: str) -> None:
    button = (
        f"[...document.querySelectorAll('button')].find((each) => each.textContent === {json.dumps(text)})"
    )
    await page.until(f"Boolean({button})")
    await page.evaluate(f"{button}.click()")


async def payload(page: Page, text: str) -> None:
    area = "document.querySelector('textarea')"
    await page.evaluate(f"{area}.value = {json.dumps(text)}; {area}.dispatchEvent(new Event('input'))")


async def look_around(page: Page, offset: int) -> None:
    """Every page once, and what is asked there."""
    await go(page, "#channels", "job:1")
    await go(page, "#channels?name=job:1", "1 of 1 keys")
    assert "<b>bold</b>" in await page.evaluate(TEXT), "what others chose is text"
    await click(page, "History")
    await page.until(f"/1 to 1 of 1/.test({TEXT})")
    await click(page, "Live tail")
    await click(page, "Publish")
    await payload(page, "{")
    assert await page.evaluate("document.querySelector('form.stack button').disabled"), "that is no JSON"
    await payload(page, "[1]")
    await page.evaluate("document.querySelector('form.stack').requestSubmit()")
    await page.until("/stored at .*:2/.test(document.getElementById('said').innerText)")
    await go(page, f"#explain?who=ann&channel=job:1&event={offset}", "Why did it not come")
    await page.evaluate("document.querySelector('#main form').requestSubmit()")
    await page.until(f"/event 1 was written to c_/.test({TEXT})")
    await go(page, "#tokens", "A new token")
    await go(page, "#letters", "none: all was handed on")
    await go(page, "#settings", "HUB_BROKER")
    assert OPS not in await page.evaluate(TEXT)
    # The first thing in the order of the keyboard leads past the navigation; the page is named.
    assert await page.evaluate("document.querySelector('a, button').className") == "skip"
    assert await page.evaluate("document.querySelector('[aria-current=page]').textContent") == "Settings"
    assert await page.evaluate("document.title") == "Settings · notification hub"


async def test_the_console(tmp_path: Path) -> None:
    async with RedisServer(tmp_path / "redis") as redis, browser() as page:
        with running_hub(api_keys=KEYS, broker=redis.url, console_mint=True) as hub:
            async with connect(hub.ws_url, hub.token("ann", **RIGHTS)) as ann:
                await ann.ask("subscribe", channel="job:1")
                event: dict[str, Any] = {"payload": {"n": "<b>bold</b>"}, "key": "k"}
                published = await asyncio.to_thread(hub.publish, "job:1", **event)

                await page.open(f"{hub.url}/")
                await page.until("Boolean(document.querySelector('form.door'))")
                assert await page.evaluate("location.pathname") == "/console"
                await sign_in(page, API_KEY)
                await page.until(f"/admin:read/.test({TEXT})")
                await sign_in(page, OPS)
                await page.until(f"/Storage, as each node sees it/.test({TEXT})")
                await page.until("document.getElementById('link').textContent === 'live'")
                await page.until("document.querySelector('.plot strong').textContent === '2'")
                kept = (
                    "JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie, location.href])"
                )
                assert OPS not in await page.evaluate(kept), "no key is kept, nor stands in an address"
                await look_around(page, published["offset"])

                await go(page, "#connections?by=user&q=ann", "Last heard")
                await click(page, "Disconnect")
                await page.until("document.getElementById('ask').open")
                assert ann.websocket.close_code is None, "it asks first"
                await page.evaluate("document.getElementById('ask-yes').click()")
                await asyncio.wait_for(ann.websocket.wait_closed(), 10 * SCALE)
                assert ann.websocket.close_code == 4411
            await go(page, "#connections?past=", "kicked")

            await redis.kill()
            await go(page, "#overview", "away")
            await page.until("/The storage is away/.test(document.getElementById('banner').innerText)")
            await page.evaluate("document.getElementById('out').click()")
            await page.until("Boolean(document.querySelector('form.door'))")
            assert await page.evaluate("sessionStorage.length") == 0
            assert page.console == []
