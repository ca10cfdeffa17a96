"""The page for newcomers names what is there: it goes stale in a test, not before a reader."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text()


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_file_that_it_names_is_there() -> None:
    named = set(re.findall(r"`((?:\w+/)*\w+\.py)`", PAGE))
    assert len(named) > 20
    found = {path.relative_to(ROOT).as_posix() for path in (ROOT / "hub").rglob("*.py")}
    found |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py")}
    missing = {name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in found)}
    assert not missing


def test_every_folder_stands_in_its_table() -> None:
    rows = section("Folders are layers")
    for path in (ROOT / "hub").iterdir():
        if path.is_dir() and any(path.glob("*.py")) and path.name != "broker":
            assert f"`{path.name}`" in rows, f"{path.name} is not explained"


def test_the_paths_name_modules() -> None:
    """As ``http/app`` or ``streams``, without their ending."""
    words = set(re.findall(r"`([a-z_0-9]+(?:/[a-z_0-9]+)+)`", section("Four paths")))
    assert len(words) > 15
    for word in words:
        assert (ROOT / "hub" / f"{word}.py").exists() or (ROOT / "hub" / word).is_dir(), word


def test_the_words_stand_in_order_and_once() -> None:
    words = re.findall(r"^\| ([a-z ,]+) \| .+ \|$", section("Words"), re.M)
    assert len(words) >= 40
    assert words == sorted(set(words))
