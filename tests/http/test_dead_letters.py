"""Dead letters over HTTP: who may write, look, repeat and drop; what is shown of them; once and bounded."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from ..support.server import RunningHub, running_hub
from .test_openapi import fits

WRITE, READ = "ops-write-key-0123456789", "ops-read-key-01234567890"
SECRET = {"card": "4111", "amount": 12}
EVENT = {"channel": "job:1", "event": "paid", "payload": SECRET, "key": "1"}


@pytest.fixture(scope="module")
def letters_hub() -> Iterator[RunningHub]:
    keys = {"ops": {"key": WRITE, "admin": "write"}, "eyes": {"key": READ, "admin": "read"}}
    with running_hub(api_keys={"backend": "test-service-key-0123456789abcdef", **keys}) as hub:
        yield hub


def letter(id: str, **changes: Any) -> dict[str, Any]:
    fields = {
        "id": id,
        "origin": f"orders:kafka/3@{id}",
        "code": "bad_message",
        "reason": "no JSON",
        "tries": 2,
        "body": base64.b64encode(json.dumps(SECRET).encode()).decode(),
    }
    return {**fields, **changes}


def test_a_letter_is_kept_once_shown_by_right_repeated_once_and_dropped(letters_hub: RunningHub) -> None:
    backend, ops, eyes = (letters_hub.http(key) for key in (letters_hub.api_key, WRITE, READ))
    path = "/v1/deadletters"
    assert fits(
        backend.post(path, json=letter("a", event={**EVENT, "source": {"name": "s", "position": 1}})), path
    )
    assert backend.post(path, json=letter("a", reason="another")).json() == {"id": "a", "kept": False}
    assert (
        backend.post(path, json=letter("b", body=base64.b64encode(b"\xff\x00").decode())).status_code == 201
    )

    page = fits(eyes.get(path, params={"limit": 1}), path)
    assert [each["id"] for each in page["letters"]] == ["a"]
    assert (page["next"], page["count"], page["letters"][0]["reason"]) == (1, 2, "no JSON")
    assert "4111" not in json.dumps(page)

    one = path + "/{id}"
    masked = fits(eyes.get(f"{path}/a"), one)
    assert masked["shape"] == {"card": "<4 characters>", "amount": "<number>"}
    assert "4111" not in json.dumps(masked)
    assert "body" not in masked
    assert eyes.get(f"{path}/b").json()["shape"]["bytes"] == 2
    assert base64.b64decode(fits(ops.get(f"{path}/a"), one)["body"]) == json.dumps(SECRET).encode()

    assert eyes.post(f"{path}/a/replay").status_code == 403
    replayed = fits(ops.post(f"{path}/a/replay"), path + "/{id}/replay")
    assert (replayed["offset"], replayed["event_id"]) == (1, "letter-a")
    assert ops.get(f"{path}/a").status_code == 400
    history = backend.get("/v1/channels/job:1/history").json()["events"]
    assert [event["payload"] for event in history] == [SECRET]
    assert backend.post(path, json=letter("a", event=EVENT)).status_code == 201, "it may fail once more"
    assert ops.post(f"{path}/a/replay").json()["offset"] == 1, "and is stored once"

    assert ops.post(f"{path}/b/replay").status_code == 409, "it was never mapped"
    assert fits(ops.delete(f"{path}/b"), one) == {"dropped": "b"}
    assert ops.delete(f"{path}/b").status_code == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "a b"},
        {"id": "x" * 65},
        {"body": "no base64!"},
        {"body": 7},
        {"origin": ""},
        {"reason": None},
        {"event": 7},
    ],
)
def test_bad_letters_are_refused_in_words(letters_hub: RunningHub, changes: dict[str, Any]) -> None:
    answer = letters_hub.http().post("/v1/deadletters", json={**letter("bad"), **changes})
    assert answer.status_code == 400, answer.text
    assert answer.json()["reason"]


def test_a_publication_that_was_refused_is_kept_and_its_replay_says_why(letters_hub: RunningHub) -> None:
    bad = letter("refused", event={**EVENT, "channel": "nope"})
    assert letters_hub.http().post("/v1/deadletters", json=bad).status_code == 201
    ops = letters_hub.http(WRITE)
    answer = ops.post("/v1/deadletters/refused/replay")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_channel")
    assert ops.get("/v1/deadletters/refused").status_code == 200, "it is still there"


def test_only_a_service_writes_and_only_an_admin_looks(letters_hub: RunningHub) -> None:
    ann = letters_hub.http(letters_hub.token("ann", subscribe=["*"]))
    assert ann.post("/v1/deadletters", json=letter("c")).status_code == 403
    for client in (ann, letters_hub.http()):
        assert client.get("/v1/deadletters").status_code == 403
        assert client.get("/v1/deadletters/a").status_code == 403
        assert client.delete("/v1/deadletters/a").status_code == 403


def test_what_is_shown_holds_no_control_characters(letters_hub: RunningHub) -> None:
    letters_hub.http().post("/v1/deadletters", json=letter("esc", origin="a\x1b[31mb\n"))
    found = letters_hub.http(READ).get("/v1/deadletters/esc").json()
    assert found["origin"] == "a?[31mb?"
