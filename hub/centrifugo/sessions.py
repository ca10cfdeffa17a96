"""Sessions: by what a request brings a frame to the connection that it belongs to, on whatever node that is.

A session is signed by the node that holds the connection, and told to its client alone. Other nodes see from it
that the hub gave it away, before they ask anybody, and hand the frame on by the nodes' own bus: with the id of the
connection, so that who reads there can't speak for it.
"""

import base64
from typing import Any

from ..auth.signing import Signer
from ..cluster.commands import ClusterCommands
from ..connections.table import ConnectionTable
from .emulated import EmulatedConnection, Outcome

EMULATION = "centrifugo_emulation"
ANSWER_S = 3.0  # the SDKs wait 5 s for the answer to a command
MAX_SESSION = 256  # characters
_SEPARATOR = "\n"


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
        """The session of a connection of this node."""
        return self._signer.sign(_SEPARATOR.join((self._node, connection.id)).encode())

    def read(self, session: str, node: str) -> str | None:
        """The connection of a session that a node gave away; None where it did not."""
        if len(session) > MAX_SESSION:
            return None
        payload = self._signer.verify(session)
        if payload is None:
            return None
        holder, _, connection = payload.decode().partition(_SEPARATOR)
        return connection if holder == node else None

    async def hand_on(self, node: str, connection: str, data: bytes, text: bool) -> Outcome | None:
        """A frame to its connection; None where the node did not answer in time.

        Raises:
            HubError: the storage is away.
        """
        if node == self._node:
            return self._deliver(connection, data, text)
        frame = data.decode() if text else base64.b64encode(data).decode()
        fields = {"to": node, "connection": connection, "frame": frame, "text": text}
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
