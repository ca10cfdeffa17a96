"""Other protocols that the hub speaks: how what it says is written for their clients.

A dialect makes of a message of docs/protocol.md the bytes of its own frames. It stands where a connection of the
hub's own protocol has an `Encoding`, so that events and messages are written once for all its receivers, as those
are. Each hub of a process has its own: what clients call a channel is a setting.
"""

from typing import Any

from .frames import Encoding


class Dialect:  # no ABC: whether something is one is asked for each message, and that would make it slow
    """See the module's head. All that it says is a function of the message alone. `name` is for people; `is_text`:
    as `Encoding.is_text`."""

    name: str
    is_text: bool

    def frames(self, message: dict[str, Any]) -> bytes:
        """A message of the hub, or an event, as its receivers read it; empty where they have no word for it."""
        raise NotImplementedError

    def ends(self, message: dict[str, Any]) -> bool:
        """Whether its receivers take the message for the end of the subscription that it speaks of."""
        raise NotImplementedError


AnyEncoding = Encoding | Dialect


def ends(encoding: AnyEncoding, message: dict[str, Any]) -> bool:
    """See `Dialect.ends`; the hub's own encodings have words for everything."""
    return isinstance(encoding, Dialect) and encoding.ends(message)
