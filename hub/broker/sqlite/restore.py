"""From the file back into memory."""

import sqlite3
from collections.abc import Callable
from functools import partial
from math import inf
from random import getrandbits

import msgpack

from ...namespaces import Mode, Namespace, Namespaces
from ...protocol import ids
from ...protocol.errors import HubError
from ...protocol.event import Event, Version
from ...protocol.position import NOTHING, Position
from ..memory.answers import IDEMPOTENCY_S
from ..memory.streams import Keyed, Stream
from ..memory.timers import Alarm
from .journal import StoredStream
from .registry import StoredLetters, StoredRegistry
from .rows import unpacked

REMEMBERED = 16  # ancestors of a numbering

Begin = Callable[[int, str, Namespace, str], StoredStream]
Due = Callable[[Stream, str], None]
SetAlarm = Callable[[Alarm, float], None]


def streams(
    db: sqlite3.Connection, namespaces: Namespaces, begin: Begin, due: Due, set_alarm: SetAlarm
) -> int:
    """Bring back each channel, by its number, name, rules and epoch; the highest number. `due` is what happens to a
    key at its time.

    Channels of namespaces that are no more, or are not stored any more, are left alone.
    """
    highest = 0
    for number, name, epoch, top, ancestors, life, history in db.execute("SELECT * FROM channels").fetchall():
        highest = max(highest, number)
        try:
            rules = namespaces.of(name)
        except HubError:
            continue
        if rules.stored:
            stream = begin(number, name, rules, epoch)
            stream.offset = top
            stream.ancestors = tuple(Position(*each) for each in msgpack.unpackb(ancestors))
            stream.life_written = life
            _fill(db, stream, due, set_alarm)
            set_alarm(stream.life_alarm, life)
            set_alarm(stream.history_alarm, inf if history is None else history)
    return highest


def _fill(db: sqlite3.Connection, stream: StoredStream, due: Due, set_alarm: SetAlarm) -> None:
    of = (stream.number,)
    found = db.execute("SELECT position, body FROM events WHERE channel = ? ORDER BY position", of)
    stream.events = _run([unpacked(stream.channel, *row) for row in found], stream.offset)
    stream.kept = stream.offset + 1 - len(stream.events)
    if stream.rules.mode is Mode.STATE:
        _keys(db, stream, due, set_alarm)
    answers = db.execute("SELECT * FROM answers WHERE channel = ? ORDER BY expires", of)
    for _, publisher, event_id, body, offset, expires, own in answers:
        begun, ttl_ms = (0.0, int(expires * 1000)) if own else (expires - IDEMPOTENCY_S, None)
        stream.answers.put((publisher, event_id), body, offset, begun, ttl_ms)
    if stream.answers:
        set_alarm(stream.answers_alarm, stream.answers.first_end)
    sources = db.execute("SELECT name, generation, number FROM sources WHERE channel = ?", of)
    stream.sources.update({name: Version(*position) for name, *position in sources})
    stream.cursors.update(db.execute("SELECT user, position FROM cursors WHERE channel = ?", of))


def _keys(db: sqlite3.Connection, stream: StoredStream, due: Due, set_alarm: SetAlarm) -> None:
    rows = db.execute("SELECT * FROM keys WHERE channel = ? ORDER BY position", (stream.number,))
    for _, key, offset, body, attempt, number, closed, expires, lease in rows:
        held = Keyed(Alarm(partial(due, stream, key)))
        held.event = unpacked(stream.channel, offset, body)
        held.version = None if attempt is None else Version(attempt, number)
        held.closed, held.expires, held.lease_due = bool(closed), expires, lease
        stream.keys[key] = held
        set_alarm(held.alarm, expires if lease is None else min(expires, lease))


def _run(events: list[Event], top: int) -> list[Event]:
    """Those that make a run without holes up to the top."""
    start = len(events)
    while start and events[start - 1].offset == top - (len(events) - start):
        start -= 1
    return events[start:]


def others(db: sqlite3.Connection, now: float, registry: StoredRegistry, letters: StoredLetters) -> None:
    """Bring back tickets, revocations and dead letters."""
    valid = "WHERE until > ?"
    registry.bring_back(
        *(
            db.execute(f"SELECT * FROM {table} {valid}", (now,)).fetchall()  # noqa: S608  # names of ours
            for table in ("tickets", "revocations", "signed")
        )
    )
    letters.bring_back(db.execute("SELECT id, letter FROM letters ORDER BY number").fetchall())


def fork(stream: Stream) -> None:
    """The numbering may lack what it gave out: another one goes on from here."""
    older = [each for each in stream.ancestors if each.offset != NOTHING][: REMEMBERED - 1]
    stream.ancestors = (Position(stream.epoch, stream.offset), *older)
    stream.epoch = ids.epoch(getrandbits(ids.EPOCH_BITS))
