"""The door of the Centrifugo protocol: the token comes with `connect`, the encoding by subprotocol or query."""

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
from ..protocol import dialects
from ..protocol.frames import Encoding
from .connection import CentrifugoConnection
from .framing import SUBPROTOCOLS
from .pushes import Pushes
from .terms import Terms

PATH = "/connection/websocket"


class CentrifugoHandshaker(Handshaker):
    """Decides on handshakes at `PATH`."""

    def __init__(
        self, node: Entrance, tickets: Tickets, origins: Origins, proxies: TrustedProxies, *, terms: Terms
    ) -> None:
        super().__init__(node, tickets, origins, proxies)
        self._terms = terms

    def spoken(self, request: UpgradeRequest) -> tuple[str | None, Encoding]:
        """JSON unless Protobuf is asked for, in either place; what else is offered is passed over. An offer is
        answered even where the query has said it: clients take an upgrade without for a failure."""
        query = parse_qs(request.query)
        binary = "protobuf" in (*query.get("format", ()), *query.get("cf_protocol", ()))
        offered = next((name for name in request.subprotocols if name in SUBPROTOCOLS), None)
        encoding = Encoding.CENTRIFUGO_PROTOBUF if binary else Encoding.CENTRIFUGO_JSON
        return offered, encoding if binary or offered is None else SUBPROTOCOLS[offered]

    async def identify(self, _request: UpgradeRequest, _query: object) -> None:
        """Not yet."""

    def connection(
        self, transport: Transport, entry: Upgrade, sink: Sink | None = None, fd: int = NO_FD
    ) -> Connection:
        """One that speaks it."""
        terms = self._terms
        return CentrifugoConnection(
            self.node,
            transport,
            entry.encoding,
            entry.address,
            sink,
            fd,
            executes=terms.executes,
            names=terms.names,
        )


def open_door(handshaker: Handshaker, terms: Terms) -> None:
    """From now on the hub speaks the protocol, at `PATH` beside its own."""
    for encoding in SUBPROTOCOLS.values():
        dialects.register(encoding, Pushes(encoding, terms.names))
    handshaker.open_beside(PATH, partial(CentrifugoHandshaker, terms=terms))
