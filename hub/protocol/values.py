"""Values of JSON, apart from how they are written."""

from typing import Any

import orjson

from .codec import loads_json


def normal(payload: bytes) -> bytes:
    """The same value as 0.1 wrote it: no spaces, each number in one form."""
    return orjson.dumps(orjson.loads(payload))


def same_value(one: bytes, other: bytes) -> bool:
    """Whether two JSON texts say the same: the order of names, spaces and a number's form do not count."""
    return _same(loads_json(one), loads_json(other))


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other  # to Python, true is 1
    return bool(one == other)
