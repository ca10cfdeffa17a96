"""One channel on one node: where it stands, its tail in memory, and who listens. No I/O.

All subscribers of a channel on a node stand at the same offset, `top`, so whether an announcement is the next
one is decided once for all of them:

    announced offset       then
    ---------------------  ------------------------------------------------------------
    top + 1                pass: to the tail, and at the end of the turn to every subscriber
    top or below           drop: it was seen
    above, or other epoch  `doubt`: events were lost; the table refills from the broker

A channel and its subscriptions know each other, so they stand in one module.
"""

import os
from collections import deque
from collections.abc import Callable, Sequence

from ..namespaces import Namespace
from ..protocol import dialects
from ..protocol.event import Burst, Event
from ..protocol.position import Position
from ..runtime.flush import FlushScheduler
from .outbox import Outbox
from .prepared import PreparedMessage
from .replays import SharedReplays
from .throttle import Throttle

MERGES_KEPT = 64


class TailBytes:
    """The bytes of all tails of a node, about. Counted along: adding them up takes as long as there are channels,
    and nobody is served meanwhile."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0


class Subscription:
    """`plain` ones take a channel's bursts as they are, which is the fast path. The others keep count of what
    they `sent`: those with ``echo: false``, with a `rate`, or that went live at a snapshot ahead of the node.

    `own`: the member whose events are one's own, and not wanted (``echo: false``).
    `ended`: it was replaced or ended, and whatever still works for it stops.
    `began` (Unix ms), `began_at` (an offset) of the numbering `began_in`: when and where it began, and `begun` how:
    ``live``, with a ``snapshot``, from a ``position``, or after a ``gap`` that nothing fills.
    `merged`: the last offsets that were taken out for a newer one of their key, and for which.
    """

    __slots__ = (
        "_throttle",
        "began",
        "began_at",
        "began_in",
        "begun",
        "channel",
        "conflates",
        "ended",
        "merged",
        "outbox",
        "own",
        "owner",
        "plain",
        "presence",
        "queued",
        "sent",
    )

    def __init__(
        self,
        owner: object,
        outbox: Outbox,
        channel: "Channel",
        *,
        own: str | None = None,
        rate: float | None = None,
        presence: str | None = None,
        began: int = 0,
        began_at: int = 0,
        began_in: str = "",
        begun: str = "live",
    ) -> None:
        self.owner = owner
        self.outbox = outbox
        self.channel = channel
        self.conflates = channel.namespace.conflates
        self.own = own
        self.plain = own is None and rate is None
        self.presence = presence
        self.sent = 0
        self.queued = 0
        self.ended = False
        self.began = began
        self.began_at = began_at
        self.began_in = began_in
        self.begun = begun
        self.merged: deque[tuple[int, int]] | None = None
        self._throttle = None if rate is None else Throttle(self, rate)

    def note_merge(self, gone: int, into: int) -> None:
        """An event was taken out for a newer one of its key: only under pressure, and only the last are kept."""
        if self.merged is None:
            self.merged = deque(maxlen=MERGES_KEPT)
        self.merged.append((gone, into))

    @property
    def held_from(self) -> int | None:
        """The first offset that a `rate` holds back just now."""
        return None if self._throttle is None else self._throttle.oldest

    @property
    def tracked(self) -> bool:
        """Whether `sent` has to be kept for as long as the subscription lives."""
        return self.own is not None or self._throttle is not None

    def take(self, events: Sequence[Event]) -> None:
        """Live events for a subscription that is not plain."""
        for event in events:
            if event.offset and event.offset <= self.sent:
                continue
            if self.own is not None and event.origin == self.own:
                continue
            if self._throttle is None:
                self.outbox.deliver_event(event, self)
            else:
                self._throttle.take(event)

    def replay(self, events: Sequence[Event]) -> int:
        """Stored events, in order, to an outbox that has room; returns the bytes sent."""
        for event in events:
            event.epoch = event.epoch or self.channel.epoch
        shared = self._shared(events)
        data = self._joined(events) if shared is None else shared
        if data:
            self.outbox.push(data)
        return len(data)

    def _shared(self, events: Sequence[Event]) -> bytes | None:
        """The bytes that all get who resume here; None where these are for this subscription alone."""
        replays = self.channel.replays
        if replays is None or self.own is not None or len(events) < 2 or events[0].offset != self.sent + 1:
            return None
        if events[-1].offset - self.sent != len(events) or events[0].epoch != events[-1].epoch:
            return None
        self.sent = events[-1].offset
        return replays.of(events, self.outbox.encoding)

    def _joined(self, events: Sequence[Event]) -> bytes:
        frames = []
        encoding = self.outbox.encoding
        for event in events:
            if self.own is not None and event.origin == self.own:
                continue
            conflated = event.offset - self.sent - 1
            frames.append(
                event.conflated_frame(encoding, conflated) if conflated > 0 else event.frame(encoding)
            )
            self.sent = event.offset
        return b"".join(frames)

    def settle(self) -> None:
        """It goes on at another place, or something is to be said: what a `rate` holds back leaves before."""
        if self._throttle is not None:
            self._throttle.flush()

    def resume(self, events: Sequence[Event]) -> None:
        """Events of a `state` channel that were missed, merged by key where the outbox is under pressure."""
        for event in events:
            if self.own is None or event.origin != self.own:
                self.outbox.deliver_event(event, self)

    def tell(self, message: PreparedMessage) -> None:
        """Say something of the channel. Where the client takes that for the end of its subscription, it is over:
        what came later would move the position with which the client comes back."""
        self.outbox.push(message.frame(self.outbox.encoding))
        if dialects.ends(self.outbox.encoding, message.fields):
            self.end()
            self.channel.leave(self)

    def end(self) -> None:
        """It was replaced or ended."""
        self.ended = True
        if self._throttle is not None:
            self._throttle.stop()
        self.outbox.let_go(self)


class Channel:
    """One channel on one node: where it stands, its tail in memory, and who listens.

    `epoch` is "" until the channel has been read. `users` counts those who are about to subscribe. `doubt` is
    called when an announcement shows that others are missing. `catching` holds subscriptions that replay, each
    with the token of the replay that is valid for it. `replays` are the node's.
    """

    __slots__ = (
        "_doubt",
        "_flushes",
        "_pending",
        "_tails",
        "catching",
        "epoch",
        "heard",
        "name",
        "namespace",
        "opening",
        "plain",
        "refilling",
        "replays",
        "special",
        "tail",
        "top",
        "users",
    )

    def __init__(
        self,
        name: str,
        namespace: Namespace,
        flushes: FlushScheduler,
        tails: TailBytes,
        doubt: Callable[["Channel"], None],
        replays: SharedReplays | None = None,
    ) -> None:
        self.name = name
        self.replays = replays
        self.namespace = namespace
        self.epoch = ""
        self.top = 0
        self.heard: Position | None = None
        self.tail: list[Event] | None = None
        self.plain: dict[Outbox, Subscription] = {}
        self.special: set[Subscription] | None = None
        self.catching: dict[Subscription, object] | None = None
        self.users = 0
        self.opening: object | None = None
        self.refilling = False
        self._pending: list[Event] | None = None
        self._flushes = flushes
        self._tails = tails
        self._doubt = doubt

    # Events

    def announce(self, epoch: str, event: Event) -> None:
        """An event from the broker."""
        offset = event.offset
        if not offset:
            self._put_off(event)
        elif epoch == self.epoch and offset == self.top + 1 and not self.refilling:
            self.append(event)
        elif epoch != self.epoch or offset > self.top:
            self.heard = Position(epoch, offset)
            if self.epoch and not self.refilling:
                self._doubt(self)

    def append(self, event: Event) -> None:
        """The next event: to the tail, and to every live subscriber at the end of the turn."""
        self.top = event.offset
        event.epoch = self.epoch
        if self.tail is None:
            self.tail = []
        self.tail.append(event)
        self._tails.bytes += event.size
        if len(self.tail) > 2 * self.namespace.history_size:
            self.trim(self.namespace.history_size)
        self._put_off(event)

    def flush(self, alone: bool = False) -> None:
        """Hand the events of this turn to the subscribers.

        `alone`: no other channel has events in this turn, so there is nothing to gather with: the socket of an
        outbox that is clear is written to at once.
        """
        events, self._pending = self._pending, None
        if not events:
            return
        burst = Burst(events)
        self._flushes.burst(self, events)
        plain = self.plain
        self._flushes.delivered += len(events) * (len(plain) + len(self.special or ()))
        if alone:
            self._write(burst)
        else:
            for outbox, subscription in plain.items():
                outbox.deliver(burst, subscription)
        if self.special:
            self._flush_special(events)

    def _write(self, burst: Burst) -> None:
        """This loop is what a delivery costs; nothing in it awaits, encodes, or makes an object for a receiver."""
        plain = self.plain
        frames, encoding = b"", None
        write = os.write
        for outbox in plain:
            if not outbox.clear:
                outbox.deliver(burst, plain[outbox])
                continue
            if outbox.encoding is not encoding:
                encoding = outbox.encoding
                frames = burst.frames(encoding)
            try:
                written = write(outbox.fd, frames)
            except OSError:
                written = 0  # it is full or gone: the transport finds out which
            if written != len(frames):
                outbox.send_rest(frames, written)

    def _flush_special(self, events: Sequence[Event]) -> None:
        for subscription in list(self.special or ()):
            subscription.take(events)
            if not subscription.tracked and subscription.sent == self.top:
                # It went live at a snapshot ahead of the node, and the node has caught up.
                self.leave(subscription)
                subscription.plain = True
                self.plain[subscription.outbox] = subscription

    def _put_off(self, event: Event) -> None:
        if self._pending is None:
            self._pending = [event]
            self._flushes.channel(self)
        else:
            self._pending.append(event)

    # Subscribers

    @property
    def subscribers(self) -> int:
        """How many subscriptions there are, replaying ones included."""
        return len(self.plain) + len(self.special or ()) + len(self.catching or ())

    @property
    def wanted(self) -> bool:
        """Whether anybody listens or is about to."""
        return bool(self.users or self.subscribers)

    def everyone(self) -> list[Subscription]:
        """All subscriptions."""
        return [*self.plain.values(), *(self.special or ()), *(self.catching or ())]

    def go_live(self, subscription: Subscription, at: int, sent: int | None = None) -> None:
        """From now on, `subscription` gets every event after offset `at`, which is `top` or above it.

        `sent` is what it was really sent, where that is less: events of its own were left out.
        """
        self.flush()
        self.leave(subscription)
        subscription.sent = at if sent is None else sent
        subscription.plain = not subscription.tracked and at == self.top
        if subscription.plain:
            self.plain[subscription.outbox] = subscription
        else:
            if self.special is None:
                self.special = set()
            self.special.add(subscription)

    def catch_up(self, subscription: Subscription, at: int) -> object:
        """`subscription` stands at offset `at` and pulls what follows by itself, for as long as the token that
        is returned is the one in `catching`."""
        self.flush()
        subscription.settle()
        subscription.outbox.detach(subscription)
        self.leave(subscription)
        subscription.sent = at
        if self.catching is None:
            self.catching = {}
        token = self.catching[subscription] = object()
        return token

    def place(self, subscription: Subscription) -> int:
        """The offset up to which `subscription` has been sent everything: behind `top` while it replays, beyond
        it after a snapshot that was ahead."""
        if self.catching and subscription in self.catching:
            return subscription.sent
        return self.top if subscription.plain else max(self.top, subscription.sent)

    def is_catching(self, subscription: Subscription, token: object) -> bool:
        """Whether the replay that holds `token` is still the one in charge."""
        return self.catching is not None and self.catching.get(subscription) is token

    def leave(self, subscription: Subscription) -> None:
        """`subscription` gets nothing more from here."""
        if self.plain.get(subscription.outbox) is subscription:
            del self.plain[subscription.outbox]
        if self.special:
            self.special.discard(subscription)
        if self.catching:
            self.catching.pop(subscription, None)

    # The tail

    def after(self, offset: int, limit: int) -> Sequence[Event] | None:
        """Up to `limit` events after `offset` from the tail; None where the tail does not reach back to it.

        Never more than the stored history would give: what a client may expect does not depend on which
        node it reaches.
        """
        if offset >= self.top:
            return ()
        tail = self.tail or ()
        missed = self.top - offset
        if missed > len(tail) or missed > self.namespace.history_size:
            return None
        start = len(tail) - missed
        return tail[start : start + limit]

    def keep(self, events: Sequence[Event]) -> None:
        """These are the tail, for now: they end at `top`."""
        self.trim(0)
        self.tail = list(events)
        for event in events:
            event.epoch = self.epoch
        self._tails.bytes += sum(event.size for event in events)

    def trim(self, most: int) -> None:
        """Keep at most `most` events of the tail."""
        if self.tail is not None and len(self.tail) > most:
            gone = self.tail[: len(self.tail) - most]
            del self.tail[: len(self.tail) - most]
            self._tails.bytes -= sum(event.size for event in gone)
            if not self.tail:
                self.tail = None

    def settle(self) -> None:
        """Hand on all that came so far, also what a `rate` holds back: something else is to be said."""
        self.flush()
        for subscription in self.special or ():
            subscription.settle()

    def restart(self, epoch: str, top: int) -> None:
        """The channel stands at another place now: nothing before it is known."""
        self.settle()
        self.epoch = epoch
        self.top = top
        self.trim(0)
        if self.replays is not None:
            self.replays.clear()  # what was stored before may be gone for good
