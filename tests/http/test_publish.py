"""`POST /v1/publish`, `/v1/batch`, `/v1/broadcast`."""

from typing import Any

import httpx
import pytest

from ..support.server import RunningHub, running_hub
from ..support.wire import connect

EVENT: dict[str, Any] = {"event": "job_status", "payload": {"progress": 1}}


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem of a refusal."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["detail"] == body["reason"]
    return body


async def test_all_fields_arrive(hub: RunningHub) -> None:
    body = {
        "channel": "job:fields",
        "event": "job_status",
        "payload": {"état": ["≤", None, 1.5, True]},
        "key": "42",
        "final": True,
        "version": [2, 7],
        "event_id": "e-1",
    }
    async with connect(hub.ws_url, hub.token("ann", subscribe=["job:*"])) as wire:
        await wire.ask("subscribe", channel="job:fields")
        answer = hub.http().post("/v1/publish", json=body)
        assert answer.status_code == 200
        assert set(answer.json()) == {"channel", "epoch", "offset", "event_id"}
        event = await wire.expect("job_status")
    time = event.pop("time")
    assert isinstance(time, int)
    assert event == {
        "type": "job_status",
        "channel": "job:fields",
        "offset": answer.json()["offset"],
        "id": "e-1",
        "key": "42",
        "final": True,
        "version": [2, 7],
        "payload": {"état": ["≤", None, 1.5, True]},
    }


def test_an_ephemeral_publication_has_no_position(hub: RunningHub) -> None:
    answer = hub.publish("cursor:7", "moved", {"x": 1})
    assert set(answer) == {"channel", "event_id"}


def test_a_repeat_is_stored_once_and_another_body_conflicts(hub: RunningHub) -> None:
    http = hub.http()
    body = {"channel": "doc:repeat", **EVENT, "event_id": "once"}
    first = http.post("/v1/publish", json=body)
    again = http.post("/v1/publish", json=body)
    assert again.status_code == 200
    assert again.json() == first.json()
    problem = refused(http.post("/v1/publish", json={**body, "payload": 2}), 409, "conflict")
    assert problem["channel"] == "doc:repeat"
    assert problem["retry"] is False
    assert http.get("/v1/channels/doc:repeat").json()["offset"] == 1


def test_one_publishers_event_id_is_not_anothers(hub: RunningHub) -> None:
    body = {"channel": "doc:two-publishers", **EVENT, "event_id": "once"}
    for user in ("ann", "bob"):
        answer = hub.http(hub.token(user, publish=["doc:*"])).post("/v1/publish", json=body)
        assert answer.status_code == 200
    assert hub.http().get("/v1/channels/doc:two-publishers").json()["offset"] == 2


def test_a_stale_version_is_told_with_the_current_position(hub: RunningHub) -> None:
    new = hub.publish("job:stale", key="a", version=[1, 5])
    hub.publish("job:stale", key="b")
    stale = hub.publish("job:stale", key="a", version=4)
    assert stale["stale"] is True
    assert (stale["epoch"], stale["offset"]) == (new["epoch"], new["offset"])


async def test_a_lease_runs_out(hub: RunningHub) -> None:
    async with connect(hub.ws_url, hub.token("ann", subscribe=["job:*"])) as wire:
        await wire.ask("subscribe", channel="job:lease")
        hub.publish("job:lease", "job_status", {"progress": 3}, key="k", lease_ms=1000)
        event = await wire.expect("job_status")
        expired = await wire.expect("lease_expired")
        assert expired["key"] == "k"
        assert expired["payload"]["last"] == event


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"channel": 7}, "bad_message"),
        ({"channel": None}, "bad_message"),
        ({"channel": "job"}, "bad_channel"),
        ({"channel": "job:a b"}, "bad_channel"),
        ({"channel": "job:\x07"}, "bad_channel"),
        ({"channel": "job:" + "x" * 201}, "bad_channel"),
        ({"channel": "JOB:x"}, "bad_channel"),
        ({"event": None}, "bad_message"),
        ({"event": ""}, "bad_message"),
        ({"event": "hub.welcome"}, "bad_message"),
        ({"event": "lease_expired"}, "bad_message"),
        ({"event": "x" * 129}, "bad_message"),
        ({"key": 7}, "bad_message"),
        ({"key": ""}, "bad_message"),
        ({"final": "yes"}, "bad_message"),
        ({"final": 1}, "bad_message"),
        ({"version": -1, "key": "k"}, "bad_message"),
        ({"version": 1.5, "key": "k"}, "bad_message"),
        ({"version": True, "key": "k"}, "bad_message"),
        ({"version": [1], "key": "k"}, "bad_message"),
        ({"version": 1}, "bad_message"),
        ({"version": 1, "key": "k", "channel": "doc:7"}, "bad_message"),
        ({"event_id": 5}, "bad_message"),
        ({"event_id": "x" * 129}, "bad_message"),
        ({"lease_ms": 999, "key": "k"}, "bad_message"),
        ({"lease_ms": 3_600_001, "key": "k"}, "bad_message"),
        ({"lease_ms": 5000}, "bad_message"),
        ({"lease_ms": "5000", "key": "k"}, "bad_message"),
        ({"lease_ms": 5000, "key": "k", "channel": "doc:7"}, "bad_message"),
    ],
)
def test_a_wrong_field_is_named(hub: RunningHub, change: dict[str, Any], code: str) -> None:
    answer = hub.http().post("/v1/publish", json={"channel": "job:bad", **EVENT, **change})
    refused(answer, 400, code)


def test_a_missing_payload_is_refused_and_null_is_one(hub: RunningHub) -> None:
    http = hub.http()
    problem = refused(
        http.post("/v1/publish", json={"channel": "job:null", "event": "x"}), 400, "bad_message"
    )
    assert "payload" in problem["reason"]
    answer = http.post("/v1/publish", json={"channel": "job:null", "event": "x", "payload": None})
    assert answer.status_code == 200


def test_an_unknown_namespace_is_404(hub: RunningHub) -> None:
    problem = refused(
        hub.http().post("/v1/publish", json={"channel": "nope:1", **EVENT}), 404, "unknown_namespace"
    )
    assert "nope" in problem["reason"]


def test_a_payload_over_the_limit_is_413(hub: RunningHub) -> None:
    http = hub.http()
    fits = {"channel": "job:large", "event": "x", "payload": "x" * (65536 - 2)}
    assert http.post("/v1/publish", json=fits).status_code == 200
    refused(http.post("/v1/publish", json={**fits, "payload": "x" * (65536 - 1)}), 413, "too_large")


async def test_a_batch_answers_each_in_order(hub: RunningHub) -> None:
    good = {"channel": "job:batch", **EVENT}
    events = [
        {**good, "event_id": "b1"},
        "no object",
        {**good, "channel": "nope:1"},
        {**good, "channel": 7},
        {**good, "event": "hub.x"},
        {**good, "event_id": "b1"},
        {**good, "event_id": "b1", "payload": "another"},
        {**good, "payload": "x" * 70_000},
        {**good, "channel": "cursor:1"},
        good,
    ]
    async with connect(hub.ws_url, hub.token("ann", subscribe=["job:*"])) as wire:
        await wire.ask("subscribe", channel="job:batch")
        answer = hub.http().post("/v1/batch", json={"events": events})
        assert answer.status_code == 200
        results = answer.json()["results"]
        assert [result.get("code", "ok") for result in results] == [
            "ok",
            "bad_message",
            "unknown_namespace",
            "bad_message",
            "bad_message",
            "ok",
            "conflict",
            "too_large",
            "ok",
            "ok",
        ]
        assert [results[place].get("offset") for place in (0, 5, 8, 9)] == [1, 1, None, 2]
        assert results[2]["channel"] == "nope:1"
        assert results[6]["channel"] == "job:batch"
        assert "channel" not in results[1]
        assert "channel" not in results[3]
        assert [(await wire.expect("job_status"))["offset"] for _ in range(2)] == [1, 2]
        await wire.quiet()


@pytest.mark.parametrize("events", [None, {}, "x", [], [{}] * 1001])
def test_a_batch_is_a_list_of_up_to_1000(hub: RunningHub, events: Any) -> None:
    refused(hub.http().post("/v1/batch", json={"events": events}), 400, "bad_message")


def test_a_full_batch(hub: RunningHub) -> None:
    events = [{"channel": "doc:full", "event": "x", "payload": number} for number in range(1000)]
    results = hub.http().post("/v1/batch", json={"events": events}).json()["results"]
    assert [result["offset"] for result in results] == list(range(1, 1001))


def test_a_broadcast_to_a_thousand_channels_some_of_them_bad(hub: RunningHub) -> None:
    channels: list[Any] = [f"job:cast-{number}" for number in range(1000)]
    channels[10], channels[20], channels[30], channels[40] = 5, "bad", "nope:1", None
    body = {"channels": channels, "event": "notice", "payload": {"n": 1}, "key": "k", "event_id": "cast"}
    http = hub.http()
    results = http.post("/v1/broadcast", json=body).json()["results"]
    assert len(results) == 1000
    wrong = {place: result["code"] for place, result in enumerate(results) if "code" in result}
    assert wrong == {10: "bad_message", 20: "bad_channel", 30: "unknown_namespace", 40: "bad_message"}
    assert all(result["offset"] == 1 for result in results if "code" not in result)
    again = http.post("/v1/broadcast", json=body).json()["results"]
    assert again == results
    (event,) = http.get("/v1/channels/job:cast-999/history").json()["events"]
    assert (event["key"], event["id"]) == ("k", "cast")


@pytest.mark.parametrize(
    "change",
    [
        {"channels": []},
        {"channels": "job:1"},
        {"channels": ["job:1"] * 1001},
        {"event": "hub.x"},
        {"final": 1},
    ],
)
def test_a_broadcast_that_is_wrong_for_all_channels_is_refused_whole(
    hub: RunningHub, change: dict[str, Any]
) -> None:
    body = {"channels": ["job:whole"], "event": "x", "payload": 1, **change}
    refused(hub.http().post("/v1/broadcast", json=body), 400, "bad_message")


def test_a_schema_of_the_namespace(tmp_path: Any) -> None:
    schema = tmp_path / "order.json"
    schema.write_text('{"type":"object","required":["total"],"properties":{"total":{"type":"number"}}}')
    with running_hub(namespaces={"order": {"mode": "log", "schema": str(schema)}}) as hub:
        hub.publish("order:1", payload={"total": 3})
        answer = hub.http().post(
            "/v1/publish", json={"channel": "order:1", "event": "x", "payload": {"total": "3"}}
        )
        problem = refused(answer, 400, "bad_message")
        assert "total" in problem["reason"]


def test_a_storage_without_replicas_has_none_of_what_was_asked_for(hub: RunningHub) -> None:
    entry = {"channel": "doc:replicas", **EVENT}
    answer = hub.http().post("/v1/batch", json={"events": [entry, {**entry, "channel": "x"}], "replicas": 1})
    assert answer.status_code == 200
    body = answer.json()
    assert body["replicas"] == 1
    stored, wrong = body["results"]
    assert (stored["code"], stored["retry"], stored["outcome"]) == ("unavailable", True, "unknown")
    assert stored["channel"] == "doc:replicas"
    assert "no replicas" in stored["reason"]
    assert wrong["code"] == "bad_channel"
    assert hub.http().get("/v1/channels/doc:replicas").json()["offset"] == 1
    assert "replicas" not in hub.http().post("/v1/batch", json={"events": [entry], "replicas": 0}).json()


@pytest.mark.parametrize("wrong", [-1, 17, True, 1.0, "1"])
def test_a_number_of_replicas_that_is_none(hub: RunningHub, wrong: Any) -> None:
    body = {"events": [{"channel": "doc:wrong", **EVENT}], "replicas": wrong}
    refused(hub.http().post("/v1/batch", json=body), 400, "bad_message")


def test_replicas_are_for_services(hub: RunningHub) -> None:
    body = {"events": [{"channel": "doc:wrong", **EVENT}], "replicas": 1}
    token = hub.token("ann", publish=["doc:*"])
    refused(hub.http(token).post("/v1/batch", json=body), 403, "forbidden")
