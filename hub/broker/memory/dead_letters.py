"""Dead letters, in the memory of one process: they end with it."""

from collections.abc import Sequence

from ..base import too_many_letters


class MemoryDeadLetters:
    """`DeadLetters` within one process, oldest first."""

    def __init__(self, most: int) -> None:
        self._letters: dict[str, bytes] = {}
        self._most = most

    async def put(self, id: str, letter: bytes, at_ms: int) -> bool:
        """Keep it; False, and nothing changes, where one of this id is kept already."""
        if id in self._letters:
            return False
        if len(self._letters) >= self._most:
            raise too_many_letters(self._most)
        self._letters[id] = letter
        return True

    async def get(self, id: str) -> bytes | None:
        """The letter of that id."""
        return self._letters.get(id)

    async def page(self, start: int, limit: int) -> Sequence[tuple[str, bytes]]:
        """Up to `limit` of them with their ids, oldest first, from the `start`-th on (from 0)."""
        return list(self._letters.items())[start : start + limit]

    async def drop(self, id: str) -> bool:
        """Let go of it; whether it was there."""
        return self._letters.pop(id, None) is not None

    async def count(self) -> int:
        """How many there are."""
        return len(self._letters)
