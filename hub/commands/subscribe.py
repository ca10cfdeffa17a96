"""Subscribing: from the command, or the token's channels, to the reply and what follows it."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from ..auth.channel_right import ChannelRight
from ..connections.channel_rights import Either
from ..connections.connection import Connection, about
from ..delivery.channel import Channel, Subscription
from ..delivery.prepared import PreparedMessage, fragments, paged
from ..delivery.snapshot import PAGE_BYTES
from ..presence.board import Arrival
from ..presence.members import encoded
from ..protocol import replies
from ..protocol.codes import ErrorCode
from ..protocol.commands import Subscribe, SubscribeMany
from ..protocol.errors import HubError
from ..protocol.position import Position
from ..protocol.replies import Subscribed
from ..recovery import replay
from ..recovery.by_time import position_at
from ..recovery.start import Start, decide_start
from ..runtime.first_step import together
from .channel_rights import check_right, right_for
from .host import Subscribes
from .permissions import check_presence, check_subscribe, identity_of, owns_inbox, rights_in

ROOM = 2048  # bytes of a reply beside its snapshot and members
BATCH = 32  # subscriptions of one command that open at once


@dataclass(slots=True)
class _Joined:
    """A subscription that is ready to begin, and what its reply says."""

    command: Subscribe
    subscription: Subscription
    start: Start
    says: Subscribed
    members: Sequence[bytes] | None
    arrival: Arrival | None
    right: ChannelRight | None

    def reply(self, room: "_Room") -> "_Reply":
        """The reply, as far as there is room for it."""
        says, late, whole = self.says, [], True
        if self.members is not None:
            first, *others = paged(self.members, room.members // 2) or [[]]
            room.take(sum(len(body) + 1 for body in first))
            says = replace(says, members=fragments(first))
            joins = (replies.members_changed("join", says.channel, fragments(page)) for page in others)
            late = [PreparedMessage(join) for join in joins]
        if (snapshot := self.start.snapshot) is not None:
            whole = snapshot.fits(room.snapshots)
            if whole:
                room.take(snapshot.size)
            says = replace(says, snapshot=snapshot.inline if whole else None, more=not whole)
        return _Reply(says, whole, late)


@dataclass(slots=True)  # one that is frozen costs 2 µs more to make
class _Reply:
    """`whole`: the snapshot is in it, where there is one. `late`: the members that did not fit into it."""

    says: Subscribed
    whole: bool = True
    late: Sequence[PreparedMessage] = ()


class _Room:
    """Bytes that a frame has left. A reply is encoded for one receiver, so it has no more than a page of snapshots,
    and none while the socket has enough to do: their pages wait for it."""

    def __init__(self, node: Subscribes, connection: Connection, results: int) -> None:
        self.members = max(0, node.settings.frame_bytes - ROOM - 400 * (results - 1))
        self.snapshots = 0 if connection.outbox.crowded else min(PAGE_BYTES, self.members)

    def take(self, size: int) -> None:
        self.members = max(0, self.members - size)
        self.snapshots = max(0, self.snapshots - size)


async def subscribe(node: Subscribes, connection: Connection, command: Subscribe) -> None:
    if command.given and command.channel in connection.subscriptions:
        _keep(connection, command)
        return
    if command.by_token and not connection.awaits(command.channel):
        return
    joined = await _join(node, connection, command)
    if command.by_token and not connection.awaits(command.channel):
        _turn_back(node, connection, command, joined.subscription.channel, joined.arrival)
        return
    reply = joined.reply(_Room(node, connection, 1))
    connection.reply(command.id, replies.subscribed(reply.says))
    _take_place(node, connection, joined)
    _begin(node, connection, joined, reply)


async def subscribe_many(node: Subscribes, connection: Connection, command: SubscribeMany) -> None:
    results = await _join_all(node, connection, command.entries)
    # One frame for all: what does not fit into it follows.
    room = _Room(node, connection, len(results))
    answers = [result if isinstance(result, HubError) else result.reply(room) for result in results]
    says = [answer if isinstance(answer, HubError) else answer.says for answer in answers]
    connection.reply(command.id, replies.subscribed_many(says))
    for result in results:  # all of them stand, and count, before the next command looks
        if isinstance(result, _Joined):
            _take_place(node, connection, result)
    for result, reply in zip(results, answers, strict=True):
        if isinstance(result, _Joined) and isinstance(reply, _Reply):
            _begin(node, connection, result, reply)
            await asyncio.sleep(0)


def _keep(connection: Connection, command: Subscribe) -> None:
    """A service gives the right to what is subscribed already: it stays as it is, from now on by that right too."""
    if connection.rights is None or connection.rights.get(command.channel) is None:
        connection.hold(ChannelRight(connection.who[0], command.channel))


def _take_place(node: Subscribes, connection: Connection, joined: _Joined) -> None:
    node.replace(connection, joined.subscription)
    if joined.right is not None and not joined.subscription.ended:
        connection.hold(joined.right)


async def _join_all(
    node: Subscribes, connection: Connection, entries: Sequence[Subscribe | HubError]
) -> list[_Joined | HubError]:
    """All are ready to begin together, so each counts towards the limit before it has begun, and what a
    renewal or a close took away meanwhile is looked at once more."""
    results: list[_Joined | HubError] = []
    ready: set[str] = set()
    for at in range(0, len(entries), BATCH):
        batch = entries[at : at + BATCH]
        joined = await together(_try_join(node, connection, entry, ready) for entry in batch)
        results += (_admitted(node, connection, result, ready) for result in joined)
    return [_admitted(node, connection, result, ready) for result in results]


async def _try_join(
    node: Subscribes, connection: Connection, entry: Subscribe | HubError, ready: Collection[str]
) -> _Joined | HubError:
    if isinstance(entry, HubError):
        return entry
    try:
        return await _join(node, connection, entry, ready)
    except HubError as error:
        return about(entry, error)


def _admitted(
    node: Subscribes, connection: Connection, result: _Joined | HubError, ready: set[str]
) -> _Joined | HubError:
    """The same, unless it may not begin any more."""
    if isinstance(result, HubError):
        return result
    try:
        _may_subscribe(node, connection, result.command, result.right, ready)
    except HubError as error:
        _turn_back(node, connection, result.command, result.subscription.channel, result.arrival)
        return about(result.command, error)
    ready.add(result.command.channel)
    return result


async def _join(
    node: Subscribes, connection: Connection, command: Subscribe, ready: Collection[str] = ()
) -> _Joined:
    """Everything up to the reply. The channel stays in use until `_begin` or `_turn_back`."""
    node.namespaces.of(command.channel)
    right = await right_for(node, connection, command)
    _may_subscribe(node, connection, command, right, ready)
    info = None
    if node.application is not None and node.application.asks_subscribe(command.channel):
        answer = await node.application.subscribe(connection, command)
        command, info = answer.command, answer.info
    channel = await node.channels.acquire(command.channel)
    arrival = None if command.presence is None else node.presence.arrive(connection, channel.name)
    try:
        members = await _enter(node, connection, command, channel, right, info)
        unread = await _unread(node, connection, channel)
        command = await _placed(node, command, channel)
        start = await decide_start(
            node.channels, channel, command.since, node.settings.recovery_limit, connection.outbox
        )
        _may_subscribe(
            node, connection, command, right, ready
        )  # a renewal or a close may have come in between
    except BaseException:
        _turn_back(node, connection, command, channel, arrival)
        raise
    subscription = Subscription(
        connection,
        connection.outbox,
        channel,
        own=None if command.echo else connection.member,
        rate=command.max_rate,
        presence=command.presence,
        began=int(node.wall() * 1000),
        began_at=start.at,
        began_in=start.epoch,
        begun=start.how,
    )
    if command.since is not None and channel.namespace.stored:
        recovered = start.gap is None
        node.counters.recovered += recovered
        node.counters.unrecovered += not recovered
    says = replace(_place(channel, start, command), unread=unread)
    return _Joined(command, subscription, start, says, members, arrival, right)


async def _placed(node: Subscribes, command: Subscribe, channel: Channel) -> Subscribe:
    """With the position that it asks for by a moment."""
    if command.since_time is None or not channel.namespace.stored:
        return command
    return replace(command, since=await position_at(node.broker, channel.name, command.since_time))


def _place(channel: Channel, start: Start, command: Subscribe) -> Subscribed:
    """Where the subscription begins."""
    if not channel.namespace.stored:
        return Subscribed(channel.name)
    position = Position(start.epoch, start.top)
    if command.since is None:
        return Subscribed(channel.name, position)
    return Subscribed(channel.name, position, start.missed or 0, start.gap)


async def _enter(
    node: Subscribes,
    connection: Connection,
    command: Subscribe,
    channel: Channel,
    right: ChannelRight | None,
    shown: bytes | None,
) -> Sequence[bytes] | None:
    """Become present, where that is asked for; the members, this one first: its own join is not sent.
    `shown`: what the application wants to be seen of it."""
    if command.presence is None:
        return None
    user, info = connection.who
    standing = connection.rights.get(channel.name) if connection.rights is not None else None
    for each in (standing, right):
        info = info if each is None or each.info is None else each.info
    members = await node.presence.enter(connection, channel, command.presence, user, shown or info)
    return encoded(sorted(members, key=lambda member: member.owner != connection.id))


async def _unread(node: Subscribes, connection: Connection, channel: Channel) -> int | None:
    """What an inbox says to its reader."""
    identity = identity_of(connection)
    if not channel.namespace.inbox or not owns_inbox(identity, channel.name):
        return None
    return (await node.broker.inbox(channel.name, identity.user)).unread


def _begin(node: Subscribes, connection: Connection, joined: _Joined, reply: _Reply) -> None:
    """After the reply: what did not fit into it, what was missed, then live."""
    subscription, start = joined.subscription, joined.start
    channel = subscription.channel
    if subscription.ended:  # by the end of the connection, or by a command that followed
        node.channels.release(channel)
        if joined.arrival is not None:
            node.presence.turned_back(joined.arrival)
        return
    for push in reply.late:
        connection.share(push)
    snapshot = None if reply.whole else start.snapshot
    if start.epoch == channel.epoch:
        replay.begin(node.channels.repairs, node.tasks, subscription, start.at, start.events, snapshot)
    else:
        # The numbering changed between the decision and now: say where it stands instead.
        token = channel.catch_up(subscription, start.at)
        node.tasks.spawn(node.channels.repairs.reposition(subscription, token, start.epoch, start.at))
    if joined.arrival is not None:
        node.presence.arrived(joined.arrival, subscription)
    node.channels.release(channel)


def _turn_back(
    node: Subscribes, connection: Connection, command: Subscribe, channel: Channel, arrival: Arrival | None
) -> None:
    """A subscription does not begin after all: nothing of it stays, least of all a member that is not there."""
    node.channels.release(channel)
    if arrival is None or command.presence is None:
        return
    node.presence.turned_back(arrival)
    standing = connection.subscriptions.get(channel.name)
    if standing is not None and standing.presence == command.presence:
        return
    user, _ = connection.who
    node.presence.leave(connection, user, channel.name, command.presence, at_once=not connection.closed)


def _may_subscribe(
    node: Subscribes,
    connection: Connection,
    command: Subscribe,
    right: ChannelRight | None,
    ready: Collection[str] = (),
) -> None:
    """Whether the rights and the limit allow it. `ready`: further channels that are about to be subscribed."""
    namespace = node.namespaces.of(command.channel)
    rights = rights_in(connection, command.channel)
    if right is not None:
        check_right(node, right)
        rights = Either(rights, right)
    check_subscribe(rights, command.channel)
    if command.presence is not None:
        check_presence(rights, command.channel, enabled=namespace.presence)
    most = node.settings.max_channels
    taken = connection.subscriptions.keys() | ready
    if command.channel not in taken and len(taken) >= most:
        raise HubError(
            ErrorCode.LIMIT, f"{most} channels are subscribed, more are not allowed", retry_after_ms=60_000
        )
