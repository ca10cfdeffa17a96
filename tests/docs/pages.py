"""Every page that has blocks, and the convention for those that are not run as they stand.

A comment right before a block says what becomes of it:

``<!-- tests/… -->``    the test of that path does what the block says
``<!-- before -->``     code of another product, held against its grammar alone
``<!-- a picture -->``  no code
``<!-- not run: … -->`` a language that has no compiler here
"""

from ..support.markdown import ROOT, Block, blocks

PAGES = [
    *sorted(ROOT.glob("*.md")),
    ROOT / "client_js" / "README.md",
    ROOT / "loadtest" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
NO_COMPILER = ("csharp", "dart", "java", "swift")


def every(*kinds: str) -> list[Block]:
    """The blocks of these kinds on all pages, but those that are told to be something else."""
    return [block for page in PAGES for block in blocks(page, *kinds) if block.note is None]


def of(page: str, *kinds: str) -> list[Block]:
    """Those of one page, by its path in the repository."""
    return [block for block in blocks(ROOT / page, *kinds) if block.note is None]


def before() -> list[Block]:
    """Code of other products."""
    return [block for page in PAGES for block in blocks(page) if block.note == "before"]
