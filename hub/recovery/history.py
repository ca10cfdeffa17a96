"""Reading a channel's stored events, over a socket or by HTTP."""

from ..broker.base import Broker
from ..delivery.prepared import fragments
from ..namespaces import Namespace
from ..protocol import replies
from ..protocol.codes import ErrorCode
from ..protocol.commands import ReadHistory
from ..protocol.errors import HubError
from ..protocol.recovery import FOR_EVER, Gap, judge
from .by_time import position_at


async def read_history(
    broker: Broker, namespace: Namespace, command: ReadHistory, room: int
) -> replies.Message:
    """`events`, `epoch`, `offset` (the top) and `more`, in at most `room` bytes of JSON.

    With a position that is no longer good, the events begin at the oldest that is stored, and `gap` says
    what lies between.

    Raises:
        HubError: ``bad_channel`` on ephemeral channels, or what the broker says.
    """
    if not namespace.stored:
        raise HubError(ErrorCode.BAD_CHANNEL, f"{command.channel} is ephemeral: nothing of it is stored")
    since = command.since
    if command.since_time is not None:
        since = await position_at(broker, command.channel, command.since_time)
    page = await broker.read(command.channel, None if since is None else since.offset, command.limit)
    gap: Gap | None = None
    if since is not None:
        verdict = judge(since, page.top, FOR_EVER)
        if isinstance(verdict, Gap):
            end = page.top.first - 1
            gap = Gap(verdict.start, max(end, verdict.start - 1), verdict.cause)
            page = await broker.read(command.channel, 0, command.limit)
    bodies: list[bytes] = []
    for event in page.events:
        body = event.body()
        room -= len(body) + 1
        if room < 0 and bodies:
            break
        bodies.append(body)
    last = page.events[len(bodies) - 1].offset if bodies else page.top.offset
    events = fragments(bodies)
    return replies.history_fields(events, page.top.position, more=last < page.top.offset, gap=gap)
