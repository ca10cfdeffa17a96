"""Several Redis servers that know nothing of each other: consistent hashing spreads the channels."""

from bisect import bisect
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

_POINTS = 160  # of each server on the ring: evens the shares out to a few percent


class HashRing:
    """Which of `names` a tag belongs to. Taking one away moves only what it had."""

    def __init__(self, names: Sequence[str]) -> None:
        points = sorted((_hash(f"{name}#{point}"), name) for name in names for point in range(_POINTS))
        self._hashes = [point for point, _ in points]
        self._names = [name for _, name in points]
        self.of = lru_cache(maxsize=65536)(self._of)

    def _of(self, tag: str) -> str:
        return self._names[bisect(self._hashes, _hash(tag)) % len(self._names)]


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
