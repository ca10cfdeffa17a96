"""Whether a MessagePack text may hold as many elements as it says it does.

An unpacker makes room for an array when it meets its head, and three bytes can say 65,535: nested in each other,
16 KB of them cost 100 ms and 100 MB before the end of the text is missed. Each element takes a byte at least: all
heads together cannot say more elements than there are bytes.
"""

import re

# Heads with a length of 16 or 32 bits; those of a nibble say 15 at most, which a byte may cost.
_LARGE = re.compile(rb"[\xdc\xde](..)|[\xdd\xdf](....)", re.DOTALL)


def _string(size: int) -> bytes:
    short, length = re.escape(bytes((0xA0 + size,))), re.escape(bytes((size,)))
    long = rb"(?:[\xd9\xc4]|[\xda\xc5]\x00|[\xdb\xc6]\x00\x00\x00)" + length
    return b"(?:%s|%s).{%d}" % (short, long, size)


# Runs of what is short: numbers, nil, small heads, and strings of up to 31 bytes however their length is written.
_PLAIN = re.compile(
    rb"(?:[\x00-\x9f\xc0\xc2\xc3\xe0-\xff]|[\xcc\xd0].|[\xcd\xd1]..|[\xca\xce\xd2].{4}|[\xcb\xcf\xd3].{8}|"
    + b"|".join(_string(size) for size in range(32))
    + rb")+",
    re.DOTALL,
)
_WIDTHS = {0xD9: 1, 0xDA: 2, 0xDB: 4, 0xC4: 1, 0xC5: 2, 0xC6: 4}  # strings and binary: bytes of the length


def claims_fit(data: bytes) -> bool:
    """Whether the elements that the heads in `data` say are there are no more than its bytes; True also where it is
    no MessagePack, as far as it can be read."""
    return _LARGE.search(data) is None or _claimed(data) < len(data)


def _claimed(data: bytes) -> int:
    """The sum of what large heads say, as far as the text can be read."""
    at, size, claimed = 0, len(data), 0
    while at < size and claimed < size:
        plain = _PLAIN.match(data, at)
        if plain is not None:
            at = plain.end()
            continue
        head = data[at]
        if (large := _LARGE.match(data, at)) is not None:
            claimed += _claim(large[0])
            at = large.end()
        elif head in _WIDTHS:
            start = at + 1 + _WIDTHS[head]
            at = start + int.from_bytes(data[at + 1 : start], "big")
        else:
            break
    return claimed


def _claim(head: bytes) -> int:
    """Elements: of an array as many as it says, of a map twice as many."""
    count = int.from_bytes(head[1:], "big")
    return count if head[0] in (0xDC, 0xDD) else 2 * count
