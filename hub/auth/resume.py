"""The `resume` value of the welcome: it says which connection its holder had. It carries no rights."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from .signing import Signer

LIFETIME_S = 86_400.0
MAX_CHARACTERS = 256

_HEAD = struct.Struct(">BIB")  # version, Unix time of issue, length of the connection's id
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Returning:
    """The connection that a newcomer had before, and its node."""

    connection: str
    node: str


class ResumeTokens:
    """Made by one node, checked by any that has the same secret; good for `lifetime_s`, and its user only."""

    def __init__(self, signer: Signer, clock: Callable[[], float], lifetime_s: float = LIFETIME_S) -> None:
        self._signer = signer
        self._clock = clock
        self._lifetime_s = lifetime_s

    def issue(self, connection_id: str, node_id: str, user: str) -> str:
        """The value for a new connection; the user is bound to it and does not stand in it."""
        connection = connection_id.encode()
        head = _HEAD.pack(_VERSION, int(self._clock()), len(connection))
        return self._signer.sign(head + connection + node_id.encode(), _context(user))

    def check(self, text: str, user: str) -> Returning | None:
        """What the value says; None where it is wrong, foreign, too old or another user's."""
        if len(text) > MAX_CHARACTERS:
            return None
        payload = self._signer.verify(text, _context(user))
        if payload is None or len(payload) < _HEAD.size:
            return None
        version, issued_at, length = _HEAD.unpack_from(payload)
        if version != _VERSION or self._clock() - issued_at >= self._lifetime_s:
            return None
        names = payload[_HEAD.size :]
        return Returning(connection=names[:length].decode(), node=names[length:].decode())


def _context(user: str) -> bytes:
    return user.encode(errors="surrogatepass")
