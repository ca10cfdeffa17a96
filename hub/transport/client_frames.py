"""Where a client's frame ends, and what is in it (RFC 6455 section 5.2): enough for whole messages in one frame,
which nearly all are, and for pongs. Everything else is read by `websockets`.
"""

try:
    from websockets.speedups import apply_mask
except ImportError:  # installed without its part in C
    from websockets.utils import apply_mask

TEXT, BINARY, PONG = 0x81, 0x82, 0x8A
"""First bytes of frames that are read here: FIN, no reserved bit, the opcode."""

UNKNOWN, WRONG = 0, -1

_CONTROL, _LONGEST_CONTROL = 0x08, 125
_DATA = frozenset({0x00, 0x01, 0x02, 0x80, TEXT, BINARY})
_OPCODES = _DATA | {0x88, 0x89, PONG}


def size_of(data: bytes, at: int, most: int) -> int:
    """Bytes of the frame that begins at `at`, its head included; UNKNOWN where that is not there to its end, WRONG
    where it breaks the protocol or brings more than `most`, and nothing behind it can be told apart."""
    left = len(data) - at
    if left < 2:
        return UNKNOWN
    first, second = data[at], data[at + 1]
    if first not in _OPCODES or second < 0x80:
        return WRONG
    length, head = second & 0x7F, 6
    if length > _LONGEST_CONTROL:
        head = 8 if length == 126 else 14
        if first & _CONTROL:
            return WRONG
        if left < head - 4:
            return UNKNOWN
        length = int.from_bytes(data[at + 2 : at + head - 4], "big")
    return WRONG if length > most else head + length


def payload_of(data: bytes, at: int, size: int) -> bytes:
    """What the frame of `size` bytes at `at` brings, unmasked."""
    length = data[at + 1] & 0x7F
    mask = at + (2 if length < 126 else 4 if length == 126 else 10)
    return apply_mask(data[mask + 4 : at + size], data[mask : mask + 4])
