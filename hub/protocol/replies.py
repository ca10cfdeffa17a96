"""Every message of the hub to a client, in one place: the outgoing half of the contract (docs/protocol.md).

One function a message, which names its fields in the order in which they are written; `Subscribed` has the many of
its reply. Events are not here: `event.Event` makes their frames. What is encoded already, events and members, is
handed in as `orjson.Fragment`. `tests/golden/messages.json` holds an example of each, which the browser client's
tests read too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .codes import ErrorCode
from .errors import HubError
from .fields import CommandId
from .position import Position
from .recovery import Cause, Gap

Message = dict[str, Any]
Window = tuple[int, int]
"""Milliseconds from now, from and to, in which a client is to come back."""


def answering(id: CommandId, message: Message) -> Message:
    """`message` as the reply to the command of that `id`, which stands behind its type; None: it had none."""
    return message if id is None else {"type": message["type"], "id": id, **message}


# Replies (sections 3 and 5)


def welcome(
    *,
    connection: str,
    node: str,
    user: str,
    expires_at: int,
    heartbeat_ms: int,
    reconnect: Window,
    message_bytes: int,
    frame_bytes: int,
    channels: int,
    resume: str | None = None,
    resumable: bool | None = None,
) -> Message:
    """The client is let in. `expires_at` is milliseconds since 1970. `resume` is for sockets; of an HTTP stream
    `resumable` says whether its blocks bear positions."""
    message: Message = {
        "type": "hub.welcome",
        "connection": connection,
        "node": node,
        "user": user,
        "expires_at": expires_at,
        "heartbeat_ms": heartbeat_ms,
        "reconnect": _window(reconnect),
    }
    if resume is not None:
        message["resume"] = resume
    if resumable is not None:
        message["resumable"] = resumable
    limits = {"message_bytes": message_bytes, "frame_bytes": frame_bytes, "channels": channels}
    return {**message, "limits": limits}


def authenticated(user: str, expires_at: int) -> Message:
    """A token was renewed in place."""
    return {"type": "hub.authenticated", "user": user, "expires_at": expires_at}


def renewed(channel: str, expires_at: int) -> Message:
    """A channel token was renewed."""
    return {"type": "hub.renewed", "channel": channel, "expires_at": expires_at}


@dataclass(slots=True)  # one that is frozen costs 2 µs more to make
class Subscribed:
    """What the reply says of one subscription. `position` None: the channel is ephemeral.

    `missed` events follow up to `position`; or `gap` says that nothing is replayed; neither where nothing was asked
    to be recovered. `more`: the snapshot follows in pages.
    """

    channel: str
    position: Position | None = None
    missed: int | None = None
    gap: Gap | None = None
    unread: int | None = None
    members: Sequence[Any] | None = None
    snapshot: Any = None
    more: bool = False

    def fields(self) -> Message:
        """As an entry of `results` has them."""
        fields: Message = {"channel": self.channel}
        if self.position is not None:
            fields["epoch"], fields["offset"] = self.position
        if self.gap is not None:
            fields["recovered"] = False
            fields["gap"] = self.gap.fields()
        elif self.missed is not None:
            fields["recovered"] = True
            fields["missed"] = self.missed
        if self.unread is not None:
            fields["unread"] = self.unread
        if self.members is not None:
            fields["members"] = self.members
        return {**fields, **_snapshot(self.snapshot, more=self.more)}


def subscribed(one: Subscribed) -> Message:
    """A subscription stands."""
    return {"type": "hub.subscribed", **one.fields()}


def subscribed_many(results: Sequence[Subscribed | HubError]) -> Message:
    """Each of many stands, or what is wrong with it."""
    return {"type": "hub.subscribed", "results": [result.fields() for result in results]}


def unsubscribed(channel: str, code: ErrorCode | None = None, reason: str = "") -> Message:
    """A subscription has ended; `code` and `reason` where the hub ended it."""
    message: Message = {"type": "hub.unsubscribed", "channel": channel}
    return message if code is None else {**message, "code": code.value, "reason": reason}


def published_fields(
    channel: str,
    position: Position | None,
    event_id: str,
    *,
    stale: bool = False,
    duplicate: bool = False,
    warnings: Sequence[str] = (),
) -> Message:
    """Where a publication stands, as HTTP answers it and entries of a batch have it."""
    fields: Message = {"channel": channel}
    if position is not None:
        fields["epoch"], fields["offset"] = position
    fields["event_id"] = event_id
    if stale:
        fields["stale"] = True
    if duplicate:
        fields["duplicate"] = True
    if warnings:
        fields["warnings"] = warnings
    return fields


def published(fields: Message) -> Message:
    """The same over a socket."""
    return {"type": "hub.published", **fields}


def published_many(results: Sequence[Message], warnings: Sequence[str] = ()) -> Message:
    """Each entry of a batch: `published_fields`, or what is wrong with it."""
    message: Message = {"type": "hub.published", "results": results}
    return {**message, "warnings": warnings} if warnings else message


def presence(channel: str, members: Any) -> Message:
    """Who is in a channel, in place of all that was told before."""
    return {"type": "hub.presence", "channel": channel, "members": members}


def presence_count(channel: str, members: int, users: int) -> Message:
    """How many are in a channel, and how many users they are."""
    return {"type": "hub.presence", "channel": channel, "members": members, "users": users}


def presence_set(channel: str, state: Any) -> Message:
    """One's own state stands."""
    return {"type": "hub.presence_set", "channel": channel, "state": state}


def history_fields(events: Sequence[Any], top: Position, *, more: bool, gap: Gap | None = None) -> Message:
    """A page of stored events, as HTTP answers it, without the channel; `top` is where the channel stands."""
    fields: Message = {"events": events, "epoch": top.epoch, "offset": top.offset, "more": more}
    return fields if gap is None else {**fields, "gap": gap.fields()}


def history(channel: str, fields: Message) -> Message:
    """The same over a socket."""
    return {"type": "hub.history", "channel": channel, **fields}


def acked(channel: str, cursor: Position, unread: int) -> Message:
    """A read cursor has moved: the reply, and the word to the user's other connections."""
    epoch, offset = cursor
    return {"type": "hub.acked", "channel": channel, "epoch": epoch, "offset": offset, "unread": unread}


def result(payload: Any) -> Message:
    """The answer to `call`: what the application gave."""
    return {"type": "hub.result", "payload": payload}


def pong(time_ms: int) -> Message:
    """The answer to `ping`; `time_ms` since 1970."""
    return {"type": "hub.pong", "time": time_ms}


def help(lines: Sequence[str]) -> Message:
    """What a person may type into a console (section 11)."""
    return {"type": "hub.help", "lines": list(lines)}


def error(what: HubError) -> Message:
    """A command is refused, or a message that was none (section 7)."""
    return {"type": "hub.error", **what.fields()}


# Unasked (section 6)


def snapshot(channel: str, events: Any, *, more: bool) -> Message:
    """A page of a snapshot that was too long for the message before it."""
    return {"type": "hub.snapshot", "channel": channel, "events": events, "more": more}


def gap(channel: str, start: int, end: int, *, filled: bool) -> Message:
    """Offsets `start` to `end` were lost between nodes. `filled`: they follow now."""
    fields = {"channel": channel, **Gap(start, end, Cause.BACKPLANE).fields()}
    return {"type": "hub.gap", **fields, "filled": filled}


def resubscribe(
    channel: str,
    position: Position,
    gap: Gap | None,
    snapshot: Any = None,
    *,
    more: bool = False,
) -> Message:
    """The subscription is live at `position`; without a `gap` only the epoch's name has changed."""
    return {
        "type": "hub.resubscribe",
        "channel": channel,
        "epoch": position.epoch,
        "offset": position.offset,
        "gap": gap.fields() if gap is not None else None,
        **_snapshot(snapshot, more=more),
    }


def members_changed(change: str, channel: str, members: Sequence[Any]) -> Message:
    """`change` is ``join``, ``leave`` or ``update``."""
    return {"type": f"hub.{change}", "channel": channel, "members": members}


def token_expiring(expires_at: float, left: float, channel: str | None = None) -> Message:
    """The token ends soon, or the channel token of `channel`: by the hub's clock (Unix seconds), and how many
    seconds are `left`, for clients whose clock is another."""
    about = {} if channel is None else {"channel": channel}
    end = {"expires_at": int(expires_at * 1000), "expires_in_ms": max(0, int(left * 1000))}
    return {"type": "hub.token_expiring", **about, **end}


def drain(window: Window, deadline_ms: int) -> Message:
    """The client is to open another connection within `window`; this one ends `deadline_ms` from now."""
    return {"type": "hub.drain", "reconnect": _window(window), "deadline_ms": deadline_ms}


def close(code: int, reason: str, window: Window | None) -> Message:
    """The hub is about to close (section 8)."""
    return {
        "type": "hub.close",
        "code": int(code),
        "reason": reason,
        "reconnect": None if window is None else _window(window),
    }


def _window(window: Window) -> Message:
    return {"min_ms": window[0], "max_ms": window[1]}


def _snapshot(events: Any, *, more: bool) -> Message:
    """`more`: nothing of it stands here; a reader that is cut off before the pages must know that it has none."""
    if more:
        return {"snapshot": [], "more": True}
    return {} if events is None else {"snapshot": events}
