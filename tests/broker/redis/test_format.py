"""The bytes of entries: a round trip, and whatever else there may be."""

from typing import Any

import msgpack
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.broker.redis import format as wire
from hub.protocol.event import Publication, Version

TEXT = st.text(max_size=20)
NUMBER = st.integers(0, 2**53 - 1)
JSON = st.recursive(
    st.none() | st.booleans() | TEXT | NUMBER, lambda items: st.lists(items) | st.dictionaries(TEXT, items)
)
PUBLICATIONS = st.builds(
    Publication,
    channel=st.just("state:s"),
    type=TEXT,
    payload=JSON.map(orjson.dumps),
    publisher=TEXT,
    event_id=st.none() | TEXT,
    key=st.none() | TEXT,
    final=st.booleans(),
    version=st.none() | st.builds(Version, NUMBER, NUMBER),
    lease_ms=st.none() | st.integers(1000, 3_600_000),
    sender=st.none() | TEXT,
    origin=st.none() | TEXT,
)


@given(PUBLICATIONS, NUMBER, NUMBER)
def test_an_event_comes_back_as_it_was(publication: Publication, offset: int, time_ms: int) -> None:
    entry = wire.entry(publication, "e_1", time_ms)
    assert entry[0] == wire.VERSION
    data = b"\x01ek3f9|%d|" % offset + entry
    assert wire.kind(data) == wire.EVENT
    epoch, event = wire.announced("state:s", data)
    assert (epoch, event.offset, event.id, event.time) == ("k3f9", offset, "e_1", time_ms)
    for name in ("channel", "type", "payload", "key", "final", "version", "sender", "origin"):
        assert getattr(event, name) == getattr(publication, name)


@given(PUBLICATIONS)
def test_an_ephemeral_event_has_neither_epoch_nor_offset(publication: Publication) -> None:
    epoch, event = wire.announced("cursor:7", wire.ephemeral(wire.entry(publication, "e_1", 1)))
    assert (epoch, event.offset, event.payload) == ("", 0, publication.payload)


@given(st.binary(max_size=60))
def test_any_other_bytes_are_unreadable_or_harmless(data: bytes) -> None:
    for prefix in (b"", b"\x01", b"\x01e|0|\x01", b"\x01p", b"\x01a"):
        for read in (wire.kind, lambda d: wire.announced("log:s", d), wire.presence, wire.ack):
            try:
                read(prefix + data)
            except wire.Unreadable:
                continue


@given(st.lists(st.none() | st.booleans() | st.integers() | TEXT | st.binary(max_size=5), max_size=12))
def test_fields_of_other_types_are_unreadable_or_an_event(fields: list[Any]) -> None:
    try:
        packed = msgpack.packb(fields)
    except OverflowError:
        return
    try:
        event = wire.event("log:s", 1, b"\x01" + packed)
    except wire.Unreadable:
        return
    event.frame(0)  # type: ignore[arg-type]


@pytest.mark.parametrize("field", [0, 1, 2, 3, 4, 6, 7, 8, 9])
def test_each_field_is_checked(field: int) -> None:
    fields: list[Any] = ["e_1", 1, "note", b"{}", "k", False, 1, 2, "ann", "c_1"]
    wire.event("log:s", 1, b"\x01" + msgpack.packb(fields))
    fields[field] = [1]
    with pytest.raises(wire.Unreadable):
        wire.event("log:s", 1, b"\x01" + msgpack.packb(fields))


def test_a_later_version_may_add_fields_to_this_one() -> None:
    fields = ["e_1", 1, "note", b"{}", None, False, None, None, None, None, "new"]
    assert wire.event("log:s", 1, b"\x01" + msgpack.packb(fields)).id == "e_1"
    with pytest.raises(wire.Unreadable, match="another version"):
        wire.event("log:s", 1, b"\x02" + msgpack.packb(fields))


def test_digests_tell_bodies_apart() -> None:
    base = Publication("state:s", "note", b"{}", "svc", key="k")
    others = [
        Publication("state:s", "other", b"{}", "svc", key="k"),
        Publication("state:s", "note", b"[]", "svc", key="k"),
        Publication("state:s", "note", b"{}", "svc", key="l"),
        Publication("state:s", "note", b"{}", "svc", key="k", final=True),
        Publication("state:s", "note", b"{}", "svc", key="k", version=Version(0, 1)),
        Publication("state:s", "note", b"{}", "svc", key="k", lease_ms=1000),
    ]
    assert len({wire.digest(each) for each in (base, *others)}) == 7
    assert wire.digest_of_id("a", "bc") != wire.digest_of_id("ab", "c")
