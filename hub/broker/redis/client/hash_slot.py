"""Hash tags and slots of a Redis Cluster (cluster specification, "Keys distribution model")."""

from binascii import crc_hqx
from itertools import count


def slot_of(tag: str) -> int:
    """The slot of a hash tag in a Redis Cluster (CRC16/XMODEM modulo 16384)."""
    return crc_hqx(tag.encode(), 0) % 16384


def canary_tag(low: int, high: int) -> str:
    """A tag whose slot is `low` to `high`."""
    return next(tag for n in count() if low <= slot_of(tag := f"canary-{n}") <= high)


def tag_of(name: str) -> str:
    """The hash tag of a name made here."""
    return name[name.index("{") + 1 : name.index("}")]
