"""What a subscription yields and a client tells: frozen values in the contract's words."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hub.protocol.codes import ErrorCode, Outcome
from hub.protocol.errors import HubError
from hub.protocol.position import Position


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a channel.

    `offset` and `epoch` are None on ephemeral channels. `time` is ms since the Unix epoch, set by the hub.
    `from_` is the publishing user, None where a service published. `conflated` offsets before this one were
    replaced by newer events of their keys, or were one's own (``echo``). `version` is n or [attempt, n].
    `meta` is what travels beside the payload, None where there is none.
    """

    type: str
    channel: str
    offset: int | None
    id: str
    time: int
    key: str | None
    final: bool
    version: int | list[int] | None
    from_: str | None
    payload: Any
    conflated: int = 0
    epoch: str | None = None
    meta: dict[str, str] | None = None

    @property
    def position(self) -> Position | None:
        """Where a reader stands who has seen this event: the `since` that continues after it."""
        if self.offset is None or self.epoch is None:
            return None
        return Position(self.epoch, self.offset)

    @classmethod
    def of(cls, message: dict[str, Any], epoch: str | None = None) -> "Event":
        """An event from its message.

        Raises:
            HubError: ``bad_message``: no event of this contract.
        """
        offset, time = message.get("offset"), message.get("time")
        kind, channel, id = message.get("type"), message.get("channel"), message.get("id")
        conflated = message.get("conflated", 0)
        if not (isinstance(kind, str) and isinstance(channel, str) and isinstance(id, str)):
            raise _bad("an event has a type, a channel and an id")
        if type(time) is not int or "payload" not in message:
            raise _bad("an event has a time in ms and a payload")
        if type(conflated) is not int or conflated < 0 or not (offset is None or _is_offset(offset)):
            raise _bad("an event's offset counts from 1, its conflated from 0")
        return cls(
            kind,
            channel,
            offset,
            id,
            time,
            message.get("key"),
            message.get("final") is True,
            message.get("version"),
            message.get("from"),
            message["payload"],
            conflated,
            epoch if offset is not None else None,
            message.get("meta"),
        )


@dataclass(frozen=True, slots=True)
class Gap:
    """The offsets `first` to `last` of `epoch` did not come and will not: read the state of things anew.

    `cause`: ``trimmed``, ``too_far``, ``backplane``, ``deleted``, or ``epoch``: the numbering is another one, and
    nothing known of the old one may be taken for granted; then the gap may be empty (`last` below `first`).
    """

    channel: str
    first: int
    last: int
    cause: str
    epoch: str
    type: str = "hub.gap"

    @property
    def position(self) -> Position:
        """Behind the gap."""
        return Position(self.epoch, self.last)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The latest event of each key of a ``state`` channel, complete at `offset`: a key not in it is gone."""

    channel: str
    epoch: str
    offset: int
    events: tuple[Event, ...]
    type: str = "hub.snapshot"

    @property
    def position(self) -> Position:
        """Where the snapshot was taken."""
        return Position(self.epoch, self.offset)


Item = Event | Gap | Snapshot


class PresenceKind(StrEnum):
    """How a member list changed."""

    JOIN = "join"
    LEAVE = "leave"
    UPDATE = "update"


@dataclass(frozen=True, slots=True)
class PresenceChange:
    """Members that came, went or changed, as the hub describes them."""

    channel: str
    kind: PresenceKind
    members: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Published:
    """Where a publication stands. `stale`: a newer version was there, and the position is that event's.
    `duplicate`: its source had handed it on before, and the position is the channel's last.

    `epoch` and `offset` are None on ephemeral channels.
    """

    channel: str
    event_id: str
    epoch: str | None = None
    offset: int | None = None
    stale: bool = False
    duplicate: bool = False

    @classmethod
    def of(cls, answer: dict[str, Any], event_id: str, channel: str) -> "Published":
        """From ``hub.published`` or an entry of ``results``."""
        return cls(
            answer.get("channel", channel),
            answer.get("event_id", event_id),
            answer.get("epoch"),
            answer.get("offset"),
            answer.get("stale") is True,
            answer.get("duplicate") is True,
        )


@dataclass(frozen=True, slots=True)
class History:
    """A page of stored events, oldest first; `more` after the last one where it is True."""

    events: tuple[Event, ...]
    position: Position
    more: bool


class State(StrEnum):
    """A client's connection."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    DRAINING = "draining"
    WAITING = "waiting"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Status:
    """A change of a client's `state`, why, and in how many seconds the next connection is tried."""

    state: State
    reason: str = ""
    delay: float | None = None
    resumed: bool = False


def as_position(since: "Position | str | None") -> Position | None:
    """A position given as it is or as ``epoch:offset``."""
    return Position.parse(since) if isinstance(since, str) else since


_UNSURE = frozenset({ErrorCode.UNAVAILABLE, ErrorCode.INTERNAL})
"""What a hub that names no outcome (0.1) may have done all the same."""


def error_of(message: dict[str, Any]) -> HubError:
    """The exception of a ``hub.error``, of a failed entry in ``results``, or of a problem+json body."""
    code, reason = message.get("code"), message.get("reason") or message.get("detail")
    try:
        known = ErrorCode(str(code))
    except ValueError:
        known = ErrorCode.INTERNAL
    after, channel = message.get("retry_after_ms"), message.get("channel")
    try:
        outcome = Outcome(str(message.get("outcome")))
    except ValueError:
        outcome = Outcome.UNKNOWN if known in _UNSURE else Outcome.NOT_DONE
    return HubError(
        known,
        reason if isinstance(reason, str) else "the hub gave no reason",
        channel=channel if isinstance(channel, str) else None,
        retry_after_ms=after if type(after) is int else None,
        outcome=outcome,
    )


def _is_offset(value: object) -> bool:
    return type(value) is int and value >= 1


def _bad(why: str) -> HubError:
    return HubError(ErrorCode.BAD_MESSAGE, why)
