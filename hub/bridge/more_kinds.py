"""Kinds of bridges that plugins bring, for as long as the process lives."""

from collections.abc import Callable, Mapping
from typing import Any

from .source import Source

Make = Callable[[Any], Source]
"""From a bridge's settings to its source."""

KINDS: dict[str, Make] = {}
_FROM: dict[str, str] = {}
OWN = ("kafka", "rabbitmq", "nats", "redis_stream", "postgres")


def add_kinds(plugin: str, kinds: Mapping[str, Make]) -> None:
    """`plugin` brings these.

    Raises:
        ValueError: a name is taken.
    """
    for name, make in kinds.items():
        if name in OWN or _FROM.get(name, plugin) != plugin:
            raise ValueError(f"the kind {name} of bridges is {_FROM.get(name, 'the hub')}'s")
        _FROM[name], KINDS[name] = plugin, make
