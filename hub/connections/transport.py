"""What a transport is to a connection: the I/O around a session."""

from typing import Protocol

from ..protocol.replies import Window


class Transport(Protocol):
    """The transport of a connection: bytes of whole frames out, whole messages in."""

    def write(self, data: bytes) -> None:
        """Send frames. Calls `Outbox.block` when its buffer is full, and `unblock` when it is not any more."""

    def ping(self) -> None:
        """Send a ping (RFC 6455 section 5.5.2)."""

    def close(self, code: int, reason: str, window: Window | None = None) -> None:
        """Begin the closing handshake (RFC 6455 section 7.1.2), which has a time limit. `window` was told already,
        where there are words for it."""

    def sent_away(self, window: Window) -> None:
        """The client was asked to come back by another connection within `window`. Who can open one beside this has
        time to do so; else this is the moment to close."""

    def pause_reading(self) -> None:
        """Read nothing more for now: back-pressure on the client."""

    def resume_reading(self) -> None:
        """Read on."""

    def unacknowledged(self) -> int | None:
        """Bytes that left for the peer and that its kernel has not acknowledged; None where it can't be asked."""

    def admitted(self) -> None:
        """The client has said who it is: messages may be as large as the limits say."""
