"""What the kernel knows of a connection."""

import fcntl
import socket
import struct
import termios
from typing import Any


def unacknowledged(raw: Any) -> int | None:
    """Bytes in a TCP socket's send queue that its peer has not acknowledged: SIOCOUTQ of tcp(7), which is TIOCOUTQ.

    None where that can't be asked: no TCP socket, another system, closed.
    """
    if raw is None or getattr(raw, "family", None) not in (socket.AF_INET, socket.AF_INET6):
        return None
    try:
        count: int = struct.unpack("i", fcntl.ioctl(raw.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0]
    except (OSError, ValueError, AttributeError):
        return None
    return count
