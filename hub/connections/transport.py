"""What a transport is to a connection: the I/O around a session."""

from typing import Protocol


class Transport(Protocol):
    """The transport of a connection: bytes of whole frames out, whole messages in."""

    def write(self, data: bytes) -> None:
        """Send frames. Calls `Outbox.block` when its buffer is full, and `unblock` when it is not any more."""

    def ping(self) -> None:
        """Send a ping (RFC 6455 section 5.5.2)."""

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake (RFC 6455 section 7.1.2), which has a time limit."""

    def pause_reading(self) -> None:
        """Read nothing more for now: back-pressure on the client."""

    def resume_reading(self) -> None:
        """Read on."""

    def admitted(self) -> None:
        """The client has said who it is: messages may be as large as the limits say."""
