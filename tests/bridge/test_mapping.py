"""From a record to publications: templates, formats, filters; and what can't be mapped says why."""

from typing import Any

import orjson
import pytest

from hub.bridge.mapping import Mapper, Poison
from hub.bridge.records import Record
from hub.bridge.settings import BridgeSettings
from hub.bridge.templates import BadTemplate, Missing, slug, template

ORDER = {
    "event_id": "e1",
    "event_type": "order_paid",
    "aggregate_id": "42",
    "version": 7,
    "data": {"amount": 12, "card": "4111"},
    "tags": ["order:42", "user:ann"],
}


def settings(**changes: Any) -> BridgeSettings:
    fields: dict[str, Any] = {
        "name": "orders",
        "kind": "kafka",
        "servers": ["x:1"],
        "topics": ["orders"],
        "channel": "order:{data.aggregate_id}",
        "event": "{data.event_type}",
    }
    return BridgeSettings(**{**fields, **changes})


def mapped(record: Record | bytes | Any = None, **changes: Any) -> list[dict[str, Any]]:
    if not isinstance(record, Record):
        record = Record(record if isinstance(record, bytes) else orjson.dumps(record or ORDER))
    found = Mapper(settings(**changes)).map(record, "orders/3")
    return [{**event, "payload": orjson.loads(orjson.dumps(event["payload"]))} for event in found]


def test_a_whole_envelope() -> None:
    assert mapped(
        key="{data.aggregate_id}", version="{data.version}", id="{data.event_id}", payload="data.data"
    ) == [
        {
            "channel": "order:42",
            "event": "order_paid",
            "key": "42",
            "event_id": "e1",
            "version": 7,
            "payload": {"amount": 12, "card": "4111"},
        }
    ]


def test_a_list_broadcasts() -> None:
    assert [event["channel"] for event in mapped(channel="{data.tags}")] == ["order:42", "user:ann"]
    both = mapped(channel=["order:{data.aggregate_id}", "user:ann"])
    assert [event["channel"] for event in both] == ["order:42", "user:ann"]


def test_the_payload_as_a_whole_keeps_its_bytes() -> None:
    raw = b'{"event_type":"x","aggregate_id":"1","n":1.10}'
    (event,) = Mapper(settings()).map(Record(raw), "orders/3")
    assert orjson.dumps(event["payload"]) == raw


def test_meta_comes_from_headers_or_from_the_message() -> None:
    record = Record(orjson.dumps({**ORDER, "correlationid": "c"}), headers={"traceparent": "00-1-2-01"})
    (event,) = mapped(record, meta=["traceparent", "correlationid", "nowhere"])
    assert event["meta"] == {"traceparent": "00-1-2-01", "correlationid": "c"}


def test_a_filter_leaves_out() -> None:
    mapper = Mapper(settings(filter="data.internal != `true`"))
    assert mapper.map(Record(orjson.dumps({**ORDER, "internal": True})), "orders/3") == []
    assert mapper.map(Record(orjson.dumps(ORDER)), "orders/3") != []


@pytest.mark.parametrize(
    ("body", "changes", "code", "why"),
    [
        (b"{", {}, "bad_message", "no JSON"),
        (b"\xff", {}, "bad_message", "no JSON"),
        ({}, {}, "bad_message", "the message has no data"),
        ({**ORDER, "aggregate_id": None}, {}, "bad_message", "is null"),
        ({**ORDER, "aggregate_id": ["x"]}, {}, "bad_message", "list"),
        ({**ORDER, "aggregate_id": 1.5}, {}, "bad_message", "float"),
        ({**ORDER, "aggregate_id": "a b"}, {}, "bad_channel", "printable ASCII"),
        ({**ORDER, "aggregate_id": "a*"}, {}, "bad_channel", "*"),
        ({**ORDER, "tags": []}, {"channel": "{data.tags}"}, "bad_message", "no channel"),
        ({**ORDER, "tags": [f"a:{n}" for n in range(101)]}, {"channel": "{data.tags}"}, "bad_message", "101"),
        ({**ORDER, "version": "x"}, {"version": "{data.version}"}, "bad_message", "version"),
        ({"id": "1"}, {"format": "cloudevents"}, "bad_message", "CloudEvent"),
    ],
)
def test_poison_says_why(body: Any, changes: dict[str, Any], code: str, why: str) -> None:
    record = Record(body if isinstance(body, bytes) else orjson.dumps(body))
    with pytest.raises(Poison) as caught:
        Mapper(settings(**changes)).map(record, "orders/3")
    assert caught.value.code == code
    assert why in caught.value.reason


def test_slug_makes_any_text_a_name() -> None:
    assert slug("Straße 7/b ") == "stra-e-7-b"
    assert mapped({**ORDER, "aggregate_id": "A b*"}, channel="order:{data.aggregate_id|slug}")[0][
        "channel"
    ] == ("order:a-b")


@pytest.mark.parametrize("text", ["a{b", "a}b", "{}", "{a..b}", "{a b}", "x{a|upper}", "{a}{"])
def test_a_bad_template_is_said_at_once(text: str) -> None:
    with pytest.raises(BadTemplate):
        template(text)({"a": 1})


def test_a_missing_path_is_named() -> None:
    with pytest.raises(Missing, match=r"data\.x"):
        template("{data.x}")({"data": {}})


def test_cloudevents_structured_binary_and_dapr() -> None:
    structured = {
        "specversion": "1.0",
        "id": "7",
        "source": "/s",
        "type": "t",
        "data": {"a": 1},
        "subject": "x",
    }
    how = {"format": "cloudevents", "channel": "job:{subject}", "event": "{type}", "id": "{id}"}
    assert mapped(structured, **how)[0]["payload"] == {"a": 1}
    headers = {"ce_specversion": "1.0", "ce_id": "7", "ce_source": "/s", "ce_type": "t", "ce_subject": "x"}
    (binary,) = mapped(Record(b'{"a":1}', headers=headers), **how)
    assert (binary["channel"], binary["event_id"], binary["payload"]) == ("job:x", "7", {"a": 1})
    dapr = {**structured, "data": ORDER, "traceparent": "00-" + "0" * 32 + "-" + "0" * 16 + "-00"}
    (event,) = mapped(dapr, format="dapr", id="{data.event_id}", payload="data.data", meta=["traceparent"])
    assert event["event_id"] == "e1"
    assert "meta" not in event


def test_tombstones() -> None:
    empty = Record(b"", key="42")
    assert Mapper(settings()).map(empty, "orders/3") == []
    with pytest.raises(Poison):
        Mapper(settings(tombstone="letter")).map(empty, "orders/3")
    (event,) = mapped(empty, tombstone="final", channel="order:{key}", event="gone", key="{key}")
    assert event == {"channel": "order:42", "event": "gone", "key": "42", "final": True, "payload": None}
