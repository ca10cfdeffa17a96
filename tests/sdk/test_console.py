"""What ``hub subscribe`` and ``hub publish`` print, and where."""

import asyncio
import io
import json
from typing import Any

import pytest

from hub.sdk.console import run_publish, run_subscribe

from .fake import FakeHub, Peer, cut
from .http_hub import HttpHub, problem


async def test_subscribe_prints_events_and_says_what_happened() -> None:
    async def first(peer: Peer) -> None:
        await peer.welcome(reconnect={"min_ms": 10, "max_ms": 20})
        event = {
            "type": "s",
            "channel": "job:1",
            "offset": 7,
            "id": "e7",
            "time": 1,
            "key": "a",
            "payload": 1,
        }
        gap = {"from": 3, "to": 9, "cause": "trimmed"}
        await peer.subscribed(epoch="k", offset=9, gap=gap, snapshot=[event])
        await peer.event("job:1", 12, {"a": 1}, conflated=2, final=True, **{"from": "bob"})
        await cut(peer)

    async def second(peer: Peer) -> None:
        await peer.welcome()
        await peer.subscribed(epoch="k", offset=12, recovered=True, missed=0)
        await peer.event("job:1", 13)
        await peer.say("hub.unsubscribed", channel="job:1", reason="the grant ended")

    out, err = io.StringIO(), io.StringIO()
    async with FakeHub(first, second) as hub:
        assert await run_subscribe(hub.url, ["job:1"], ["k:2"], "t", out, err) == 1
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["offset"] for line in lines] == [7, 12, 13]
    assert lines[1] == {
        "type": "note",
        "channel": "job:1",
        "offset": 12,
        "id": "e12",
        "time": 1,
        "final": True,
        "from": "bob",
        "conflated": 2,
        "payload": {"a": 1},
    }
    said = err.getvalue()
    for words in (
        "connected as c_1\n",
        "job:1: GAP, 3 to 9 of k are lost (trimmed)",
        "job:1: a snapshot at k:9, keys: 1",
        "waiting: the connection was cut (again in",
        "connected as c_1, returning",
        "stopped: the grant ended",
        "job:1 is at k:13",
    ):
        assert words in said, said


async def test_subscribe_without_channels_follows_those_of_the_token() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.say("hub.subscribed", channel="user:ann", epoch="u", offset=3)
        await peer.event("user:ann", 4)
        await peer.socket.close(4410, "revoked")

    out, err = io.StringIO(), io.StringIO()
    async with FakeHub(script) as hub:
        assert await run_subscribe(hub.url, [], [], "t", out, err) == 1
    assert json.loads(out.getvalue())["offset"] == 4
    assert err.getvalue().count("stopped: revoked") == 1


async def test_subscribe_can_be_interrupted_and_says_where_it_was() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.subscribed(epoch="k", offset=9)
        await peer.event("job:1", 10)

    out, err = io.StringIO(), io.StringIO()
    async with FakeHub(script) as hub:
        running = asyncio.create_task(run_subscribe(hub.url, ["job:1"], [], "t", out, err))
        while not out.getvalue():
            await asyncio.sleep(0.005)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert "job:1 is at k:10" in err.getvalue()


@pytest.mark.parametrize(
    ("channels", "since", "words"),
    [
        (["job:1", "job:2"], ["k:1"], "channel@epoch:offset"),
        (["job:1"], ["nonsense"], "k3f9:12"),
    ],
)
async def test_subscribe_says_what_is_wrong_with_its_arguments(
    channels: list[str], since: list[str], words: str
) -> None:
    out, err = io.StringIO(), io.StringIO()
    assert await run_subscribe("ws://127.0.0.1:1/ws", channels, since, "t", out, err) == 1
    assert words in err.getvalue()


async def test_publish_prints_the_answer_or_says_what_is_wrong() -> None:
    out, err = io.StringIO(), io.StringIO()
    async with HttpHub() as hub:
        options: dict[str, Any] = {"token": "k", "out": out, "err": err}
        assert await run_publish(hub.url, "job:1", "x", '{"a":1}', key="1", event_id="m", **options) == 0
        assert hub.batches[0][0]["payload"] == {"a": 1}
        assert await run_publish(hub.url, "job:1", "x", "{", **options) == 1
    async with HttpHub(problem(403, "no grant", "forbidden")) as hub:
        assert await run_publish(hub.url, "job:1", "x", "1", **options) == 1
    assert json.loads(out.getvalue()) == {"channel": "job:1", "event_id": "m", "epoch": "k", "offset": 1}
    assert "invalid JSON" in err.getvalue()
    assert "not published: no grant" in err.getvalue()
