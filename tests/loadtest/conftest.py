"""The load test is run from the repository, not installed: its tests find it there."""

from __future__ import annotations

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
for folder in (_HERE.parents[1], _HERE):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
