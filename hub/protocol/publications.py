"""What a publisher may ask for: one event, and the check that makes it of a decoded message."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import fields
from .codec import describe, dumps_json
from .errors import HubError
from .event import Source, Version
from .fields import CommandId, bad

LEASE_MS = range(1_000, 3_600_001)
EVENT_ID_TTL_MS = range(1_000, 7 * 86_400_000 + 1)
META_ENTRIES = 16
META_BYTES = 1024  # of JSON
META_NAME = "[a-z][a-z0-9_.-]{0,63}"
MAX_SOURCE = 255  # characters of a source's name
MAX_WARNINGS = 8  # of one answer: who sends a hundred unknown fields has seen the point

MAX_BATCH = 100  # events of one command

_BATCH = frozenset({"type", "id", "events", "ordered"})
_META_NAME = re.compile(rf"{META_NAME}\Z")
_USUAL = frozenset({"type", "id", "channel", "event", "payload", "key", "final", "version", "event_id"})
_KNOWN = _USUAL | {"event_id_ttl_ms", "lease_ms", "meta", "source"}


@dataclass(slots=True)  # one that is frozen costs 2 µs more to make
class Publish:
    """Publish an event; `payload` and `meta` are JSON. `warnings` are for the answer.

    `answered`: also without an `id`, as a person expects it.
    """

    id: CommandId
    channel: str
    event: str
    payload: bytes
    key: str | None = None
    final: bool = False
    version: Version | None = None
    event_id: str | None = None
    lease_ms: int | None = None
    event_id_ttl_ms: int | None = None
    meta: bytes | None = None
    source: Source | None = None
    warnings: tuple[str, ...] = field(default=(), compare=False)
    answered: bool = field(default=False, compare=False)


@dataclass(slots=True)  # one that is frozen costs 2 µs more to make
class Batch:
    """Publish several events, each with its own answer; one that was not readable stands as its error.

    `ordered`: what is stored for a channel is a prefix of its entries that were not refused for good.
    """

    id: CommandId
    entries: tuple[Publish | HubError, ...]
    ordered: bool = False
    warnings: tuple[str, ...] = field(default=(), compare=False)


def parse_batch(id: CommandId, message: Mapping[str, Any]) -> Batch:
    """The command `batch`.

    Raises:
        HubError: ``bad_message``.
    """
    events = message.get("events")
    if not isinstance(events, list) or not 1 <= len(events) <= MAX_BATCH:
        raise bad(f"events must be a list of 1 to {MAX_BATCH}")
    ordered = fields.flag(message, "ordered", False)
    entries = tuple(parse_entry(None, entry) for entry in events)
    return Batch(id, entries, ordered, unknown_fields(message, _BATCH))


def parse_publish(id: CommandId, message: Mapping[str, Any]) -> Publish:
    """The fields of a publication, over a socket or by HTTP.

    Raises:
        HubError: ``bad_message`` or ``bad_channel``.
    """
    event = fields.name(message, "event")
    if event.startswith("hub."):
        raise bad("event must not begin with hub.: these types are the hub's own")
    if "payload" not in message:
        raise bad("payload is missing; null is allowed")
    payload = message["payload"]
    command = Publish(
        id,
        fields.channel(message),
        event,
        payload if type(payload) is bytes else dumps_json(payload),
        fields.optional_name(message, "key"),
        fields.flag(message, "final", False),
        _version(message.get("version")),
        fields.optional_name(message, "event_id"),
    )
    if not _USUAL.issuperset(message):
        _add_unusual(command, message)
    return command


def _add_unusual(command: Publish, message: Mapping[str, Any]) -> None:
    """What few publications bear, so that the others do not pay for it."""
    if "source" in message:
        command.source = _source(message["source"])
    if "lease_ms" in message:
        command.lease_ms = _milliseconds(message["lease_ms"], "lease_ms", LEASE_MS, "1 s to 1 h")
    if "event_id_ttl_ms" in message:
        command.event_id_ttl_ms = _remembered(message["event_id_ttl_ms"], command.event_id)
    if "meta" in message:
        command.meta = parse_meta(message["meta"])
    command.warnings = unknown_fields(message, _KNOWN)


def parse_entry(id: CommandId, entry: Any) -> Publish | HubError:
    """One event of a batch, or what is wrong with it: its error answers this entry only."""
    if isinstance(entry, HubError):
        return entry
    if not isinstance(entry, dict):
        return bad(f"an event must be an object, not {describe(entry)}")
    try:
        return parse_publish(id, entry)
    except HubError as error:
        channel = entry.get("channel")
        error.channel = channel[:256] if isinstance(channel, str) else None
        return error


def unknown_fields(message: Mapping[str, Any], known: frozenset[str]) -> tuple[str, ...]:
    """A warning for each field that is not looked at, so that a slip of the keyboard is seen."""
    if known.issuperset(message):
        return ()
    unknown = [name for name in message if name not in known]
    return tuple(f'unknown field "{name[:64]}"' for name in unknown[:MAX_WARNINGS])


def _version(value: Any) -> Version | None:
    return None if value is None else Version(*fields.pair(value, "version", "attempt"))


def _milliseconds(value: Any, name: str, allowed: range, words: str) -> int | None:
    if value is None:
        return None
    if type(value) is not int or value not in allowed:
        raise bad(f"{name} must be an integer from {allowed.start} to {allowed.stop - 1} ({words})")
    return value


def _remembered(value: Any, event_id: str | None) -> int | None:
    ttl = _milliseconds(value, "event_id_ttl_ms", EVENT_ID_TTL_MS, "1 s to 7 days")
    if ttl is not None and event_id is None:
        raise bad("event_id_ttl_ms needs an event_id: it says how long that is remembered")
    return ttl


def parse_meta(value: Any) -> bytes | None:
    """A publication's `meta`, as JSON.

    Raises:
        HubError: ``bad_message``.
    """
    if value is None:
        return None
    if not isinstance(value, dict):
        raise bad(f"meta must be an object of strings, not {describe(value)}")
    if len(value) > META_ENTRIES:
        raise bad(f"meta has {len(value)} entries, {META_ENTRIES} are allowed")
    for name, text in value.items():
        if _META_NAME.match(name) is None:
            raise bad(f"a name in meta must match {META_NAME}")
        if not isinstance(text, str):
            raise bad(f"meta.{name} must be a string, not {describe(text)}")
    meta = dumps_json(value)
    if len(meta) > META_BYTES:
        raise bad(f"meta is {len(meta)} bytes of JSON, {META_BYTES} are allowed")
    return meta


def _source(value: Any) -> Source | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise bad(f"source must be an object with name and position, not {describe(value)}")
    try:
        name = fields.name(value, "name", MAX_SOURCE)
        return Source(name, Version(*fields.pair(value.get("position"), "position", "generation")))
    except HubError as error:
        raise bad(f"source: {error.reason}") from None
