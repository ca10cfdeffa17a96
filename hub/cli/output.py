"""How commands print what a hub answers."""

import json
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from .plain import plain


def as_json(value: Any) -> None:
    """One value, a line. Escapes stay: what a terminal would act upon does not stand there as it is."""
    sys.stdout.write(json.dumps(value) + "\n")


def lines(texts: Iterable[str]) -> None:
    """Lines for a person."""
    for text in texts:
        sys.stdout.write(plain(text) + "\n")


def clock(milliseconds: int) -> str:
    """A time of this day, as the machine's clock shows it."""
    return datetime.fromtimestamp(milliseconds / 1000).strftime("%H:%M:%S")


def moment(milliseconds: int) -> str:
    """A time with its day."""
    return datetime.fromtimestamp(milliseconds / 1000).strftime("%Y-%m-%d %H:%M:%S")
