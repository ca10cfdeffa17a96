"""What a client may ask for: one frozen class a command, and the check that makes it of a decoded message."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .channels import namespace_of
from .codec import describe, dumps_json
from .codes import ErrorCode
from .errors import HubError
from .event import Version
from .position import MAX_OFFSET, Position

CommandId = str | int | None

MAX_NAME = 128  # characters of an event's type, key and id, of a command's id
MAX_STATE = 4096  # bytes of a presence state
MAX_HISTORY = 1000
MAX_ENTRIES = 1000  # subscriptions of one command: its reply is one frame
LEASE_MS = range(1_000, 3_600_001)


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Offer a token: the first time to be let in, later to renew in place."""

    id: CommandId
    token: str
    resume: str | None = None
    since: Mapping[str, Position] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Take interest in a channel, from `since` on or live.

    `presence` None: not present. Else the member's name, "" where the connection is the member.
    `max_rate` is flushes a second.
    """

    id: CommandId
    channel: str
    since: Position | None = None
    presence: str | None = None
    max_rate: float | None = None
    echo: bool = True


@dataclass(frozen=True, slots=True)
class SubscribeMany:
    """Several subscriptions in one command, one reply; an entry that was not readable stands as its error."""

    id: CommandId
    entries: tuple[Subscribe | HubError, ...]


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Lose interest in a channel."""

    id: CommandId
    channel: str


@dataclass(frozen=True, slots=True)
class Publish:
    """Publish an event; `payload` is JSON."""

    id: CommandId
    channel: str
    event: str
    payload: bytes
    key: str | None = None
    final: bool = False
    version: Version | None = None
    event_id: str | None = None
    lease_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ListPresence:
    """Who is in a channel; one entry a user where `by_user`."""

    id: CommandId
    channel: str
    by_user: bool = False


@dataclass(frozen=True, slots=True)
class SetPresence:
    """Change one's own state in a channel; `state` is JSON."""

    id: CommandId
    channel: str
    state: bytes


@dataclass(frozen=True, slots=True)
class ReadHistory:
    """Stored events after `since`, or the newest."""

    id: CommandId
    channel: str
    since: Position | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Ack:
    """Move the read cursor of one's inbox."""

    id: CommandId
    channel: str
    position: Position


@dataclass(frozen=True, slots=True)
class Ping:
    """Is anybody there?"""

    id: CommandId


Command = (
    Authenticate
    | Subscribe
    | SubscribeMany
    | Unsubscribe
    | Publish
    | ListPresence
    | SetPresence
    | ReadHistory
    | Ack
    | Ping
)


def command_id(message: Mapping[str, Any]) -> CommandId:
    """The `id` of a message, None where it has none that could be echoed."""
    value = message.get("id")
    if isinstance(value, str) and len(value) <= MAX_NAME:
        return value
    return value if type(value) is int and abs(value) <= MAX_OFFSET else None


def parse(message: Mapping[str, Any]) -> Command:
    """The command that a decoded message is.

    Raises:
        HubError: ``bad_message``, ``unknown_type``, ``bad_channel``: what is wrong, and where.
    """
    kind = message.get("type")
    if not isinstance(kind, str):
        raise _bad(f"type must be a string, {_found(message, 'type')}")
    parser = _PARSERS.get(kind)
    if parser is None:
        raise HubError(ErrorCode.UNKNOWN_TYPE, f"no command {kind[:40]!r}; known are {', '.join(_PARSERS)}")
    id = command_id(message)
    if id is None and message.get("id") is not None:
        raise _bad(f"id must be a string of at most {MAX_NAME} characters or an integer")
    try:
        return parser(id, message)
    except HubError as error:
        if error.channel is None and isinstance(message.get("channel"), str):
            error.channel = message["channel"][:256]
        raise


def parse_publish(id: CommandId, message: Mapping[str, Any]) -> Publish:
    """The fields of a publication, over a socket or by HTTP.

    Raises:
        HubError: ``bad_message`` or ``bad_channel``.
    """
    event = _name(message, "event")
    if event.startswith("hub."):
        raise _bad("event must not begin with hub.: these types are the hub's own")
    if "payload" not in message:
        raise _bad("payload is missing; null is allowed")
    return Publish(
        id,
        _channel(message),
        event,
        dumps_json(message["payload"]),
        key=_optional_name(message, "key"),
        final=_flag(message, "final", False),
        version=_version(message.get("version")),
        event_id=_optional_name(message, "event_id"),
        lease_ms=_lease(message.get("lease_ms")),
    )


def _authenticate(id: CommandId, message: Mapping[str, Any]) -> Authenticate:
    token = message.get("token")
    if not isinstance(token, str) or not token:
        raise _bad(f"token must be a string, {_found(message, 'token')}")
    resume = message.get("resume")
    if resume is not None and not isinstance(resume, str):
        raise _bad("resume must be the string of hub.welcome")
    return Authenticate(id, token, resume, parse_positions(message.get("since")))


def parse_positions(value: Any) -> dict[str, Position]:
    """Positions for the channels of a token: ``{channel: {epoch, offset}}`` or ``["channel@epoch:offset"]``.

    Raises:
        HubError: ``bad_message``.
    """
    if value is None:
        return {}
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        pairs = [item.rpartition("@")[::2] for item in value]
        return {channel: Position.parse(position) for channel, position in pairs}
    if isinstance(value, dict):
        return {channel: _position(position, "since") for channel, position in value.items()}
    raise _bad("since must be an object of positions by channel, or a list of channel@epoch:offset")


def _subscribe(id: CommandId, message: Mapping[str, Any]) -> Subscribe | SubscribeMany:
    if "channels" not in message:
        return _subscription(id, message)
    entries = message["channels"]
    if not isinstance(entries, list) or not entries:
        raise _bad("channels must be a list of objects with a channel")
    if len(entries) > MAX_ENTRIES:
        raise _bad(f"channels has {len(entries)} entries, {MAX_ENTRIES} are allowed in one command")
    if "channel" in message:
        raise _bad("give either channel or channels")
    return SubscribeMany(id, tuple(_entry(id, entry) for entry in entries))


def _entry(id: CommandId, entry: Any) -> Subscribe | HubError:
    """One of `channels`; its error answers this entry only."""
    if not isinstance(entry, dict):
        return _bad(f"each of channels must be an object with a channel, not {describe(entry)}")
    try:
        return _subscription(id, entry)
    except HubError as error:
        if error.channel is None and isinstance(entry.get("channel"), str):
            error.channel = entry["channel"][:256]
        return error


def _subscription(id: CommandId, message: Mapping[str, Any]) -> Subscribe:
    since = message.get("since")
    return Subscribe(
        id,
        _channel(message),
        None if since is None else _position(since, "since"),
        _presence(message.get("presence")),
        _rate(message.get("max_rate")),
        _flag(message, "echo", True),
    )


def _unsubscribe(id: CommandId, message: Mapping[str, Any]) -> Unsubscribe:
    return Unsubscribe(id, _channel(message))


def _list_presence(id: CommandId, message: Mapping[str, Any]) -> ListPresence:
    group = message.get("group")
    if group not in (None, "user"):
        raise _bad('group must be "user" where it is given')
    return ListPresence(id, _channel(message), group == "user")


def _set_presence(id: CommandId, message: Mapping[str, Any]) -> SetPresence:
    if "state" not in message:
        raise _bad("state is missing; null is allowed")
    state = dumps_json(message["state"])
    if len(state) > MAX_STATE:
        raise HubError(ErrorCode.TOO_LARGE, f"state is {len(state)} bytes of JSON, {MAX_STATE} are allowed")
    return SetPresence(id, _channel(message), state)


def _read_history(id: CommandId, message: Mapping[str, Any]) -> ReadHistory:
    since = message.get("since")
    limit = message.get("limit", 100)
    if type(limit) is not int or not 1 <= limit <= MAX_HISTORY:
        raise _bad(f"limit must be an integer from 1 to {MAX_HISTORY}")
    return ReadHistory(id, _channel(message), None if since is None else _position(since, "since"), limit)


def _ack(id: CommandId, message: Mapping[str, Any]) -> Ack:
    return Ack(id, _channel(message), Position.checked(message.get("epoch"), message.get("offset")))


def _ping(id: CommandId, message: Mapping[str, Any]) -> Ping:
    return Ping(id)


_PARSERS: dict[str, Callable[[CommandId, Mapping[str, Any]], Command]] = {
    "authenticate": _authenticate,
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "publish": parse_publish,
    "presence": _list_presence,
    "set_presence": _set_presence,
    "history": _read_history,
    "ack": _ack,
    "ping": _ping,
}


def _channel(message: Mapping[str, Any]) -> str:
    channel = message.get("channel")
    if not isinstance(channel, str):
        raise _bad(f"channel must be a string, {_found(message, 'channel')}")
    namespace_of(channel)
    return channel


def _position(value: Any, name: str) -> Position:
    if isinstance(value, str):
        return Position.parse(value)
    if not isinstance(value, dict):
        raise _bad(f"{name} must be an object with epoch and offset, not {describe(value)}")
    return Position.checked(value.get("epoch"), value.get("offset"))


def _presence(value: Any) -> str | None:
    if value is None or value is False:
        return None
    if value is True:
        return ""
    name = value.get("as") if isinstance(value, dict) else None
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise _bad(f'presence must be true, or {{"as": a printable name of 1 to {MAX_NAME} characters}}')
    return name


def _rate(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.01 <= value <= 100:
        raise _bad("max_rate must be a number of flushes a second from 0.01 to 100")
    return float(value)


def _version(value: Any) -> Version | None:
    if value is None:
        return None
    parts = [0, value] if not isinstance(value, list) else value
    if len(parts) != 2 or any(type(part) is not int or not 0 <= part <= MAX_OFFSET for part in parts):
        raise _bad("version must be an integer from 0 to 2^53-1, or [attempt, number] of two such")
    return Version(parts[0], parts[1])


def _lease(value: Any) -> int | None:
    if value is None:
        return None
    if type(value) is not int or value not in LEASE_MS:
        raise _bad("lease_ms must be an integer from 1000 (1 s) to 3600000 (1 h)")
    return value


def _flag(message: Mapping[str, Any], name: str, default: bool) -> bool:
    value = message.get(name, default)
    if not isinstance(value, bool):
        raise _bad(f"{name} must be true or false, not {describe(value)}")
    return value


def _name(message: Mapping[str, Any], name: str) -> str:
    value = message.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME or not value.isprintable():
        raise _bad(f"{name} must be a string of 1 to {MAX_NAME} printable characters")
    return value


def _optional_name(message: Mapping[str, Any], name: str) -> str | None:
    return None if message.get(name) is None else _name(message, name)


def _found(message: Mapping[str, Any], name: str) -> str:
    return f"not {describe(message[name])}" if name in message else "and it is missing"


def _bad(why: str) -> HubError:
    return HubError(ErrorCode.BAD_MESSAGE, why)
