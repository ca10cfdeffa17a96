"""Words for a person: times of day, counts, and the name that was perhaps meant."""

import difflib
from collections.abc import Iterable
from datetime import UTC, datetime

NEAR = 0.6


def at(milliseconds: int) -> str:
    """The time of day."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%H:%M:%S UTC")


def counted(count: int, what: str) -> str:
    """``1 node``, ``2 nodes``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def near(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that is likeliest meant, where it is not that itself."""
    return next((each for each in difflib.get_close_matches(name, set(names), 1, NEAR) if each != name), None)
