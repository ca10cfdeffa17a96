"""How many random stories a model tells: a few each time, many where somebody has the time (``make test-long``)."""

import os
from typing import Any

from hypothesis import settings

LONG = os.environ.get("TEST_LONG") == "1"
PART = 6


def stories(count: int, **options: Any) -> settings:
    """Settings of hypothesis for `count` examples in a long run, and a sixth of them in an ordinary one."""
    return settings(max_examples=count if LONG else max(5, count // PART), **options)
