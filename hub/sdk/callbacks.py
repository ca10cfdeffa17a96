"""The application's callbacks: an error in one is the application's, is logged, and harms no connection."""

import logging
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
log = logging.getLogger("hub.client")


def tell(callback: Callable[[T], None] | None, value: T) -> None:
    """Call it, if there is one."""
    if callback is None:
        return
    try:
        callback(value)
    except Exception:
        log.exception("a callback of the application failed")
