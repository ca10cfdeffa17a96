"""A hub that takes in one hook of each kind, CloudEvents and a Dapr topic: on the fast lane with its own memory, on
the portable lane over Redis; and one whose storage can be ended."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from ..sources.process import Process, listens
from ..support.redis import redis as redis
from ..support.server import API_KEY, RunningHub, free_port
from ..transport.lanes import running as lane

OPS = "ops-write-key-0123456789"
SECRET, OLD = "a-secret-of-32-bytes-for-webhooks", "the-secret-before-that-one-was-it"
STANDARD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # the example of the standard's document
DAPR_TOKEN = "the-app-api-token-of-a-sidecar"


def hook(name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "secrets": [SECRET, OLD],
        "channel": "job:{data.order}",
        "event": "{data.what}",
        "payload": "data.n",
        **more,
    }


HOOKS = [
    hook("standard", "standard", secrets=[STANDARD]),
    hook("github", "github", event="{headers.x-github-event}", filter="data.what != 'noise'"),
    hook("stripe", "stripe"),
    hook("slack", "slack"),
    hook(
        "own",
        "hmac",
        header="X-Signature",
        prefix="sha512=",
        encoding="base64",
        algorithm="sha512",
        id_header="X-Delivery",
        timestamp_header="X-Time",
    ),
]
DAPR = {
    "token": DAPR_TOKEN,
    "subscriptions": [
        {
            "name": "created",
            "pubsub": "pubsub",
            "topic": "order-created",
            "channel": "job:{data.aggregate_id}",
            "event": "{data.event_type}",
            "payload": "data.data",
            "meta": ["traceparent"],
            "dead_letter_topic": "order-dead",
        }
    ],
}
SETTINGS: dict[str, Any] = {
    "hooks": HOOKS,
    "cloudevents": {"origins": ["events.example.com"]},
    "dapr": DAPR,
    "api_keys": {"backend": API_KEY, "ops": {"key": OPS, "admin": "write"}},
}


@pytest.fixture(scope="session", params=["fast", "portable"])
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with contextlib.ExitStack() as stack:
        broker = "memory://"
        if request.param == "portable":
            port, folder = free_port(), tmp_path_factory.mktemp("redis")
            command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
            stack.enter_context(Process(command, folder, listens(port)))
            broker = f"redis://127.0.0.1:{port}"
        running = stack.enter_context(lane(request.param, **SETTINGS, broker=broker))
        for text in (SECRET, OLD, STANDARD, DAPR_TOKEN):
            running.secret(text)
        yield running


def payloads(hub: RunningHub, channel: str) -> list[Any]:
    """What is stored in a channel."""
    return [event["payload"] for event in events(hub, channel)]


def events(hub: RunningHub, channel: str) -> list[Any]:
    found: list[Any] = hub.http().get(f"/v1/channels/{channel}/history").json()["events"]
    return found


def letters(hub: RunningHub, beginning: str) -> list[Any]:
    """Dead letters whose origin begins so."""
    found = hub.http(OPS).get("/v1/deadletters", params={"limit": 1000}).json()["letters"]
    return [letter for letter in found if letter["origin"].startswith(beginning)]
