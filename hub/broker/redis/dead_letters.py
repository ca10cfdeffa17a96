"""Dead letters in Redis: kept until somebody looks, on the server that their name belongs to."""

from collections.abc import Sequence

from ..base import too_many_letters
from .client.hash_slot import tag_of
from .keys import KeyNames
from .scripts import DEAD_LETTERS
from .store import Request, Store


class RedisDeadLetters:
    """`DeadLetters` over Redis."""

    def __init__(self, store: Store, keys: KeyNames, most: int) -> None:
        self._store = store
        self._names = keys.dead
        self._most = most

    async def put(self, id: str, letter: bytes, at_ms: int) -> bool:
        """Keep it; False, and nothing changes, where one of this id is kept already."""
        return (await self._call("put", id, letter, at_ms, self._most))[0] == b"1"

    async def get(self, id: str) -> bytes | None:
        """The letter of that id."""
        found = await self._call("get", id)
        return found[0] if found else None

    async def page(self, start: int, limit: int) -> Sequence[tuple[str, bytes]]:
        """Up to `limit` of them with their ids, oldest first, from the `start`-th on (from 0)."""
        pairs = await self._call("page", start, limit)
        return [(pairs[at].decode("utf-8", "replace"), pairs[at + 1]) for at in range(0, len(pairs), 2)]

    async def drop(self, id: str) -> bool:
        """Let go of it; whether it was there."""
        return (await self._call("drop", id))[0] == b"1"

    async def count(self) -> int:
        """How many there are."""
        return int((await self._call("count"))[0])

    async def _call(self, *arguments: str | bytes | int) -> list[bytes]:
        reply = await self._store.one(Request(tag_of(self._names[0]), DEAD_LETTERS, self._names, arguments))
        if reply[0] == b"full":
            raise too_many_letters(self._most)
        found: list[bytes] = reply[1]
        return found
