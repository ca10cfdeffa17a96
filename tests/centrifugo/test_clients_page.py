"""The examples of docs/clients.md, as they stand there."""

import asyncio
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..support.markdown import ROOT, blocks
from ..support.pace import patience
from ..support.server import RunningHub, running_hub
from .suites.__main__ import GO
from .wire import address

LOOKS_AT = blocks(ROOT / "docs" / "clients.md", "js", "python", "go")
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    with running_hub(centrifugo=True) as hub:
        yield hub


def example(language: str) -> str:
    return next(block.text for block in LOOKS_AT if block.kind == language)


def javascript(_folder: Path) -> list[str]:
    return ["node", "--input-type=module", "--eval", example("js")]  # of this folder, which has the packages


def python(_folder: Path) -> list[str]:
    return [sys.executable, "-c", example("python")]


def go(folder: Path) -> list[str]:
    (folder / "main.go").write_text(example("go"))
    build = f"cd {folder} && go mod init example && go get {GO} && go build -o example . && exec ./example"
    return ["sh", "-c", build]


@pytest.mark.parametrize("make", [javascript, python, pytest.param(go, marks=pytest.mark.sources)])
async def test_an_example_prints_what_comes(
    hub: RunningHub, tmp_path: Path, make: Callable[[Path], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADDRESS", address(hub))
    monkeypatch.setenv("TOKEN", hub.token("ann", subscribe=["job:*"]))
    process = await asyncio.create_subprocess_exec(*make(tmp_path), cwd=HERE, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    reading = asyncio.create_task(process.stdout.readline())
    try:
        async with patience(60):
            while not reading.done():  # until it is there, and hears one
                await asyncio.to_thread(hub.publish, "job:42", "note", {"n": 1})
                await asyncio.wait([reading], timeout=0.2)
        assert re.fullmatch(rb'\d+ note \{"n":1\}\n', reading.result())
    finally:
        process.kill()
        await process.wait()
        reading.cancel()
