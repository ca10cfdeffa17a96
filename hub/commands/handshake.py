"""The door: what is decided about a WebSocket handshake before and right after the upgrade (docs/protocol.md,
section 2).

Refusals before the upgrade are HTTP with a problem body. A browser cannot read those: a request with an
allowed `Origin` is upgraded first, and then told.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from ..auth.addresses import TrustedProxies
from ..auth.certificates import BROWSERS, Certificates, NoCertificates, Shown
from ..auth.identity import Identity
from ..auth.jws import claimed_subject
from ..auth.origins import Origins
from ..auth.tickets import Tickets
from ..connections.connection import Connection
from ..connections.observer import Stranger
from ..connections.transport import Transport
from ..delivery.outbox import NO_FD, Sink
from ..protocol.codes import ErrorCode
from ..protocol.commands import parse_positions
from ..protocol.dialects import AnyEncoding
from ..protocol.errors import HubError
from ..protocol.frames import SUBPROTOCOLS, Encoding
from ..protocol.position import Position
from .authenticate import admit, refuse
from .host import Entrance

TOKEN_ENTRY = "hub.token."  # noqa: S105  # the prefix of a subprotocol entry, no secret


@dataclass(slots=True)  # one that is frozen costs 2 µs more to make
class UpgradeRequest:
    """An upgrade request. `headers` has lower-case names; `subprotocols` is the offer, in its order;
    `certificate` is the client's (PEM), where the connection has one."""

    query: str
    headers: Mapping[str, str]
    subprotocols: Sequence[str]
    peer: str
    secure: bool
    certificate: str | None = None


@dataclass(slots=True)  # one that is frozen costs 2 µs more to make
class Upgrade:
    """A handshake that is to be upgraded.

    `identity` None: the token follows as the first message, or stands in `first`, a message that came with the
    request. `error`: it is to be told and closed instead.
    """

    encoding: AnyEncoding
    subprotocol: str | None
    address: str
    identity: Identity | None = None
    error: HubError | None = None
    resume: str | None = None
    since: Mapping[str, Position] = field(default_factory=dict)
    first: bytes | None = None

    @property
    def console(self) -> bool:
        """No subprotocol was asked for: a person may be typing."""
        return self.subprotocol is None


class UpgradeRefused(Exception):
    """The handshake is answered with HTTP `status` and a problem body that says `error`."""

    def __init__(self, status: int, error: HubError) -> None:
        super().__init__(error.reason)
        self.status = status
        self.error = error


class Handshaker:
    """Decides on handshakes, and lets connections in."""

    def __init__(
        self,
        node: Entrance,
        tickets: Tickets,
        origins: Origins,
        proxies: TrustedProxies,
        certificates: Certificates | None = None,
    ) -> None:
        self.node = node
        self._tickets = tickets
        self._origins = origins
        self.proxies = proxies
        self._certificates = certificates or NoCertificates()
        self._doors: dict[str, Handshaker] = {node.settings.path: self}

    @property
    def paths(self) -> Collection[str]:
        """Where WebSockets are served."""
        return self._doors.keys()

    def at(self, path: str) -> "Handshaker | None":
        """Who decides on handshakes at a path."""
        return self._doors.get(path)

    def open_beside(
        self, path: str, kind: "Callable[[Entrance, Tickets, Origins, TrustedProxies], Handshaker]"
    ) -> None:
        """Another protocol is spoken at `path`, with the same node, tickets, origins and proxies."""
        self._doors[path] = kind(self.node, self._tickets, self._origins, self.proxies)

    def spoken(self, handshake: UpgradeRequest) -> tuple[str | None, AnyEncoding]:
        """The subprotocol of the answer, None where there is none, and what is spoken.

        Raises:
            UpgradeRefused: none of those that were offered is known.
        """
        subprotocol = _subprotocol(handshake.subprotocols)
        return subprotocol, SUBPROTOCOLS[subprotocol] if subprotocol else Encoding.JSON

    def connection(
        self, transport: Transport, entry: Upgrade, sink: Sink | None = None, fd: int = NO_FD
    ) -> Connection:
        """The connection of a handshake that was upgraded."""
        return Connection(self.node, transport, entry.encoding, entry.console, entry.address, sink, fd)

    async def decide(self, handshake: UpgradeRequest) -> Upgrade:
        """What becomes of a handshake.

        Raises:
            Refused: it is not upgraded.
        """
        subprotocol, encoding = self.spoken(handshake)
        address = self.proxies.client(handshake.peer, handshake.headers.get("x-forwarded-for"))
        query = parse_qs(handshake.query, keep_blank_values=True) if handshake.query else {}
        resume = _first(query, "resume")
        browser = self._check_origin(handshake, address)
        try:
            returning = resume is not None and self._is_returning(handshake, query, resume)
            await self.node.admission.admit(address, returning=returning)
            identity = await self.identify(handshake, query)
            since = parse_positions(query.get("since"))
        except HubError as error:
            self.node.counters.refused[error.code.value] += 1
            if not browser:  # a browser is upgraded and told, and so is the observer then
                self.node.observer.turned_away(Stranger(address, error.user), error)
                raise UpgradeRefused(error.status, error) from None
            return Upgrade(encoding, subprotocol, address, error=error)
        return Upgrade(encoding, subprotocol, address, identity, None, resume, since)

    async def begin(self, connection: Connection, entry: Upgrade) -> None:
        """The first words on an upgraded connection."""
        if entry.error is not None:
            refuse(connection, entry.error)
        elif entry.identity is not None:
            await admit(self.node, connection, entry.identity, entry.resume, entry.since)

    def _check_origin(self, handshake: UpgradeRequest, address: str) -> bool:
        """Whether it is a browser's request, from an allowed origin."""
        origin = handshake.headers.get("origin")
        host = handshake.headers.get("host")
        if not self._origins.check(origin, host, handshake.secure):
            self.node.counters.refused["origin"] += 1
            why = (
                f"origin {_readable(origin)} is not allowed"
                if origin
                else "a request without Origin is not allowed"
            )
            error = HubError(ErrorCode.FORBIDDEN, why)
            self.node.observer.turned_away(Stranger(address, origin=origin and _readable(origin)), error)
            raise UpgradeRefused(403, error)
        return origin is not None

    def _is_returning(self, handshake: UpgradeRequest, query: Mapping[str, list[str]], resume: str) -> bool:
        """Whether the hub gave this `resume` to the user whom the token names. The token is not checked yet, nor a
        ticket redeemed; but nobody gets before others by a value that he made up."""
        user = claimed_subject(_token(handshake) or _first(query, "token") or "")
        return user is not None and self.node.returning(resume, user) is not None

    async def identify(self, handshake: UpgradeRequest, query: Mapping[str, list[str]]) -> Identity | None:
        """By the first of the places that is there, else by the client's certificate; None where the token comes as
        the first message."""
        if (token := _token(handshake)) is not None:
            return await self.node.verify(token)
        if (ticket := _first(query, "ticket")) is not None:
            identity = await self._tickets.redeem(ticket)
            self.node.revocations.check(identity)
            return identity
        if (token := _first(query, "token")) is not None:
            if not self.node.settings.query_token:
                raise HubError(ErrorCode.UNAUTHENTICATED, "tokens in the query are switched off on this hub")
            return await self.node.verify(token)
        return self._certified(handshake)

    def _certified(self, handshake: UpgradeRequest) -> Identity | None:
        """The service whose certificate it is. That of anybody else says nothing: a token may follow."""
        named, headers = self._certificates.header, handshake.headers
        if handshake.certificate is None and named is None:
            return None
        shown = Shown(
            handshake.certificate,
            headers.get(named) if named is not None else None,
            self.proxies.trusts(handshake.peer),
            any(name in headers for name in BROWSERS),
        )
        try:
            return self._certificates.who(shown, self.node.wall())
        except HubError as error:
            if error.code is ErrorCode.UNAUTHENTICATED:
                return None
            raise


def _subprotocol(offered: Sequence[str]) -> str | None:
    """The first of the client's that the hub speaks; None where it asked for none.

    Raises:
        Refused: 400, only unknown ones.
    """
    if not offered:
        return None
    for name in offered:
        if name in SUBPROTOCOLS:
            return name
    known = " and ".join(SUBPROTOCOLS)
    if all(name.startswith(TOKEN_ENTRY) for name in offered):
        why = f"a hub.token entry stands beside a real subprotocol: offer one of {known} too"
    else:
        why = f"none of the offered subprotocols is known; the hub speaks {known}"
    raise UpgradeRefused(400, HubError(ErrorCode.BAD_MESSAGE, why))


def _token(handshake: UpgradeRequest) -> str | None:
    """The token in a header: `Authorization`, else an entry of the subprotocols."""
    scheme, _, credentials = handshake.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    offered = (name for name in handshake.subprotocols if name.startswith(TOKEN_ENTRY))
    return next((name[len(TOKEN_ENTRY) :] for name in offered), None)


def _readable(header: str) -> str:
    """A header's value for a reason: bytes that are no ASCII came as lone surrogates, which no JSON takes."""
    return header[:200].encode("ascii", "replace").decode()


def _first(query: Mapping[str, list[str]], name: str) -> str | None:
    values = query.get(name)
    return values[0] if values else None
