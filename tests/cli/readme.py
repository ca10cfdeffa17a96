"""The README as something to run: its blocks, with what stands before them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()

_BLOCK = re.compile(r"(?:<!-- (?P<note>[^>]*) -->\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block. `note` is the comment right before it: it is not run by the test of all commands."""

    kind: str
    text: str
    note: str | None


BLOCKS = [Block(found["kind"], found["text"], found["note"]) for found in _BLOCK.finditer(README)]
COMMANDS = [block for block in BLOCKS if block.kind == "sh" and block.note is None]
PROGRAMS = {
    found[1]: block.text
    for block in BLOCKS
    if block.kind == "python" and (found := re.match(r"# (\w+\.py)\n", block.text))
}
"""Python blocks that begin with the name of a file."""


def noted(start: str) -> str:
    """The one block whose note begins so."""
    (block,) = (each for each in BLOCKS if each.note is not None and each.note.startswith(start))
    return block.text
