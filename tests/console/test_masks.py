"""What a namespace's `mask` names is for subscribers: webhooks, dead letters, logs and the console have it not."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from hub.namespaces import Namespace, Namespaces

from ..support.backend import SECRET
from ..support.server import API_KEY, RunningHub, running_hub
from ..support.wire import connect
from ..webhooks.test_hub import Told, told
from .test_api import WRITE, signed_in

__all__ = ["told"]  # a fixture

CARD, MAIL = "4111-1111-1111-1111", "ann@example.com"
PAYLOAD = {"card": {"number": CARD, "kind": "x"}, "lines": [{"mail": MAIL, "sum": 1}, {"sum": 2}]}
LEFT = {"card": {"kind": "x"}, "lines": [{"sum": 1}, {"sum": 2}]}
MASK = ["payload.card.number", "payload.lines.mail"]


@pytest.fixture(scope="module")
def hub(told: tuple[Told, str]) -> Iterator[RunningHub]:
    keys = {
        "backend": API_KEY,
        "ops": {"key": WRITE, "admin": "write", "subscribe": ["pay:*", "job:*"], "publish": ["pay:*"]},
    }
    hooks = [{"name": "one", "url": told[1], "secret": SECRET, "channels": ["pay:*"], "events": ["event"]}]
    pay = {"mode": "state", "mask": MASK}
    with running_hub(
        namespaces={"pay": pay}, api_keys=keys, webhooks=hooks, webhook_allow=["127.0.0.0/8"]
    ) as hub:
        hub.secret(CARD)
        hub.secret(MAIL)
        yield hub


def payloads(body: dict[str, Any]) -> list[Any]:
    return [event["payload"] for event in body["events"]]


async def test_a_subscriber_has_all_of_it_and_the_console_what_is_left(hub: RunningHub) -> None:
    async with connect(hub.ws_url, hub.token("ann", subscribe=["pay:*"])) as ann:
        await ann.ask("subscribe", channel="pay:1")
        hub.publish("pay:1", "paid", PAYLOAD, key="1")
        assert (await ann.expect("paid"))["payload"] == PAYLOAD
    ops, ticket = signed_in(hub, WRITE)
    for path in ("history", "snapshot"):
        whole = hub.http(WRITE).get(f"/v1/channels/pay:1/{path}").json()
        assert payloads(whole) == [PAYLOAD], "a key that may subscribe is a subscriber"
        assert payloads(ops.get(f"/v1/channels/pay:1/{path}").json()) == [LEFT]
    assert ops.get("/v1/channels/pay:1").json()["offset"] == 1
    assert ops.get("/v1/stream", params={"channel": "pay:1"}).status_code == 403
    async with connect(hub.ws_url, ticket) as wire:
        refused = await wire.ask("subscribe", channel="pay:1")
        assert (refused["type"], refused["code"]) == ("hub.error", "forbidden")
        assert (await wire.ask("history", channel="pay:1"))["code"] == "forbidden"
        assert (await wire.ask("subscribe", channel="job:1"))["type"] == "hub.subscribed"


def test_a_webhook_is_told_what_is_left(hub: RunningHub, told: tuple[Told, str]) -> None:
    hub.publish("pay:2", "paid", PAYLOAD)
    found = [each for each in told[0].until("event") if each["channel"] == "pay:2"]
    while not found:
        found = [each for each in told[0].until("event", len(told[0].seen) + 1) if each["channel"] == "pay:2"]
    assert found[0]["event"]["payload"] == LEFT


def test_a_dead_letter_is_kept_without_it_and_a_replay_publishes_what_is_left(hub: RunningHub) -> None:
    event = {"channel": "pay:3", "event": "paid", "payload": PAYLOAD}
    letter = {
        "id": "masked",
        "origin": "orders:x/0@1",
        "code": "forbidden",
        "reason": "no",
        "body": base64.b64encode(json.dumps(PAYLOAD).encode()).decode(),
        "event": event,
    }
    assert hub.http().post("/v1/deadletters", json=letter).status_code == 201
    kept = hub.http(WRITE).get("/v1/deadletters/masked").json()
    assert kept["event"] == {**event, "payload": LEFT}
    assert set(json.loads(base64.b64decode(kept["body"]))) == {"bytes", "sha256"}
    assert hub.http(WRITE).post("/v1/deadletters/masked/replay").status_code == 200
    assert payloads(hub.http(WRITE).get("/v1/channels/pay:3/history").json()) == [LEFT]


def test_a_digest_tells_equal_values_apart_from_others() -> None:
    spaces = Namespaces({"pay": Namespace(mask=("payload.card",), mask_how="hash"), "job": Namespace()})
    one, two, other = (
        spaces.shown({"channel": "pay:1", "payload": {"card": card, "sum": 1}})["payload"]
        for card in ("4111", "4111", "4222")
    )
    assert one == two
    assert one["card"] != other["card"]
    assert one["sum"] == 1
    assert "4111" not in str(one)
    same = {"channel": "job:1", "payload": {"card": "4111"}}
    assert spaces.shown(same) is same
    assert spaces.shown(broken := {"channel": 7, "payload": 1}) is broken
    assert spaces.with_masks == {"pay"}


@pytest.mark.parametrize("wrong", ["payload.", "", "payload[0]", ".payload", "payload..x"])
def test_a_path_that_is_none(wrong: str) -> None:
    with pytest.raises(ValidationError):
        Namespace(mask=(wrong,))
