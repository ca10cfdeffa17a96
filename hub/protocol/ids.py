"""Names that the hub gives: events, connections, nodes, epochs. Time and randomness are handed in."""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_PAIRS = [low + high for high in _DIGITS for low in _DIGITS]

EVENT_BITS = 64
CONNECTION_BITS = 80
NODE_BITS = 48
EPOCH_BITS = 40
"""How many random bits each function below takes."""


def event_id(time_ms: int, bits: int) -> str:
    """The id of an event without one: ``e_``, 11 hex digits of Unix time in ms (until the year 2527), 16 of
    `bits`. Sorts by time, as a ULID does; hex, because it is made once for each publication."""
    return f"e_{time_ms:011x}{bits:016x}"


def connection_id(bits: int) -> str:
    """The id of a connection: ``c_`` and 20 hex digits."""
    return f"c_{bits:020x}"


def node_id(bits: int) -> str:
    """The id of a node: ``n_`` and 12 hex digits."""
    return f"n_{bits:012x}"


def epoch(bits: int) -> str:
    """The name of a numbering: 8 of ``[0-9a-z]``, short in a URL and never the one before by chance. One is made
    for each request to Redis, should it be needed there."""
    of = len(_PAIRS)
    pairs = _PAIRS
    return pairs[bits % of] + pairs[bits // of % of] + pairs[bits // of**2 % of] + pairs[bits // of**3 % of]
