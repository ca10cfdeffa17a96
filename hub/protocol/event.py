"""Events, and publications that become events."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from .codec import transcode
from .dialects import AnyEncoding, Dialect
from .frames import Encoding, frame
from .position import Position
from .stream import written
from .values import normal

_OVERHEAD = 200  # bytes of an event's objects and names beside its payload, for budgets


class Version(NamedTuple):
    """A publisher's own order of the events of one key: first the attempt, then the number in it."""

    attempt: int
    number: int

    def wire(self) -> int | list[int]:
        """As the contract writes it: n means [0, n]."""
        return self.number if self.attempt == 0 else [self.attempt, self.number]


class Source(NamedTuple):
    """Where a publication comes from, and how far in it: all that came before it for its channel was handed on.

    `position` is the source's generation and the number in it, compared as versions are.
    """

    name: str
    position: Version


class Event:
    """One item of application data in a channel: immutable, encoded and framed once for every receiver.

    `offset` is 0 on ephemeral channels. `payload` is checked JSON. `sender` is the publishing user where it
    was no service (`from` on the wire). `epoch` is the numbering's name as the node knew it that handed the event
    on; "" until then. `meta` is a checked JSON object of strings. `origin` is the publishing
    connection, known to the hub only (``echo: false``), and never on the wire.
    """

    __slots__ = (
        "_json",
        "_msgpack",
        "_others",
        "channel",
        "epoch",
        "final",
        "id",
        "key",
        "meta",
        "offset",
        "origin",
        "payload",
        "sender",
        "time",
        "type",
        "version",
    )

    def __init__(
        self,
        channel: str,
        offset: int,
        id: str,
        time: int,
        type: str,
        payload: bytes,
        *,
        key: str | None = None,
        final: bool = False,
        version: Version | None = None,
        sender: str | None = None,
        origin: str | None = None,
        meta: bytes | None = None,
    ) -> None:
        self.channel = channel
        self.offset = offset
        self.id = id
        self.time = time
        self.type = type
        self.payload = payload
        self.key = key
        self.final = final
        self.version = version
        self.sender = sender
        self.origin = origin
        self.meta = meta
        self.epoch = ""
        self._json: bytes | None = None
        self._msgpack: bytes | None = None
        self._others: dict[AnyEncoding, bytes] | None = None

    @property
    def size(self) -> int:
        """Bytes that this event occupies, about: for queue and memory budgets."""
        return len(self.payload) + _OVERHEAD + (0 if self.meta is None else len(self.meta))

    def frame(self, encoding: AnyEncoding) -> bytes:
        """The frame that every receiver of `encoding` gets: the same bytes object each time."""
        if encoding is Encoding.JSON:
            if self._json is None:
                self._json = frame(self.body(), Encoding.JSON)
            return self._json
        if encoding is not Encoding.MSGPACK:
            return self._other(encoding)
        if self._msgpack is None:
            self._msgpack = frame(transcode(self.body()), Encoding.MSGPACK)
        return self._msgpack

    def conflated_frame(self, encoding: AnyEncoding, conflated: int) -> bytes:
        """The frame for one receiver that did not get the `conflated` offsets before this one."""
        if isinstance(encoding, Dialect):
            return self.frame(encoding)  # its clients have no word for what was left out
        body = self.body(conflated)
        if encoding > Encoding.MSGPACK:
            return written(encoding, self.type, self.channel, self._at, body)
        return frame(body if encoding is Encoding.JSON else transcode(body), encoding)

    def _other(self, encoding: AnyEncoding) -> bytes:
        if self._others is None:
            self._others = {}
        block = self._others.get(encoding)
        if block is None:
            if isinstance(encoding, Dialect):
                block = encoding.frames(self.fields())
            else:
                block = written(encoding, self.type, self.channel, self._at, self.body())
            self._others[encoding] = block
        return block

    @property
    def _at(self) -> Position | None:
        return Position(self.epoch, self.offset) if self.offset else None

    def body(self, conflated: int = 0) -> bytes:
        """The JSON of the event."""
        return orjson.dumps(self.fields(conflated))

    def fields(self, conflated: int = 0) -> dict[str, Any]:
        """The event as the contract writes it, its payload a JSON fragment."""
        fields: dict[str, Any] = {"type": self.type, "channel": self.channel}
        if self.offset:
            fields["offset"] = self.offset
        fields["id"] = self.id
        fields["time"] = self.time
        if self.key is not None:
            fields["key"] = self.key
        if self.final:
            fields["final"] = True
        if self.version is not None:
            fields["version"] = self.version.wire()
        if self.sender is not None:
            fields["from"] = self.sender
        if conflated:
            fields["conflated"] = conflated
        if self.meta is not None:
            fields["meta"] = orjson.Fragment(self.meta)
        fields["payload"] = orjson.Fragment(self.payload)
        return fields

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Event) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash((self.channel, self.offset, self.id))

    def __repr__(self) -> str:
        return f"Event({self.channel} {self.offset} {self.type} {self.id})"

    def _identity(self) -> tuple[object, ...]:
        return (
            self.channel,
            self.offset,
            self.id,
            self.time,
            self.type,
            self.payload,
            self.key,
            self.final,
            self.version,
            self.sender,
            self.origin,
            self.meta,
        )


class Burst:
    """Events of one channel that leave in the same turn of the loop: joined once for each encoding."""

    __slots__ = ("_joined", "events")

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self._joined: dict[AnyEncoding, bytes] = {}

    def frames(self, encoding: AnyEncoding) -> bytes:
        """All frames of the burst, one after the other."""
        joined = self._joined.get(encoding)
        if joined is None:
            frames = [event.frame(encoding) for event in self.events]
            joined = self._joined[encoding] = frames[0] if len(frames) == 1 else b"".join(frames)
        return joined


@dataclass(slots=True)  # one that is frozen costs 2 µs more to make
class Publication:
    """What a publisher asked for, checked at the edge; the broker makes an `Event` of it.

    `publisher` is whom an `event_id` belongs to: the token's `sub` or the key's name. `event_id` is None
    where the publisher gave none (then nothing is deduplicated), and remembered for `event_id_ttl_ms`, else
    for 5 minutes. `lease_ms` is 1,000 to 3,600,000.
    """

    channel: str
    type: str
    payload: bytes
    publisher: str
    event_id: str | None = None
    key: str | None = None
    final: bool = False
    version: Version | None = None
    lease_ms: int | None = None
    sender: str | None = None
    origin: str | None = None
    event_id_ttl_ms: int | None = None
    meta: bytes | None = None
    source: Source | None = None

    @property
    def body(self) -> tuple[object, ...]:
        """What an ``event_id`` stands for: a second publication of the same id has to be equal in it.

        `meta` is no part of it: a repetition has another trace.
        """
        return self.body_with(self.payload)

    def body_with(self, payload: bytes) -> tuple[object, ...]:
        """`body`, had the payload been written as this."""
        return self.type, normal(payload), self.key, self.final, self.version, self.lease_ms
