"""Deleting over HTTP: who may, and what subscribers are told."""

import asyncio

import pytest

from ..support.server import RunningHub
from ..support.wire import connect
from .test_publish import refused


async def test_subscribers_are_told_of_a_deleted_channel(hub: RunningHub) -> None:
    place = hub.publish("doc:gone", payload="of ann")
    async with connect(hub.ws_url, hub.token("bob", subscribe=["doc:*"])) as wire:
        await wire.ask("subscribe", channel="doc:gone")
        fresh = hub.http().delete("/v1/channels/doc:gone").json()
        told = await wire.expect("hub.resubscribe")
        assert told["gap"] == {"from": 1, "to": 0, "cause": "deleted"}
        assert (told["epoch"], told["offset"]) == (fresh["epoch"], fresh["offset"]) == (told["epoch"], 0)
        hub.publish("doc:gone", payload=1)
        assert (await wire.expect("tick"))["offset"] == 1
    async with connect(hub.ws_url, hub.token("cat", subscribe=["doc:*"])) as wire:
        since = {"epoch": place["epoch"], "offset": place["offset"]}
        late = await wire.ask("subscribe", channel="doc:gone", since=since)
        assert late["gap"] == {"from": 1, "to": 1, "cause": "deleted"}
    page = hub.http().get("/v1/channels/doc:gone/history", params={"since": f"{place['epoch']}:1"}).json()
    assert page["gap"]["cause"] == "deleted"
    assert "of ann" not in str(page)


async def test_deleting_while_subscribers_replay(hub: RunningHub) -> None:
    """Each gets a run of what was, or nothing of it; then the word, then what came after it."""
    events = [{"channel": "doc:replayed", "event": "n", "payload": "x" * 2000} for _ in range(900)]
    hub.http().post("/v1/batch", json={"events": events}).raise_for_status()
    epoch = hub.http().get("/v1/channels/doc:replayed").json()["epoch"]

    async def one(number: int) -> None:
        async with connect(hub.ws_url, hub.token(f"r{number}", subscribe=["doc:*"])) as wire:
            since = {"epoch": epoch, "offset": 0}
            reply = await wire.ask("subscribe", channel="doc:replayed", since=since)
            began.append(reply["epoch"])
            if "gap" in reply:
                assert reply["gap"]["cause"] == "deleted"
            at, current = 0, reply["epoch"]
            while (message := await wire.receive())["type"] != "after":
                if message["type"] == "hub.resubscribe":
                    assert message["gap"]["cause"] == "deleted"
                    at, current = message["offset"], message["epoch"]
                else:
                    assert current == epoch
                    assert message["offset"] == at + 1
                    at += 1
            assert current != epoch
            assert message["offset"] == 1

    began: list[str] = []
    http = hub.http()
    async with asyncio.timeout(60.0), asyncio.TaskGroup() as readers:
        for number in range(8):
            readers.create_task(one(number))
        while len(began) < 4:
            await asyncio.sleep(0.001)
        await asyncio.to_thread(http.delete, "/v1/channels/doc:replayed")
        while len(began) < 8:
            await asyncio.sleep(0.001)
        await asyncio.to_thread(hub.publish, "doc:replayed", "after")
    assert epoch in began


async def test_a_deleted_key(hub: RunningHub) -> None:
    for key in ("a", "b/ä c"):
        hub.publish("job:keys", key=key, payload=f"of {key}")
    async with connect(hub.ws_url, hub.token("bob", subscribe=["job:*"])) as wire:
        await wire.ask("subscribe", channel="job:keys")
        gone = hub.http().delete("/v1/channels/job:keys/snapshot/b%2F%C3%A4%20c").json()
        assert (gone["deleted"], gone["key"], gone["offset"]) == (True, "b/ä c", 3)
        event = await wire.expect("key_deleted")
        assert (event["key"], event["final"], event["payload"], event["offset"]) == ("b/ä c", True, None, 3)
        assert "from" not in event
    snapshot = hub.http().get("/v1/channels/job:keys/snapshot").json()
    assert [each["key"] for each in snapshot["events"]] == ["a"]
    assert snapshot["offset"] == 3
    history = hub.http().get("/v1/channels/job:keys/history", params={"since": f"{gone['epoch']}:0"}).json()
    assert [each["type"] for each in history["events"]] == ["key_deleted"]
    assert history["gap"]["cause"] == "trimmed"
    again = hub.http().delete("/v1/channels/job:keys/snapshot/b%2F%C3%A4%20c").json()
    assert again["deleted"] is True  # the event itself was of that key
    assert hub.http().delete("/v1/channels/job:keys/snapshot/none").json() == {
        "channel": "job:keys",
        "key": "none",
        "deleted": False,
    }


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/channels/job:keys/snapshot/" + "x" * 129, 400, "bad_message"),
        ("/v1/channels/job:keys/snapshot/%00", 400, "bad_message"),
        ("/v1/channels/job:keys/snapshot/", 400, "bad_message"),
        ("/v1/channels/doc:keys/snapshot/a", 400, "bad_channel"),
        ("/v1/channels/cursor:1", 400, "bad_channel"),
        ("/v1/channels/nope:1", 404, "unknown_namespace"),
        ("/v1/channels/hub:clients", 403, "forbidden"),
        ("/v1/channels/:", 400, "bad_channel"),
    ],
)
def test_what_cant_be_deleted(hub: RunningHub, path: str, status: int, code: str) -> None:
    refused(hub.http().delete(path), status, code)


def test_who_may_not(hub: RunningHub) -> None:
    hub.publish("doc:kept", payload=1)
    user = hub.token("ann", publish=["doc:*"], subscribe=["doc:*"])
    refused(hub.http(user).delete("/v1/channels/doc:kept"), 403, "forbidden")
    other = hub.token("svc2", service=True, publish=["job:*"], subscribe=["doc:*"])
    refused(hub.http(other).delete("/v1/channels/doc:kept"), 403, "forbidden")
    refused(hub.http(None).delete("/v1/channels/doc:kept"), 401, "unauthenticated")
    assert len(hub.http().get("/v1/channels/doc:kept/history").json()["events"]) == 1
