"""From the file back into memory."""

import sqlite3
from collections.abc import Callable
from functools import partial
from random import getrandbits
from typing import NamedTuple

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


class Stored(NamedTuple):
    """An event as the file has it."""

    row: int
    event: Event


def streams(
    db: sqlite3.Connection, namespaces: Namespaces, begin: Begin, due: Due, set_alarm: SetAlarm
) -> tuple[int, int, list[int]]:
    """Bring back each channel, by its number, name, rules and epoch; the highest number, the last row of an event,
    and rows that are good for nothing. `due` is what happens to a key at its time.

    Channels of namespaces that are no more, or are not stored any more, are left alone.
    """
    highest, stray = 0, list[int]()
    events, last_row = _events(db)
    for number, name, epoch, top, first, ancestors, life in db.execute("SELECT * FROM channels").fetchall():
        highest = max(highest, number)
        found = events.pop(number, [])
        try:
            rules = namespaces.of(name)
        except HubError:
            continue
        if rules.stored:
            stream = begin(number, name, rules, epoch)
            stream.offset, stream.kept = top, first
            stream.ancestors = tuple(Position(*each) for each in msgpack.unpackb(ancestors))
            stream.life_written = life
            stored = [Stored(row, unpacked(name, position, body)) for row, position, body in found]
            stray += _fill(db, stream, stored, due, set_alarm)
    for found in events.values():
        stray += [row for row, *_ in found]
    return highest, last_row, stray


def _events(db: sqlite3.Connection) -> tuple[dict[int, list[tuple[int, int, bytes]]], int]:
    """The rows of each channel, in the order of offsets; and the last row of all."""
    found: dict[int, list[tuple[int, int, bytes]]] = {}
    row = 0
    for row, channel, position, body in db.execute(
        "SELECT id, channel, position, body FROM events ORDER BY id"
    ):
        found.setdefault(channel, []).append((row, position, body))
    return found, row


def _fill(
    db: sqlite3.Connection, stream: StoredStream, found: list[Stored], due: Due, set_alarm: SetAlarm
) -> list[int]:
    """All of a channel, from its rows; which of its events' are good for nothing."""
    if found:
        stream.offset = max(stream.offset, found[-1].event.offset)
        stream.life_written = max(stream.life_written, found[-1].event.time / 1000 + stream.rules.meta_ttl)
    history = _run([each for each in found if each.event.offset >= stream.kept], stream.offset)
    stream.events.extend(each.event for each in history)
    stream.rows.extend(each.row for each in history)
    stream.kept = stream.offset + 1 - len(history)
    older = {each.event.offset: each for each in found[: len(found) - len(history)]}
    if stream.rules.mode is Mode.STATE:
        _keys(db, stream, older, due, set_alarm)
    of = (stream.number,)
    answers = db.execute("SELECT * FROM answers WHERE channel = ? ORDER BY expires", of)
    for _, publisher, event_id, body, offset, expires, own in answers:
        begun, ttl_ms = (0.0, int(expires * 1000)) if own else (expires - IDEMPOTENCY_S, None)
        stream.answers.put((publisher, event_id), body, offset, begun, ttl_ms)
    if stream.answers:
        set_alarm(stream.answers_alarm, stream.answers.first_end)
    sources = db.execute("SELECT name, generation, number FROM sources WHERE channel = ?", of)
    stream.sources.update({name: Version(*position) for name, *position in sources})
    stream.cursors.update(db.execute("SELECT user, position FROM cursors WHERE channel = ?", of))
    set_alarm(stream.life_alarm, stream.life_written)
    if history:
        set_alarm(stream.history_alarm, history[-1].event.time / 1000 + stream.rules.history_ttl)
    return [each.row for offset, each in older.items() if offset not in stream.left]


def _keys(
    db: sqlite3.Connection, stream: StoredStream, older: dict[int, Stored], due: Due, set_alarm: SetAlarm
) -> None:
    """The snapshot; the latest event of each key is in the history, or among those that are `older`."""
    rows = db.execute(
        "SELECT key, position, attempt, number, closed, expires, lease FROM keys WHERE channel = ?"
        " ORDER BY position",
        (stream.number,),
    )
    for key, offset, attempt, number, closed, expires, lease in rows:
        held = Keyed(Alarm(partial(due, stream, key)))
        if offset >= stream.kept:
            held.event = stream.events[offset - stream.kept]
        else:
            stream.left[offset], held.event = older[offset]
        held.version = None if attempt is None else Version(attempt, number)
        held.closed, held.expires, held.lease_due = bool(closed), expires, lease
        stream.keys[key] = held
        set_alarm(held.alarm, expires if lease is None else min(expires, lease))


def _run(events: list[Stored], top: int) -> list[Stored]:
    """Those that make a run without holes up to the top."""
    start = len(events)
    while start and events[start - 1].event.offset == top - (len(events) - start):
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
