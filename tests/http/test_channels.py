"""Reading channels by HTTP."""

from typing import Any

import pytest

from ..support.server import RunningHub, running_hub
from ..support.wire import connect
from .test_publish import refused


async def test_a_pages_cursor(hub: RunningHub) -> None:
    http = hub.http()
    fresh = http.get("/v1/channels/job:cursor").json()
    assert (fresh["mode"], fresh["offset"], fresh["subscribers"]) == ("state", 0, 0)
    place = hub.publish("job:cursor", payload=1)
    assert place["epoch"] == fresh["epoch"]
    token = hub.token("ann", subscribe=["job:*"])
    async with connect(hub.ws_url, token) as wire:
        found = http.get("/v1/channels/job:cursor").json()
        assert found["offset"] == 1
        hub.publish("job:cursor", payload=2)
        reply = await wire.ask(
            "subscribe", channel="job:cursor", since={name: found[name] for name in ("epoch", "offset")}
        )
        assert reply["recovered"] is True
        assert (await wire.expect("tick"))["payload"] == 2
        assert http.get("/v1/channels/job:cursor").json()["subscribers"] == 1


def test_an_ephemeral_channel_has_no_position(hub: RunningHub) -> None:
    found = hub.http().get("/v1/channels/cursor:9").json()
    assert found == {"channel": "cursor:9", "mode": "ephemeral", "subscribers": 0}


async def test_unread_in_ones_inbox(hub: RunningHub) -> None:
    for number in range(3):
        hub.publish("user:reader", payload=number)
    token = hub.token("reader")
    assert hub.http(token).get("/v1/channels/user:reader").json()["unread"] == 3
    async with connect(hub.ws_url, token) as wire:
        place = hub.publish("user:reader", payload=3)
        reply = await wire.ask("ack", channel="user:reader", epoch=place["epoch"], offset=2)
        assert reply["unread"] == 2
    assert hub.http(token).get("/v1/channels/user:reader").json()["unread"] == 2
    assert "unread" not in hub.http().get("/v1/channels/user:reader").json()


def test_history_in_pages(hub: RunningHub) -> None:
    http = hub.http()
    hub.http().post(
        "/v1/batch",
        json={"events": [{"channel": "doc:pages", "event": "n", "payload": n} for n in range(1, 26)]},
    )
    newest = http.get("/v1/channels/doc:pages/history", params={"limit": 10}).json()
    assert [event["payload"] for event in newest["events"]] == list(range(16, 26))
    assert newest["more"] is False
    assert newest["offset"] == 25
    seen, since, more = [], f"{newest['epoch']}:0", True
    while more:
        page = http.get("/v1/channels/doc:pages/history", params={"since": since, "limit": 10}).json()
        seen += [event["payload"] for event in page["events"]]
        since, more = f"{page['epoch']}:{page['events'][-1]['offset']}", page["more"]
    assert seen == list(range(1, 26))
    assert http.get("/v1/channels/doc:pages/history", params={"since": since}).json()["events"] == []


def test_a_position_of_another_epoch_is_a_gap(hub: RunningHub) -> None:
    hub.publish("doc:gap", payload=1)
    page = hub.http().get("/v1/channels/doc:gap/history", params={"since": "other:7"}).json()
    assert page["gap"]["cause"] == "epoch"
    assert [event["payload"] for event in page["events"]] == [1]


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "1001"},
        {"limit": "x"},
        {"limit": "-1"},
        {"limit": ""},
        {"limit": "9" * 5000},
        {"limit": "²"},
        {"since": "x"},
        {"since": "k3f9:-1"},
        {"since": "k3f9:" + "9" * 30},
        {"since": "a b:1"},
    ],
)
def test_wrong_queries(hub: RunningHub, query: dict[str, str]) -> None:
    refused(hub.http().get("/v1/channels/doc:1/history", params=query), 400, "bad_message")


def test_no_history_of_ephemeral_channels(hub: RunningHub) -> None:
    refused(hub.http().get("/v1/channels/cursor:1/history"), 400, "bad_channel")


@pytest.mark.parametrize(
    ("channel", "status", "code"),
    [
        ("nope:1", 404, "unknown_namespace"),
        ("job", 400, "bad_channel"),
        ("job:%25", 400, "bad_channel"),
        ("job:%00", 400, "bad_channel"),
        ("job:%ff", 400, "bad_channel"),
        ("job:a%2Fb", 404, "bad_message"),
    ],
)
@pytest.mark.parametrize("tail", ["", "/history", "/snapshot", "/presence"])
def test_bad_channels(hub: RunningHub, channel: str, status: int, code: str, tail: str) -> None:
    refused(hub.http().get(f"/v1/channels/{channel}{tail}"), status, code)


def test_a_snapshot_is_the_latest_of_each_key(hub: RunningHub) -> None:
    http = hub.http()
    empty = http.get("/v1/channels/job:snap/snapshot").json()
    assert (empty["offset"], empty["events"], empty["more"]) == (0, [], False)
    events = [{"channel": "job:snap", "event": "s", "key": f"k{n % 3}", "payload": n} for n in range(10)]
    http.post("/v1/batch", json={"events": events})
    found = http.get("/v1/channels/job:snap/snapshot").json()
    assert found["channel"] == "job:snap"
    assert found["offset"] == 10
    assert [(event["offset"], event["payload"]) for event in found["events"]] == [(8, 7), (9, 8), (10, 9)]


def test_a_large_snapshot_is_whole(hub: RunningHub) -> None:
    http = hub.http()
    for half in range(2):
        events = [
            {"channel": "job:large-snap", "event": "s", "key": f"k{half}-{n}", "payload": "x" * 2000}
            for n in range(500)
        ]
        http.post("/v1/batch", json={"events": events})
    found = http.get("/v1/channels/job:large-snap/snapshot").json()
    assert [event["offset"] for event in found["events"]] == list(range(1, 1001))


def test_no_snapshot_of_a_log(hub: RunningHub) -> None:
    refused(hub.http().get("/v1/channels/doc:1/snapshot"), 400, "bad_channel")


async def test_presence(hub: RunningHub) -> None:
    http = hub.http()
    grants: dict[str, Any] = {"subscribe": ["doc:*"], "presence": ["doc:*"], "info": {"name": "Ann"}}
    token = hub.token("ann", **grants)
    async with connect(hub.ws_url, token) as one, connect(hub.ws_url, token) as two:
        for wire in (one, two):
            assert (await wire.ask("subscribe", channel="doc:who", presence=True))["type"] == "hub.subscribed"
        found = http.get("/v1/channels/doc:who/presence").json()
        assert found["channel"] == "doc:who"
        assert [member["user"] for member in found["members"]] == ["ann", "ann"]
        assert found["members"][0]["info"] == {"name": "Ann"}
        grouped = http.get("/v1/channels/doc:who/presence", params={"group": "user"}).json()
        assert [(member["user"], member["members"]) for member in grouped["members"]] == [("ann", 2)]
    refused(http.get("/v1/channels/doc:who/presence", params={"group": "team"}), 400, "bad_message")
    refused(http.get("/v1/channels/job:1/presence"), 400, "bad_channel")


def test_history_stays_under_the_frame_limit() -> None:
    with running_hub(frame_bytes=8192, message_bytes=4096) as hub:
        for number in range(6):
            hub.publish("doc:wide", payload=f"{number}" * 3000)
        page = hub.http().get("/v1/channels/doc:wide/history", params={"since": _start(hub)}).json()
        assert 1 <= len(page["events"]) < 6
        assert page["more"] is True


def _start(hub: RunningHub) -> str:
    return f"{hub.http().get('/v1/channels/doc:wide').json()['epoch']}:0"
