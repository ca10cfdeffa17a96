"""Grant patterns: ``*`` matches any run of characters, nothing else is special."""

from collections.abc import Sequence
from functools import lru_cache

_Parts = tuple[str, ...]


class Pattern:
    """A set of grant patterns, asked for one channel name at a time.

    No regular expression stands behind it: literals are one look-up in a set, prefixes (``job:*``) one
    `str.startswith`, the rest is matched piece by piece from the left, which never goes back. Equal sets are
    best taken from `pattern`, which shares them: every connection holds three.
    """

    __slots__ = ("_globs", "_literals", "_prefixes", "patterns")

    def __init__(self, patterns: Sequence[str]) -> None:
        self.patterns: tuple[str, ...] = tuple(dict.fromkeys(patterns))
        literals: list[str] = []
        prefixes: list[str] = []
        globs: list[_Parts] = []
        for each in self.patterns:
            first, *rest = each.split("*")
            if not rest:
                literals.append(first)
            elif not any(rest):
                prefixes.append(first)
            else:
                globs.append((first, *filter(None, rest[:-1]), rest[-1]))
        self._literals = frozenset(literals)
        self._prefixes = tuple(prefixes)
        self._globs = tuple(globs)

    def matches(self, name: str) -> bool:
        """Whether any of the patterns matches the whole of `name`."""
        if name in self._literals or name.startswith(self._prefixes):
            return True
        return any(_matches(parts, name) for parts in self._globs)

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and self.patterns == other.patterns

    def __hash__(self) -> int:
        return hash(self.patterns)

    def __repr__(self) -> str:
        return f"Pattern({list(self.patterns)!r})"


def _matches(parts: _Parts, name: str) -> bool:
    """`parts` are the pieces between stars: a prefix, pieces in their order, a suffix."""
    first, *middle, last = parts
    end = len(name) - len(last)
    if end < len(first) or not name.startswith(first) or not name.endswith(last):
        return False
    at = len(first)
    for piece in middle:
        at = name.find(piece, at, end)  # the left-most place leaves the most room for what follows
        if at < 0:
            return False
        at += len(piece)
    return True


@lru_cache(maxsize=4096)
def pattern(patterns: tuple[str, ...]) -> Pattern:
    """The shared `Pattern` of a set of patterns."""
    return Pattern(patterns)


NOTHING = pattern(())
EVERYTHING = pattern(("*",))
