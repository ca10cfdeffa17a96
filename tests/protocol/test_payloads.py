"""Payloads keep their bytes, and whatever is let in can be written in both encodings later."""

import json
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.centrifugo import dialect
from hub.centrifugo.names import HubNames
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError
from hub.protocol.event import Event, Publication
from hub.protocol.frames import Encoding, bodies
from hub.protocol.payloads import MAX_DEPTH
from hub.protocol.publications import Batch, Publish
from hub.protocol.session import Session

EVERY = (*Encoding, *(dialect.CentrifugoDialect(form, HubNames()) for form in dialect.FORMS))
HEAD = b'{"type":"publish","id":7,"channel":"doc:7","event":"note","payload":'


def session(encoding: Encoding = Encoding.JSON) -> Session:
    opened = Session(encoding, console=False)
    opened.opened()
    return opened


def published(payload: bytes, tail: bytes = b"}") -> bytes:
    command = session().receive(HEAD + payload + tail, True)
    assert isinstance(command, Publish)
    return command.payload


def refusal(data: bytes, encoding: Encoding = Encoding.JSON) -> HubError:
    """The error of a message; its id is known all the same."""
    opened = session(encoding)
    with pytest.raises(HubError) as refused:
        opened.receive(data, encoding is Encoding.JSON)
    assert refused.value.code is ErrorCode.BAD_MESSAGE
    assert opened.last_id == 7
    return refused.value


KEPT = [
    b"1.50",
    b"1e2",
    b"-0",
    b"-0.0",
    b"123456789012345678901234567890",
    b"0.1000000000000000055511151231257827",
    b"18446744073709551616",
    b"1e-400",
    b'{ "b" : 1,  "a" : [ ] }',
    b'{"a":1,"a":2}',
    b'"\\u00e4\\/\\ud83d\\ude00"',
    '"ä 😀"'.encode(),
    b"null",
    b"[]",
    b"\t{}",
]


@pytest.mark.parametrize("payload", KEPT)
def test_it_comes_out_as_it_went_in(payload: bytes) -> None:
    assert published(payload) == payload.strip()
    assert published(b" " + payload + b" ") == payload.strip()
    assert published(payload, b',"key":"k","x":{"payload":5}}') == payload.strip()


@pytest.mark.parametrize("payload", KEPT)
def test_both_encodings_can_be_written_of_it(payload: bytes) -> None:
    event = Event("doc:7", 1, "e_1", 1, "note", published(payload))
    [text], [packed] = (list(bodies(event.frame(encoding))) for encoding in (Encoding.JSON, Encoding.MSGPACK))
    assert payload.strip() in text
    assert msgpack.unpackb(packed)["payload"] == json.loads(payload, parse_int=_nearest)


def _nearest(digits: str) -> int | float:
    return int(digits) if -(2**63) <= int(digits) < 2**64 else float(digits)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_line_ends_between_values_go_with_all_other_spaces(end: bytes) -> None:
    payload = end.join([b"{", b'  "a" : [1.50 ,', b' "x  y\\n"]', b"}"])
    assert published(payload) == b'{"a":[1.50,"x  y\\n"]}'


@pytest.mark.parametrize(
    "payload",
    [
        b"1e400",
        b"-1e400",
        b"[1E999]",
        b'"\\ud83d"',
        b'"\\ude00"',
        b'{"\\ud83d":1}',
        b'"\\ud83d\\ud83d"',
        b'"\xff"',
        b'"\xed\xa0\xbd"',
        b'"\xc0\xaf"',
        b"NaN",
        b"Infinity",
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
    ],
)
def test_what_no_client_could_read_is_refused_with_the_commands_id(payload: bytes) -> None:
    refusal(HEAD + payload + b"}")


@pytest.mark.parametrize(
    "payload", [b"[" * 100_000, b"[" * 1500 + b"]" * 1500, b"1" * 5000 + b"e", b"01", b"{"]
)
def test_what_is_no_json_at_all(payload: bytes) -> None:
    with pytest.raises(HubError) as refused:
        session().receive(HEAD + payload + b"}", True)
    assert refused.value.code is ErrorCode.BAD_MESSAGE


@pytest.mark.parametrize(("open_", "close"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_the_deepest_is_written_wherever_it_stands(open_: bytes, close: bytes) -> None:
    payload = open_ * MAX_DEPTH + b"1" + close * MAX_DEPTH
    event = Event("state:7", 1, "e_1", 1, "note", published(payload), key="k")
    for encoding in EVERY:
        assert event.frame(encoding)
        assert event.conflated_frame(encoding, 3)
    many = b"[" + b",".join([b"{}"] * 1000) + b"]"
    assert published(many) == many


def packed(payload: Any, **fields: Any) -> bytes:
    message = {"type": "publish", "id": 7, "channel": "doc:7", "event": "note", "payload": payload, **fields}
    data: bytes = msgpack.packb(message, unicode_errors="surrogatepass")
    return data


@pytest.mark.parametrize("text", ["\ud83d", "ab\ud83dcd"])
def test_half_a_surrogate_pair_in_messagepack(text: str) -> None:
    refusal(packed(text), Encoding.MSGPACK)
    refusal(packed({text: 1}), Encoding.MSGPACK)
    refusal(packed(1, event_id=text), Encoding.MSGPACK)


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_no_finite_double_in_messagepack(number: float) -> None:
    refusal(packed([number]), Encoding.MSGPACK)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(JSON, st.sampled_from([None, 2, "\t"]), st.booleans())
def test_any_value_written_in_any_way(value: Any, indent: Any, ascii: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii).encode("utf-8", "surrogatepass")
    payload = published(text)
    assert json.loads(payload) == value
    assert b"\n" not in payload
    assert payload == text or b"\n" in text
    event = Event("doc:7", 1, "e_1", 1, "note", payload)
    [body] = bodies(event.frame(Encoding.MSGPACK))
    assert msgpack.unpackb(body)["payload"] == value


@given(st.binary(max_size=40))
def test_any_bytes_are_kept_or_refused(payload: bytes) -> None:
    try:
        kept = published(payload)
    except HubError:
        return
    for encoding in EVERY:
        assert Event("doc:7", 1, "e_1", 1, "note", kept).frame(encoding)


class TestBatches:
    def entries(self, text: bytes) -> tuple[Publish | HubError, ...]:
        command = session().receive(b'{"type":"batch","id":7,"events":' + text + b"}", True)
        assert isinstance(command, Batch)
        return command.entries

    def test_each_payload_keeps_its_bytes(self) -> None:
        event = b'{"channel":"doc:7","event":"note","payload": %s }'
        entries = self.entries(b"[" + b" , ".join(event % payload for payload in KEPT) + b"]")
        assert [entry.payload for entry in entries if isinstance(entry, Publish)] == [p.strip() for p in KEPT]

    def test_also_among_what_is_no_event(self) -> None:
        event = b'{"channel":"doc:7","event":"note","payload":1.0}'
        odd = [
            b"5",
            b'"text"',
            b"null",
            b"[1]",
            b"123456789012345678901234567890",
            b"{}",
            b"true",
            b"-1.5e300",
        ]
        entries = self.entries(b"[" + b",".join([event, *odd, event]) + b"]")
        assert [isinstance(entry, Publish) and entry.payload for entry in entries] == [
            b"1.0",
            *[False] * len(odd),
            b"1.0",
        ]

    def test_one_that_is_too_deep_leaves_the_others(self) -> None:
        event = b'{"channel":"doc:7","event":"note","payload":%s}'
        deep = event % (b"[" * 300 + b"]" * 300)
        first, second = self.entries(b"[" + deep + b"," + event % b"1.0" + b"]")
        assert isinstance(first, HubError)
        assert isinstance(second, Publish)
        assert second.payload == b"1.0"

    def test_of_two_lists_the_last_one_counts(self) -> None:
        text = b'[{"payload":1}],"events":[{},{}]'
        assert [isinstance(entry, HubError) for entry in self.entries(text)] == [True, True]

    @pytest.mark.parametrize("first", [b"5", b"[1]"])
    def test_a_list_after_what_is_none(self, first: bytes) -> None:
        refusal(b'{"type":"batch","id":7,"events":' + first + b',"events":[{"payload":1}]}')


def test_bodies_are_compared_as_the_release_before_wrote_them() -> None:
    """An event_id that a node of 0.1 has answered is repeated through one of this release, and the other way."""
    sent = b'{ "b" : 1.50, "a" : [ 1e2, "\\u00e4" ] }'
    before = '{"b":1.5,"a":[100.0,"ä"]}'.encode()
    assert Publication("doc:7", "note", sent, "svc").body == ("note", before, None, False, None, None)
