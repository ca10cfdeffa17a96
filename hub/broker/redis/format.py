"""The bytes of stored entries and of announcements, version first.

    entry         version, then MessagePack
                  [id, time, type, payload, key, final, attempt, number, sender, origin], then what there is
                  of [meta]; what follows it is of a later release, and left alone
    announcement  version, kind, then
      e  epoch|offset|entry      an event (ephemeral: |0|entry)
      r                          the numbering began anew: everybody look. What follows says why: "parts" were lost,
                                 "deleted"; after "key" it has not, and a key was deleted
      p  MessagePack [change, user, name, named, owner, info, state]
      a  MessagePack [user, epoch, cursor, unread]

Redis is a trust boundary: whatever does not read as written here raises `Unreadable`, and is counted and
skipped. The scripts build the announcements; the two sides are kept together by the tests of the round trip.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgpack

from ...protocol.codec import is_json
from ...protocol.event import Event, Publication, Version
from ...protocol.position import Position
from ..base import Inbox, Member

VERSION = 1
_HEAD = bytes([VERSION])
_pack = msgpack.Packer().pack
EVENT, RESET, PRESENCE, ACK = b"erpa"


class Unreadable(ValueError):
    """Bytes that are no entry or announcement of this version."""


def entry(publication: Publication, event_id: str, time_ms: int) -> bytes:
    """What is stored of a publication."""
    version = publication.version
    fields: tuple[object, ...] = (
        event_id,
        time_ms,
        publication.type,
        publication.payload,
        publication.key,
        publication.final,
        None if version is None else version.attempt,
        None if version is None else version.number,
        publication.sender,
        publication.origin,
    )
    if publication.meta is not None:
        fields = (*fields, publication.meta)
    body: bytes = _pack(fields)
    return _HEAD + body


def event(channel: str, offset: int, data: bytes) -> Event:
    """The event of an entry."""
    id, time, type, payload, key, final, attempt, number, sender, origin, *more = _unpack(data, 10)
    meta = more[0] if more and isinstance(more[0], bytes) else None  # another release's tail is no fault
    if not (
        isinstance(id, str)
        and isinstance(time, int)
        and isinstance(type, str)
        and isinstance(payload, bytes)
        and is_json(payload)
        and (key is None or isinstance(key, str))
        and (sender is None or isinstance(sender, str))
        and (origin is None or isinstance(origin, str))
        and (attempt is None or (isinstance(attempt, int) and isinstance(number, int)))
    ):
        raise Unreadable("an entry whose fields are of other types")
    return Event(
        channel,
        offset,
        id,
        time,
        type,
        payload,
        key=key,
        final=bool(final),
        version=None if attempt is None else Version(attempt, number),
        sender=sender,
        origin=origin,
        meta=meta,
    )


def announced(channel: str, data: bytes) -> tuple[str, Event]:
    """The epoch and the event of an announcement of kind `EVENT`."""
    epoch, _, rest = data[2:].partition(b"|")
    offset, bar, blob = rest.partition(b"|")
    if not bar or not offset.isdigit() or len(offset) > 16:
        raise Unreadable("an announcement without position")
    return epoch.decode("ascii", "replace"), event(channel, int(offset), blob)


def why_reset(data: bytes) -> bytes:
    """What an announcement of kind `RESET` says of its cause; "" for nothing."""
    return data[2:]


def ephemeral(blob: bytes) -> bytes:
    """The announcement of an event that is not stored."""
    return _HEAD + b"e|0|" + blob


def kind(data: bytes) -> int:
    """What an announcement is: `EVENT`, `RESET`, `PRESENCE` or `ACK`."""
    if len(data) < 2 or data[0] != VERSION:
        raise Unreadable("another version" if data else "nothing")
    return data[1]


def presence(data: bytes) -> tuple[str, Member]:
    """The change and the member of an announcement of kind `PRESENCE`."""
    change, user, name, named, owner, info, state = _unpack(data[:1] + data[2:], 7)[:7]
    text = (change, user, name, owner)
    if not all(isinstance(part, str) for part in text) or change not in ("join", "leave", "update"):
        raise Unreadable("a presence whose fields are of other types")
    return change, Member(user, name, bool(named), owner, _optional(info), _optional(state))


def member(fields: Sequence[Any]) -> Member:
    """A member in a list of the scripts: number, user\\0name, owner, named, info ("" for none), state."""
    try:
        _, field, owner, named, info, state = fields
        user, _, name = field.decode().partition("\0")
        return Member(
            user, name, named == 1, owner.decode(), _optional(info or None), _optional(state or None)
        )
    except (ValueError, AttributeError) as error:
        raise Unreadable(f"no member: {error}") from None


def ack(data: bytes) -> tuple[str, Inbox]:
    """The user and the inbox of an announcement of kind `ACK`."""
    user, epoch, cursor, unread = _unpack(data[:1] + data[2:], 4)[:4]
    if not (isinstance(user, str) and isinstance(epoch, str)):
        raise Unreadable("an ack whose fields are of other types")
    if not (isinstance(cursor, int) and isinstance(unread, int)):
        raise Unreadable("an ack whose fields are of other types")
    return user, Inbox(Position(epoch, cursor), unread)


def digest(publication: Publication) -> str:
    """What tells the body of a publication from another."""
    return _digest(publication.body)


def is_body(publication: Publication, payload: bytes, known: str) -> bool:
    """Whether a digest (`known`) is that of the publication, had its payload been written as this."""
    return _digest(publication.body_with(payload)) == known


def _digest(body: tuple[object, ...]) -> str:
    packed: bytes = _pack(body)
    return blake2b(packed, digest_size=12).hexdigest()


def digest_of_id(publisher: str, event_id: str) -> str:
    """The name under which an ``event_id`` of a publisher is remembered."""
    return blake2b(_pack((publisher, event_id)), digest_size=12).hexdigest()


def _unpack(data: bytes, count: int) -> list[Any]:
    if not data or data[0] != VERSION:
        raise Unreadable("another version" if data else "nothing")
    try:
        fields = msgpack.unpackb(memoryview(data)[1:], raw=False)
    except (ValueError, msgpack.UnpackException) as error:
        raise Unreadable(f"no MessagePack: {type(error).__name__}") from None
    if not isinstance(fields, list) or len(fields) < count:
        raise Unreadable("fields are missing")
    return fields


def _optional(value: object) -> bytes | None:
    if value is None or value is False:  # what the scripts' tables can hold for nothing
        return None
    if isinstance(value, str):  # the scripts' MessagePack knows one kind of string
        value = value.encode()
    if isinstance(value, bytes) and is_json(value):
        return value
    raise Unreadable("not JSON")
