"""What both lanes hold against a peer that sends too many frames, and the one thing that they read otherwise than
`websockets` does."""

from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol

RATE = 50.0  # control frames and small fragments a second; a client needs one in a heartbeat
BURST = 500.0
SMALL = 64  # bytes of a fragment; a larger one is bounded by the size of its message
SLICE_BYTES = 4096  # parsed between two looks at the clock
SHARE_S = 0.001  # what a connection may take of a turn, before it waits for its next slice
DROP_EVERY_S = 0.01  # a read of a connection that is closed already
FLOOD_CLOSE_S = 1.0  # who floods has so long to read why

_CONTROL = (Opcode.PING, Opcode.PONG)


class FrameRate:
    """How many frames that bring no message a peer has sent, as the time at which all were due (GCRA)."""

    __slots__ = ("_due",)

    def __init__(self) -> None:
        self._due = 0.0

    def exceeded(self, frame: Frame, now: float) -> bool:
        """Whether this frame is one too many. Whole messages are not counted here: they are commands."""
        if frame.opcode not in _CONTROL and (frame.fin or len(frame.data) >= SMALL):
            return False
        self._due = max(self._due, now) + 1 / RATE
        return self._due - now > BURST / RATE


class ClosesAnywhere(Protocol):
    """Takes a close frame between two fragments of a message for what it is, and answers with its code: control
    frames may stand there (RFC 6455 sections 5.4 and 5.5). `websockets` calls it an error of the protocol."""

    def recv_frame(self, frame: Frame) -> None:
        """`websockets`' own, for each frame that it has parsed."""
        if frame.opcode is Opcode.CLOSE:
            self.current_size = None
        super().recv_frame(frame)
