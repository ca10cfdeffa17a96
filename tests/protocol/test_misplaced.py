"""A token that stands in the wrong place is not said again: errors go into logs and to other people's screens."""

from typing import Any

import orjson
import pytest

from hub.namespaces import Namespaces
from hub.protocol.errors import HubError, without_tokens
from hub.protocol.frames import Encoding
from hub.protocol.session import Session

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4iLCJleHAiOjE3NjcyMjkyMDB9.c2lnbmF0dXJlLW9mLWEtdG9rZW4"


def said(error: HubError) -> str:
    return orjson.dumps(error.fields()).decode() + str(error)


@pytest.mark.parametrize(
    "message",
    [
        {"type": TOKEN},
        {"type": "subscribe", "channel": TOKEN},
        {"type": "subscribe", "channel": f"job:{TOKEN}/"},
        {"type": "subscribe", "channel": "job:1", "since": TOKEN},
        {"type": "subscribe", "channel": "job:1", "presence": TOKEN * 9},
        {"type": "publish", "channel": "doc:1", "event": "hub." + TOKEN, "payload": 1},
        {"type": "history", "channel": "job:1", "limit": TOKEN},
        TOKEN,
    ],
)
def test_in_a_message(message: Any) -> None:
    session = Session(Encoding.JSON, False)
    session.opened()
    with pytest.raises(HubError) as refused:
        session.receive(orjson.dumps(message), True)
    assert "eyJ" not in said(refused.value)


@pytest.mark.parametrize(
    "line", [TOKEN, f"sub {TOKEN}", f"sub job:1 since {TOKEN}", f"history job:1 {TOKEN}"]
)
def test_at_a_console(line: str) -> None:
    session = Session(Encoding.JSON, True)
    session.opened()
    with pytest.raises(HubError) as refused:
        session.receive(line.encode(), True)
    assert "eyJ" not in said(refused.value)


def test_as_a_namespace() -> None:
    with pytest.raises(HubError) as refused:
        Namespaces.shipped().of(f"{TOKEN}:1")
    assert "eyJ" not in said(refused.value)


def test_a_part_of_one_is_none_either() -> None:
    assert without_tokens(f"no command {TOKEN[:40]!r}; known are x") == "no command '[a token]'; known are x"
    assert without_tokens("no grant of this token allows subscribe on job:1").endswith("job:1")
