"""Other protocols that the hub speaks: how what it says is written for their clients.

A dialect makes of a message of docs/protocol.md the bytes of its own frames. It is registered for an `Encoding`, so
that events and messages are written once for all its receivers, as those of the hub's own encodings are.
"""

from typing import Any, Protocol

from .frames import Encoding


class Dialect(Protocol):
    """See the module's head. All of it is a function of the message alone."""

    def frames(self, message: dict[str, Any]) -> bytes:
        """A message of the hub, or an event, as its receivers read it; empty where they have no word for it."""

    def ends(self, message: dict[str, Any]) -> bool:
        """Whether its receivers take the message for the end of the subscription that it speaks of."""


_dialects: dict[Encoding, Dialect] = {}


def register(encoding: Encoding, dialect: Dialect) -> None:
    """`encoding` is written by `dialect` from now on."""
    _dialects[encoding] = dialect


def frames(encoding: Encoding, message: dict[str, Any]) -> bytes:
    """See `Dialect.frames`."""
    return _dialects[encoding].frames(message)


def ends(encoding: Encoding, message: dict[str, Any]) -> bool:
    """See `Dialect.ends`; the hub's own encodings have words for everything."""
    return encoding > Encoding.PARTS and _dialects[encoding].ends(message)
