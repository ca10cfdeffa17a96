"""The examples of docs/sources.md that push: hooks, CloudEvents and Dapr, as they stand there."""

import hmac
import json
import subprocess
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from ..sources.page import BLOCKS, section
from ..support.server import API_KEY, RunningHub, running_hub
from .conftest import payloads

KEY = "a-key-of-16-bytes-or-more"
PUSHING = ("Webhooks", "CloudEvents", "Dapr")
TYPED = ("Webhooks", "CloudEvents")
LOOKS_AT = [
    each for each in BLOCKS if each.heading in TYPED or (each.heading == "Dapr" and each.kind == "toml")
]


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    settings: dict[str, Any] = {}
    for title in PUSHING:
        settings |= tomllib.loads(section(title).settings)
    modes = {name: {"mode": "log"} for name in ("order", "repo")}
    with running_hub(**settings, namespaces=modes, api_keys={"bridge": KEY, "tests": API_KEY}) as hub:
        yield hub


def run(hub: RunningHub, title: str) -> list[str]:
    """What its commands print; a line of the page that is an answer is not run."""
    ((kind, text),) = section(title).commands
    assert kind == "sh"
    lines = [line for line in text.splitlines() if not line.startswith('{"')]
    script = "\n".join(lines).replace("http://127.0.0.1:8000", hub.url)
    done = subprocess.run(["bash", "-euc", script], check=True, capture_output=True, text=True, timeout=120)
    return done.stdout.splitlines()


def test_a_hook_by_curl(hub: RunningHub) -> None:
    said = run(hub, "Webhooks")
    assert said == [line for line in section("Webhooks").commands[0][1].splitlines() if line.startswith('{"')]
    stored = hub.http(KEY).get("/v1/channels/order:7/history").json()["events"]
    assert [(event["type"], event["payload"]) for event in stored] == [
        ("paid", {"order": "7", "kind": "paid"})
    ]


def test_a_delivery_of_github(hub: RunningHub) -> None:
    body = json.dumps({"repository": {"name": "The Shop"}}).encode()
    signature = hmac.digest(b"a-secret-that-github-has-too", body, "sha256").hex()
    headers = {
        "X-Hub-Signature-256": f"sha256={signature}",
        "X-GitHub-Delivery": "1",
        "X-GitHub-Event": "push",
    }
    answer = hub.http(None).post("/v1/hooks/github", content=body, headers=headers)
    assert answer.json() == {"outcome": "stored"}
    assert payloads(hub, "repo:the-shop") == [{"repository": {"name": "The Shop"}}]


def test_a_cloudevent_by_curl(hub: RunningHub) -> None:
    run(hub, "CloudEvents")
    assert payloads(hub, "order:7")[-1] == {"sum": 12}


def test_what_a_sidecar_does(hub: RunningHub) -> None:
    token = {"dapr-api-token": "the-app-api-token"}
    (subscription,) = hub.http(None).get("/dapr/subscribe", headers=token).json()
    assert (subscription["pubsubname"], subscription["topic"]) == ("pubsub", "order-created")
    data = {"event_id": "e1", "aggregate_id": "9", "event_type": "created", "data": {"sum": 3}}
    event = {
        "specversion": "1.0",
        "id": "0e0c",
        "source": "shop",
        "type": "com.dapr.event.sent",
        "pubsubname": "pubsub",
        "topic": "order-created",
        "datacontenttype": "application/json",
        "data": data,
    }
    for again in ("0e0c", "0e0d"):  # published twice: Dapr gives another id
        answer = hub.http(None).post(
            subscription["route"],
            json={**event, "id": again},
            headers={**token, "Content-Type": "application/cloudevents+json"},
        )
        assert answer.json() == {"status": "SUCCESS"}
    assert payloads(hub, "order:9") == [{"sum": 3}]
