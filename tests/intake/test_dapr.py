"""What a sidecar asks and brings: its fixtures are of Dapr's documents and of what a sidecar sent."""

from typing import Any

import httpx

from ..broker.redis.servers import RedisServer
from ..support.server import RunningHub, running_hub
from .conftest import DAPR_TOKEN, SETTINGS, events, letters, payloads

TOKEN = {"dapr-api-token": DAPR_TOKEN, "Content-Type": "application/cloudevents+json"}


def envelope(order: str, number: int, **more: Any) -> dict[str, Any]:
    return {
        "data": {
            "event_id": f"ev-{number}",
            "event_type": "OrderCreated",
            "aggregate_id": order,
            "version": 1,
            "data": {"n": number},
        },
        "datacontenttype": "application/json",
        "id": "5929aaac-a5e2-4ca1-859c-edfe73f11565",
        "pubsubname": "pubsub",
        "source": "orders",
        "specversion": "1.0",
        "time": "2026-11-27T06:23:21Z",
        "topic": "order-created",
        "traceid": "00-00000000000000000000000000000000-0000000000000000-00",
        "traceparent": "00-00000000000000000000000000000000-0000000000000000-00",
        "tracestate": "",
        "type": "com.dapr.event.sent",
        **more,
    }


def bring(hub: RunningHub, body: Any) -> httpx.Response:
    return hub.http(None).post("/dapr/events", json=body, headers=TOKEN)


def test_the_sidecar_asks_what_is_subscribed_to(hub: RunningHub) -> None:
    assert hub.http(None).get("/dapr/subscribe", headers=TOKEN).json() == [
        {
            "pubsubname": "pubsub",
            "topic": "order-created",
            "route": "/dapr/events",
            "deadLetterTopic": "order-dead",
        }
    ]


def test_an_event_is_stored_once_by_the_publishers_identity(hub: RunningHub) -> None:
    for number, id in ((1, "a"), (1, "b"), (2, "c")):
        answer = bring(hub, envelope("d1", number, id=id))
        assert (answer.status_code, answer.json()) == (200, {"status": "SUCCESS"})
    found = events(hub, "job:d1")
    assert [(event["type"], event["payload"]) for event in found] == [
        ("OrderCreated", {"n": 1}),
        ("OrderCreated", {"n": 2}),
    ]
    assert all("meta" not in event for event in found), "a trace of zeros is none"


def test_without_an_identity_of_its_own_it_is_the_events(hub: RunningHub) -> None:
    for id in ("a", "a", "b"):
        sent = envelope("d2", 1, id=id)
        del sent["data"]["event_id"]
        assert bring(hub, sent).json() == {"status": "SUCCESS"}
    assert len(payloads(hub, "job:d2")) == 2


def test_what_can_not_be_published_is_dropped_and_kept(hub: RunningHub) -> None:
    sent = envelope("has space", 1, id="x")
    assert bring(hub, sent).json() == {"status": "DROP"}
    assert bring(hub, envelope("d3", 2, topic="another")).json() == {"status": "DROP"}
    assert bring(hub, [1]).json() == {"status": "DROP"}
    assert len(letters(hub, "created:dapr/order-created@")) == 3


def test_only_the_sidecar_comes_in(hub: RunningHub) -> None:
    for headers in ({}, {"dapr-api-token": "x"}, {"dapr-api-token": ""}):
        assert hub.http(None).get("/dapr/subscribe", headers=headers).status_code == 401
        assert hub.http(None).post("/dapr/events", json=envelope("d4", 1), headers=headers).status_code == 401
    assert payloads(hub, "job:d4") == []


async def test_while_the_storage_is_away_dapr_is_to_try_again(redis: RedisServer) -> None:
    with running_hub(**SETTINGS, broker=redis.url) as hub:
        await redis.stop()
        assert bring(hub, envelope("d5", 1)).json() == {"status": "RETRY"}
        await redis.start()
