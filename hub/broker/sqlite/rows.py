"""What the file holds: its tables, and the bytes of an event in them.

What a commit costs is the pages that it changes. So events of all channels stand one behind the other, as they
came, and are found again by their row; a key's row names its latest event, which stays though the history has let
go of it; and what the last event of a channel tells (its top, how long it lives) is not written a second time.
"""

from hashlib import blake2b
from typing import Any

import msgpack

from ...protocol.event import Event, Version

APPLICATION = 0x48554231  # "HUB1", where SQLite keeps whose a file is
VERSION = 2

SCHEMA = """
CREATE TABLE hub (commits INTEGER NOT NULL);
INSERT INTO hub VALUES (0);
CREATE TABLE channels (id INTEGER PRIMARY KEY, name TEXT NOT NULL, epoch TEXT NOT NULL, top INTEGER NOT NULL,
  first INTEGER NOT NULL, ancestors BLOB NOT NULL, life REAL NOT NULL);
CREATE TABLE events (id INTEGER PRIMARY KEY, channel INTEGER NOT NULL, position INTEGER NOT NULL,
  body BLOB NOT NULL);
CREATE TABLE keys (channel INTEGER, key TEXT, position INTEGER NOT NULL, attempt INTEGER, number INTEGER,
  closed INTEGER NOT NULL, expires REAL NOT NULL, lease REAL, PRIMARY KEY (channel, key)) WITHOUT ROWID;
CREATE TABLE answers (channel INTEGER, publisher TEXT, event_id TEXT, body INTEGER NOT NULL,
  position INTEGER NOT NULL, expires REAL NOT NULL, own INTEGER NOT NULL,
  PRIMARY KEY (channel, publisher, event_id)) WITHOUT ROWID;
CREATE INDEX answers_by_end ON answers (channel, expires);
CREATE TABLE sources (channel INTEGER, name TEXT, generation INTEGER NOT NULL, number INTEGER NOT NULL,
  PRIMARY KEY (channel, name)) WITHOUT ROWID;
CREATE TABLE cursors (channel INTEGER, user TEXT, position INTEGER NOT NULL, PRIMARY KEY (channel, user))
  WITHOUT ROWID;
CREATE TABLE tickets (digest TEXT PRIMARY KEY, claims BLOB NOT NULL, until REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE revocations (entry TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE signed (entry TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE letters (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, letter BLOB NOT NULL);
"""

OF_A_CHANNEL = ("keys", "answers", "sources", "cursors")

_pack = msgpack.Packer().pack


def packed(event: Event) -> bytes:
    """What is kept of an event, beside its channel and offset."""
    version = event.version
    fields = (
        event.id,
        event.time,
        event.type,
        event.payload,
        event.key,
        event.final,
        None if version is None else tuple(version),
        event.sender,
        event.origin,
        event.meta,
    )
    body: bytes = _pack(fields)
    return body


def unpacked(channel: str, offset: int, body: bytes) -> Event:
    """The event again."""
    id, time, type, payload, key, final, version, sender, origin, meta = msgpack.unpackb(body)
    return Event(
        channel,
        offset,
        id,
        time,
        type,
        payload,
        key=key,
        final=final,
        version=None if version is None else Version(*version),
        sender=sender,
        origin=origin,
        meta=meta,
    )


def digest(body: tuple[object, ...]) -> int:
    """What stands for a publication's body, the same in every process: what `hash` gives is not."""
    return int.from_bytes(blake2b(_pack(body), digest_size=8).digest(), "big", signed=True)


def packed_ancestors(ancestors: tuple[Any, ...]) -> bytes:
    """The numberings that one came from."""
    body: bytes = _pack(ancestors)
    return body
