"""What a node tells of what happens to its clients: to a log, a recorder, an application; or to nobody."""

from dataclasses import dataclass
from typing import Protocol

from ..delivery.channel import Subscription
from ..protocol.errors import HubError


class Observed(Protocol):
    """What an observer sees of a connection. `opened_at` is by the node's monotonic clock."""

    id: str
    member: str
    address: str
    opened_at: float
    last_error: str | None
    subscriptions: dict[str, Subscription]

    @property
    def who(self) -> tuple[str, bytes | None]:
        """The user, and what presence shows of it."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a connection ended. `by_hub`: it was closed from here; else the peer closed, or the link was lost.

    `unread_frames` and `unread_bytes` waited in the outbox; `unacked_bytes` had left it and were not acknowledged
    by the peer's kernel (behind a proxy: the proxy's), None where that could not be asked.
    """

    code: int
    reason: str
    by_hub: bool
    unread_frames: int = 0
    unread_bytes: int = 0
    unacked_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Stranger:
    """Somebody who was not let in; `user` where a token said one, `origin` where a page came with one."""

    address: str
    user: str | None = None
    origin: str | None = None


class Observer(Protocol):
    """Called in the loop, never awaited, must not raise; not inside a fan-out."""

    def admitted(self, connection: Observed) -> None:
        """A connection has said who it is."""

    def ended(self, connection: Observed, ending: Ending) -> None:
        """An admitted connection is over; it still has its subscriptions."""

    def turned_away(self, who: Stranger, error: HubError) -> None:
        """A handshake or a first token was refused."""

    def refused(self, connection: Observed, error: HubError) -> None:
        """A command of an admitted connection was refused."""

    def gap(self, channel: str, start: int, end: int, *, filled: bool) -> None:
        """Events of a channel were lost between nodes; `filled`: the store had them."""


class NoObserver:
    """Nobody looks."""

    def admitted(self, connection: Observed) -> None:
        """Nothing."""

    def ended(self, connection: Observed, ending: Ending) -> None:
        """Nothing."""

    def turned_away(self, who: Stranger, error: HubError) -> None:
        """Nothing."""

    def refused(self, connection: Observed, error: HubError) -> None:
        """Nothing."""

    def gap(self, channel: str, start: int, end: int, *, filled: bool) -> None:
        """Nothing."""
