"""Golden frames, which the JavaScript client reads too: both encodings say the same, and the hub reads and
writes them."""

import json
from pathlib import Path
from typing import Any

import msgpack
import pytest

from hub.protocol.codec import decode, encode
from hub.protocol.commands import parse
from hub.protocol.frames import Encoding, bodies

FOLDER = Path(__file__).parents[1] / "golden"


def golden(name: str) -> list[Any]:
    cases: list[dict[str, Any]] = json.loads((FOLDER / f"{name}.json").read_text())
    assert cases
    return [pytest.param(case, id=case["name"]) for case in cases]


@pytest.mark.parametrize("case", [*golden("commands"), *golden("messages")])
def test_both_encodings_say_the_same(case: dict[str, Any]) -> None:
    packed = bytes.fromhex(case["msgpack_hex"])
    message = json.loads(case["json"])
    assert msgpack.unpackb(packed) == message
    assert decode(case["json"].encode(), Encoding.JSON) == message
    assert decode(packed, Encoding.MSGPACK) == message


@pytest.mark.parametrize("case", golden("commands"))
def test_the_hub_understands_every_command(case: dict[str, Any]) -> None:
    assert parse(json.loads(case["json"])).id == json.loads(case["json"]).get("id")


@pytest.mark.parametrize("case", golden("messages"))
def test_the_hub_writes_these_very_bytes(case: dict[str, Any]) -> None:
    message = json.loads(case["json"])
    assert list(bodies(encode(message, Encoding.JSON))) == [case["json"].encode()]
    assert list(bodies(encode(message, Encoding.MSGPACK))) == [bytes.fromhex(case["msgpack_hex"])]
