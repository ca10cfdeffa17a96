"""What handlers are given and what they answer: small frozen classes, all that a handler needs to know."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from ..protocol.codes import ErrorCode
from ..protocol.position import Position


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """Somebody wants to connect, with a token that was checked; `renewal`: with another token, in place.

    `channels` are those of the token; `info` is what presence shows.
    """

    user: str
    connection: str
    address: str
    channels: tuple[str, ...] = ()
    info: Any = None
    service: bool = False
    renewal: bool = False


@dataclass(frozen=True, slots=True)
class SubscribeRequest:
    """A connection wants to subscribe, and its rights allow it. `since` None: live only; `presence`: it will be
    present."""

    user: str
    connection: str
    channel: str
    since: Position | None = None
    presence: bool = False
    info: Any = None


class _Written:
    """What has a payload and `meta` as they were written, read when they are asked for."""

    __slots__ = ()

    payload_json: bytes
    meta_json: bytes | None

    @property
    def payload(self) -> Any:
        """The payload's value."""
        return orjson.loads(self.payload_json)

    @property
    def meta(self) -> dict[str, str]:
        """What the publication gave as `meta`."""
        found: dict[str, str] = {} if self.meta_json is None else orjson.loads(self.meta_json)
        return found


@dataclass(frozen=True, slots=True)
class PublishRequest(_Written):
    """A publication that the rights allow. `user` None: a service's, of the name `publisher`. `connection`: whence,
    where it came over a socket."""

    channel: str
    event: str
    user: str | None
    publisher: str
    connection: str | None
    key: str | None
    final: bool
    event_id: str | None
    payload_json: bytes = field(repr=False)
    meta_json: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A client calls a method. A handler's return value, a value of JSON, is the answer."""

    user: str
    connection: str
    method: str
    payload: Any


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A connection is over: its close code, and why. It is told once, by the node that had the connection."""

    user: str
    connection: str
    code: int
    reason: str
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EventSeen(_Written):
    """An event, after it was stored. `offset` is 0 on ephemeral channels."""

    channel: str
    event: str
    id: str
    offset: int
    key: str | None
    final: bool
    user: str | None
    payload_json: bytes = field(repr=False)
    meta_json: bytes | None = field(default=None, repr=False)


# Answers. None is always one, and means: as it is.


class Refuse(Exception):  # it is read as a verb: `raise Refuse("the document is closed")`
    """Raised or returned: no, and `reason` is what the client is told. `code` is a word of the errors' table."""

    def __init__(
        self, reason: str, *, code: str = ErrorCode.FORBIDDEN, retry_after_ms: int | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = ErrorCode(code)
        self.retry_after_ms = retry_after_ms


@dataclass(frozen=True, slots=True)
class Admit:
    """An answer to `ConnectRequest`: more patterns that this connection may use, more channels that it is
    subscribed to, another `info` for presence."""

    subscribe: tuple[str, ...] | list[str] = ()
    publish: tuple[str, ...] | list[str] = ()
    presence: tuple[str, ...] | list[str] = ()
    channels: tuple[str, ...] | list[str] = ()
    info: Any = None


@dataclass(frozen=True, slots=True)
class Allow:
    """An answer to `SubscribeRequest`: what presence shows in this channel, and from where on events are sent: a
    position (``epoch:offset``), or "now" for what comes from now on only; None: as the client asked."""

    info: Any = None
    since: Position | str | None = None


_SAME: Any = object()


@dataclass(frozen=True, slots=True)
class Change:
    """An answer to `PublishRequest`: what is stored instead; what is not named stays."""

    payload: Any = _SAME
    key: str | None = _SAME
    meta: dict[str, str] | None = _SAME

    def fields(self) -> dict[str, Any]:
        """What is named."""
        named = {"payload": self.payload, "key": self.key, "meta": self.meta}
        return {name: value for name, value in named.items() if value is not _SAME}
