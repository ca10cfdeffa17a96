"""Centrifugo's server API, by its own library for Python (pycent), and by plain requests for what it can't send."""

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from cent import (
    BatchRequest,
    BroadcastRequest,
    CentApiResponseError,
    ChannelsRequest,
    Client,
    DisconnectRequest,
    HistoryRequest,
    InfoRequest,
    PresenceRequest,
    PresenceStatsRequest,
    PublishRequest,
    SubscribeRequest,
    UnsubscribeRequest,
)
from cent.dto import Disconnect, StreamPosition

from ..support.server import API_KEY, RunningHub, running_hub
from .test_their_tokens import token
from .wire import opened

NAMESPACES = {
    "plain": {"client_subscribe": True, "presence": True, "history_size": 3},
    "bare": {"mode": "ephemeral", "client_subscribe": True},
    "user": {"client_publish": True},
}
_rooms = iter(range(1_000_000))


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    reader = {"key": "a-key-that-may-only-read", "subscribe": ["*"], "publish": ["plain:open"]}
    with running_hub(
        centrifugo=True,
        centrifugo_tokens=True,
        namespaces=NAMESPACES,
        api_keys={"svc": API_KEY, "reader": reader},
    ) as hub:
        yield hub


@pytest.fixture
def cent(hub: RunningHub) -> Client:
    return Client(f"{hub.url}/api", API_KEY)


@pytest.fixture
def room() -> str:
    return f"room{next(_rooms)}"


def number(error: pytest.ExceptionInfo[CentApiResponseError]) -> int:
    return int(error.value.code)


def post(
    hub: RunningHub, method: str, body: Any, key: str | None = API_KEY, **headers: str
) -> httpx.Response:
    headers = headers if key is None else {"X-API-Key": key, **headers}
    content = body if isinstance(body, bytes) else None
    return httpx.post(
        f"{hub.url}/api/{method}",
        json=None if content is not None else body,
        content=content,
        headers=headers,
        trust_env=False,
    )


async def test_publish_and_broadcast(hub: RunningHub, cent: Client, room: str) -> None:
    async with opened(hub, token(hub)) as wire:
        await wire.ask({"id": 2, "subscribe": {"channel": room}})
        first = await asyncio.to_thread(
            cent.publish, PublishRequest(channel=room, data={"a": 1}, tags={"type": "note", "by": "svc"})
        )
        assert first.offset == 1
        assert first.epoch
        pub = await wire.push("pub")
        assert pub["channel"] == room
        assert pub["pub"]["data"] == {"a": 1}
        assert pub["pub"]["tags"]["type"] == "note"
        assert pub["pub"]["tags"]["by"] == "svc"
        same = [
            await asyncio.to_thread(cent.publish, PublishRequest(channel=room, data=2, idempotency_key="k"))
            for _ in range(2)
        ]
        assert [each.offset for each in same] == [2, 2]
        assert (await wire.push("pub"))["pub"]["tags"]["type"] == "publication"
        many = await asyncio.to_thread(
            cent.broadcast, BroadcastRequest(channels=[room, "nowhere:1", "a b"], data=3)
        )
        assert many.responses[0].result is not None
        assert many.responses[0].result.offset == 3
        codes = [each.error.code for each in many.responses[1:] if each.error is not None]
        assert codes == [102, 107]
        assert (await wire.push("pub"))["pub"]["data"] == 3


async def test_bytes_stay_as_they_are(hub: RunningHub, room: str) -> None:
    async with opened(hub, token(hub)) as wire:
        await wire.ask({"id": 2, "subscribe": {"channel": room}})
        body = f'{{"channel": "{room}", "data": {{"b": 1.0,  "a":"é"}}}}'.encode()
        assert (await asyncio.to_thread(post, hub, "publish", body)).json()["result"]["offset"] == 1
        frame = ""
        while '"pub"' not in frame:
            frame = str(await wire.socket.recv())
        assert '"data":{"b": 1.0,  "a":"é"}' in frame
        encoded = {"channel": room, "b64data": base64.b64encode(b'{"c":  2}').decode()}
        assert (await asyncio.to_thread(post, hub, "publish", encoded)).json()["result"]["offset"] == 2
        assert '"data":{"c":  2}' in str(await wire.socket.recv())


def test_history(cent: Client, room: str) -> None:
    for value in "abc":
        cent.publish(PublishRequest(channel=room, data=value))
    whole = cent.history(HistoryRequest(channel=room, limit=-1))
    assert [pub.data for pub in whole.publications] == ["a", "b", "c"]
    assert whole.offset == 3
    assert not cent.history(HistoryRequest(channel=room)).publications
    assert [
        pub.data for pub in cent.history(HistoryRequest(channel=room, limit=2, reverse=True)).publications
    ] == ["c", "b"]
    since = StreamPosition(offset=2, epoch=whole.epoch)
    assert [
        pub.data for pub in cent.history(HistoryRequest(channel=room, limit=5, since=since)).publications
    ] == ["c"]
    with pytest.raises(CentApiResponseError) as lost:
        cent.history(HistoryRequest(channel=room, limit=1, since=StreamPosition(offset=1, epoch="other")))
    assert number(lost) == 112


async def test_presence_channels_and_info(hub: RunningHub, cent: Client, room: str) -> None:
    async with opened(hub, token(hub, info={"n": 1})) as wire:
        await wire.ask({"id": 2, "subscribe": {"channel": room}})
        (member,) = (await asyncio.to_thread(cent.presence, PresenceRequest(channel=room))).presence.values()
        assert (member.user, member.conn_info) == ("42", {"n": 1})
        stats = await asyncio.to_thread(cent.presence_stats, PresenceStatsRequest(channel=room))
        assert (stats.num_clients, stats.num_users) == (1, 1)
        found = (await asyncio.to_thread(cent.channels, ChannelsRequest(pattern="room*"))).channels
        assert found[room].num_clients == 1
        assert not (await asyncio.to_thread(cent.channels, ChannelsRequest(pattern="other*"))).channels
        (node,) = (await asyncio.to_thread(cent.info, InfoRequest())).nodes
        assert node.num_clients >= 1
        assert node.num_subs >= 1


async def test_subscriptions_and_connections(hub: RunningHub, cent: Client, room: str) -> None:
    async with opened(hub, token(hub, "giver")) as wire:
        await asyncio.to_thread(cent.subscribe, SubscribeRequest(user="giver", channel=f"${room}"))
        assert (await wire.push("subscribe"))["channel"] == f"${room}"
        await asyncio.to_thread(cent.publish, PublishRequest(channel=f"${room}", data=1))
        assert (await wire.push("pub"))["channel"] == f"${room}"
        await asyncio.to_thread(cent.unsubscribe, UnsubscribeRequest(user="giver", channel=f"${room}"))
        assert (await wire.push("unsubscribe"))["unsubscribe"]["code"] == 2000
        await asyncio.to_thread(cent.disconnect, DisconnectRequest(user="giver"))
        assert (await wire.closed())[0] == 3503
    async with opened(hub, token(hub, "giver")) as wire:
        again = Disconnect(code=3001, reason="come back")
        await asyncio.to_thread(cent.disconnect, DisconnectRequest(user="giver", disconnect=again))
        assert (await wire.closed())[0] == 3004


def test_a_batch(cent: Client, room: str) -> None:
    asked = [PublishRequest(channel=room, data=1), HistoryRequest(channel=room, limit=5)]
    published, history = cent.batch(BatchRequest(requests=asked)).replies
    assert published.offset == 1  # type: ignore[attr-defined]
    assert [pub.data for pub in history.publications] == [1]  # type: ignore[attr-defined]
    both = cent.batch(BatchRequest(requests=[PresenceRequest(channel=room)] * 40, parallel=True)).replies
    assert len(both) == 40


def test_a_batch_ends_where_its_answer_is_long_enough(hub: RunningHub, cent: Client, room: str) -> None:
    cent.publish(PublishRequest(channel=room, data="x" * 60_000))
    asked = {"commands": [{"history": {"channel": room, "limit": 1}}] * 300}
    replies = post(hub, "batch", asked).json()["replies"]
    assert len(replies) == 300
    done = [each for each in replies if "history" in each]
    assert 8_388_608 / 60_100 < len(done) < 8_388_608 / 60_000 + 2
    assert {each["error"]["code"] for each in replies[len(done) :]} == {106}


def test_what_is_refused(hub: RunningHub, cent: Client) -> None:
    expected: list[tuple[int, str, dict[str, Any]]] = [
        (102, "publish", {"channel": "nowhere:1", "data": 1}),
        (107, "publish", {"channel": "x"}),
        (107, "publish", {"data": 1}),
        (107, "publish", {"channel": "plain:x", "data": 1}),
        (107, "publish", {"channel": "x", "b64data": "%"}),
        (107, "publish", {"channel": "x", "data": 1, "tags": {"UPPER": "no"}}),
        (107, "publish", {"channel": "x", "data": 1, "tags": []}),
        (107, "broadcast", {"channels": "x", "data": 1}),
        (107, "history", {"channel": "x", "limit": "all"}),
        (108, "history", {"channel": "bare:1", "limit": 1}),
        (108, "presence", {"channel": "bare:1"}),
        (103, "history", {"channel": "hub:clients", "limit": 1}),
        (107, "subscribe", {"channel": "x"}),
        (103, "subscribe", {"user": "42", "channel": "hub:clients"}),
        (108, "disconnect", {"user": "42", "whitelist": ["a"]}),
        (108, "refresh", {"user": "42"}),
        (108, "history_remove", {"channel": "x"}),
    ]
    for code, method, body in expected:
        answer = post(hub, method, body)
        assert answer.status_code == 200, (method, body)
        assert answer.json()["error"]["code"] == code, (method, body, answer.text)
    assert post(hub, "channels", {"pattern": "*" * 300}).json()["error"]["code"] == 107
    replies = post(hub, "batch", {"commands": [{"publish": {}}, {"nothing": {}}, 7]}).json()["replies"]
    assert [each["error"]["code"] for each in replies] == [107, 107, 107]


def test_who_may_not(hub: RunningHub) -> None:
    assert post(hub, "info", {}, key=None).status_code == 401
    assert post(hub, "info", {}, key="wrong-key").status_code == 401
    assert post(hub, "info", {}, key=hub.token("ann")).status_code == 403
    assert post(hub, "info", {}, key=None, Authorization=f"apikey {API_KEY}").status_code == 200
    assert post(hub, "nothing", {}).status_code == 404
    assert post(hub, "publish", b"[").status_code == 400
    assert post(hub, "publish", b"[]").status_code == 400
    named = "a-key-that-may-only-read"
    assert post(hub, "info", {}, named).json()["error"]["code"] == 103
    assert post(hub, "channels", {}, named).json()["error"]["code"] == 103
    assert post(hub, "disconnect", {"user": "42"}, named).json()["error"]["code"] == 103
    assert post(hub, "publish", {"channel": "x", "data": 1}, named).json()["error"]["code"] == 103
    assert "result" in post(hub, "publish", {"channel": "open", "data": 1}, named).json()
