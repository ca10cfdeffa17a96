"""The answers to publications with an `event_id`, for as long as each is remembered."""

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import chain, islice
from math import inf
from typing import NamedTuple

IDEMPOTENCY_S = 300.0
"""For so long an `event_id` is remembered where its publisher says nothing else."""

Name = tuple[str, str]  # publisher, event_id


class Answer(NamedTuple):
    """A publication that was stored: its body's hash, its offset, and until when that is remembered."""

    body: int
    offset: int
    expires: float


class Answers:
    """The answers to publications with an `event_id`, for as long as each is remembered. No clock: the time
    is an argument.

    Nearly all are remembered for the same time, so a dict is in the order of their ends; the others have a
    heap.
    """

    __slots__ = ("_own", "_own_ends", "_usual")

    def __init__(self) -> None:
        self._usual: dict[Name, Answer] = {}
        self._own: dict[Name, Answer] = {}
        self._own_ends: list[tuple[float, Name]] = []

    def __len__(self) -> int:
        return len(self._usual) + len(self._own)

    def __iter__(self) -> Iterator[Name]:
        return chain(self._usual, self._own)

    def find(self, name: Name, now: float) -> Answer | None:
        """The answer that is remembered under a name."""
        answer = self._usual.get(name) or self._own.get(name)
        return answer if answer is not None and answer.expires > now else None

    @property
    def first_end(self) -> float:
        """When the first of them ends, where there is one."""
        usual = next(iter(self._usual.values())).expires if self._usual else inf
        return min(usual, self._own_ends[0][0] if self._own_ends else inf)

    def put(self, name: Name, body: int, offset: int, now: float, ttl_ms: int | None) -> float:
        """Remember an answer, in place of one that has expired; returns when it ends."""
        # An expired one would keep its old place in the order of age.
        self._usual.pop(name, None)
        self._own.pop(name, None)
        if ttl_ms is None:
            self._usual[name] = Answer(body, offset, now + IDEMPOTENCY_S)
            return now + IDEMPOTENCY_S
        answer = self._own[name] = Answer(body, offset, now + ttl_ms / 1000)
        heappush(self._own_ends, (answer.expires, name))
        return answer.expires

    def prune(self, now: float) -> None:
        """Forget those whose time is over."""
        gone = 0
        for answer in self._usual.values():
            if answer.expires > now:
                break
            gone += 1
        for name in list(islice(self._usual, gone)):
            del self._usual[name]
        while self._own_ends and self._own_ends[0][0] <= now:
            expires, name = heappop(self._own_ends)
            if name in self._own and self._own[name].expires == expires:
                del self._own[name]
