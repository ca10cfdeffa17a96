"""A hub with webhooks, the whole of it: what is told of connections, the command, the routes."""

import base64
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ..support.backend import SECRET
from ..support.pace import SCALE
from ..support.server import RunningHub, _script, running_hub
from ..support.wire import connect

OPS = "ops-key-of-sixteen-bytes-or-more"


class Told:
    """What the endpoint was told."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def until(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        deadline = time.monotonic() + 20 * SCALE
        while time.monotonic() < deadline:
            found = [each for each in self.seen if each["type"] == kind]
            if len(found) >= count:
                return found
            time.sleep(0.02)
        raise AssertionError(f"no {kind} came: {self.seen}")


@pytest.fixture(scope="module")
def told() -> Iterator[tuple[Told, str]]:
    found = Told()

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.seen.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found, f"http://127.0.0.1:{server.server_address[1]}/secret-path"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def hub(told: tuple[Told, str]) -> Iterator[RunningHub]:
    events = ["event", "connection.opened", "connection.closed", "token.revoked"]
    hooks = [
        {"name": "one", "url": told[1], "secret": SECRET, "channels": ["job:*"], "events": events},
        {"name": "away", "url": "http://127.0.0.1:9/x", "secret": SECRET, "channels": ["doc:*"]},
    ]
    keys = {"svc": "test-service-key-0123456789abcdef", "ops": {"key": OPS, "admin": "write"}}
    with running_hub(webhooks=hooks, webhook_allow=["127.0.0.0/8"], webhook_waiting=3, api_keys=keys) as hub:
        hub.secret(SECRET)
        hub.secret("secret-path")
        yield hub


async def test_events_connections_and_revocations(hub: RunningHub, told: tuple[Told, str]) -> None:
    hub.publish("job:1", "status", {"n": 1})
    async with connect(hub.ws_url, hub.token("ann")) as ann:
        id = ann.id
    (opened,) = told[0].until("connection.opened")
    (closed,) = told[0].until("connection.closed")
    assert opened["connection"] == closed["connection"] == id
    assert (closed["user"], closed["code"]) == ("ann", 1000)
    assert told[0].until("event")[0]["event"]["payload"] == {"n": 1}
    hub.http().post("/v1/revoke", json={"sub": "bob"})
    assert told[0].until("token.revoked")[0]["entry"].endswith("bob")


def command(hub: RunningHub, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [_script(), *args, "--url", hub.url, "--token", OPS],
        capture_output=True,
        text=True,
        timeout=60 * SCALE,
        check=False,
    )


def test_the_command_sees_and_tries(hub: RunningHub) -> None:
    listed = command(hub, "webhooks", "list").stdout
    assert "one  127.0.0.1  breaker closed" in listed
    assert "secret-path" not in listed
    tried = command(hub, "webhooks", "test", "away")
    assert tried.returncode == 1
    assert "away: " in tried.stdout


def test_off_and_on(hub: RunningHub, told: tuple[Told, str]) -> None:
    http = hub.http(OPS)
    assert http.post("/v1/webhooks/one/test").json() == {"name": "one", "delivered": True}
    assert http.post("/v1/webhooks/one/disable").json()["disabled"] == "by hand"
    count = len(told[0].seen)
    hub.publish("job:1", "status", {"n": 2})
    time.sleep(0.3)
    assert len(told[0].seen) == count
    assert http.post("/v1/webhooks/one/enable").json()["disabled"] is None
    assert http.post("/v1/webhooks/two/test").status_code == 400


def test_dead_letters_are_sent_again_by_hand(hub: RunningHub, told: tuple[Told, str]) -> None:
    """Five wait where three may: the oldest two become letters. One is replayed over HTTP, one by the command."""
    http = hub.http(OPS)
    http.post("/v1/webhooks/one/disable")
    events = [{"channel": "job:letters", "event": "status", "payload": n} for n in range(1, 6)]
    hub.http().post("/v1/batch", json={"events": events}).raise_for_status()
    deadline = time.monotonic() + 20 * SCALE
    while len(letters := http.get("/v1/deadletters").json()["letters"]) < 2:
        assert time.monotonic() < deadline, "nothing became a dead letter"
        time.sleep(0.05)
    assert [each["reason"] for each in letters] == ["too many wait for this endpoint"] * 2
    http.post("/v1/webhooks/one/enable")

    def of_letters(count: int) -> list[dict[str, Any]]:
        while True:
            found = [each for each in told[0].until("event") if each["channel"] == "job:letters"]
            if len(found) >= count:
                return found
            assert time.monotonic() < deadline + 20 * SCALE, f"they did not come: {found}"
            time.sleep(0.05)

    of_letters(3)  # what waited is sent at once
    first, second = (each["id"] for each in letters)
    shown = http.get(f"/v1/deadletters/{first}").json()
    deadline = time.monotonic() + 20 * SCALE
    answer = http.post(f"/v1/deadletters/{first}/replay").json()
    assert answer == {"channel": "job:letters", "endpoint": "one", "replayed": first, "behind": True}
    listed = command(hub, "deadletters", "list", "--origin", "webhook:one").stdout
    assert second in listed
    assert first not in listed
    replayed = command(hub, "deadletters", "replay", second)
    assert replayed.returncode == 0, replayed.stderr
    assert "waits for the webhook one, behind what waited of job:letters" in replayed.stdout

    found = of_letters(5)
    assert [each["event"]["payload"] for each in found] == [3, 4, 5, 1, 2]
    assert found[3] == json.loads(base64.b64decode(shown["body"])), "as it was, under its own id"
    assert http.get("/v1/deadletters").json()["count"] == 0


def test_only_who_runs_the_hub_may(hub: RunningHub) -> None:
    assert hub.http().get("/v1/webhooks").status_code == 403
    assert hub.http(hub.token("ann")).post("/v1/webhooks/one/disable").status_code == 403
    assert "/v1/webhooks/{name}/test" in hub.http().get("/openapi.json").json()["paths"]
