"""docs/sources.md as something to run: the blocks of its sections."""

import ast
import asyncio
import inspect
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..support.markdown import ROOT, blocks

BLOCKS = blocks(ROOT / "docs" / "sources.md")
READ = ("Kafka", "RabbitMQ", "NATS JetStream", "Redis Streams", "PostgreSQL")
LOOKS_AT = [block for block in BLOCKS if block.heading in READ]
"""What test_flow.py does, with the real systems."""


@dataclass(frozen=True)
class Section:
    """What stands under one heading: its settings, and the commands that follow."""

    settings: str
    commands: tuple[tuple[str, str], ...]  # language, text


def section(title: str) -> Section:
    """The one under ``## title``."""
    found = [block for block in BLOCKS if block.heading == title]
    settings = "\n".join(block.text for block in found if block.kind == "toml")
    return Section(settings, tuple((block.kind, block.text) for block in found if block.kind != "toml"))


async def run(found: Section, folder: Path) -> None:
    """Carry its commands out; `folder` has programs of its own."""
    path = f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    for kind, text in found.commands:
        if kind == "sh":
            command = ["bash", "-euo", "pipefail", "-c", text]
            environment = {**os.environ, "PATH": path}
            await asyncio.to_thread(subprocess.run, command, check=True, env=environment, timeout=300)
        else:
            await _python(text)


def placed(title: str, places: Mapping[str, str]) -> Section:
    """A section with the addresses of a test instead of the page's."""
    there = section(title)

    def here(text: str) -> str:
        for old, new in places.items():
            text = text.replace(old, new)
        return text

    whole = there.settings + "".join(text for _, text in there.commands)
    assert all(old in whole for old in places), f"not all of {list(places)} stand in:\n{whole}"
    return Section(here(there.settings), tuple((kind, here(text)) for kind, text in there.commands))


async def _python(text: str) -> None:
    """As in ``python -m asyncio``: await stands at the top."""
    code = compile(text, "sources.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names = {name: __import__(name) for name in ("aio_pika", "nats") if f"{name}." in text}
    result = eval(code, names)
    if inspect.iscoroutine(result):
        await result
