"""The door of the Centrifugo protocol: the token comes with `connect`, the encoding by subprotocol or query."""

from collections.abc import Mapping
from functools import partial
from urllib.parse import parse_qs

from ..auth.addresses import TrustedProxies
from ..auth.origins import Origins
from ..auth.tickets import Tickets
from ..commands.handshake import Handshaker, Upgrade, UpgradeRequest
from ..commands.host import Entrance
from ..connections.connection import Connection
from ..connections.transport import Transport
from ..delivery.outbox import NO_FD, Sink
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from ..settings import Settings
from .connection import CentrifugoConnection
from .dialect import JSON, ONE_WAY_JSON, PROTOBUF, CentrifugoDialect
from .one_way import OneWayConnection
from .terms import Terms

PATH = "/connection/websocket"
ONE_WAY_PATH = "/connection/uni_websocket"
SUBPROTOCOLS = {"centrifuge-json": JSON, "centrifuge-protobuf": PROTOBUF}


class CentrifugoHandshaker(Handshaker):
    """Decides on handshakes at `PATH`."""

    kind: type[CentrifugoConnection] = CentrifugoConnection

    def __init__(
        self, node: Entrance, tickets: Tickets, origins: Origins, proxies: TrustedProxies, *, terms: Terms
    ) -> None:
        super().__init__(node, tickets, origins, proxies)
        self._terms = terms

    def spoken(self, request: UpgradeRequest) -> tuple[str | None, CentrifugoDialect]:
        """JSON unless Protobuf is asked for, in either place; what else is offered is passed over. An offer is
        answered even where the query has said it: clients take an upgrade without for a failure."""
        query = parse_qs(request.query) if request.query else {}
        binary = "protobuf" in (*query.get("format", ()), *query.get("cf_protocol", ()))
        offered = next((name for name in request.subprotocols if name in SUBPROTOCOLS), None)
        form = PROTOBUF if binary else SUBPROTOCOLS.get(offered or "", JSON)
        return offered, self._terms.dialect(form)

    async def identify(self, _request: UpgradeRequest, _query: Mapping[str, list[str]]) -> None:
        """Not yet."""

    def connection(
        self, transport: Transport, entry: Upgrade, sink: Sink | None = None, fd: int = NO_FD
    ) -> Connection:
        """One that speaks it."""
        assert isinstance(entry.encoding, CentrifugoDialect)
        executes = self._terms.executes
        return self.kind(self.node, transport, entry.encoding, entry.address, sink, fd, executes=executes)


class OneWayHandshaker(CentrifugoHandshaker):
    """At `ONE_WAY_PATH`: what connects may stand in the query."""

    kind = OneWayConnection

    def spoken(self, _request: UpgradeRequest) -> tuple[str | None, CentrifugoDialect]:
        """JSON, and no subprotocol has a name for it."""
        return None, self._terms.dialect(ONE_WAY_JSON)

    async def identify(self, _request: UpgradeRequest, query: Mapping[str, list[str]]) -> None:
        """Not yet; but a token must not stand where none may."""
        for first in query.get("cf_connect", ()):
            in_query(first, self.node.settings)

    async def decide(self, handshake: UpgradeRequest) -> Upgrade:
        """See `Handshaker`."""
        entry = await super().decide(handshake)
        found = parse_qs(handshake.query).get("cf_connect")
        entry.first = found[0].encode() if found else None
        return entry

    async def begin(self, connection: Connection, entry: Upgrade) -> None:
        """See `Handshaker`."""
        if entry.error is None and entry.first is not None:
            connection.receive(entry.first, True)
        else:
            await super().begin(connection, entry)


def in_query(first: str | None, settings: Settings) -> bytes:
    """What a client says first, in the query: its token is in it.

    Raises:
        HubError: ``unauthenticated``: the settings want no tokens there.
    """
    if first and not settings.query_token:
        raise HubError(ErrorCode.UNAUTHENTICATED, "tokens in the query are switched off on this hub")
    return (first or "").encode()


def open_door(handshaker: Handshaker, terms: Terms) -> None:
    """From now on the hub speaks the protocol, at `PATH` and `ONE_WAY_PATH` beside its own."""
    handshaker.open_beside(PATH, partial(CentrifugoHandshaker, terms=terms))
    handshaker.open_beside(ONE_WAY_PATH, partial(OneWayHandshaker, terms=terms))
