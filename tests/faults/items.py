"""What a witness wrote down of one channel, in the order in which it came. `at` is the loop's monotonic time."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets `first` to `last` that will not come, as the hub said it."""

    first: int
    last: int
    cause: str


@dataclass(frozen=True, slots=True)
class Seen:
    """An event. `conflated` events before it were left out because of newer ones of their keys."""

    at: float
    offset: int
    number: int
    key: str | None
    conflated: int = 0


@dataclass(frozen=True, slots=True)
class Start:
    """`hub.subscribed`: a subscription begins, or goes on after `since` where `recovered`.

    `offset` is the channel's top, of which the last `missed` events follow now.
    """

    at: float
    epoch: str
    offset: int
    missed: int
    resumed: bool
    gap: Gap | None
    snapshot: tuple[Seen, ...] | None


@dataclass(frozen=True, slots=True)
class Hole:
    """`hub.gap`: lost between nodes; where `filled`, they follow now."""

    at: float
    gap: Gap
    filled: bool


@dataclass(frozen=True, slots=True)
class Again:
    """`hub.resubscribe`: the subscription goes on at another place, or under another epoch."""

    at: float
    epoch: str
    offset: int
    gap: Gap | None
    snapshot: tuple[Seen, ...] | None


Item = Seen | Start | Hole | Again
