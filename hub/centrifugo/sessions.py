"""Sessions: by what a request brings a frame to the connection that it belongs to, on whatever node that is.

A session is signed by the node that holds the connection, and told to its client alone. Other nodes see from it
that the hub gave it away, before they ask anybody, and hand the frame on by the nodes' own bus: with the id of the
connection, so that who reads there can't speak for it.
"""

import base64
from typing import Any, NamedTuple

from ..auth.signing import Signer
from ..cluster.commands import ClusterCommands
from ..connections.table import ConnectionTable
from .emulated import EmulatedConnection, Outcome

EMULATION = "centrifugo_emulation"
ANSWER_S = 3.0  # the SDKs wait 5 s for the answer to a command
MAX_SESSION = 2048  # characters; a user's name has a quarter of it at most
_SEPARATOR = "\n"  # which the first two have not


class Session(NamedTuple):
    """What a session says: the connection, the node that holds it, and its user."""

    node: str
    connection: str
    user: str


class Sessions:
    """See the module's head."""

    def __init__(
        self, node: str, signer: Signer, connections: ConnectionTable, cluster: ClusterCommands
    ) -> None:
        self._node = node
        self._signer = signer
        self._connections = connections
        self._cluster = cluster
        cluster.answer(EMULATION, self._on_frame)

    def issue(self, connection: EmulatedConnection) -> str:
        """The session of a connection of this node, whose user is known."""
        said = Session(self._node, connection.id, connection.who[0])
        return self._signer.sign(_SEPARATOR.join(said).encode())

    def read(self, text: str, node: str) -> Session | None:
        """The session that a node gave away; None where it did not."""
        payload = None if len(text) > MAX_SESSION else self._signer.verify(text)
        if payload is None:
            return None
        session = Session(*payload.decode().split(_SEPARATOR, 2))
        return session if session.node == node else None

    async def hand_on(self, session: Session, data: bytes, text: bool) -> Outcome | None:
        """A frame to its connection; None where the node did not answer in time.

        Raises:
            HubError: the storage is away.
        """
        if session.node == self._node:
            return self._deliver(session.connection, data, text)
        frame = data.decode() if text else base64.b64encode(data).decode()
        fields = {"to": session.node, "connection": session.connection, "frame": frame, "text": text}
        answer = await self._cluster.ask_one(EMULATION, ANSWER_S, **fields)
        return None if answer is None else Outcome(answer)

    def _on_frame(self, command: dict[str, Any]) -> str | None:
        if command["to"] != self._node:
            return None
        text, frame = command["text"], command["frame"]
        data = frame.encode() if text else base64.b64decode(frame)
        return self._deliver(command["connection"], data, text)

    def _deliver(self, id: str, data: bytes, text: bool) -> Outcome:
        connection = self._connections.get(id)
        if not isinstance(connection, EmulatedConnection):
            return Outcome.GONE
        return connection.deliver(data, text)
