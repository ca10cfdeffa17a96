"""The README as something to run: its blocks, with what stands before them."""

from ..support import markdown
from ..support.markdown import ROOT

__all__ = ["BLOCKS", "COMMANDS", "LOOKS_AT", "PROGRAMS", "README", "ROOT", "noted"]

PAGE = ROOT / "README.md"
README = PAGE.read_text()
BLOCKS = markdown.blocks(PAGE)
COMMANDS = [block for block in BLOCKS if block.kind == "sh" and block.note is None]
PROGRAMS = {block.file: block.text for block in BLOCKS if block.kind == "python" and block.file is not None}
"""Python blocks that begin with the name of a file."""


LOOKS_AT = [*COMMANDS, *(block for block in BLOCKS if block.file is not None)]
"""Run by test_readme.py; those with a note, by the test that it names."""


def noted(start: str) -> str:
    """The one block whose note begins so."""
    (block,) = (each for each in BLOCKS if each.note is not None and each.note.startswith(start))
    return block.text
