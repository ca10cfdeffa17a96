"""History by time, over HTTP, sockets and streams."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from ..support.server import RunningHub
from ..support.wire import connect
from .test_publish import refused


def fill(hub: RunningHub, channel: str) -> list[dict[str, object]]:
    for number in range(6):
        hub.publish(channel, payload=number, key=str(number))
    events: list[dict[str, object]] = hub.http().get(f"/v1/channels/{channel}/history").json()["events"]
    return events


def written(time_ms: object) -> str:
    assert isinstance(time_ms, int)
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")


def since(events: list[dict[str, object]], at: int) -> list[object]:
    moment = events[at]["time"]
    return [event["payload"] for event in events if event["time"] >= moment]  # type: ignore[operator]


async def test_from_a_moment_on(hub: RunningHub) -> None:
    events = fill(hub, "doc:moments")
    path, expected = "/v1/channels/doc:moments/history", since(events, 3)
    for moment in (str(events[3]["time"]), written(events[3]["time"])):
        page = hub.http().get(path, params={"since_time": moment}).json()
        assert [event["payload"] for event in page["events"]] == expected
    assert (
        hub.http().get(f"{path}?since_time={written(events[3]['time'])}").json()["events"] == page["events"]
    )
    assert hub.http().get(path, params={"since_time": "2999-01-01T00:00:00Z"}).json()["events"] == []
    assert len(hub.http().get(path, params={"since_time": "0"}).json()["events"]) == 6
    async with connect(hub.ws_url, hub.token("ann", subscribe=["doc:*"])) as wire:
        reply = await wire.ask("history", channel="doc:moments", since_time=events[3]["time"])
        assert [event["payload"] for event in reply["events"]] == expected
        reply = await wire.ask("subscribe", channel="doc:moments", since_time=written(events[3]["time"]))
        assert (reply["recovered"], reply["missed"]) == (True, len(expected))
        assert [(await wire.receive())["payload"] for _ in expected] == expected


def test_a_stream_from_a_moment_on(hub: RunningHub) -> None:
    events, expected = fill(hub, "doc:streamed"), since(fill(hub, "job:streamed"), 2)
    del events
    job = hub.http().get("/v1/channels/job:streamed/history").json()["events"]
    query = {"channel": ["job:streamed", "doc:empty"], "since_time": str(job[2]["time"])}
    lines = {"Accept": "application/x-ndjson"}
    found: list[object] = []
    with hub.http().stream("GET", "/v1/stream", params=query, headers=lines) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            message = json.loads(line) if line.strip() else {}
            if message.get("type") == "tick":
                found.append(message["payload"])
            if len(found) == len(expected):
                break
    assert found == expected


def test_the_cursor_of_a_stream_from_a_moment_on_has_every_channel(hub: RunningHub) -> None:
    """Who is cut off before anything came on one of them continues there, and does not begin anew."""
    events = fill(hub, "doc:first")
    fill(hub, "doc:second")
    epoch = hub.http().get("/v1/channels/doc:second").json()["epoch"]
    query = {"channel": ["doc:first", "doc:second"], "since_time": str(events[-1]["time"])}
    with hub.http().stream("GET", "/v1/stream", params=query) as answer:
        for line in answer.iter_lines():
            if line.startswith("id:"):
                assert epoch in line
                break


@pytest.mark.parametrize(
    "moment",
    ["", "soon", "-1", "1e3", "9" * 400, "2026-13-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00"],
)
def test_no_moment(hub: RunningHub, moment: str) -> None:
    path = "/v1/channels/doc:moments/history"
    refused(hub.http().get(path, params={"since_time": moment}), 400, "bad_message")
    query = {"channel": "doc:moments", "since_time": moment}
    answer: httpx.Response = hub.http().get("/v1/stream", params=query)
    refused(answer, 400, "bad_message")


async def test_no_moment_on_a_socket(hub: RunningHub) -> None:
    async with connect(hub.ws_url, hub.token("ann", subscribe=["doc:*"])) as wire:
        wrongs: list[Any] = [-1, 1.5, True, "soon", [], 2**53]
        for wrong in wrongs:
            for command in ("subscribe", "history"):
                reply = await wire.ask(command, channel="doc:m", since_time=wrong)
                assert (reply["type"], reply["code"]) == ("hub.error", "bad_message")
                await wire.ask("ping")
        both: dict[str, Any] = {"since_time": 1, "since": {"epoch": "a", "offset": 0}}
        assert (await wire.ask("subscribe", channel="doc:m", **both))["code"] == "bad_message"


async def test_presence_by_numbers(hub: RunningHub) -> None:
    token = hub.token("ann", subscribe=["doc:*"], presence=["doc:*"])
    async with connect(hub.ws_url, token) as one, connect(hub.ws_url, token) as other:
        for wire in (one, other):
            await wire.ask("subscribe", channel="doc:count", presence=True)
        reply = await one.ask("presence", channel="doc:count", count=True)
        assert (reply["members"], reply["users"]) == (2, 1)
        answer = hub.http(token).get("/v1/channels/doc:count/presence", params={"count": "true"})
        assert answer.json() == {"channel": "doc:count", "members": 2, "users": 1}
        assert (await one.ask("presence", channel="doc:count", count=1))["code"] == "bad_message"
