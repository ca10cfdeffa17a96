"""Hiding data: what is shown to who may look and not read, and what never leaves a namespace.

`blanked` keeps the shape of a document and none of its values. `masked` hides the values at named paths.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

MAX_DEPTH = 64
PATH = r"^[A-Za-z_][\w-]*(\.[\w-]+)*$"
"""What a masked path looks like: ``payload.card.number``."""


def blanked(value: Any, depth: int = 0) -> Any:
    """The shape of a JSON value: names, types and lengths, no value."""
    if depth > MAX_DEPTH:
        return "<deeper>"
    if isinstance(value, dict):
        return {name: blanked(each, depth + 1) for name, each in value.items()}
    if isinstance(value, list):
        return [blanked(each, depth + 1) for each in value[:20]] + (
            [f"<{len(value)} in all>"] if len(value) > 20 else []
        )
    if isinstance(value, str):
        return f"<{len(value)} characters>"
    if value is None or isinstance(value, bool):
        return value
    return "<number>"


def digest(data: bytes) -> str:
    """What tells two equal values apart from others without showing them: 16 hex digits of SHA-256."""
    return hashlib.sha256(data).hexdigest()[:16]


def masked(document: Any, paths: Sequence[str], how: str = "drop") -> Any:
    """A copy of `document` in which the values at `paths` (``payload.card.number``) are gone, or are their digest.
    Lists on the way are gone through, to a depth of 64: what lies deeper is gone whole. What is not on a path is
    shared with the original."""
    for path in paths:
        document = _masked(document, path.split("."), how)
    return document


def _masked(value: Any, steps: Sequence[str], how: str, depth: int = 0) -> Any:
    if isinstance(value, list):
        if depth > MAX_DEPTH:
            return "<deeper>"
        return [_masked(each, steps, how, depth + 1) for each in value]
    if not isinstance(value, dict) or steps[0] not in value:
        return value
    if len(steps) > 1:
        return {**value, steps[0]: _masked(value[steps[0]], steps[1:], how, depth + 1)}
    if how == "drop":
        return {name: each for name, each in value.items() if name != steps[0]}
    return {**value, steps[0]: f"<{digest(repr(value[steps[0]]).encode())}>"}
