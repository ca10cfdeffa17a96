"""The bounded send queue of one connection: coalescing, and aware of delivery modes.

While the socket takes what it is given, nothing queues here: frames gather during a turn of the loop and leave
in one write. Once the transport says stop (`block`), frames queue, up to `limit` bytes:

    what is queued                 under pressure
    -----------------------------  --------------------------------------------------------------------
    a reply or push of the hub     waits its turn
    an event of a `log` channel    waits its turn
    an event of a `state` channel  taken out when a newer one of its key is queued, unless it is final
    an event, `ephemeral`          the same, and all of these are dropped before the limit is an overflow

An overflow means a slow consumer; the owner closes it. What `hold` takes, the pages of a snapshot, is pulled frame
by frame, each once the one before has left. It counts for nothing here: its frames are shared by all receivers, and
the node bounds them (`recovery.snapshots`). Replays never queue here: they wait for room.
"""

from collections import OrderedDict
from collections.abc import Callable
from time import perf_counter
from typing import Protocol

from ..protocol.dialects import AnyEncoding
from ..protocol.event import Burst, Event
from ..runtime.flush import FlushScheduler

NO_FD = -1
DRAIN_CHUNK = 65_536  # bytes handed to the transport at once when it takes again


class Sink(Protocol):
    """The transport's side of an outbox."""

    def write(self, data: bytes) -> None:
        """Send the bytes of whole frames; may call the outbox's `block` before it returns."""


class Source(Protocol):
    """Frames that are pulled."""

    def take(self, encoding: AnyEncoding) -> bytes | None:
        """The next one; None after the last."""


class Receiver(Protocol):
    """What an outbox has to know of a subscription.

    `sent` is the last offset that this receiver was sent, valid while `queued` events wait or where the
    subscription is not `plain`.
    """

    plain: bool
    sent: int
    queued: int
    conflates: bool

    def note_merge(self, gone: int, into: int) -> None:
        """An event that waited was taken out for a newer one of its key."""


class _Past:
    """The receiver that a subscription (`now`) was before it began at another place."""

    __slots__ = ("conflates", "now", "plain", "queued", "sent")

    def __init__(self, receiver: Receiver) -> None:
        self.now = receiver
        self.plain = False
        self.sent = receiver.sent
        self.queued = receiver.queued
        self.conflates = receiver.conflates

    def note_merge(self, gone: int, into: int) -> None:
        """Nothing of it is taken out."""


class _Held:
    """A source that is pulled from, and for whom."""

    __slots__ = ("receiver", "source")

    def __init__(self, source: Source, receiver: Receiver | None) -> None:
        self.source = source
        self.receiver = receiver


_Entry = bytes | _Held | tuple[Event, Receiver]


class Outbox:
    """The bounded send queue of one connection: coalescing, and aware of delivery modes. `on_overflow` is
    called once, and not inside a fan-out.

    `full`: the transport takes nothing. `blocked`: it is full, or what waits is yet to be handed on; frames queue.
    `fd` is the socket's descriptor where `sink` keeps nothing back without saying `block`, else NO_FD. `clear`:
    there is one, nothing gathers here and nothing waits, so that a fan-out may write to `fd` past the sink.
    """

    __slots__ = (
        "_chunks",
        "_entries",
        "_flushes",
        "_gathered",
        "_held",
        "_pulling",
        "_room",
        "_serial",
        "_since",
        "blocked",
        "clear",
        "encoding",
        "fd",
        "full",
        "limit",
        "on_overflow",
        "overflowed",
        "queued_bytes",
        "sink",
    )

    def __init__(
        self,
        sink: Sink,
        flushes: FlushScheduler,
        encoding: AnyEncoding,
        limit: int,
        on_overflow: Callable[[], None],
        fd: int = NO_FD,
    ) -> None:
        self.sink: Sink | None = sink
        self.fd = fd
        self.encoding = encoding
        self.limit = limit
        self.on_overflow: Callable[[], None] | None = on_overflow
        self.blocked = self.full = False
        self.clear = fd != NO_FD
        self.overflowed = False
        self.queued_bytes = 0
        self._flushes = flushes
        self._chunks: list[bytes] | None = None
        self._gathered = False
        self._held = 0  # sources among the entries
        self._pulling = False
        self._entries: OrderedDict[object, _Entry] | None = None
        self._serial = 0
        self._since: float | None = None  # when the transport took nothing more
        self._room: list[Callable[[], None]] | None = None

    # In

    def push(self, frames: bytes) -> None:
        """Send the bytes of whole frames after all that was sent before."""
        if self.blocked:
            self._queue(self._next_serial(), frames, len(frames))
        else:
            self._gather(frames)

    def deliver(self, burst: Burst, receiver: Receiver) -> None:
        """Send a burst of live events."""
        if self.blocked:
            for event in burst.events:
                self._queue_event(event, receiver)
        elif self._gathered:
            assert self._chunks is not None
            self._chunks.append(burst.frames(self.encoding))
        else:
            self._gather(burst.frames(self.encoding))

    def deliver_event(self, event: Event, receiver: Receiver) -> None:
        """Send one live event to a receiver whose `sent` is kept: what it missed is counted as conflated."""
        if self.blocked:
            self._queue_event(event, receiver)
        else:
            self._gather(self._frame(event, receiver))

    def send_rest(self, frames: bytes, written: int) -> None:
        """A fan-out could write only the first `written` bytes of these frames to `fd`: the sink takes the rest."""
        assert self.sink is not None
        self.sink.write(frames[written:])

    def hold(self, source: Source, receiver: Receiver | None = None) -> None:
        """Send the frames of `source` as the socket drains; what is sent later waits behind them."""
        if self.sink is None:
            return
        if not self.blocked:
            self.flush()
            self.blocked = True
            self.clear = False
            self._flushes.later(self._release)
        self._held += 1
        self._queue(self._next_serial(), _Held(source, receiver), 0)

    def let_go(self, receiver: Receiver) -> None:
        """Where something held for `receiver` has not been sent to its end, neither the rest of it is sent nor what
        waits behind it for the same: it would be read on top of a part."""
        entries = self._entries
        if not self._held or entries is None:
            return
        if not any(isinstance(entry, _Held) and entry.receiver is receiver for entry in entries.values()):
            return
        for key, entry in list(entries.items()):
            if _is_for(entry, receiver):
                del entries[key]
                self._forget(entry)

    # Out

    def flush(self) -> None:
        """Write what gathered in this turn."""
        self._gathered = False
        if self.sink is None:
            return
        self.clear = self.fd != NO_FD and not self.blocked
        chunks = self._chunks
        if chunks:
            self._chunks = None
            self.sink.write(chunks[0] if len(chunks) == 1 else b"".join(chunks))

    def block(self) -> None:
        """The transport's buffer is full."""
        if self._since is None:
            self._since = perf_counter()
        self.full = True
        self.blocked = True
        self.clear = False

    def unblock(self, ahead: bytes = b"") -> None:
        """The transport takes again: give it `ahead`, then what waits, and then say that there is room."""
        self.full = False
        self._waited()
        if ahead and self.sink is not None:
            self.sink.write(ahead)
        self._release()

    def _release(self) -> None:
        """Hand on what waits, unless the transport has to say first that it takes again."""
        if self.full:
            return
        self.blocked = False
        self.flush()
        entries = self._entries
        while entries and not self.blocked and self.sink is not None:
            if isinstance(next(iter(entries.values())), _Held):
                self._pull_later()
                return
            self.sink.write(self._take(entries))
        if not entries:
            self._entries = None
        if self.blocked or self.sink is None:
            return  # the very last write may have filled the transport again
        waiting, self._room = self._room, None
        for callback in waiting or ():
            callback()

    def _pull_later(self) -> None:
        """A frame of what is held is long, and may have to be encoded: each waits for its share of a turn."""
        self.blocked = True
        self.clear = False
        if not self._pulling:
            self._pulling = True
            self._flushes.in_slices(self._pull)

    def _pull(self) -> None:
        self._pulling = False
        if self.full or self.sink is None:
            return
        key, entry = next(iter((self._entries or {}).items()), (None, None))
        if isinstance(entry, _Held):
            frames = entry.source.take(self.encoding)
            if frames is not None:
                self.sink.write(frames)  # alone, so that it is the same object in every transport
            elif self._entries is not None and self._entries.pop(key, None) is not None:
                self._forget(entry)
        self._release()

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call back once, when everything queued has gone to the transport; or when the outbox is closed."""
        if self._room is None:
            self._room = []
        self._room.append(callback)

    def detach(self, receiver: Receiver) -> None:
        """What is queued for `receiver` stays queued, but its count of offsets goes on after it: something
        will be said in between. None of it is taken out any more: nothing before that would say so."""
        if not receiver.queued or self._entries is None:
            return
        past = _Past(receiver)
        receiver.queued = 0
        entries: OrderedDict[object, _Entry] = OrderedDict()
        for key, entry in self._entries.items():
            if isinstance(entry, tuple) and entry[1] is receiver:
                entries[self._next_serial()] = (entry[0], past)
                receiver.sent = entry[0].offset
            else:
                entries[key] = entry
        self._entries = entries

    def close(self) -> bytes:
        """Let go of everything; what gathered in this turn is returned, what was queued is not."""
        data = b"".join(self._chunks or ())
        self._waited()
        self._chunks = self._entries = self.sink = self.on_overflow = None
        self._gathered = self.clear = False
        self.queued_bytes = self._held = 0
        waiting, self._room = self._room, None
        for callback in waiting or ():
            callback()
        return data

    @property
    def crowded(self) -> bool:
        """Whether a replay, a snapshot or a long reply has to wait: nothing leaves, or enough leaves now."""
        return self.blocked or (
            self._chunks is not None and sum(len(chunk) for chunk in self._chunks) >= DRAIN_CHUNK
        )

    @property
    def queued(self) -> int:
        """How many entries wait."""
        return len(self._entries or ())

    # Inside

    def _gather(self, frames: bytes) -> None:
        if self.sink is None:
            return
        if self._chunks is None:
            self._chunks = [frames]
        else:
            self._chunks.append(frames)
        if not self._gathered:
            self._gathered = True
            self.clear = False
            self._flushes.outbox(self)

    def _waited(self) -> None:
        """The socket takes again, or never will: for how long did it not?"""
        if self._since is not None:
            self._flushes.waited.observe(perf_counter() - self._since)
            self._since = None

    def _next_serial(self) -> int:
        self._serial += 1
        return self._serial

    def _queue_event(self, event: Event, receiver: Receiver) -> None:
        if not receiver.queued and receiver.plain:
            # Nothing was counted while all went straight out. From the first one that waits on, what is merged away
            # has to be: its offsets become the `conflated` of the event that leaves instead.
            receiver.sent = event.offset - 1
        key: object
        if receiver.conflates and event.key is not None:
            key = (event.channel, event.key)
            self._take_out(key, event.offset)
            if event.final:
                # The last word of a key stands under a name of its own, so that no later event takes it out.
                key = self._next_serial()
        else:
            key = self._next_serial()
        receiver.queued += 1
        self._queue(key, (event, receiver), len(event.frame(self.encoding)))

    def _take_out(self, key: object, into: int) -> None:
        """An older event of the same key waits no more; the newer one is appended, so offsets rise."""
        entry = self._entries.pop(key, None) if self._entries else None
        if entry is not None:
            if isinstance(entry, tuple):
                entry[1].note_merge(entry[0].offset, into)
            self._forget(entry)

    def _forget(self, entry: _Entry) -> None:
        """It is no entry any more: count it out."""
        if isinstance(entry, _Held):
            self._held -= 1
        elif isinstance(entry, tuple):
            event, receiver = entry
            receiver.queued -= 1
            self.queued_bytes -= len(event.frame(self.encoding))
        else:
            self.queued_bytes -= len(entry)

    def _queue(self, key: object, entry: _Entry, size: int) -> None:
        if self.sink is None:
            return
        if self._entries is None:
            self._entries = OrderedDict()
        self._entries[key] = entry
        self.queued_bytes += size
        if self.queued_bytes > self.limit:
            self._relieve()

    def _relieve(self) -> None:
        """Over the limit: ephemeral events go first; then it is an overflow."""
        entries = self._entries or OrderedDict()
        for key, entry in list(entries.items()):
            if isinstance(entry, tuple) and not entry[0].offset:
                del entries[key]
                self._forget(entry)
        if self.queued_bytes > self.limit and not self.overflowed and self.on_overflow is not None:
            # Put off: the owner closes, and that takes the subscription out of the very channel that fans out now.
            self.overflowed = True
            self._flushes.later(self.on_overflow)

    def _take(self, entries: OrderedDict[object, _Entry]) -> bytes:
        """The frames of the oldest entries, about `DRAIN_CHUNK` bytes, up to something that is held."""
        frames: list[bytes] = []
        size = 0
        while entries and size < DRAIN_CHUNK:
            key, entry = entries.popitem(last=False)
            if isinstance(entry, _Held):
                entries[key] = entry
                entries.move_to_end(key, last=False)
                break
            self._forget(entry)
            frames.append(entry if isinstance(entry, bytes) else self._frame(*entry))
            size += len(frames[-1])
        return b"".join(frames)

    def _frame(self, event: Event, receiver: Receiver) -> bytes:
        if not event.offset:
            return event.frame(self.encoding)
        conflated = event.offset - receiver.sent - 1
        receiver.sent = event.offset
        return (
            event.conflated_frame(self.encoding, conflated) if conflated > 0 else event.frame(self.encoding)
        )


def _is_for(entry: _Entry, receiver: Receiver) -> bool:
    if isinstance(entry, _Held):
        return entry.receiver is receiver
    if isinstance(entry, tuple):
        return entry[1] is receiver or (isinstance(entry[1], _Past) and entry[1].now is receiver)
    return False
