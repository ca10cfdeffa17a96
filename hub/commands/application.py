"""What the application around a hub is asked before a command takes effect: one Protocol, whoever answers.

Python handlers (`handlers`) and backends over HTTP (`proxies`) implement it. A node without either has none, and
pays one comparison with None.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ..auth.grants import Pattern, pattern
from ..auth.identity import Grants, Identity
from ..broker.base import untried
from ..connections.connection import Connection
from ..protocol import fields
from ..protocol.channels import namespace_of
from ..protocol.codec import dumps_json
from ..protocol.codes import ErrorCode, Outcome
from ..protocol.commands import Call, Subscribe
from ..protocol.errors import HubError
from ..protocol.event import Publication
from ..protocol.position import Position
from ..protocol.publications import parse_meta

log = logging.getLogger(__name__)

FAILED = "the application failed; the hub's log says why"
MAX_CHANNELS = 1000  # that one answer may add
MAX_INFO = 4096  # bytes of JSON


class Application(Protocol):
    """Each verb raises `HubError` to refuse, and that is the client's answer."""

    async def connect(self, connection: Connection, identity: Identity, *, renewal: bool) -> Identity:
        """Before a connection is let in, and again with each token that it renews: with which rights."""

    def asks_subscribe(self, channel: str) -> bool:
        """Whether `subscribe` has a say about this channel."""

    async def subscribe(self, connection: Connection, command: Subscribe) -> "Subscription":
        """Before a subscription that the rights allow."""

    def asks_publish(self, channel: str) -> bool:
        """Whether `publish` has a say about this channel."""

    async def publish(self, publication: Publication) -> Publication:
        """Before a publication that the rights allow is stored."""

    async def call(self, connection: Connection, command: Call) -> bytes:
        """What a client's call gives: JSON."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What becomes of a subscription: the command, and what presence shows of it instead (JSON)."""

    command: Subscribe
    info: bytes | None = None


class Applications:
    """Several, one after the other: each sees what those before it left."""

    def __init__(self, several: Sequence[Application]) -> None:
        self._all = several

    async def connect(self, connection: Connection, identity: Identity, *, renewal: bool) -> Identity:
        """As `Application.connect`."""
        for each in self._all:
            identity = await each.connect(connection, identity, renewal=renewal)
        return identity

    def asks_subscribe(self, channel: str) -> bool:
        """As `Application.asks_subscribe`."""
        return any(each.asks_subscribe(channel) for each in self._all)

    async def subscribe(self, connection: Connection, command: Subscribe) -> Subscription:
        """As `Application.subscribe`; the last `info` counts."""
        info = None
        for each in self._all:
            if each.asks_subscribe(command.channel):
                answer = await each.subscribe(connection, command)
                command, info = answer.command, answer.info or info
        return Subscription(command, info)

    def asks_publish(self, channel: str) -> bool:
        """As `Application.asks_publish`."""
        return any(each.asks_publish(channel) for each in self._all)

    async def publish(self, publication: Publication) -> Publication:
        """As `Application.publish`."""
        for each in self._all:
            if each.asks_publish(publication.channel):
                publication = await each.publish(publication)
        return publication

    async def call(self, connection: Connection, command: Call) -> bytes:
        """As `Application.call`, by the first that knows the method."""
        unknown = no_method(command.method)
        for each in self._all:
            try:
                return await each.call(connection, command)
            except HubError as error:
                if error.code is not ErrorCode.UNKNOWN_TYPE:
                    raise
        raise unknown


def no_method(method: str) -> HubError:
    """Nobody answers calls of this name."""
    return HubError(ErrorCode.UNKNOWN_TYPE, f"no handler answers calls of {method}")


async def asked(
    application: Application,
    publications: Sequence[Publication],
    check: Callable[[str, bytes], None],
    *,
    ordered: bool,
) -> list[Publication | HubError]:
    """Each publication as the application leaves it, or why not, one after the other: what it sees of a channel
    comes in order. `check` looks at a payload that it changed; `ordered` as `Broker.publish` has it."""
    results: list[Publication | HubError] = []
    held: set[str] = set()
    for publication in publications:
        channel = publication.channel
        if channel in held:
            results.append(untried(channel))
        elif not application.asks_publish(channel):
            results.append(publication)
        else:
            try:
                answer = await application.publish(publication)
                if answer.payload is not publication.payload:
                    _check_changed(answer, check)
                results.append(answer)
            except HubError as error:
                error.channel = channel
                results.append(error)
                if ordered and error.retry:
                    held.add(channel)
    return results


def _check_changed(publication: Publication, check: Callable[[str, bytes], None]) -> None:
    try:
        check(publication.channel, publication.payload)
    except HubError as error:  # no fault of the publisher's
        why = "%s: the application changed a payload to one that can't be published: %s"
        log.error(why, publication.channel, error.reason)
        raise HubError(ErrorCode.INTERNAL, FAILED, outcome=Outcome.NOT_DONE) from None


# What an answer may change. All of these raise ValueError or HubError with what is wrong: the answer is no good.


def changed(publication: Publication, changes: Mapping[str, Any]) -> Publication:
    """A publication with another `payload`, `key` or `meta`."""
    values: dict[str, Any] = {}
    if "payload" in changes:
        values["payload"] = dumps_json(changes["payload"])
    if "key" in changes:
        values["key"] = fields.optional_name(changes, "key")
        if values["key"] is None and (publication.version or publication.lease_ms):
            raise ValueError("version and lease_ms need a key")
    if "meta" in changes:
        values["meta"] = parse_meta(changes["meta"])
    return replace(publication, **values) if values else publication


def granted(identity: Identity, answer: Mapping[str, Any]) -> Identity:
    """An identity with more rights (`subscribe`, `publish`, `presence`: patterns) and more `channels`."""
    grants = identity.grants
    more = Grants(
        _wider(grants.subscribe, answer.get("subscribe")),
        _wider(grants.publish, answer.get("publish")),
        _wider(grants.presence, answer.get("presence")),
    )
    channels = _strings(answer.get("channels"), "channels")
    for channel in channels:
        namespace_of(channel)
    info = identity.info if answer.get("info") is None else json_info(answer["info"])
    merged = tuple(dict.fromkeys((*identity.channels, *channels)))
    return replace(identity, grants=more, channels=merged, info=info)


def positioned(command: Subscribe, since: Any) -> Subscribe:
    """A subscription that begins at another position: ``epoch:offset``, or "now" for live only."""
    if since is None:
        return command
    if since == "now":
        return replace(command, since=None)
    return replace(command, since=since if isinstance(since, Position) else fields.position(since, "since"))


def json_info(value: Any) -> bytes:
    """What presence shows."""
    info = dumps_json(value)
    if len(info) > MAX_INFO:
        raise ValueError(f"info is {len(info)} bytes of JSON, {MAX_INFO} are allowed")
    return info


def _wider(standing: Pattern, more: Any) -> Pattern:
    extra = _strings(more, "a grant")
    return pattern((*standing.patterns, *extra)) if extra else standing


def _strings(value: Any, what: str) -> tuple[str, ...]:
    if value is None:
        return ()
    good = isinstance(value, list | tuple) and all(isinstance(each, str) and each for each in value)
    if not good or len(value) > MAX_CHANNELS:
        raise ValueError(f"{what} must be a list of at most {MAX_CHANNELS} strings")
    return tuple(value)
