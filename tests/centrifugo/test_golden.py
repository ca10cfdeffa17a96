"""Golden frames: what the hub says, in both encodings, byte for byte."""

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from hub.centrifugo import protobuf
from hub.centrifugo.answers import answer
from hub.centrifugo.dialect import (
    EVENTS,
    JSON,
    LENGTHS,
    LINES,
    ONE_WAY_EVENTS,
    ONE_WAY_JSON,
    ONE_WAY_LINES,
    PROTOBUF,
    CentrifugoDialect,
    Form,
)
from hub.centrifugo.names import HubNames
from hub.centrifugo.requests import RequestId
from hub.protocol.frames import bodies

from . import their_protocol

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())
OPAQUE = ("data", "conn_info", "chan_info")


@pytest.fixture(autouse=True)
def version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.centrifugo.answers.__version__", "0.0.0")


def life(end: float) -> dict[str, Any]:
    return {"expires": True, "ttl": int(end)}


def body(case: dict[str, Any], form: Form) -> bytes:
    dialect = CentrifugoDialect(form, HubNames())
    if "request" in case:
        ((method, request),) = case["request"].items()
        replies = answer(RequestId.of(7, method, request), case["hub"], 25.0, life)
        frame = dialect.framed(replies)
    else:
        frame = dialect.frames(case["hub"])
    return b"".join(bodies(frame))


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_frames(case: dict[str, Any]) -> None:
    assert body(case, JSON).decode().split("\n") == (case["json"] or [""])
    assert body(case, PROTOBUF).hex() == case["protobuf"]


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_both_say_the_same(case: dict[str, Any]) -> None:
    read = [
        their_protocol.Reply.FromString(each) for each in protobuf.messages(bytes.fromhex(case["protobuf"]))
    ]
    for line, reply in zip(case["json"], read, strict=True):
        assert _plain(json.loads(line)) == _plain(MessageToDict(reply, preserving_proto_field_name=True))


def _plain(value: Any) -> Any:
    """Numbers of 64 bits are strings there, bytes base64; what is zero or false is left out."""
    if isinstance(value, dict):
        kept = {name: _plain(each) for name, each in value.items() if name not in OPAQUE}
        return {name: each for name, each in kept.items() if each not in ("", "0", "False", [])}
    return [_plain(each) for each in value] if isinstance(value, list) else str(value)


EVENT = GOLDEN[0]["hub"]
CLOSE = {"type": "hub.close", "code": 4403, "reason": "forbidden"}
PUB = GOLDEN[0]["json"][0]
INNER = PUB.removeprefix('{"push":').removesuffix("}")


@pytest.mark.parametrize(
    ("form", "event", "close"),
    [
        (LINES, f"{PUB}\n", '{"push":{"disconnect":{"code":3507,"reason":"forbidden"}}}\n'),
        (EVENTS, f"data: {PUB}\n\n", 'data: {"push":{"disconnect":{"code":3507,"reason":"forbidden"}}}\n\n'),
        (ONE_WAY_LINES, f"{INNER}\n", '{"disconnect":{"code":3507,"reason":"forbidden"}}\n'),
        (ONE_WAY_EVENTS, f"data: {INNER}\n\n", 'data: {"disconnect":{"code":3507,"reason":"forbidden"}}\n\n'),
    ],
    ids=lambda value: value.name if isinstance(value, Form) else "",
)
def test_forms_over_http(form: Form, event: str, close: str) -> None:
    dialect = CentrifugoDialect(form, HubNames())
    assert dialect.frames(EVENT).decode() == event
    assert dialect.frames(CLOSE).decode() == close
    assert dialect.framed([{}]).decode() == event.replace(INNER if form.one_way else PUB, "{}")


def test_protobuf_over_http_is_that_of_a_socket_without_its_frames() -> None:
    dialect = CentrifugoDialect(LENGTHS, HubNames())
    assert dialect.frames(EVENT).hex() == GOLDEN[0]["protobuf"]
    (end,) = protobuf.messages(dialect.frames(CLOSE))
    assert their_protocol.Reply.FromString(end).push.disconnect.code == 3507


def test_a_socket_is_closed_in_place_of_a_word() -> None:
    for form in (JSON, PROTOBUF):
        assert CentrifugoDialect(form, HubNames()).frames(CLOSE) == b""


def test_who_only_listens_is_told_nothing_that_answers() -> None:
    dialect = CentrifugoDialect(ONE_WAY_JSON, HubNames())
    assert dialect.framed([{"id": 1, "error": {"code": 109, "message": "expired"}}]) == b""
    (body,) = bodies(dialect.framed([{"id": 1, "connect": {"client": "c_1"}}]))
    assert json.loads(body) == {"connect": {"client": "c_1"}}
