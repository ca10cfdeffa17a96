"""Links and pictures of all pages: files, headings, and nothing that nobody shows."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from ..support.markdown import ROOT
from .pages import PAGES

PICTURES = ROOT / "docs" / "pictures"
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^\s*```.*?^\s*```$", re.M | re.S)


def links(page: Path) -> list[str]:
    """Where a page leads within the repository."""
    found = _LINK.findall(_FENCED.sub("", page.read_text()))
    return [link for link in found if "://" not in link and not link.startswith("mailto:")]


def anchors(page: Path) -> set[str]:
    """Those of its headings, as GitHub and mkdocs make them."""
    heads = re.findall(r"^#+ (.+)$", _FENCED.sub("", page.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link


def test_every_picture_is_shown() -> None:
    shown = {Path(link).name for page in PAGES for link in links(page)}
    assert {path.name for path in PICTURES.iterdir()} <= shown


@pytest.mark.parametrize("path", sorted(PICTURES.glob("*.svg")), ids=lambda path: path.name)
def test_a_drawing_is_one_in_light_and_dark_with_its_own_words(path: Path) -> None:
    root = ET.parse(path).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("role") == "img"
    assert len(root.get("aria-label") or "") > 40, "what a reader who does not see it is told"
    text = path.read_text()
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"(?:href|src|url)\W+https?:|<script|<image", text)
