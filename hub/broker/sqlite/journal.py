"""What changed since the last commit, and the statements that write it: few, whatever changed."""

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ...namespaces import Namespace
from ...protocol.event import Event
from ..memory.answers import Name
from ..memory.streams import Stream
from . import rows
from .rows import OF_A_CHANNEL

_LIFE_PART = 8  # an unused channel's life is written anew when an eighth of it is over


class StoredStream(Stream):
    """A stream that has a number in the file. `rows` are those of its events there, from the offset `kept` on;
    `left` are those of older ones, by offset, which are the latest of a key. `life_written` is until when it
    lives by the file."""

    __slots__ = ("kept", "left", "life_written", "number", "rows")

    digest = staticmethod(rows.digest)

    def __init__(
        self,
        channel: str,
        rules: Namespace,
        epoch: str,
        forget: Callable[[Stream], None],
        prune: Callable[[Stream], None],
    ) -> None:
        super().__init__(channel, rules, epoch, forget, prune)
        self.number = 0
        self.kept = 1
        self.rows = array("q")
        self.left: dict[int, int] = {}
        self.life_written = 0.0

    def cut(self) -> Iterator[int]:
        """Let go of the rows of events that are not in the history any more, and are no key's latest."""
        kept = self.offset + 1 - len(self.events)
        gone = self.rows[: kept - self.kept]
        del self.rows[: kept - self.kept]
        latest = self._latest_below(kept)
        for offset, row in enumerate(gone, self.kept):
            if offset in latest:
                self.left[offset] = row
            else:
                yield row
        self.kept = kept

    def _latest_below(self, kept: int) -> set[int]:
        found: set[int] = set()
        for held in self.keys.values():  # in the order of offsets
            if held.event.offset >= kept:
                break
            found.add(held.event.offset)
        return found


def outlives(stream: StoredStream) -> bool:
    """Whether it lives so much longer than the file says that this is worth a write."""
    return stream.life_alarm.due - stream.life_written > stream.life / _LIFE_PART


class Journal:
    """What changed since the last commit. Live objects are noted: what is written is how they are then."""

    def __init__(self) -> None:
        self.streams: dict[int, StoredStream] = {}
        self.gone: set[int] = set()
        self.events: list[tuple[StoredStream, int, Event]] = []
        self.dropped: list[tuple[int]] = []
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
            ("INSERT INTO events VALUES (?,?,?,?)", self._events()),
            ("DELETE FROM events WHERE id = ?", [*self.dropped]),
            ("DELETE FROM keys WHERE channel = ? AND key = ?", self._lost_keys()),
            ("INSERT OR REPLACE INTO keys VALUES (?,?,?,?,?,?,?,?)", self._keys()),
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
                stream.kept,
                rows.packed_ancestors(stream.ancestors),
                stream.life_alarm.due,
            )
            for stream in self.streams.values()
        ]

    def _events(self) -> list[Sequence[Any]]:
        return [
            (row, stream.number, event.offset, rows.packed(event))
            for stream, row, event in self.events
            if stream.number not in self.gone
        ]

    def _lost_keys(self) -> list[Sequence[Any]]:
        return [at for at, stream in self.keys.items() if at[1] not in stream.keys and at[0] not in self.gone]

    def _keys(self) -> list[Sequence[Any]]:
        found: list[Sequence[Any]] = []
        for (number, key), stream in self.keys.items():
            held = stream.keys.get(key)
            if held is not None and number not in self.gone:
                attempt, last = held.version or (None, None)
                times = held.expires, held.lease_due
                found.append((number, key, held.event.offset, attempt, last, held.closed, *times))
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
        for stream, _, _ in self.events:
            stream.life_written = stream.life_alarm.due
