"""Who is in a channel, right across nodes, in Redis.

A member belongs to the node of its owner, and is present while that node says so (`keep`): for each channel
with members of a node, the channel knows until when. The due-list makes a living node look when that moment
has passed, and the dead node's members leave. A node remembers its own members: where a channel has forgotten
the node (a flush, or a pause so long that it was taken for dead), or its data may be older ones (another server
process, another copy), what stands there under the node's name is made what it remembers.
"""

from collections.abc import Sequence
from dataclasses import replace

from ...protocol.codes import ErrorCode
from ...protocol.errors import HubError
from ..base import Member, check_member
from . import format as wire
from .client.connection import Reply
from .client.topology import Topology
from .client.tuning import Stats
from .due import DueList
from .intents import RedisIntents
from .keys import KeyNames
from .scripts import ENTER, LEAVE, MEMBER_COUNT, MEMBERS, NODE_MEMBERS, SET_STATE, TOLD, Script
from .signs_of_life import FIRST_TTL_S, skipped_ms
from .store import Request, Store

_FULL_RETRY_MS = 10_000
_LEAVE, _NODE = "leave", "node"
_CHUNK = 500  # channels that are kept in one write
_SETTLING = 3  # signs of life after a doubt at which it is compared: other nodes put theirs right meanwhile


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
        self._ttl_s = FIRST_TTL_S
        self._owed: dict[tuple[str, str, str, str], float] = {}  # leaves to be done, with their grace
        self._mine: dict[str, dict[tuple[str, str], Member]] = {}
        self._entering: set[tuple[str, str, str, str]] = set()
        self._seen: dict[str, str] = {}  # the incarnation of the server that a channel was last compared on
        self._doubted: dict[str, int] = {}  # at how many signs of life it is still to be compared
        due.handlers[_LEAVE] = self._look_at_leave
        due.handlers[_NODE] = self._look_at_node
        self.intents: RedisIntents | None = None  # where webhooks wait for who comes and leaves

    async def enter(self, channel: str, member: Member) -> None:
        """`member.owner` becomes the owner."""
        if channel not in self._mine:
            await self._due.add((_NODE, channel, self._node), self._ttl_s)
        name = (channel, member.user, member.name, member.owner)
        incarnation = self._topology.of(channel).commander.incarnation
        self._entering.add(name)
        try:
            reply = await self._one(self._enter(channel, member))
        except HubError:
            self._owed[name] = 0.0  # it may have entered all the same, and would stay as a ghost
            raise
        finally:
            self._entering.discard(name)
        self._owed.pop(name, None)
        if reply[0] == b"limit":
            raise HubError(
                ErrorCode.LIMIT,
                f"{self._limit} members are present, which is the limit of a channel",
                channel=channel,
                retry_after_ms=_FULL_RETRY_MS,
            )
        mine = self._mine.setdefault(channel, {})
        self._seen.setdefault(channel, incarnation)
        if mine and reply[1] == b"0":
            self._doubted[channel] = (
                _SETTLING  # the others were forgotten, and the next sign would not show it
            )
        before = mine.get((member.user, member.name))
        if member.state is None and before is not None:
            member = replace(member, state=before.state)
        mine[(member.user, member.name)] = member

    async def set_state(self, channel: str, user: str, name: str, owner: str, state: bytes) -> None:
        """Announces an update."""
        reply = await self._one(self._request(SET_STATE, channel, _field(user, name), owner, state))
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
        """The member leaves after `grace_s` unless somebody entered as it meanwhile; a leave by anyone but
        the owner does nothing."""
        self._forget(channel, user, name, owner)
        self._owed[(channel, user, name, owner)] = grace_s  # until it is done: the storage may be away
        await self._leave(channel, user, name, owner, grace_s)

    async def _leave(self, channel: str, user: str, name: str, owner: str, grace_s: float) -> None:
        item = (_LEAVE, channel, user, name, owner)
        if grace_s > 0:
            await self._due.add(item, grace_s)
        grace_ms = max(0, int(grace_s * 1000))
        reply = await self._one(self._request(LEAVE, channel, _field(user, name), owner, grace_ms))
        self._owed.pop((channel, user, name, owner), None)
        if grace_s > 0 and reply[0] == b"ok":
            # Once more: the item may have been looked at, and dropped, before the leave stood in the channel.
            await self._due.add(item, grace_s)

    async def members(self, channel: str) -> list[Member]:
        """All members at this moment, in the order of entering."""
        reply = await self._one(self._request(MEMBERS, channel))
        members = []
        for fields in sorted(reply[1], key=lambda fields: int(fields[0])):
            try:
                members.append(wire.member(fields))
            except wire.Unreadable as error:
                self._stats.note("unreadable_members", "%s: a member was skipped: %s", channel, error)
        return members

    async def count(self, channel: str) -> tuple[int, int]:
        """How many members there are at this moment, and how many users they are."""
        _, members, users = await self._one(self._request(MEMBER_COUNT, channel))
        return members, users

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
            self._doubt_older_data(chunk)
            replies = await self._store.run(
                [
                    self._request(NODE_MEMBERS, channel, "keep", self._node, int(ttl_s * 1000))
                    for channel in chunk
                ]
            )
            for channel, reply in zip(chunk, replies, strict=True):
                if isinstance(reply, HubError):
                    failed = reply
                else:
                    if reply[1] == b"0":
                        self._doubted[channel] = _SETTLING
                    if channel in self._doubted:
                        await self._compare(channel)
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

    def _doubt_older_data(self, channels: Sequence[str]) -> None:
        """Where the server is another process than at the last look, or has other data, these may be older."""
        for channel in channels:
            try:
                incarnation = self._topology.of(channel).commander.incarnation
            except HubError:
                continue
            if self._seen.get(channel) != incarnation:
                self._seen[channel] = incarnation
                self._doubted[channel] = _SETTLING

    async def _compare(self, channel: str) -> None:
        """Make what stands in a channel under this node's name what it holds."""
        reply = await self._one(self._request(NODE_MEMBERS, channel, "list", self._node))
        standing = dict(zip(reply[1][::2], reply[1][1::2], strict=True))
        mine = self._mine.get(channel, {})
        requests = []
        for (user, name), member in mine.items():
            owner = standing.pop(_field(user, name).encode(), None)
            if owner != member.owner.encode():
                requests.append(self._enter(channel, member, only_absent=owner is None))
        entered = len(requests)
        for field, owner in standing.items():
            user, _, name = field.decode("utf-8", "replace").partition("\0")
            if not self._knows((channel, user, name, owner.decode("utf-8", "replace"))):
                requests.append(self._request(LEAVE, channel, field, owner, "ghost"))
        if entered:
            self._stats.note("presence_restored", "%s: %d members entered again", channel, entered)
        if len(requests) > entered:
            self._stats.note("ghosts", "%s: %d members had left long ago", channel, len(requests) - entered)
        requests.append(self._due.adding((_NODE, channel, self._node), self._ttl_s))
        if self.intents is not None:
            await self.intents.expect([channel], "presence")
        for reply in await self._store.run(requests):
            if isinstance(reply, HubError):
                raise reply
        self._settled(channel)

    def _knows(self, name: tuple[str, str, str, str]) -> bool:
        """Whether a member is held, about to be, or about to leave."""
        channel, user, member, owner = name
        held = self._mine.get(channel, {}).get((user, member))
        return name in self._entering or name in self._owed or (held is not None and held.owner == owner)

    def _settled(self, channel: str) -> None:
        left = self._doubted.get(channel, 0) - 1
        if left > 0 and channel in self._mine:
            self._doubted[channel] = left
        else:
            self._doubted.pop(channel, None)

    async def _look_at_leave(self, channel: str, user: str, name: str, owner: str) -> float | None:
        reply = await self._one(self._request(LEAVE, channel, _field(user, name), owner, "due"))
        return int(reply[1]) / 1000 if reply[0] == b"early" else None

    async def _look_at_node(self, channel: str, node: str) -> float | None:
        reply = await self._one(self._request(NODE_MEMBERS, channel, "sweep", node, 0))
        return int(reply[1]) / 1000 if reply[0] == b"early" else None

    def _forget(self, channel: str, user: str, name: str, owner: str) -> None:
        mine = self._mine.get(channel, {})
        member = mine.get((user, name))
        if member is not None and member.owner == owner:
            del mine[(user, name)]
            if not mine:
                for table in (self._mine, self._seen, self._doubted):
                    table.pop(channel, None)

    def _enter(self, channel: str, member: Member, *, only_absent: bool = False) -> Request:
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

    async def _one(self, request: Request) -> Reply:
        """Its reply; where webhooks wait for what it may announce, they are told to look."""
        if self.intents is None:
            return await self._store.one(request)
        if refused := await self.intents.expect([request.tag], "presence"):
            raise refused[request.tag]
        reply = await self._store.one(request)
        self.intents.written([request.tag], "presence")
        return reply

    def _request(self, script: Script, channel: str, *args: str | bytes | int) -> Request:
        shard = self._topology.of(channel)
        head: Sequence[str] = (shard.publish, self._keys.announcements(channel))
        names: tuple[str, ...] = self._keys.present(channel)
        if self.intents is not None and (waiting := self.intents.endpoints(channel, "presence")):
            script, names = TOLD[script], (*names, *self.intents.queues(channel, waiting))
        return Request(channel, script, names, (*head, *args, skipped_ms(shard)))


def _field(user: str, name: str) -> str:
    check_member(user, name)
    return f"{user}\0{name}"
