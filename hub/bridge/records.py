"""What a source gives: records, in batches of one partition."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Place = int | tuple[int, int]
"""Where a record stands in its partition: an integer, or generation and number; compared as versions are."""


@dataclass(slots=True)
class Record:
    """One message of a source.

    `place` is None where the source has no stable positions; then `id` is all that tells a repetition.
    `handle` belongs to the source: what it needs to acknowledge the message.
    """

    value: bytes
    place: Place | None = None
    id: str | None = None
    key: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    time_ms: int | None = None
    tries: int = 1
    handle: Any = None


def where(record: Record) -> str:
    """Where a record stands, as a dead letter names it: its place or identity, else what its bytes are."""
    if record.place is None:
        return record.id or f"sha256:{hashlib.sha256(record.value).hexdigest()[:16]}"
    return ":".join(map(str, record.place)) if isinstance(record.place, tuple) else str(record.place)


@dataclass(slots=True)
class Batch:
    """Records of one partition, in their order there."""

    partition: str
    records: Sequence[Record]


class ReadSize:
    """How many records to ask for, so that some megabytes come, however long they are: for systems that can't be
    asked for bytes. `count` begins small, and grows as far as what came allows."""

    FIRST = 64
    BYTES = 2_097_152

    def __init__(self, most: int) -> None:
        self.count = min(most, self.FIRST)
        self._most = most

    def learn(self, records: Sequence[Record]) -> None:
        """These came at once."""
        if records:
            size = max(1, sum(len(record.value) for record in records))
            self.count = max(1, min(self._most, 4 * self.count, self.BYTES * len(records) // size))
