"""What a bridge makes of a record of Kafka."""

from aiokafka.structs import ConsumerRecord

from hub.bridge.kinds.kafka import _record
from hub.bridge.mapping import Mapper

from .test_mapping import settings


def record(*headers: tuple[str, bytes | None], value: bytes | None = b"{}") -> "ConsumerRecord[bytes, bytes]":
    return ConsumerRecord("orders", 3, 17, 1_000, 0, b"k\xff", value, None, 2, -1, headers)


def test_of_a_header_that_comes_twice_the_last_counts() -> None:
    """As `Headers.lastHeader` of Kafka's own clients."""
    found = _record(record(("a", b"1"), ("b", None), ("a", b"2"), ("c", b"\xff")), 0)
    assert found.headers == {"a": "2", "b": "", "c": "\ufffd"}
    assert (found.place, found.key, found.time_ms) == ((0, 17), "k\ufffd", 1_000)


def test_a_tombstone_is_left_out_final_or_a_letter() -> None:
    tombstone = _record(record(value=None), 1)
    assert Mapper(settings()).map(tombstone, "orders/3") == []
    final = settings(tombstone="final", channel="order:1", event="gone")
    (event,) = Mapper(final).map(tombstone, "orders/3")
    assert event["final"]
