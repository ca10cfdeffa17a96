"""A page of the docs as something to run: its files, its commands, and what they print."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_BLOCK = re.compile(r"(?:<!-- (?P<note>[^>]*) -->\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S)
_NAME = re.compile(r"(?:#|//|<!--) (?P<name>[\w./-]+\.\w+)(?: -->)?\n")


@dataclass(frozen=True)
class Block:
    """A fenced block. `note` is the comment right before it: it says why it is not run as the others are."""

    kind: str
    text: str
    note: str | None

    @property
    def file(self) -> str | None:
        """The name in its first line, where it is a file."""
        found = _NAME.match(self.text)
        return found["name"] if found is not None else None


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(found["kind"], found["text"], found["note"]) for found in _BLOCK.finditer(page.read_text())]


def write_files(page: Path, folder: Path) -> None:
    """Lay out the files that a page has its reader write."""
    for block in blocks(page):
        if block.file is not None:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)


def script(page: Path) -> str:
    """The commands of a page as one script, which ends at the first that fails."""
    commands = [block.text for block in blocks(page) if block.kind == "sh" and block.note is None]
    # Whatever a failure leaves running would hold the output open.
    return "\n".join(["set -euo pipefail", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT", *commands])


def promised(page: Path) -> list[str]:
    """The lines that a page says its commands print; those with … are examples."""
    told = [block.text for block in blocks(page) if block.kind == "text" and block.note is None]
    return [line for text in told for line in text.splitlines() if "…" not in line]
