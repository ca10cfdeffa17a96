"""A page of the docs as something to run: its files, its commands, and what they print."""

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"(?P<indent> *)(?P<ticks>`{3,}|~{3,})\s*(?P<kind>[\w+-]*)[^`]*")
_NAME = re.compile(r"(?:#|//|<!--) (?P<name>[\w./-]+\.\w+)(?: -->)?\n")


@dataclass(frozen=True)
class Block:
    """A fenced block. `line` is that of its fence, for who has to find it; `heading` the ``##`` above it; `kind` is
    empty where the fence names none. `note` is the comment right before it: why it is not run as the others are."""

    page: Path
    line: int
    heading: str
    kind: str
    text: str
    note: str | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line} ({self.kind or 'no kind'})"

    @property
    def file(self) -> str | None:
        """The name in its first line, where it is a file."""
        found = _NAME.match(self.text)
        return found["name"] if found is not None else None


def blocks(page: Path, *kinds: str) -> list[Block]:
    """The fenced blocks of a page in order, those in lists and those without a kind too; or of these kinds."""
    return [block for block in _blocks(page) if not kinds or block.kind in kinds]


def _blocks(page: Path) -> Iterator[Block]:
    lines = page.read_text().splitlines(keepends=True)
    number, heading = 0, ""
    while number < len(lines):
        line = lines[number].rstrip("\n")
        number += 1
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        fence = _FENCE.fullmatch(line)
        if fence is None:
            continue
        begin = number
        while lines[number].strip() != fence["ticks"]:
            number += 1
        text = textwrap.dedent("".join(lines[begin:number]))
        yield Block(page, begin, heading, fence["kind"], text, _note(lines[: begin - 1]))
        number += 1


def _note(before: list[str]) -> str | None:
    found = re.search(r"<!-- ([^>]*) -->\n\Z", "".join(before[-4:]))
    return found[1] if found is not None else None


def write_files(page: Path, folder: Path, places: Mapping[str, str]) -> None:
    """Lay out the files that a page has its reader write; `places` are what stands in place of what."""
    for block in blocks(page):
        if block.file is not None:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(placed(block.text, places))


def placed(text: str, places: Mapping[str, str]) -> str:
    """With each key's value in its place."""
    for there, here in places.items():
        text = text.replace(there, here)
    return text


def ports(page: Path) -> set[str]:
    """Those that a page's commands serve on: in a test they are others, as two may run at once."""
    return {found for block in commands(page) for found in re.findall(r"--port (\d+)", block.text)}


def commands(page: Path) -> list[Block]:
    """What a page has its reader type."""
    return [block for block in blocks(page, "sh") if block.note is None]


def script(page: Path, places: Mapping[str, str]) -> str:
    """The commands of a page as one script, which ends at the first that fails."""
    typed = [placed(block.text, places) for block in commands(page)]
    # Whatever a failure leaves running would hold the output open.
    return "\n".join(["set -euo pipefail", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT", *typed])


def outputs(page: Path) -> list[Block]:
    """What a page says that its commands print."""
    return [block for block in blocks(page, "text") if block.note is None]


def promised(page: Path) -> list[str]:
    """The lines that a page says its commands print; those with … are examples."""
    return [line for block in outputs(page) for line in block.text.splitlines() if "…" not in line]
