"""Golden frames: what the hub says, in both encodings, byte for byte."""

import json
from pathlib import Path
from typing import Any

import pytest
from centrifuge.protocol import client_pb2
from google.protobuf.json_format import MessageToDict

from hub.centrifugo import protobuf
from hub.centrifugo.answers import answer
from hub.centrifugo.dialect import JSON, PROTOBUF, CentrifugoDialect, Form
from hub.centrifugo.names import HubNames
from hub.centrifugo.requests import RequestId
from hub.protocol.frames import bodies

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
    read = [client_pb2.Reply.FromString(each) for each in protobuf.messages(bytes.fromhex(case["protobuf"]))]
    for line, reply in zip(case["json"], read, strict=True):
        assert _plain(json.loads(line)) == _plain(MessageToDict(reply, preserving_proto_field_name=True))


def _plain(value: Any) -> Any:
    """Numbers of 64 bits are strings there, bytes base64; what is zero or false is left out."""
    if isinstance(value, dict):
        kept = {name: _plain(each) for name, each in value.items() if name not in OPAQUE}
        return {name: each for name, each in kept.items() if each not in ("", "0", "False", [])}
    return [_plain(each) for each in value] if isinstance(value, list) else str(value)
