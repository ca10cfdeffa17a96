"""Tables that both clients are held to; the JavaScript tests read them too."""

import json
from pathlib import Path
from typing import Any

TABLES = Path(__file__).parents[1] / "golden" / "tables"


def table(name: str) -> list[dict[str, Any]]:
    """The rows of ``tests/golden/tables/NAME.json``."""
    rows: list[dict[str, Any]] = json.loads((TABLES / f"{name}.json").read_text())
    assert rows
    return rows
