"""What a client may ask for: one frozen class a command, and the check that makes it of a decoded message."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import fields
from .codec import describe, dumps_json
from .codes import ErrorCode
from .errors import HubError
from .fields import MAX_NAME, CommandId, bad, command_id
from .position import Position
from .publications import Batch, Publish, parse_batch, parse_publish

MAX_STATE = 4096  # bytes of a presence state
MAX_HISTORY = 1000
MAX_ENTRIES = 1000  # subscriptions of one command: its reply is one frame


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Offer a token: the first time to be let in, later to renew in place."""

    id: CommandId
    token: str
    resume: str | None = None
    since: Mapping[str, Position] = field(default_factory=dict)


@dataclass(slots=True)  # one that is frozen costs 2 µs more to make
class Subscribe:
    """Take interest in a channel, from `since` on, from the first event not older than `since_time` (ms since 1970)
    on, or live.

    `presence` None: not present. Else the member's name, "" where the connection is the member.
    `max_rate` is flushes a second. `token` is a channel token. `given`: a service has given the right to it,
    which no message of a client can say. `by_token`: the connection's token brings it along; what the client asks
    for itself goes before.
    """

    id: CommandId
    channel: str
    since: Position | None = None
    presence: str | None = None
    max_rate: float | None = None
    echo: bool = True
    token: str | None = field(default=None, repr=False)
    given: bool = False
    by_token: bool = False
    since_time: int | None = None


@dataclass(slots=True)  # one that is frozen costs 2 µs more to make
class SubscribeMany:
    """Several subscriptions in one command, one reply; an entry that was not readable stands as its error."""

    id: CommandId
    entries: tuple[Subscribe | HubError, ...]


@dataclass(frozen=True, slots=True)
class Renew:
    """Offer a new token for a channel that is subscribed."""

    id: CommandId
    channel: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Lose interest in a channel. `taken`: a service has taken the right to it."""

    id: CommandId
    channel: str
    taken: bool = False


@dataclass(frozen=True, slots=True)
class ListPresence:
    """Who is in a channel; one entry a user where `by_user`; how many only, where `count`."""

    id: CommandId
    channel: str
    by_user: bool = False
    count: bool = False


@dataclass(frozen=True, slots=True)
class SetPresence:
    """Change one's own state in a channel; `state` is JSON."""

    id: CommandId
    channel: str
    state: bytes


@dataclass(frozen=True, slots=True)
class ReadHistory:
    """Stored events after `since`, from the first that is not older than `since_time` (ms since 1970) on, or the
    newest."""

    id: CommandId
    channel: str
    since: Position | None = None
    limit: int = 100
    since_time: int | None = None


@dataclass(frozen=True, slots=True)
class Ack:
    """Move the read cursor of one's inbox."""

    id: CommandId
    channel: str
    position: Position


@dataclass(frozen=True, slots=True)
class Call:
    """Call a method of the application around the hub; `payload` is JSON."""

    id: CommandId
    method: str
    payload: bytes


@dataclass(slots=True)  # one that is frozen costs 2 µs more to make
class Ping:
    """Is anybody there?"""

    id: CommandId


Command = (
    Authenticate
    | Subscribe
    | SubscribeMany
    | Renew
    | Unsubscribe
    | Publish
    | Batch
    | ListPresence
    | SetPresence
    | ReadHistory
    | Ack
    | Call
    | Ping
)


def parse(message: Mapping[str, Any]) -> Command:
    """The command that a decoded message is.

    Raises:
        HubError: ``bad_message``, ``unknown_type``, ``bad_channel``: what is wrong, and where.
    """
    kind = message.get("type")
    if not isinstance(kind, str):
        raise bad(f"type must be a string, {fields.found(message, 'type')}")
    parser = _PARSERS.get(kind)
    if parser is None:
        raise HubError(ErrorCode.UNKNOWN_TYPE, f"no command {kind[:40]!r}; known are {', '.join(_PARSERS)}")
    id = command_id(message)
    if id is None and message.get("id") is not None:
        raise bad(f"id must be a string of at most {MAX_NAME} characters or an integer")
    try:
        return parser(id, message)
    except HubError as error:
        if error.channel is None and isinstance(message.get("channel"), str):
            error.channel = message["channel"][:256]
        raise


def _authenticate(id: CommandId, message: Mapping[str, Any]) -> Authenticate:
    token = _token(message)
    resume = message.get("resume")
    if resume is not None and not isinstance(resume, str):
        raise bad("resume must be the string of hub.welcome")
    return Authenticate(id, token, resume, parse_positions(message.get("since")))


def parse_positions(value: Any) -> dict[str, Position]:
    """Positions for the channels of a token: ``{channel: {epoch, offset}}`` or ``["channel@epoch:offset"]``.

    Raises:
        HubError: ``bad_message``.
    """
    if value is None:
        return {}
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        # A query's "+" means a space, which no channel's name holds: whoever typed it meant "+".
        pairs = [item.replace(" ", "+").rpartition("@")[::2] for item in value]
        if any(not channel for channel, _ in pairs):
            raise bad("since must name its channel: channel@epoch:offset")
        return {channel: Position.parse(position) for channel, position in pairs}
    if isinstance(value, dict):
        return {channel: fields.position(position, "since") for channel, position in value.items()}
    raise bad("since must be an object of positions by channel, or a list of channel@epoch:offset")


def _subscribe(id: CommandId, message: Mapping[str, Any]) -> Subscribe | SubscribeMany:
    if "channels" not in message:
        return _subscription(id, message)
    entries = message["channels"]
    if not isinstance(entries, list) or not entries:
        raise bad("channels must be a list of objects with a channel")
    if len(entries) > MAX_ENTRIES:
        raise bad(f"channels has {len(entries)} entries, {MAX_ENTRIES} are allowed in one command")
    if "channel" in message:
        raise bad("give either channel or channels")
    return SubscribeMany(id, tuple(_entry(id, entry) for entry in entries))


def _entry(id: CommandId, entry: Any) -> Subscribe | HubError:
    """One of `channels`; its error answers this entry only."""
    if not isinstance(entry, dict):
        return bad(f"each of channels must be an object with a channel, not {describe(entry)}")
    try:
        return _subscription(id, entry)
    except HubError as error:
        if error.channel is None and isinstance(entry.get("channel"), str):
            error.channel = entry["channel"][:256]
        return error


def _beginning(message: Mapping[str, Any]) -> tuple[Position | None, int | None]:
    """`since` and `since_time`, of which one may be given."""
    since, time_ms = message.get("since"), fields.optional_moment(message, "since_time")
    if since is not None and time_ms is not None:
        raise bad("give either since or since_time")
    return None if since is None else fields.position(since, "since"), time_ms


def _subscription(id: CommandId, message: Mapping[str, Any]) -> Subscribe:
    since, since_time = _beginning(message)
    return Subscribe(
        id,
        fields.channel(message),
        since,
        _presence(message.get("presence")),
        _rate(message.get("max_rate")),
        fields.flag(message, "echo", True),
        None if message.get("token") is None else _token(message),
        since_time=since_time,
    )


def _renew(id: CommandId, message: Mapping[str, Any]) -> Renew:
    return Renew(id, fields.channel(message), _token(message))


def _unsubscribe(id: CommandId, message: Mapping[str, Any]) -> Unsubscribe:
    return Unsubscribe(id, fields.channel(message))


def _list_presence(id: CommandId, message: Mapping[str, Any]) -> ListPresence:
    group = message.get("group")
    if group not in (None, "user"):
        raise bad('group must be "user" where it is given')
    count = fields.flag(message, "count", False)
    return ListPresence(id, fields.channel(message), group == "user", count)


def _set_presence(id: CommandId, message: Mapping[str, Any]) -> SetPresence:
    if "state" not in message:
        raise bad("state is missing; null is allowed")
    state = dumps_json(message["state"])
    if len(state) > MAX_STATE:
        raise HubError(ErrorCode.TOO_LARGE, f"state is {len(state)} bytes of JSON, {MAX_STATE} are allowed")
    return SetPresence(id, fields.channel(message), state)


def _read_history(id: CommandId, message: Mapping[str, Any]) -> ReadHistory:
    since, since_time = _beginning(message)
    limit = message.get("limit", 100)
    if type(limit) is not int or not 1 <= limit <= MAX_HISTORY:
        raise bad(f"limit must be an integer from 1 to {MAX_HISTORY}")
    return ReadHistory(id, fields.channel(message), since, limit, since_time)


def _ack(id: CommandId, message: Mapping[str, Any]) -> Ack:
    return Ack(id, fields.channel(message), Position.checked(message.get("epoch"), message.get("offset")))


def _call(id: CommandId, message: Mapping[str, Any]) -> Call:
    payload = message.get("payload")
    method = fields.name(message, "method")
    return Call(id, method, payload if type(payload) is bytes else dumps_json(payload))


def _ping(id: CommandId, message: Mapping[str, Any]) -> Ping:
    return Ping(id)


_PARSERS: dict[str, Callable[[CommandId, Mapping[str, Any]], Command]] = {
    "authenticate": _authenticate,
    "subscribe": _subscribe,
    "renew": _renew,
    "unsubscribe": _unsubscribe,
    "publish": parse_publish,
    "batch": parse_batch,
    "presence": _list_presence,
    "set_presence": _set_presence,
    "history": _read_history,
    "ack": _ack,
    "call": _call,
    "ping": _ping,
}


def _token(message: Mapping[str, Any]) -> str:
    token = message.get("token")
    if not isinstance(token, str) or not token:
        raise bad(f"token must be a string, {fields.found(message, 'token')}")
    return token


def _presence(value: Any) -> str | None:
    if value is None or value is False:
        return None
    if value is True:
        return ""
    name = value.get("as") if isinstance(value, dict) else None
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise bad(f'presence must be true, or {{"as": a printable name of 1 to {MAX_NAME} characters}}')
    return name


def _rate(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.01 <= value <= 100:
        raise bad("max_rate must be a number of flushes a second from 0.01 to 100")
    return float(value)
