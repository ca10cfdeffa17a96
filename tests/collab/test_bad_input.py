"""Nonsense has a clear answer, and changes nothing."""

from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from ..support.wire import connect, problem
from .pair import Pair, fresh, get, http


@pytest.mark.parametrize(
    "fields",
    [
        {"version": version}
        for version in ("1", 1.5, True, -1, [1], [1, 2, 3], [1, "2"], {"n": 1}, 2**53, [], [None, 1])
    ]
    + [{"lease_ms": lease} for lease in (31_536_000_000, 0, 999, 3_600_001, "1000", 1500.5, True, -1)]
    + [{"key": key} for key in ("", "x" * 129, 7, ["k"], "a\nb")]
    + [{"final": final} for final in (1, "true", None)],
    ids=str,
)
async def test_a_wrong_field_of_a_job(pair: Pair, fields: dict[str, Any]) -> None:
    channel = "job:wrong-fields"
    (name,) = fields
    async with http(pair.a) as client:
        body = {"channel": channel, "event": "e", "payload": 1, "key": "k", **fields}
        refused = await client.post("/v1/publish", json=body)
    told = refused.json()
    assert (refused.status_code, told["code"], told["retry"]) == (400, "bad_message", False)
    assert name in told["reason"]
    found = await get(pair.b, f"/v1/channels/{channel}/snapshot")
    assert (found["offset"], found["events"]) == (0, [])


@pytest.mark.parametrize("fields", [{"version": 1}, {"lease_ms": 1000}], ids=str)
async def test_versions_and_leases_need_a_key_and_a_state_channel(pair: Pair, fields: dict[str, Any]) -> None:
    async with http(pair.a) as client:
        for channel, key in ((fresh("doc"), "k"), (fresh("cursor"), "k"), (fresh("job"), None)):
            body = {"channel": channel, "event": "e", "payload": 1, "key": key, **fields}
            refused = await client.post("/v1/publish", json=body)
            assert (refused.status_code, refused.json()["code"]) == (400, "bad_message")


async def test_the_hubs_own_types_are_not_published(pair: Pair) -> None:
    async with http(pair.a) as client:
        for event in ("lease_expired", "hub.welcome"):
            body = {"channel": fresh("job"), "event": event, "payload": 1, "key": "k"}
            refused = await client.post("/v1/publish", json=body)
            assert (refused.status_code, refused.json()["code"]) == (400, "bad_message")


async def test_info_of_a_megabyte(pair: Pair) -> None:
    """A token this long is refused, wherever it comes; with some kilobytes the reason says which claim."""
    with pytest.raises(InvalidStatus) as refused:
        async with connect(pair.a.ws_url, pair.token("ann", info="x" * 5000)):
            pass
    told = problem(refused.value)
    assert (told["status"], told["code"]) == (401, "token_invalid")
    assert "info" in told["reason"]
    async with http(pair.a, pair.token("ann", info="x" * 1_000_000)) as client:
        answer = await client.get("/v1/channels/doc:1")
        assert 400 <= answer.status_code < 500
    async with connect(pair.a.ws_url, welcomed=False) as wire:
        await wire.send("authenticate", id=1, token=pair.token("ann", info="x" * 1_000_000))
        assert await wire.closed() in (1009, 4400)


async def test_presence_without_a_grant_and_where_there_is_none(pair: Pair) -> None:
    channel = fresh("doc")
    async with pair.connect(pair.a, "ann", presence=[]) as ann, pair.connect(pair.b, "bob") as bob:
        for command, fields in (
            ("subscribe", {"presence": True}),
            ("presence", {}),
            ("set_presence", {"state": 1}),
        ):
            refused = await ann.ask(command, channel=channel, **fields)
            assert (refused["type"], refused["code"], refused["channel"]) == (
                "hub.error",
                "forbidden",
                channel,
            )
            refused = await bob.ask(command, channel=fresh("cursor"), **fields)
            assert refused["code"] == "bad_channel"
        assert (await bob.ask("presence", channel=channel))["members"] == []
        async with http(pair.a, pair.token("ann", presence=[])) as client:
            assert (await client.get(f"/v1/channels/{channel}/presence")).status_code == 403
        assert (await ann.ask("subscribe", channel=channel))["type"] == "hub.subscribed"


@pytest.mark.parametrize(
    "presence", ["tab", 1, {}, {"as": ""}, {"as": 3}, {"as": "x" * 129}, {"as": "a\tb"}, []]
)
async def test_a_wrong_presence(pair: Pair, presence: Any) -> None:
    channel = "doc:wrong-presence"
    async with pair.connect(pair.a, "ann") as ann:
        refused = await ann.ask("subscribe", channel=channel, presence=presence)
        assert (refused["type"], refused["code"]) == ("hub.error", "bad_message")
        assert (await ann.ask("presence", channel=channel))["members"] == []


async def test_a_state_too_large_or_of_nobody(pair: Pair) -> None:
    channel = fresh("doc")
    async with pair.connect(pair.a, "ann") as ann:
        refused = await ann.ask("set_presence", channel=channel, state=1)
        assert (refused["code"], refused["retry"]) == ("conflict", False)
        await ann.ask("subscribe", channel=channel)
        assert (await ann.ask("set_presence", channel=channel, state=1))["code"] == "conflict"
        await ann.ask("subscribe", channel=channel, presence={"as": "a"})
        assert (await ann.ask("set_presence", channel=channel, state="x" * 4094))[
            "type"
        ] == "hub.presence_set"
        assert (await ann.ask("set_presence", channel=channel, state="y" * 4095))["code"] == "too_large"
        assert (await ann.ask("set_presence", channel=channel))["code"] == "bad_message"
        (member,) = (await ann.ask("presence", channel=channel))["members"]
        assert member["state"] == "x" * 4094
        assert (await ann.ask("presence", channel=channel, group="team"))["code"] == "bad_message"


@pytest.mark.parametrize("rate", [0, 0.001, 101, "2", True, -1])
async def test_a_wrong_max_rate(pair: Pair, rate: Any) -> None:
    async with pair.connect(pair.a, "ann") as ann:
        assert (await ann.ask("subscribe", channel="job:rates", max_rate=rate))["code"] == "bad_message"


async def test_a_hundred_thousand_keys(pair: Pair) -> None:
    """Of a channel with room for 20; each refusal stands by itself, and the 20 stay as they were."""
    channel = fresh("narrow")
    async with http(pair.a) as client:
        for at in range(0, 100_000, 25_000):
            events = [
                {"channel": channel, "event": "e", "payload": n, "key": f"k{n}"} for n in range(at, at + 1000)
            ]
            results = (await client.post("/v1/batch", json={"events": events})).json()["results"]
            refused = results[20:] if at == 0 else results
            assert {result["code"] for result in refused} == {"limit"}
            assert all(result["retry_after_ms"] > 0 for result in refused)
    found = await get(pair.b, f"/v1/channels/{channel}/snapshot")
    assert [event["key"] for event in found["events"]] == [f"k{n}" for n in range(20)]
