"""From a record to publications, by a bridge's settings."""

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Any

import jmespath
import jmespath.exceptions
import orjson

from hub.protocol.channels import namespace_of
from hub.protocol.errors import HubError
from hub.protocol.fields import MAX_NAME

from . import formats
from .records import Record
from .settings import MappingSettings
from .templates import BadTemplate, Document, Get, Missing, as_text, template

MAX_CHANNELS = 100
LONGEST_META = 200
_PLAIN = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*\Z", re.ASCII)


class Poison(Exception):
    """A record that no repetition will make good: it becomes a dead letter. `code` is one of the contract's."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Mapper:
    """Compiled once. `partition` of a call is the source's, for the settings of templates.

    Raises:
        BadTemplate: a template or an expression of the settings is wrong.
    """

    def __init__(self, settings: MappingSettings) -> None:
        self._settings = settings
        texts = [settings.channel] if isinstance(settings.channel, str) else settings.channel
        self._channels = [template(text) for text in texts]
        self._channel = self._channels[0] if len(texts) == 1 else None
        self._event = template(settings.event)
        self._optional: dict[str, Get] = {
            name: template(text)
            for name, text in (("key", settings.key), ("event_id", settings.id))
            if text is not None
        }
        self._version = template(settings.version) if settings.version is not None else None
        self._filter = _expression("filter", settings.filter) if settings.filter else None
        self._final = _expression("final", settings.final) if settings.final else None
        self._json = settings.format == "json"
        self._whole = settings.payload == "data" and self._json
        self._payload = _expression("payload", settings.payload)

    def map(self, record: Record, partition: str) -> list[dict[str, Any]]:
        """The publications of a record: an event a channel, as ``POST /v1/batch`` takes them, without `source`.
        None of them where it is left out on purpose.

        Raises:
            Poison: it can't be handed on.
        """
        tombstone = not record.value and self._json
        if tombstone and self._settings.tombstone == "skip":
            return []
        try:
            document = self._document(record, partition, tombstone)
            if self._filter is not None and not self._filter(document):
                return []
            return self._events(record, document, tombstone)
        except (Missing, formats.Unreadable) as error:
            raise Poison("bad_message", str(error)) from None
        except HubError as error:
            raise Poison(error.code.value, error.reason) from None

    def _document(self, record: Record, partition: str, tombstone: bool) -> dict[str, Any]:
        if tombstone and self._settings.tombstone == "final":
            return {
                "data": None,
                "headers": record.headers,
                "key": record.key,
                "partition": partition,
                "time": record.time_ms,
            }
        return formats.read(self._settings.format, record, partition)

    def _events(self, record: Record, document: Document, tombstone: bool) -> list[dict[str, Any]]:
        event: dict[str, Any] = {"event": as_text(self._event(document), "event")}
        for name, get in self._optional.items():
            if (value := get(document)) is not None:
                text = as_text(value, name)
                event[name] = event_id(text) if name == "event_id" else text
        if self._version is not None and (version := self._version(document)) is not None:
            event["version"] = _version(version)
        if tombstone or (self._final is not None and self._final(document)):
            event["final"] = True
        if self._settings.meta and (meta := self._meta(record, document)):
            event["meta"] = meta
        event["payload"] = self._body(record, document)
        return self._addressed(event, document)

    def _addressed(self, event: dict[str, Any], document: Document) -> list[dict[str, Any]]:
        """To each channel that the message names; most settings name one."""
        if self._channel is not None and type(name := self._channel(document)) is str and name:
            namespace_of(name)
            event["channel"] = name
            return [event]
        return [{"channel": name, **event} for name in self._names(document)]

    def _names(self, document: Document) -> list[str]:
        names: list[str] = []
        for get in self._channels:
            value = get(document)
            for each in value if isinstance(value, list) else [value]:
                name = as_text(each, "channel")
                namespace_of(name)
                if name not in names:
                    names.append(name)
        if not names:
            raise Missing("the message names no channel")
        if len(names) > MAX_CHANNELS:
            raise Missing(f"the message names {len(names)} channels, {MAX_CHANNELS} are allowed")
        return names

    def _body(self, record: Record, document: Document) -> Any:
        if self._whole and record.value:
            return orjson.Fragment(record.value)  # as it came: numbers, order of keys
        return self._payload(document)

    def _meta(self, record: Record, document: Document) -> dict[str, str]:
        found = {}
        for name in self._settings.meta:
            value = record.headers.get(name, document.get(name))
            if value is None and isinstance(document.get("data"), dict):
                value = document["data"].get(name)
            if isinstance(value, str | int) and not isinstance(value, bool):
                found[name] = str(value)[:LONGEST_META]
        return found


def event_id(identity: str) -> str:
    """A message's identity as an `event_id`: as it is where it fits, else what is made of it the same each time."""
    if len(identity) <= MAX_NAME and identity.isprintable():
        return identity
    return f"sha256:{hashlib.sha256(identity.encode(errors='surrogatepass')).hexdigest()}"


def _version(value: Any) -> Any:
    """A number, ``[attempt, n]``, or either as text."""
    if isinstance(value, str):
        try:
            numbers = [int(part) for part in value.split(":")]
        except ValueError:
            raise Missing("version is neither a number nor attempt:number") from None
        return numbers[0] if len(numbers) == 1 else numbers
    if isinstance(value, list | int) and not isinstance(value, bool):
        return value
    raise Missing(f"version is {type(value).__name__}, neither a number nor [attempt, n]")


def _expression(what: str, text: str) -> Callable[[Document], Any]:
    """A jmespath expression, compiled; a plain path, which most are, costs a twentieth of the general way."""
    if _PLAIN.match(text):
        return _field(text.split("."))
    try:
        compiled = jmespath.compile(text)
    except jmespath.exceptions.JMESPathError as error:
        raise BadTemplate(f"{what} is no jmespath expression: {str(error).splitlines()[0]}") from None

    def search(document: Document) -> Any:
        try:
            return compiled.search(document)
        except jmespath.exceptions.JMESPathError as error:
            raise Missing(f"{what}: {str(error).splitlines()[0]}") from None

    return search


def _field(steps: Sequence[str]) -> Callable[[Document], Any]:
    """As jmespath's own identifiers: null where there is none."""

    def get(document: Document) -> Any:
        value: Any = document
        for step in steps:
            if not isinstance(value, dict):
                return None
            value = value.get(step)
        return value

    return get
