"""No block of the README and the docs is left alone: each is run, compared, or held against what it names."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from ..centrifugo import test_clients_page
from ..cli import readme
from ..collab import test_docs as test_boards
from ..examples import test_apps
from ..guides import test_guides
from ..intake import test_docs as test_pushing
from ..observe import test_troubleshooting
from ..sources import page as sources
from ..streams import test_page
from ..support.markdown import ROOT, Block, blocks
from . import test_commands, test_data, test_pages_in_js, test_programs
from .pages import NO_COMPILER, PAGES

LOOKED_AT: Sequence[Sequence[Block]] = [
    readme.LOOKS_AT,
    sources.LOOKS_AT,
    test_apps.LOOKS_AT,
    test_boards.LOOKS_AT,
    test_clients_page.LOOKS_AT,
    test_commands.LOOKS_AT,
    test_data.LOOKS_AT,
    test_guides.LOOKS_AT,
    test_page.LOOKS_AT,
    test_pages_in_js.LOOKS_AT,
    test_programs.LOOKS_AT,
    test_pushing.LOOKS_AT,
    test_troubleshooting.LOOKS_AT,
]
ALL = [block for page in PAGES for block in blocks(page)]


def test_every_block_is_looked_at_by_a_test() -> None:
    found = {block for each in LOOKED_AT for block in each}
    assert found <= set(ALL), "a test looks at what stands on none of these pages"
    alone = [str(block) for block in ALL if block not in found and not _told(block)]
    assert not alone, "nobody runs or checks: " + ", ".join(alone)


def _told(block: Block) -> bool:
    """Whether its comment says what becomes of it, truly."""
    note = block.note or ""
    paths = re.findall(r"tests/[\w/.-]*\w", note)
    if paths:
        return all((ROOT / path).exists() for path in paths)
    return note == "a picture" or (note.startswith("not run: ") and block.kind in NO_COMPILER)


@pytest.mark.parametrize("note", ["not run: no time", "tests/nowhere runs it", "a second terminal", None])
def test_an_excuse_is_none(note: str | None) -> None:
    assert not _told(Block(PAGES[0], 1, "", "sh", "true\n", note))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_fence_is_overlooked(page: Path) -> None:
    """In a list, or without a kind."""
    fences = re.findall(r"^\s*(?:```|~~~)", page.read_text(), re.M)
    assert len(blocks(page)) == len(fences) / 2
