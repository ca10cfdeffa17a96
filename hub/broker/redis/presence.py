"""Who is in a channel, right across nodes, in Redis.

A member belongs to the node of its owner, and is present while that node says so (`keep`): for each channel
with members of a node, the channel knows until when. The due-list makes a living node look when that moment
has passed, and the dead node's members leave. A node remembers its own members: where a channel has forgotten
the node (a flush, or a pause so long that it was taken for dead), they enter again.
"""

from collections.abc import Sequence
from dataclasses import replace

from ...protocol.codes import ErrorCode
from ...protocol.errors import HubError
from ..base import Member
from . import format as wire
from .client.topology import Topology
from .client.tuning import Stats
from .due import DueList
from .keys import KeyNames
from .scripts import ENTER, LEAVE, MEMBERS, NODE_MEMBERS, SET_STATE, Script
from .store import Request, Store

_FULL_RETRY_MS = 10_000
_LEAVE, _NODE = "leave", "node"
_CHUNK = 500  # channels that are kept in one write
_FIRST_TTL_S = 20.0  # until the node has said how long its signs of life last


class RedisPresence:
    """`Presence` over Redis."""

    def __init__(
        self,
        store: Store,
        topology: Topology,
        keys: KeyNames,
        due: DueList,
        node: str,
        limit: int,
        stats: Stats,
    ) -> None:
        self._store = store
        self._topology = topology
        self._keys = keys
        self._due = due
        self._node = node
        self._limit = limit
        self._stats = stats
        self._ttl_s = _FIRST_TTL_S
        self._owed: dict[tuple[str, str, str, str], float] = {}  # leaves to be done, with their grace
        self._mine: dict[str, dict[tuple[str, str], Member]] = {}
        due.handlers[_LEAVE] = self._look_at_leave
        due.handlers[_NODE] = self._look_at_node

    async def enter(self, channel: str, member: Member) -> None:
        """As `Presence.enter`."""
        if channel not in self._mine:
            await self._due.add((_NODE, channel, self._node), self._ttl_s)
        name = (channel, member.user, member.name, member.owner)
        try:
            reply = await self._store.one(self._entering(channel, member))
        except HubError:
            self._owed[name] = 0.0  # it may have entered all the same, and would stay as a ghost
            raise
        self._owed.pop(name, None)
        if reply[0] == b"limit":
            raise HubError(
                ErrorCode.LIMIT,
                f"{self._limit} members are present, which is the limit of a channel",
                channel=channel,
                retry_after_ms=_FULL_RETRY_MS,
            )
        mine = self._mine.setdefault(channel, {})
        before = mine.get((member.user, member.name))
        if member.state is None and before is not None:
            member = replace(member, state=before.state)
        mine[(member.user, member.name)] = member

    async def set_state(self, channel: str, user: str, name: str, owner: str, state: bytes) -> None:
        """As `Presence.set_state`."""
        reply = await self._store.one(self._request(SET_STATE, channel, _field(user, name), owner, state))
        if reply[0] == b"conflict":
            raise HubError(
                ErrorCode.CONFLICT,
                "another connection speaks for this member now, or it left",
                channel=channel,
            )
        mine = self._mine.get(channel, {})
        member = mine.get((user, name))
        if member is not None:
            mine[(user, name)] = replace(member, state=state)

    async def leave(self, channel: str, user: str, name: str, owner: str, grace_s: float) -> None:
        """As `Presence.leave`."""
        self._forget(channel, user, name, owner)
        self._owed[(channel, user, name, owner)] = grace_s  # until it is done: the storage may be away
        await self._leave(channel, user, name, owner, grace_s)

    async def _leave(self, channel: str, user: str, name: str, owner: str, grace_s: float) -> None:
        item = (_LEAVE, channel, user, name, owner)
        if grace_s > 0:
            await self._due.add(item, grace_s)
        grace_ms = max(0, int(grace_s * 1000))
        reply = await self._store.one(self._request(LEAVE, channel, _field(user, name), owner, grace_ms))
        self._owed.pop((channel, user, name, owner), None)
        if grace_s > 0 and reply[0] == b"ok":
            # Once more: the item may have been looked at, and dropped, before the leave stood in the channel.
            await self._due.add(item, grace_s)

    async def members(self, channel: str) -> list[Member]:
        """As `Presence.members`."""
        reply = await self._store.one(self._request(MEMBERS, channel))
        members = []
        for fields in sorted(reply[1], key=lambda fields: int(fields[0])):
            try:
                members.append(wire.member(fields))
            except wire.Unreadable as error:
                self._stats.note("unreadable_members", "%s: a member was skipped: %s", channel, error)
        return members

    async def keep(self, ttl_s: float) -> None:
        """This node lives for the next `ttl_s`: so do its members.

        Raises:
            HubError: ``unavailable``; what could be kept is.
        """
        self._ttl_s = ttl_s
        failed = await self._leave_late()
        channels = list(self._mine)
        for at in range(0, len(channels), _CHUNK):
            chunk = channels[at : at + _CHUNK]
            replies = await self._store.run(
                [
                    self._request(NODE_MEMBERS, channel, "keep", self._node, int(ttl_s * 1000))
                    for channel in chunk
                ]
            )
            for channel, reply in zip(chunk, replies, strict=True):
                if isinstance(reply, HubError):
                    failed = reply
                elif reply[1] == b"0":
                    await self._enter_again(channel)
        if failed is not None:
            raise failed

    async def _leave_late(self) -> HubError | None:
        """Do the leaves that could not be done while the storage was away."""
        for (channel, user, name, owner), grace_s in list(self._owed.items()):
            try:
                await self._leave(channel, user, name, owner, grace_s)
            except HubError as error:
                return error
        return None

    async def _enter_again(self, channel: str) -> None:
        members = list(self._mine.get(channel, {}).values())
        self._stats.note("presence_restored", "%s: %d members entered again", channel, len(members))
        requests = [self._due.adding((_NODE, channel, self._node), self._ttl_s)]
        requests += [self._entering(channel, member, only_absent=True) for member in members]
        for reply in await self._store.run(requests):
            if isinstance(reply, HubError):
                raise reply

    async def _look_at_leave(self, channel: str, user: str, name: str, owner: str) -> float | None:
        reply = await self._store.one(self._request(LEAVE, channel, _field(user, name), owner, "due"))
        return int(reply[1]) / 1000 if reply[0] == b"early" else None

    async def _look_at_node(self, channel: str, node: str) -> float | None:
        reply = await self._store.one(self._request(NODE_MEMBERS, channel, "sweep", node, 0))
        return int(reply[1]) / 1000 if reply[0] == b"early" else None

    def _forget(self, channel: str, user: str, name: str, owner: str) -> None:
        mine = self._mine.get(channel, {})
        member = mine.get((user, name))
        if member is not None and member.owner == owner:
            del mine[(user, name)]
            if not mine:
                self._mine.pop(channel, None)

    def _entering(self, channel: str, member: Member, *, only_absent: bool = False) -> Request:
        return self._request(
            ENTER,
            channel,
            _field(member.user, member.name),
            member.owner,
            self._node,
            "1" if member.named else "0",
            member.info or b"",
            member.state or b"",
            self._limit,
            int(self._ttl_s * 1000),
            "1" if only_absent else "0",
        )

    def _request(self, script: Script, channel: str, *args: str | bytes | int) -> Request:
        verb = self._topology.of(channel).publish
        head: Sequence[str] = (verb, self._keys.announcements(channel))
        return Request(channel, script, self._keys.present(channel), (*head, *args))


def _field(user: str, name: str) -> str:
    return f"{user}\0{name}"
