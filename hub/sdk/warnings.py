"""What the hub warns of: each warning is logged once, however often its cause is repeated."""

import logging
from typing import Any

log = logging.getLogger("hub.publisher")

MOST = 100  # different ones; past them nothing new is said, so that no log is filled

_said: set[str] = set()


def note_warnings(answer: dict[str, Any]) -> None:
    """Log the `warnings` of an answer to a publication that were not logged before."""
    warnings = answer.get("warnings")
    for warning in warnings if isinstance(warnings, list) else ():
        if isinstance(warning, str) and warning not in _said and len(_said) < MOST:
            _said.add(warning)
            log.warning("the hub says of a publication: %s", warning[:200])
