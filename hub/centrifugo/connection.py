"""A connection that speaks the Centrifugo protocol: the hub's own, but for what is said and how."""

import random
from dataclasses import replace
from typing import Any

from ..commands import dispatch
from ..commands.host import Executes
from ..commands.permissions import check_subscribe, rights_in
from ..connections.channel_rights import Either, Rights
from ..connections.connection import Connection, Host
from ..connections.transport import Transport
from ..delivery.outbox import NO_FD, Sink
from ..namespaces import Namespace
from ..protocol.codes import CloseCode, ErrorCode
from ..protocol.commands import Command, ReadHistory, Subscribe
from ..protocol.errors import HubError
from ..protocol.fields import CommandId
from ..protocol.position import Position
from ..protocol.session import MAX_BEFORE_AUTH, SessionState
from ..recovery.replay import room
from . import answers, codes, maps, requests
from .dialect import CentrifugoDialect
from .framing import commands
from .protobuf import Malformed
from .requests import METHODS, RequestId
from .tokens import ENDLESS

IDS = 2**32  # of commands: their SDKs know no higher one
EARLIER_S = (30.0, 33.0)  # a token is to be renewed so long before its end: the SDKs ask at the end of `ttl`


class CentrifugoConnection(Connection):
    """See the module's head. What a client sends behind its `connect` waits until that is answered."""

    __slots__ = ("_before_auth", "_connecting", "_dialect", "_executes", "_held", "_maps", "_pinged")

    def __init__(
        self,
        node: Host,
        transport: Transport,
        dialect: CentrifugoDialect,
        address: str,
        sink: Sink | None = None,
        fd: int = NO_FD,
        *,
        executes: Executes,
    ) -> None:
        super().__init__(node, transport, dialect, False, address, sink, fd)
        self._executes = executes
        self._dialect = dialect
        self._held: list[tuple[str, dict[str, Any]]] | None = None
        self._maps: maps.MapReads | None = None
        self._before_auth = 0
        self._connecting = self._pinged = False

    # In

    def receive(self, data: bytes, text: bool) -> None:
        """One frame from the transport, of any number of commands."""
        self.last_heard = self.node.now()
        if self.closed:
            return
        self.node.counters.bytes_received += len(data)
        if self.session.state is SessionState.WAITING:
            self._before_auth += len(data)
            if self._before_auth > MAX_BEFORE_AUTH:
                self.close(CloseCode.PROTOCOL_ERROR, f"more than {MAX_BEFORE_AUTH} bytes before the token")
                return
        try:
            if text is not self._dialect.is_text:
                raise Malformed("a frame of the other kind than this connection's")
            for command in commands(data, binary=not text):
                self._take(command)
                if self.closed:
                    return
        except Malformed as error:
            self.close(CloseCode.PROTOCOL_ERROR, f"bad request: {error}")

    def _take(self, command: dict[str, Any]) -> None:
        for method in command:
            if method in METHODS:
                break
        else:
            self._pong(command)
            return
        if not 0 < command.get("id", 0) < IDS and method != "send":
            self.close(CloseCode.PROTOCOL_ERROR, f"bad request: {method} needs an id")
        elif self.session.state is not SessionState.WAITING:
            if method == "connect":
                self.close(CloseCode.PROTOCOL_ERROR, "bad request: connected already")
            else:
                self._request(method, command)
        elif self._connecting:
            self._held = self._held or []
            self._held.append((method, command))
        elif method != "connect":
            self.close(CloseCode.PROTOCOL_ERROR, "bad request: the first command must be connect")
        else:
            self._connecting = True
            self._request(method, command)

    def _pong(self, command: dict[str, Any]) -> None:
        if command or not self._pinged:
            why = "a command without a method" if command else "a pong that was not asked for"
            self.close(CloseCode.PROTOCOL_ERROR, f"bad request: {why}")
        self._pinged = False

    def _request(self, method: str, command: dict[str, Any]) -> None:
        id = RequestId.of(command.get("id", 0), method, command[method])
        self._accept(requests.parse(id, self._dialect.names, self._executes.namespaces))

    async def execute(self, command: Command) -> None:
        """Do it, with what only these clients expect."""
        id = command.id
        if isinstance(command, Subscribe) and isinstance(id, RequestId):
            right = await self._right(command, id)
            if id.request.get("type"):
                found = await self._map(command, id, right)
                if found is None:
                    return
                command = found
            command = await self._prepared(command, right)
        elif isinstance(command, ReadHistory) and isinstance(id, RequestId):
            await self._check_epoch(command.channel, id)
        await dispatch.execute(self._executes, self, command)
        if isinstance(command, Subscribe) and isinstance(id, RequestId) and id.rejected:
            self._executes.drop(self, command.channel)  # in the same turn: nothing was sent of it

    async def _right(self, command: Subscribe, id: RequestId) -> Rights:
        """What the connection may do in the channel, with what the command brings."""
        channel = command.channel
        standing = self.subscriptions.get(channel)
        if standing is not None and not standing.ended:
            raise HubError(ErrorCode.CONFLICT, f"{channel} is subscribed already")
        self._executes.namespaces.of(channel)
        right: Rights = rights_in(self, channel)
        if command.token is not None:
            token = await self._executes.verify_channel(command.token)
            id.expires_at = token.expires_at
            right = Either(right, token)
        return right

    async def _map(self, command: Subscribe, id: RequestId, right: Rights) -> Subscribe | None:
        """The subscription that a request for a map leads to; None where its answer is a page of the state."""
        channel, executes, request = command.channel, self._executes, id.request
        maps.check(request, channel, executes.namespaces, id)
        if request.get("phase") != maps.STATE:
            return command
        check_subscribe(right, channel)
        reads = self._maps = self._maps or maps.MapReads()
        async with self.long_reply():
            if not request.get("cursor"):
                snapshot = await executes.channels.snapshots.now(channel, executes.namespaces.of(channel))
                reads.begin(channel, snapshot)
            if not await room(self.outbox, lambda: not self.closed):
                return None
            page = reads.page(channel, request, id)
            if page.cursor:
                self.outbox.push(self._dialect.framed([page.reply(id)]))
                return None
        reads.end(channel)
        id.state = page.entries
        return replace(command, since=page.position)

    async def _prepared(self, command: Subscribe, right: Rights) -> Subscribe:
        """Present where that is allowed, as Centrifugo's options would have it; and a position that names no
        numbering stands in the present one."""
        channel, since = command.channel, command.since
        namespace = self._executes.namespaces.of(channel)
        if not namespace.stored:
            since = None
        elif since is not None and requests.recovers_from_anywhere(command):
            since = Position(await self._epoch(channel), since.offset)
        presence = _presence(namespace, right, channel)
        if presence is None and since is command.since:
            return command
        return replace(command, since=since, presence=presence)

    def subscription_by_token(self, channel: str, since: Position | None) -> Subscribe:
        """Present there too, as with any other."""
        assert self.identity is not None
        command = super().subscription_by_token(channel, since)
        try:
            namespace = self._executes.namespaces.of(channel)
        except HubError:
            return command  # who subscribes will be told
        return replace(command, presence=_presence(namespace, self.identity, channel))

    async def _check_epoch(self, channel: str, id: RequestId) -> None:
        epoch = id.request.get("since", {}).get("epoch")
        if epoch and epoch != await self._epoch(channel):
            id.code = codes.UNRECOVERABLE
            raise HubError(ErrorCode.CONFLICT, "the position is of a numbering that is no more")

    async def _epoch(self, channel: str) -> str:
        (top,) = await self._executes.broker.tops([channel])
        if isinstance(top, HubError):
            raise top
        return top.epoch

    # Out

    def reply(self, id: CommandId, message: dict[str, Any]) -> None:
        """Answer a request; without one of these ids it is a push."""
        if not isinstance(id, RequestId):
            self.push(message)
            return
        if id.error is not None and message["type"] != "hub.error":
            self.refuse(id, id.error)
            if id.method == "connect":
                self.close(CloseCode.PROTOCOL_ERROR, f"bad request: {id.error.reason}")
            return
        welcome = message["type"] == "hub.welcome"
        if not self.closed:
            found = answers.answer(id, message, self.node.heartbeat, self._life)
            if welcome:
                self._welcome(found[0]["connect"])
            self.outbox.push(self._dialect.framed(found))
            id.rejected = answers.rejected(id, message)
        if welcome:
            held, self._held = self._held, None
            for method, command in held or ():
                self._request(method, command)

    def _welcome(self, result: dict[str, Any]) -> None:
        """What else a connection of this kind is told at its begin."""

    def _life(self, end: float) -> dict[str, Any]:
        if end >= ENDLESS:
            return {}
        left = end - self.node.wall() - random.uniform(*EARLIER_S)
        return {"expires": True, "ttl": max(1, int(left))}

    def _ping(self) -> None:
        """An empty message, which the client answers by one."""
        if self.session.state is SessionState.OPEN:
            self._pinged = True
            self.outbox.push(self._dialect.framed([{}]))

    def send_away(self, window_ms: int, deadline_s: float) -> None:
        """There is no word for it: the connection closes some time within the window, and the client comes back."""
        if self.draining is None:
            self.draining = self.node.now() + min(deadline_s, random.uniform(0.0, window_ms / 1000))
            self.rotate_at = None
            self.reschedule()

    def _closing(self, code: int) -> int:
        return codes.closing(code)

    def gone(self, code: int) -> None:
        """A close frame without a code is how these clients say goodbye: they do not stay present."""
        super().gone(CloseCode.NORMAL if code == codes.NO_CODE else code)


def _presence(namespace: Namespace, right: Rights, channel: str) -> str | None:
    """As whom a subscription is present; None where that is not allowed."""
    return "" if namespace.presence and right.may_presence(channel) else None
