"""Where a new subscription begins: live, after a position that is still good, or at a snapshot after a gap."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..delivery.channel import Channel
from ..delivery.outbox import Outbox
from ..delivery.snapshot import Snapshot
from ..namespaces import Mode
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from ..protocol.event import Event
from ..protocol.position import Position
from ..protocol.recovery import FOR_EVER, Cause, Gap, Resume, judge
from .replay import PAGE, room
from .table import ChannelTable

ATTEMPTS = 5  # the numbering may change under our feet so many times before we give up


@dataclass(slots=True)  # one that is frozen costs 2 µs more to make
class Start:
    """A subscription of `epoch` continues after offset `at`.

    `events` follow `at`, as far as they were read. `missed` is None where nothing was asked to be recovered,
    else the number of events that follow up to the top. `snapshot` is complete at `at`.
    """

    epoch: str
    at: int
    missed: int | None = None
    gap: Gap | None = None
    events: Sequence[Event] = ()
    snapshot: Snapshot | None = None

    @property
    def how(self) -> str:
        """As `Subscription.begun`."""
        if self.missed is not None:
            return "position"
        if self.snapshot is not None:
            return "snapshot"
        return "live" if self.gap is None else "gap"

    @property
    def top(self) -> int:
        """The offset that the reply names."""
        return self.at + (self.missed or 0)


async def decide_start(
    channels: ChannelTable, channel: Channel, since: Position | None, limit: int, outbox: Outbox
) -> Start:
    """Decide where a subscription of an open channel begins. Nothing is awaited after the decision: it holds
    for as long as the caller does not await either.

    Raises:
        HubError: what the broker says, or ``unavailable`` where the numbering does not come to rest.
    """
    if not channel.namespace.stored:
        return Start("", 0)
    gap: Gap | None = None
    if since is not None:
        found = await _resume(channels, channel, since, limit)
        if isinstance(found, Start):
            return found
        gap = found
    if channel.namespace.mode is Mode.STATE:
        return await _at_snapshot(channels, channel, since, gap, outbox)
    if gap is not None:
        gap = Gap(gap.start, channel.top, gap.cause)
    return Start(channel.epoch, channel.top, None, gap)


async def _resume(channels: ChannelTable, channel: Channel, since: Position, limit: int) -> Start | Gap:
    for _ in range(ATTEMPTS):
        if since.epoch == channel.epoch and since.offset <= channel.top:
            missed = channel.top - since.offset
            if missed <= limit and channel.after(since.offset, 1) is not None:
                return Start(channel.epoch, since.offset, missed)
        page = await channels.reads.read(channel.name, since.offset, PAGE)
        verdict = judge(since, page.top, limit)
        ahead = isinstance(verdict, Resume) and verdict.after > channel.top
        if page.top.epoch != channel.epoch or ahead:
            # The node is behind what this client has seen elsewhere: read on, then look again.
            await channels.repairs.repair(channel, quiet=page.top.epoch == channel.epoch)
            continue
        if isinstance(verdict, Gap):
            return verdict
        return Start(channel.epoch, verdict.after, channel.top - verdict.after, None, page.events)
    raise _restless(channel)


async def _at_snapshot(
    channels: ChannelTable, channel: Channel, since: Position | None, gap: Gap | None, outbox: Outbox
) -> Start:
    # It is long. Who does not read what it asked for before is not given more to hold.
    if not await room(outbox, lambda: outbox.sink is not None):
        return Start(channel.epoch, channel.top)
    for _ in range(ATTEMPTS):
        seen = since.offset if since is not None and since.epoch == channel.epoch else 0
        snapshot = await channels.snapshots.of(channel, min(seen, channel.top))
        top = snapshot.top
        if top.epoch != channel.epoch:
            await channels.repairs.repair(channel)
            continue
        # It may be ahead of this node, whose announcements are under way: it is sent as it is, and what the node
        # hears up to `at` afterwards is not sent again (`Subscription.sent`).
        at = top.offset
        if gap is not None and since is not None:
            # The numbering may be another one than when the gap was found.
            verdict = judge(since, top, FOR_EVER)
            new = isinstance(verdict, Gap) and verdict.cause is Cause.EPOCH
            cause = Cause.TRIMMED if gap.cause is Cause.EPOCH else gap.cause
            gap = Gap(1, at, Cause.EPOCH) if new else Gap(since.offset + 1, at, cause)
        return Start(top.epoch, at, None, gap, (), snapshot)
    raise _restless(channel)


def _restless(channel: Channel) -> HubError:
    return HubError(
        ErrorCode.UNAVAILABLE,
        "the channel's numbering changes faster than it can be read",
        channel=channel.name,
        retry_after_ms=1000,
    )
