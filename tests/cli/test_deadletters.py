"""``hub deadletters`` at a running hub."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.server import API_KEY, RunningHub, running_hub
from .command import Result, hub

OPS = "ops-write-key-0123456789"


@pytest.fixture(scope="module")
def kept() -> Iterator[RunningHub]:
    with running_hub(api_keys={"backend": API_KEY, "ops": {"key": OPS, "admin": "write"}}) as running:
        yield running


def keep(running: RunningHub, id: str, **more: object) -> None:
    body = base64.b64encode(b'{"n":1}').decode()
    fields = {"id": id, "origin": f"orders:orders/3@{id}", "code": "bad_message", "reason": "no channel"}
    answer = running.http().post("/v1/deadletters", json={**fields, "body": body, **more})
    assert answer.status_code == 201


def ask(running: RunningHub, folder: Path, *args: str, key: str = OPS) -> Result:
    return hub("deadletters", *args, folder=folder, url=running.url, api_key=key)


def test_they_are_listed_by_origin_shown_repeated_and_dropped(kept: RunningHub, tmp_path: Path) -> None:
    event = {"channel": "job:d", "event": "paid", "payload": 1}
    keep(kept, "a", event=event)
    keep(kept, "b")
    keep(kept, "c", origin="hooks:hook@c")
    listed = ask(kept, tmp_path, "list", "--origin", "orders:")
    lines = listed.out.splitlines()
    assert [line.split()[0] for line in lines] == ["a", "b"]
    assert lines[0].endswith("orders:orders/3@a  bad_message: no channel")
    assert json.loads(ask(kept, tmp_path, "show", "a").out)["event"] == event
    replayed = ask(kept, tmp_path, "replay", "b", "a", "nobody")
    assert replayed.status == 1
    first, second, third = replayed.out.splitlines()
    assert first.startswith("b: the hub refused (HTTP 409): this letter was never mapped")
    assert second == "a: published on job:d at offset 1, behind what came since"
    assert third == "nobody: the hub refused (HTTP 400): there is no dead letter nobody"
    assert ask(kept, tmp_path, "drop", "b", "c").out == "b: dropped\nc: dropped\n"
    assert ask(kept, tmp_path, "list") == Result(0, "", "")


def test_who_may_not_is_told_so(kept: RunningHub, tmp_path: Path) -> None:
    result = ask(kept, tmp_path, "list", key=API_KEY)
    assert result.status == 1
    assert "this needs the right admin:read" in result.err
