"""One connection: joins a session's state, an outbox and a transport, and knows when what is due.

The four parts stay apart: `Session` decodes and keeps the protocol state, a transport (`hub.transport`) does I/O,
the outbox queues, and what a command does is in `commands`.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Coroutine
from typing import Any, Protocol

from ..auth.channel_right import ChannelRight
from ..auth.identity import Identity
from ..delivery import prepared
from ..delivery.channel import Subscription
from ..delivery.outbox import NO_FD, Outbox, Sink
from ..namespaces import Namespace
from ..protocol import codes, console, replies
from ..protocol.codec import encode
from ..protocol.codes import CloseCode, ErrorCode, Then
from ..protocol.commands import (
    Authenticate,
    Call,
    Command,
    Ping,
    Subscribe,
    SubscribeMany,
)
from ..protocol.dialects import AnyEncoding
from ..protocol.errors import HubError
from ..protocol.fields import CommandId
from ..protocol.position import Position
from ..protocol.publications import Batch
from ..protocol.replies import Window
from ..protocol.session import HelpRequested, Session, SessionState
from ..runtime.bucket import TokenBucket
from ..runtime.counters import Counters
from ..runtime.first_step import rest_of
from ..runtime.floods import Floods
from ..runtime.flush import FlushScheduler
from ..runtime.tasks import Tasks
from ..runtime.timer_wheel import TimerWheel
from ..settings import Settings
from .channel_rights import ChannelRights
from .command_order import CommandOrder, CommandPlace
from .observer import Ending, Observer
from .overrun import PAUSE_S, Overrun, Verdict
from .transport import Transport
from .user_rates import UserRates

log = logging.getLogger(__name__)

ROTATE_WINDOW_MS = 5000  # a connection that is only too old has no hurry
ROTATE_DEADLINE_S = 15.0
_BY_PENDING, _BY_OVERRUN = 1, 2  # why nothing is read for now
IN_ORDER_S = 0.25  # longer than what follows a refused command on the wire is under way


class Host(Protocol):
    """What a connection needs of its node."""

    settings: Settings
    flushes: FlushScheduler
    timers: TimerWheel
    tasks: Tasks
    counters: Counters
    floods: Floods
    user_rates: UserRates
    observer: Observer
    heartbeat: float
    default_window: Window

    def now(self) -> float:
        """Monotonic seconds."""

    def wall(self) -> float:
        """Unix seconds."""

    def new_connection_id(self) -> str:
        """An id that no other connection of any node has."""

    def execute(self, connection: "Connection", command: Command) -> Awaitable[None]:
        """Do what a command asks for; raises `HubError`."""

    def withdraw(self, connection: "Connection", channel: str, code: ErrorCode, reason: str) -> None:
        """End a subscription whose right has ended, and say why."""

    def forget(self, connection: "Connection", ending: Ending) -> None:
        """The connection is over."""


class Connection:
    """One connection: joins a session's state, an outbox and a transport, and knows when what is due. Made
    by a transport once its handshake is through; `gone` ends it.

    `member` is this connection's id, or that of the first one in the chain that it continues by `resume`: by it
    presence and ``echo: false`` know a returning one again.
    """

    __slots__ = (
        "_bucket",
        "_expiry_told",
        "_long_reply",
        "_order",
        "_overrun",
        "_paused",
        "_ping_at",
        "_publish_buckets",
        "acked",
        "address",
        "awaited",
        "closed",
        "draining",
        "id",
        "identity",
        "last_error",
        "last_heard",
        "member",
        "node",
        "opened_at",
        "outbox",
        "rights",
        "rotate_at",
        "session",
        "slot",
        "subscriptions",
        "transport",
    )

    def __init__(
        self,
        node: Host,
        transport: Transport,
        encoding: AnyEncoding,
        console: bool,
        address: str,
        sink: Sink | None = None,
        fd: int = NO_FD,
    ) -> None:
        self.node = node
        self.transport: Transport | None = transport
        self.id = node.new_connection_id()
        self.session = Session(encoding, console)
        limit = node.settings.outbox_bytes
        self.outbox = Outbox(sink or transport, node.flushes, encoding, limit, self._overflow, fd)
        self.address = address
        self.identity: Identity | None = None
        self.subscriptions: dict[str, Subscription] = {}
        self.rights: ChannelRights | None = None
        self.member = self.id
        self.opened_at = self.last_heard = node.now()
        self.last_error: str | None = None
        self.acked: dict[str, Position] | None = None
        self.awaited: set[str] | None = None  # channels of the token that do not hold yet
        self.closed = False
        self.draining: float | None = None
        self.rotate_at: float | None = None
        self.slot = 0
        self._bucket: TokenBucket | None = None
        self._publish_buckets: dict[str, TokenBucket] | None = None
        self._order: CommandOrder | None = None
        self._long_reply: asyncio.Lock | None = None
        self._overrun: Overrun | None = None
        self._paused = 0
        self._expiry_told = False
        self._ping_at = self.opened_at + node.heartbeat * random.random()
        node.timers.at(min(self._ping_at, self.opened_at + node.settings.auth_timeout), self)

    @property
    def who(self) -> tuple[str, bytes | None]:
        """The user, and what presence shows of it."""
        assert self.identity is not None
        return self.identity.user, self.identity.info

    # Rights

    def speak_for(self, identity: Identity) -> None:
        """It has said who it is, or has a new token."""
        before, self.identity = self.identity, identity
        if identity.service != (before is not None and before.service):
            self._bucket = self._overrun = None  # other rates

    def hold(self, right: ChannelRight) -> None:
        """A subscription has this right from now on, and its end is watched."""
        if self.rights is None:
            self.rights = ChannelRights()
        self.rights.put(right)
        self.reschedule()

    def let_go(self, channel: str) -> None:
        """The subscription has ended, and its right with it."""
        if self.rights is not None:
            self.rights.remove(channel)
            if not self.rights:
                self.rights = None

    # In

    def receive(self, data: bytes, text: bool) -> None:
        """One whole message from the transport."""
        self.last_heard = self.node.now()
        if self.closed:
            return
        self.node.counters.bytes_received += len(data)
        try:
            command = self.session.receive(data, text)
        except HelpRequested:
            self.push(replies.help(tuple(console.USAGE.values())))
        except HubError as error:
            self.refuse(self.session.last_id, error)
            if self.session.exhausted:
                self.close(CloseCode.PROTOCOL_ERROR, f"too many bad messages; the last: {error.reason}")
        else:
            self._accept(command)

    def heard(self) -> None:
        """A control frame came in: the peer is there."""
        self.last_heard = self.node.now()

    def _accept(self, command: Command) -> None:
        now = self.last_heard
        if self._bucket is None:
            self._bucket = TokenBucket(*self._rates(), now, IN_ORDER_S)
        wait = self._bucket.take(now, len(command.entries) if isinstance(command, Batch) else 1)
        if wait:
            self._too_many(command, rate_limited("commands on this connection", wait))
        elif (wait := self._wait_of_user(command)) > 0.0:
            self._too_many(command, rate_limited("commands of this user", wait))
        elif isinstance(command, Ping):
            self.node.counters.commands["ping"] += 1
            self.reply(command.id, replies.pong(int(self.node.wall() * 1000)))
        else:
            self.start(command)

    def _rates(self) -> tuple[float, int]:
        """Commands a second, and at once."""
        settings = self.node.settings
        if self.identity is not None and self.identity.service:
            return settings.service_command_rate, settings.service_command_burst
        return settings.command_rate, settings.command_burst

    def _wait_of_user(self, command: Command) -> float:
        """What the limit over all of a user's connections says; each name of a `subscribe` counts."""
        if self.identity is None or self.identity.service:
            return 0.0
        settings = self.node.settings
        count = len(command.entries) if isinstance(command, Batch | SubscribeMany) else 1
        rate, burst = settings.user_command_rate, settings.user_command_burst
        return self.node.user_rates.take(self.identity.user, "commands", rate, burst, self.last_heard, count)

    def _too_many(self, command: Command, error: HubError) -> None:
        """Over a limit: it is answered; who keeps on is not read from for a while, and in the end closed."""
        self.refuse(command.id, about(command, error))
        if self._overrun is None:
            self._overrun = Overrun(*self._rates(), self.last_heard)
        verdict = self._overrun.judge(self.last_heard)
        if verdict is Verdict.ANSWER:
            return
        self.node.floods.note("commands", self.address, "commands keep coming over the limit")
        if verdict is Verdict.CLOSE:
            self.close(CloseCode.LIMIT, "commands kept coming over the limit")
        else:
            self._pause(_BY_OVERRUN)
            asyncio.get_running_loop().call_later(PAUSE_S, self._resume, _BY_OVERRUN)

    def _pause(self, why: int) -> None:
        if not self._paused and self.transport is not None:
            self.transport.pause_reading()
        self._paused |= why

    def _resume(self, why: int) -> None:
        before, self._paused = self._paused, self._paused & ~why
        if before and not self._paused and self.transport is not None:
            self.transport.resume_reading()

    def start(self, command: Command) -> None:
        """Run a command, after the commands before it on the same channels; in a task, where it has to wait."""
        rest: Coroutine[Any, Any, None] | None = None
        if self._order is None:  # nothing is under way: most are through at once, and need no place
            rest = rest_of(self._run(command))
            if rest is None:
                return
        order = self._order = self._order or CommandOrder()
        place = order.enter(_channels_of(command))
        if len(order) >= self.node.settings.max_pending_commands:
            self._pause(_BY_PENDING)
        self.node.tasks.spawn(self._in_place(rest or self._run(command), order, place))

    async def _in_place(
        self, work: Coroutine[Any, Any, None], order: CommandOrder, place: CommandPlace
    ) -> None:
        try:
            await place.reached()
            await work
        finally:
            work.close()
            order.leave(place)
            self._finished(len(order))

    async def _run(self, command: Command) -> None:
        try:
            if not self.closed:
                await self.execute(command)
        except HubError as error:
            self.refuse(command.id, about(command, error))
        except Exception:
            log.exception("%s failed on %s", type(command).__name__, self.id)
            failed = HubError(ErrorCode.INTERNAL, "the hub failed; its log says why")
            self.refuse(command.id, about(command, failed))

    async def execute(self, command: Command) -> None:
        """Do what a command asks for; raises `HubError`."""
        await self.node.execute(self, command)

    def _finished(self, pending: int) -> None:
        if not pending:
            self._order = None
        if pending <= self.node.settings.max_pending_commands // 2:
            self._resume(_BY_PENDING)

    # Out

    def push(self, message: replies.Message) -> None:
        """Send a message of the hub."""
        if not self.closed:
            self.outbox.push(encode(message, self.outbox.encoding))

    def share(self, push: prepared.PreparedMessage) -> None:
        """Send a message that others get too."""
        if not self.closed:
            self.outbox.push(push.frame(self.outbox.encoding))

    def reply(self, id: CommandId, message: replies.Message) -> None:
        """Answer a command; `type` first, then its `id`."""
        self.push(replies.answering(id, message))

    def refuse(self, id: CommandId, error: HubError) -> None:
        """Answer a command, or a message that was none, with what is wrong."""
        self.last_error = f"{error.code.value}: {error.reason}"
        self.node.counters.errors[error.code.value] += 1
        if self.identity is not None:
            self.node.observer.refused(self, error)
        self.reply(id, replies.error(error))

    def publish_wait(self, name: str, namespace: Namespace) -> float:
        """Take one publication from this connection's bucket; the seconds to wait where it is empty."""
        if self._publish_buckets is None:
            self._publish_buckets = {}
        now = self.node.now()
        bucket = self._publish_buckets.get(name)
        if bucket is None:
            hold = IN_ORDER_S if namespace.stored else 0.0
            bucket = TokenBucket(namespace.publish_rate, namespace.publish_burst, now, hold)
            self._publish_buckets[name] = bucket
        return bucket.take(now)

    def awaits(self, channel: str) -> bool:
        """Whether a channel that the token brings is still to be subscribed, and by nobody else."""
        return (
            not self.closed
            and channel in (self.awaited or ())
            and channel not in self.subscriptions
            and self.identity is not None
            and channel in self.identity.channels
        )

    def subscription_by_token(self, channel: str, since: Position | None) -> Subscribe:
        """The subscription to a channel that the token brings."""
        return Subscribe(None, channel, since, by_token=True)

    def waits_no_more(self, channel: str) -> None:
        """It holds, or is no longer wanted."""
        if self.awaited is not None:
            self.awaited.discard(channel)
            self.awaited = self.awaited or None

    def long_reply(self) -> asyncio.Lock:
        """Held by the one command whose long reply is under way."""
        if self._long_reply is None:
            self._long_reply = asyncio.Lock()
        return self._long_reply

    # Time

    def on_time(self, now: float) -> float | None:
        """The wheel's call: heartbeat, silence, expiry of the token, the deadline for a token."""
        if self.closed:
            return None
        node = self.node
        if self.session.state is SessionState.WAITING:
            deadline = self.opened_at + node.settings.auth_timeout
            if now >= deadline:
                self.close(CloseCode.AUTH_TIMEOUT, f"no token within {node.settings.auth_timeout:g} s")
                return None
            due = self._heartbeat(now)
            return None if due is None else min(deadline, due)
        if self.draining is not None and now >= self.draining:
            self.close(CloseCode.DRAINING, "this node is going away", (0, ROTATE_WINDOW_MS))
            return None
        if self.rotate_at is not None and now >= self.rotate_at:
            self.send_away(ROTATE_WINDOW_MS, ROTATE_DEADLINE_S)
        due = self._heartbeat(now)
        if due is None:
            return None
        expiry = self._expiry(now)
        if expiry is None:
            return None
        due = min(due, expiry, self.draining or due, self.rotate_at or due)
        return due if self.rights is None else min(due, self._rights_due(now, self.rights))

    def _heartbeat(self, now: float) -> float | None:
        heard = max(self.last_heard, self.node.timers.stalled_at)
        patience = 1.5 * self.node.heartbeat
        if now - heard > patience:
            self.close(CloseCode.HEARTBEAT_TIMEOUT, f"nothing was heard for {now - heard:.0f} s")
            return None
        if now >= self._ping_at:
            self._ping_at = now + self.node.heartbeat * random.uniform(0.9, 1.0)
            self._ping()
        return min(self._ping_at, heard + patience)

    def _ping(self) -> None:
        if self.transport is not None:
            self.transport.ping()

    def _expiry(self, now: float) -> float | None:
        """The monotonic time of the next step towards expiry. The wall clock is asked each time: it jumps."""
        assert self.identity is not None
        left = self.identity.expires_at - self.node.wall()
        if left <= 0:
            self.close(CloseCode.TOKEN_EXPIRED, "the token has expired")
            return None
        if left > 60:
            # The wheel calls at least once a heartbeat; far from expiry that is often enough.
            return now + min(left - random.uniform(30, 60), 3600.0)
        if not self._expiry_told:
            self._expiry_told = True
            self.push(replies.token_expiring(self.identity.expires_at, left))
        return now + left

    def _rights_due(self, now: float, rights: ChannelRights) -> float:
        """The monotonic time of the next step of a channel's right."""
        wall = self.node.wall()
        for right in rights.ended(wall):
            why = f"the token of {right.channel} has expired"
            self.node.withdraw(self, right.channel, ErrorCode.TOKEN_EXPIRED, why)
        for right in rights.expiring(wall):
            self.push(replies.token_expiring(right.expires_at, right.expires_at - wall, right.channel))
        return now + max(0.0, rights.due() - wall)

    def renewed(self, identity: Identity) -> None:
        """Another token of the same user is in force now."""
        self.speak_for(identity)
        self._expiry_told = False
        self.reschedule()

    def reschedule(self) -> None:
        """What is due has changed: look at it now."""
        self.node.timers.remove(self)
        if not self.closed:
            self.node.timers.at(self.node.now(), self)

    # The end

    def send_away(self, window_ms: int, deadline_s: float) -> None:
        """Ask the client to come back by another connection within `window_ms`, and close this one at the
        deadline where it does not by itself."""
        if self.draining is not None:
            return
        self.draining = self.node.now() + deadline_s
        self.rotate_at = None
        self.push(replies.drain((0, window_ms), int(deadline_s * 1000)))
        if self.transport is not None:
            self.transport.sent_away((0, window_ms))
        self.reschedule()

    def close(self, code: int, reason: str, window: Window | None = None) -> None:
        """Close from the hub's side: `hub.close` goes ahead of the queue, then the closing handshake."""
        if self.closed:
            return
        if codes.then(code) is Then.STOP:
            window = None
        elif window is None:
            window = self.node.default_window
        transport = self.transport
        message = replies.close(code, reason, window)
        self.last_error = self.last_error or reason
        ending = self._ending(code, reason, by_hub=True)
        gathered = self.outbox.close()
        self._end(ending)
        if transport is not None:
            transport.write(gathered + encode(message, self.session.encoding))
            transport.close(self._closing(code), reason, window)

    def _closing(self, code: int) -> int:
        """A close code as the client knows it."""
        return code

    def gone(self, code: int) -> None:
        """The transport is lost, or the peer has closed with `code`."""
        if not self.closed:
            ending = self._ending(code, "", by_hub=False)
            self.outbox.close()
            self._end(ending)
        self.transport = None

    def _ending(self, code: int, reason: str, *, by_hub: bool) -> Ending:
        """How it ends, read off before it is let go of."""
        outbox = self.outbox
        unacked = self.transport.unacknowledged() if by_hub and self.transport is not None else None
        return Ending(int(code), reason, by_hub, outbox.queued, outbox.queued_bytes, unacked)

    def _end(self, ending: Ending) -> None:
        self.closed = True
        self.session.closed()
        self.node.timers.remove(self)
        self.node.forget(self, ending)

    def _overflow(self) -> None:
        self.close(
            CloseCode.SLOW_CONSUMER,
            f"more than {self.outbox.limit} bytes waited for this client to read",
        )


def rate_limited(what: str, wait: float) -> HubError:
    """The refusal of something that came too often; `wait` is seconds."""
    milliseconds = max(1, int(wait * 1000) + 1)
    return HubError(
        ErrorCode.RATE_LIMITED, f"too many {what}; wait {milliseconds} ms", retry_after_ms=milliseconds
    )


def about(command: Command, error: HubError) -> HubError:
    """The error, with the channel that the command is about."""
    if error.channel is None:
        error.channel = getattr(command, "channel", None)
    return error


def _channels_of(command: Command) -> tuple[str, ...]:
    """The channels on which a command takes effect in the order sent."""
    if isinstance(command, Authenticate | Call | Ping):
        return ()
    if isinstance(command, SubscribeMany | Batch):
        return tuple({entry.channel for entry in command.entries if not isinstance(entry, HubError)})
    return (command.channel,)
