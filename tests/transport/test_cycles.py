"""A connection leaves nothing for the garbage collector, which never looks at it (`hub.runtime.gc_tuning`)."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from ..support.pace import SCALE
from ..support.server import running_hub
from ..support.wire import connect

CENSUS = """
import gc, json, os, signal
from collections import Counter

def census(*_):
    def types():
        return Counter(str(type(o)) for o in gc.get_objects())
    gc.unfreeze()
    before = types()
    gc.collect()
    with open(os.environ["CENSUS"] + "~", "w") as file:
        json.dump(before - types(), file)
    os.rename(os.environ["CENSUS"] + "~", os.environ["CENSUS"])

signal.signal(signal.SIGUSR1, census)
"""


async def test_no_cycle_is_left_of_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever way they come and go."""
    (tmp_path / "sitecustomize.py").write_text(CENSUS)
    found = tmp_path / "census.json"
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("CENSUS", str(found))
    with running_hub() as hub:
        token = hub.token("ann", subscribe=["*"], publish=["*"], presence=["*"])

        async def visit(number: int) -> None:
            async with connect(hub.ws_url, token) as wire:
                await wire.ask("subscribe", channel="doc:1", presence=True)
                await wire.ask("subscribe", channel=f"job:{number % 7}")
                await wire.ask("subscribe", channel="none:1")
                await wire.ask("publish", channel="doc:1", event="e", payload=number)
                await asyncio.sleep(0.3)  # long enough to be frozen
                if number % 3 == 0:
                    wire.abort()

        async def refused() -> None:
            with pytest.raises(InvalidStatus):
                async with connect(hub.ws_url, "no.to.ken"):
                    pass

        await asyncio.gather(*(visit(number) for number in range(60)), *(refused() for _ in range(30)))
        for _ in range(20):
            hub.http().get("/readyz")
            hub.http().post("/v1/publish", content=b"{")
        await asyncio.sleep(0.5)
        os.kill(hub.pid, signal.SIGUSR1)
        async with asyncio.timeout(10 * SCALE):
            while not found.exists():
                await asyncio.sleep(0.05)
    garbage: dict[str, Any] = json.loads(found.read_text())
    ours = ("hub.", "websockets.", "uvicorn.", "httptools.", "uvloop.", "generator", "coroutine", "method'")
    assert {name: count for name, count in garbage.items() if any(word in name for word in ours)} == {}
