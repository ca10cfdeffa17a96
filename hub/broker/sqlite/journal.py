"""What changed since the last commit, and the statements that write it: few, whatever changed."""

from collections.abc import Iterator, Sequence
from math import inf
from typing import Any

from ...protocol.event import Event
from ..memory.answers import Name
from ..memory.streams import Stream
from . import rows
from .rows import OF_A_CHANNEL

_LIFE_PART = 8  # an unused channel's life is written anew when an eighth of it is over


class StoredStream(Stream):
    """A stream that has a number in the file. `kept` is the oldest offset there, `life_written` until when it
    lives by the file."""

    __slots__ = ("kept", "life_written", "number")

    digest = staticmethod(rows.digest)
    number: int
    kept: int
    life_written: float


def outlives(stream: StoredStream) -> bool:
    """Whether it lives so much longer than the file says that this is worth a write."""
    return stream.life_alarm.due - stream.life_written > stream.life / _LIFE_PART


class Journal:
    """What changed since the last commit. Live objects are noted: what is written is how they are then."""

    def __init__(self) -> None:
        self.streams: dict[int, StoredStream] = {}
        self.gone: set[int] = set()
        self.events: list[tuple[StoredStream, Event]] = []
        self.cut: dict[int, StoredStream] = {}
        self.keys: dict[tuple[int, str], StoredStream] = {}
        self.answers: dict[tuple[int, Name], tuple[StoredStream, bool]] = {}
        self.pruned: dict[int, float] = {}
        self.sources: dict[tuple[int, str], StoredStream] = {}
        self.cursors: dict[tuple[int, str], StoredStream] = {}
        self.other: list[tuple[str, Sequence[Any]]] = []

    def work(self) -> Iterator[tuple[str, list[Sequence[Any]]]]:
        """The statements, in their order, with the rows of each."""
        if self.gone:
            numbers: list[Sequence[Any]] = [(number,) for number in self.gone]
            yield "DELETE FROM channels WHERE id = ?", numbers
            for table in OF_A_CHANNEL:
                yield f"DELETE FROM {table} WHERE channel = ?", numbers  # noqa: S608  # names of ours
        all_of_it: tuple[tuple[str, list[Sequence[Any]]], ...] = (
            ("INSERT OR REPLACE INTO channels VALUES (?,?,?,?,?,?,?)", self._channels()),
            ("INSERT OR REPLACE INTO events VALUES (?,?,?)", self._events()),
            ("DELETE FROM events WHERE channel = ? AND position < ?", self._cut()),
            ("DELETE FROM keys WHERE channel = ? AND key = ?", self._lost_keys()),
            ("INSERT OR REPLACE INTO keys VALUES (?,?,?,?,?,?,?,?,?)", self._keys()),
            ("INSERT OR REPLACE INTO answers VALUES (?,?,?,?,?,?,?)", self._answers()),
            ("DELETE FROM answers WHERE channel = ? AND expires <= ?", [*self.pruned.items()]),
            ("INSERT OR REPLACE INTO sources VALUES (?,?,?,?)", self._sources()),
            ("INSERT OR REPLACE INTO cursors VALUES (?,?,?)", self._cursors()),
        )
        yield from (each for each in all_of_it if each[1])
        for statement, row in self.other:
            yield statement, [row]

    def _channels(self) -> list[Sequence[Any]]:
        return [
            (
                stream.number,
                stream.channel,
                stream.epoch,
                stream.offset,
                rows.packed_ancestors(stream.ancestors),
                stream.life_alarm.due,
                None if stream.history_alarm.due == inf else stream.history_alarm.due,
            )
            for stream in self.streams.values()
        ]

    def _events(self) -> list[Sequence[Any]]:
        return [
            (stream.number, event.offset, rows.packed(event))
            for stream, event in self.events
            if stream.number not in self.gone and event.offset >= stream.kept
        ]

    def _cut(self) -> list[Sequence[Any]]:
        return [(number, stream.kept) for number, stream in self.cut.items() if number not in self.gone]

    def _lost_keys(self) -> list[Sequence[Any]]:
        return [at for at, stream in self.keys.items() if at[1] not in stream.keys and at[0] not in self.gone]

    def _keys(self) -> list[Sequence[Any]]:
        found: list[Sequence[Any]] = []
        for (number, key), stream in self.keys.items():
            held = stream.keys.get(key)
            if held is not None and number not in self.gone:
                attempt, last = held.version or (None, None)
                event = held.event
                body = rows.packed(event)
                times = held.expires, held.lease_due
                found.append((number, key, event.offset, body, attempt, last, held.closed, *times))
        return found

    def _answers(self) -> list[Sequence[Any]]:
        found: list[Sequence[Any]] = []
        for (number, name), (stream, own) in self.answers.items():
            answer = stream.answers.find(name, 0.0)
            if answer is not None and number not in self.gone:
                found.append((number, *name, answer.body, answer.offset, answer.expires, own))
        return found

    def _sources(self) -> list[Sequence[Any]]:
        return [
            (number, name, *stream.sources[name])
            for (number, name), stream in self.sources.items()
            if number not in self.gone
        ]

    def _cursors(self) -> list[Sequence[Any]]:
        return [
            (number, user, stream.cursors[user])
            for (number, user), stream in self.cursors.items()
            if number not in self.gone
        ]

    def written(self) -> None:
        """All of it stands in the file."""
        for stream in self.streams.values():
            stream.life_written = stream.life_alarm.due
