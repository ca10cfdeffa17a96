"""The broker: what stores events and carries them between nodes. The interface, with its guarantees.

Implementations: `memory` (one process; the executable specification) and `redis`. One contract suite runs
over all of them. Everything here speaks of channels that were checked before (`Namespaces.of`), and raises
`HubError` only: ``unavailable`` with `retry_after_ms` when the storage can't be reached (at once, not after
a pile of waiting), ``internal`` when it failed, ``conflict`` and ``limit`` where the verb says so.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import orjson

from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from ..protocol.event import Event, Publication
from ..protocol.position import Position, Top
from .attendance import ConnectionLedger, Occupancy
from .witness import Witness

SOURCES = 1024
"""Names of sources that one channel keeps the positions of."""

FULL_RETRY_MS = 60_000
"""After this a channel that holds too many keys or names may be tried again: they leave by their time."""


UNTRIED_RETRY_MS = 100


@dataclass(slots=True)  # one that is frozen costs 2 µs more to make
class Page:
    """A piece of a channel's history, in the order of offsets and without holes, consistent with `top`."""

    top: Top
    events: Sequence[Event]


@dataclass(slots=True)  # one that is frozen costs 2 µs more to make
class Published:
    """The answer to a publication. `position` is None on ephemeral channels.

    `stale`: the version guard refused it, and `position` is that of the key's current event.
    `duplicate`: it was stored before under this `event_id`, and `position` is that of then; or its source
    handed it on before, and `position` is the channel's top.
    """

    event_id: str
    position: Position | None
    stale: bool = False
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Inbox:
    """A user's read cursor in a channel, and what it leaves unread."""

    cursor: Position
    unread: int


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody present in a channel: (`user`, `name`) is unique in it.

    `name` is what the client called itself (`as`), else the connection's id, and then `named` is False.
    `owner` is the connection that speaks for the member: the newest. `info` and `state` are checked JSON.
    """

    user: str
    name: str
    named: bool
    owner: str
    info: bytes | None = None
    state: bytes | None = None


@dataclass(frozen=True, slots=True)
class ShardHealth:
    """One shard of the broker as this node sees it.

    `usable`: commands are answered. `deaf_s`: seconds since the canary was last heard back (0 while it is
    heard in time). `rtt_s`: the canary's last round trip. `why`: what the server said where it is not usable or
    refused something, in its own words: they may name users and keys, and are for operators only.
    """

    name: str
    usable: bool
    deaf_s: float
    rtt_s: float
    why: str = ""


class Listener(Protocol):
    """What a node gives to its broker. Called in the event loop, never awaited, must not raise."""

    def on_event(self, epoch: str, event: Event) -> None:
        """An announcement on a listened channel, in the order of publication; epoch "" where ephemeral."""

    def on_presence(self, channel: str, change: str, member: Member) -> None:
        """`change` is ``join``, ``leave`` or ``update``, on a listened channel."""

    def on_ack(self, channel: str, user: str, inbox: Inbox) -> None:
        """A user's read cursor moved, on a listened channel."""

    def on_lost(self, channels: Collection[str]) -> None:
        """Announcements on these may have been lost; listening to them works again."""

    def on_erased(self, channel: str) -> None:
        """Events that were stored are no more: copies of them are to go too."""

    def on_command(self, data: bytes) -> None:
        """Bytes that a node (or a stranger) sent to all nodes."""


EMPTY_S = 300.0
"""A numbering under which nothing was published lives unused for so long, or for its `meta_ttl` if that is less."""


def check_member(user: str, name: str) -> None:
    """A member's user and name hold no U+0000: a store may frame the two by it, and whoever wrote one would be
    somebody else.

    Raises:
        HubError: ``bad_message``.
    """
    if "\0" in user or "\0" in name:
        raise HubError(ErrorCode.BAD_MESSAGE, "a member's user and name hold no U+0000")


class Presence(Protocol):
    """Who is in a channel, right across nodes."""

    async def enter(self, channel: str, member: Member) -> None:
        """`member.owner` becomes the owner. Announced: a join; an update where `info` or `state` of a member
        that was there changed; nothing where a returning member is the same. A returning member without
        `state` keeps the one it had. Cancels a pending leave. At most `limit` members: else ``limit``."""

    async def set_state(self, channel: str, user: str, name: str, owner: str, state: bytes) -> None:
        """Announces an update. ``conflict`` where `owner` is not the owner, or the member is gone."""

    async def leave(self, channel: str, user: str, name: str, owner: str, grace_s: float) -> None:
        """The member leaves after `grace_s` unless somebody entered as it meanwhile; a leave by anyone but
        the owner does nothing. Announced when it happens, by whichever node lives."""

    async def members(self, channel: str) -> list[Member]:
        """All members at this moment, in the order of entering."""

    async def count(self, channel: str) -> tuple[int, int]:
        """How many members there are at this moment, and how many users they are."""


class Registry(Protocol):
    """What nodes know together beside the channels: tickets, revocations, each other."""

    async def put_ticket(self, digest: str, claims: bytes, ttl_s: float) -> None:
        """Remember a ticket by the digest of its secret."""

    async def take_ticket(self, digest: str) -> bytes | None:
        """The ticket's claims, once."""

    async def revoke(self, entry: str, until: float) -> None:
        """Remember a revocation (``sub:ann``, ``jti:…``) until the Unix time `until`."""

    async def revocations(self) -> dict[str, float]:
        """All standing revocations: entry to Unix time."""

    async def keep_revocation(self, signed: str, until: float) -> None:
        """Remember what a node has signed of a revocation until the Unix time `until`."""

    async def kept_revocations(self) -> list[str]:
        """All that stand of those; whether a node has signed them is for the caller to see."""

    async def send_command(self, data: bytes) -> None:
        """Hand bytes to every node's `on_command`, this node's own too."""

    async def register_node(self, node: str, info: bytes, ttl_s: float) -> None:
        """This node lives, and says `info` of itself, for the next `ttl_s`; its members stay present."""

    async def unregister_node(self, node: str) -> None:
        """This node departs in order."""

    async def nodes(self) -> dict[str, bytes]:
        """The nodes that live: id to info."""


MAX_DEAD_LETTERS = 10_000
"""Letters that a broker keeps; one more is `limit`."""


class DeadLetters(Protocol):
    """What could not be handed on or delivered, kept until somebody looks. A letter is bytes to a broker."""

    async def put(self, id: str, letter: bytes, at_ms: int) -> bool:
        """Keep it; False, and nothing changes, where one of this id is kept already.

        Raises:
            HubError: ``limit``, or the storage is away.
        """

    async def get(self, id: str) -> bytes | None:
        """The letter of that id."""

    async def page(self, start: int, limit: int) -> Sequence[tuple[str, bytes]]:
        """Up to `limit` of them with their ids, oldest first, from the `start`-th on (from 0)."""

    async def drop(self, id: str) -> bool:
        """Let go of it; whether it was there."""

    async def count(self) -> int:
        """How many there are."""


class Kind(StrEnum):
    """What a webhook may be told of."""

    EVENT = "event"
    LEASE_EXPIRED = "lease.expired"
    PRESENCE_JOINED = "presence.joined"
    PRESENCE_LEFT = "presence.left"
    CHANNEL_OCCUPIED = "channel.occupied"
    CHANNEL_VACATED = "channel.vacated"
    CONNECTION_OPENED = "connection.opened"
    CONNECTION_CLOSED = "connection.closed"
    WEBHOOK_OVERFLOW = "webhook.overflow"
    TOKEN_REVOKED = "token.revoked"  # noqa: S105  # no password


@dataclass(frozen=True, slots=True)
class Intent:
    """Something that an endpoint is to be told of: `fields` beside its kind are values of JSON, or fragments of it.

    `id` is the same however often it is tried; `time_ms` since 1970; `meta` is that of the event, JSON.
    """

    id: str
    kind: Kind | None  # None: nothing that anybody is told of
    time_ms: int
    fields: Mapping[str, Any]
    meta: bytes | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken of a queue: `tries` of the first so far. `intents` empty: there is nothing now; `again_s` says
    when there may be, None: nothing waits."""

    intents: Sequence[Intent] = ()
    tries: int = 0
    again_s: float | None = None


Route = Callable[[str, str], tuple[str, ...]]
"""The endpoints that are to be told of a channel's ``event``, ``presence`` or ``occupancy``."""

Wake = Callable[[str, str], float]
"""Something waits in (channel, endpoint): in how many seconds to look again whether it still does."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Who is told of what is written: `routes` to whom it goes, `wake` that something waits, `overflow` (channel,
    endpoint, how many) that more wait in a queue than `most`."""

    routes: Route
    wake: Wake
    overflow: Callable[[str, str, int], None]
    most: int


class Intents(Protocol):
    """What waits for the endpoints of webhooks: by channel and endpoint a queue, written in the same atomic step
    as the event or the change of presence that it tells of. One courier at a time has a queue."""

    def route(self, waiting: Waiting) -> None:
        """From now on intents are written, and who waits is told; before `Broker.start`."""

    async def push(self, channel: str, endpoint: str, happening: bytes) -> int:
        """Put something else at the end, a JSON object with ``kind``; how many wait there."""

    async def take(
        self, channel: str, endpoint: str, most: int, for_s: float, *, early: bool = False
    ) -> Taken:
        """Up to `most` from the front, for `for_s` nobody else's; `early`: though the next try is later."""

    async def settle(
        self, channel: str, endpoint: str, through: int, go_on_s: float, tries: int, again_s: float
    ) -> bool:
        """`through` of the first are through. `go_on_s` 0: it is anybody's, `again_s` from now; the next was tried
        `tries` times. False: it was somebody else's meanwhile."""

    async def states(self) -> dict[str, bytes]:
        """What is kept of endpoints: by name, JSON."""

    async def put_state(self, endpoint: str, state: bytes) -> None:
        """Keep it; empty: forget it."""


class Broker(Protocol):
    """What stores events and carries them between nodes.

    Guarantees, for each channel:
    * a publication is one atomic step: the next offset, the stored event, the snapshot, the announcement;
    * offsets of an epoch are given from 1 without holes, and announced in that order;
    * what was answered with a position is stored; what was refused is not;
    * when stored data is lost, the epoch changes before any offset is given twice;
    * `read` and `snapshot` are consistent with the `top` that they return.
    """

    @property
    def presence(self) -> Presence:
        """Who is in a channel."""

    @property
    def registry(self) -> Registry:
        """What nodes know together."""

    @property
    def dead_letters(self) -> DeadLetters:
        """What could not be handed on."""

    @property
    def intents(self) -> Intents:
        """What waits for the endpoints of webhooks."""

    @property
    def occupancy(self) -> Occupancy:
        """Which channels have subscribers on any node."""

    @property
    def connections(self) -> ConnectionLedger:
        """Whose end another node tells of."""

    async def start(self, listener: Listener) -> None:
        """Connect. Returns also while the storage is away: it is retried, and `health` says so."""

    async def close(self) -> None:
        """Let go of everything, within 5 s."""

    async def publish(
        self, publications: Sequence[Publication], *, ordered: bool = False
    ) -> list[Published | HubError]:
        """Store and announce each, in order where the channel is the same; an error in one leaves the others.

        `ordered`: what is stored of them for one channel is a prefix of those that were not refused for good,
        also where no answer comes; those behind a refusal that may pass are ``unavailable``, untried.

        The position of `source` is looked at first: one that is not above the highest of its name is a
        duplicate. It is kept in the same atomic step as the event, lives as long as the numbering, and moves
        too where the event turns out to be a duplicate or stale. More than `SOURCES` names in a channel are
        ``limit``. Then the idempotency of `event_id` (5 minutes or `event_id_ttl_ms`, within a channel and a
        publisher): the same id with another body is ``conflict``; bodies are compared by value while the
        event is stored, later as they were written. Then, in `state` channels, the version: a key that was
        published with versions takes only a newer one, and after a `final` only a higher attempt. A key more
        than `snapshot_keys` is ``limit``. With `lease_ms`, unless the key is published again or made final in
        time, one event of type ``lease_expired`` follows with payload ``{"last": <event's fields>}``.
        """

    def witness(self, channels: Collection[str]) -> Witness:
        """Watches over what is published to `channels` from now on: whether it is on replicas too."""

    async def read(self, channel: str, after: int | None, limit: int) -> Page:
        """Up to `limit` stored events with offsets above `after`, or the newest `limit` where it is None.

        Creates the numbering if there is none. Where events after `after` are gone, the page begins at the
        oldest that is stored: the caller sees it by `top.first`. Identical reads at one time may be shared.
        """

    async def snapshot(self, channel: str) -> Page:
        """The latest event of each key in the order of offsets, complete at `top.offset` (`state` only)."""

    async def tops(self, channels: Sequence[str]) -> list[Top | HubError]:
        """The numberings of many channels, one answer each: of several servers one may be away. Prolongs their
        lives, and creates those that are not there."""

    async def listen(self, channel: str) -> None:
        """Take interest: returns once every later publication will reach `on_event`."""

    async def unlisten(self, channel: str) -> None:
        """Lose interest. A few announcements may still arrive."""

    async def ack(self, channel: str, user: str, position: Position) -> Inbox:
        """Move the read cursor up to `position`; a lower one changes nothing. A position that is no
        good (`recovery.common`) is ``conflict``. Announced as `on_ack` where it moved."""

    async def inbox(self, channel: str, user: str) -> Inbox:
        """The read cursor (offset 0 where there is none or it is no longer good) and the unread count:
        top - max(cursor, first stored - 1)."""

    async def delete(self, channel: str) -> Position:
        """Delete all that is stored of a channel, cursors and sources too: another numbering begins, at offset
        0, and knows that the one before was deleted (`Top.ancestors`). Announced as `on_lost`. Where nothing is
        stored, nothing changes."""

    async def delete_key(self, channel: str, key: str) -> Position | None:
        """Delete a key and every stored event of it (`state` only), and the history before the last of those; one
        final event of type `KEY_DELETED` says so, and is announced, then `on_erased`. None where nothing of it is
        stored."""

    def health(self) -> list[ShardHealth]:
        """Every shard."""

    def still(self) -> Sequence[str]:
        """Standing work of the broker's own that has not come round for too long, in words."""

    def counts(self) -> Mapping[str, int]:
        """What went wrong and was dealt with since the start, by a short name: for metrics."""


KEY_DELETED = "key_deleted"
"""The type of the event that says that a key was deleted."""


def no_keys(channel: str) -> HubError:
    """The answer to who asks for a key where there are none."""
    return HubError(
        ErrorCode.BAD_CHANNEL, f"{channel} has no snapshot: only state channels do", channel=channel
    )


def event_intent(epoch: str, event: Event) -> Intent:
    """An endpoint is to be told of an event; a lease that ended is one too, under its own name."""
    kind = Kind.LEASE_EXPIRED if event.type == "lease_expired" else Kind.EVENT
    id = f"{event.channel}/{epoch}:{event.offset}"
    fields = {"channel": event.channel, "event": {**event.fields(), "epoch": epoch}}
    return Intent(id, kind, event.time, fields, event.meta)


def presence_intent(id: str, time_ms: int, channel: str, change: str, member: Member) -> Intent:
    """An endpoint is to be told that somebody came or left; what else changes of a member is told to nobody."""
    kinds = {"join": Kind.PRESENCE_JOINED, "leave": Kind.PRESENCE_LEFT}
    about: dict[str, Any] = {"user": member.user, "as" if member.named else "connection": member.name}
    if member.info is not None:
        about["info"] = orjson.Fragment(member.info)
    return Intent(id, kinds.get(change), time_ms, {"channel": channel, "member": about})


def untried(channel: str) -> HubError:
    """The answer to an entry of an ordered batch behind one that has to wait."""
    why = "not tried: an entry before it for this channel was refused for the moment"
    return HubError(ErrorCode.UNAVAILABLE, why, channel=channel, retry_after_ms=UNTRIED_RETRY_MS)


def too_many_sources(channel: str) -> HubError:
    """The answer to a publication with one name too many."""
    why = f"the channel keeps positions of {SOURCES} sources, which is the limit"
    return HubError(ErrorCode.LIMIT, why, channel=channel, retry_after_ms=FULL_RETRY_MS)


def too_many_letters(most: int) -> HubError:
    """No more letters are taken: who writes them waits, so that nothing is lost in silence."""
    return HubError(
        ErrorCode.LIMIT, f"{most} dead letters are kept, and none is looked at", retry_after_ms=10_000
    )
