"""The protocol on the wire, on both lanes and in both encodings: what its SDKs rely on, and what is refused."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ..support.server import RunningHub, running_hub
from .wire import address, opened

MANY_FIELDS = b"\x87\x06\x08\x02\x5a\x00" + b"\xa0\x06\x00" * 257  # a ping, and fields that nobody knows
TWICE = b"\x08\x08\x02\x5a\x00\x08\x02\x5a\x00"
BOTH = pytest.mark.parametrize("binary", [False, True], ids=["json", "protobuf"])
_channels = iter(range(1_000_000))


@pytest.fixture
def chat() -> str:
    return f"chat:{next(_channels)}"


@pytest.fixture
def token(hub: RunningHub) -> str:
    return hub.token("ann", subscribe=["chat:*", "short:*"], publish=["chat:*"], presence=["chat:*"])


async def published(hub: RunningHub, channel: str, *payloads: Any) -> None:
    for payload in payloads:
        await asyncio.to_thread(hub.publish, channel, "note", payload)


@BOTH
async def test_a_session(hub: RunningHub, token: str, chat: str, binary: bool) -> None:
    async with opened(hub, binary=binary) as wire:
        # Behind `connect`, in the same frame, as their SDKs do it.
        await wire.send({"id": 1, "connect": {"token": token}}, {"id": 2, "subscribe": {"channel": chat}})
        connected = await wire.receive()
        assert connected["id"] == 1
        assert connected["connect"]["ping"] == 2
        assert connected["connect"]["pong"] is True
        assert 3500 < connected["connect"]["ttl"] <= 3570
        subscribed = await wire.receive()
        assert subscribed["id"] == 2
        assert subscribed["subscribe"]["recoverable"] is True
        own = (await wire.push("join"))["join"]["info"]
        assert own == {"user": "ann", "client": connected["connect"]["client"]}
        await published(hub, chat, {"b": 1})
        pub = (await wire.push("pub"))["pub"]
        assert int(pub["offset"]) == 1
        assert pub["tags"]["type"] == "note"
        there = await wire.ask({"id": 3, "presence": {"channel": chat}})
        assert there["presence"]["presence"] == {own["client"]: own}
        stats = await wire.ask({"id": 4, "presence_stats": {"channel": chat}})
        assert stats["presence_stats"] == {"num_clients": 1, "num_users": 1}
        again = await wire.ask({"id": 5, "subscribe": {"channel": chat}})
        assert again["error"]["code"] == 105
        assert "unsubscribe" in await wire.ask({"id": 6, "unsubscribe": {"channel": chat}})
        assert "ping" in await wire.ask({"id": 7, "ping": {}})
        refreshed = await wire.ask({"id": 8, "refresh": {"token": token}})
        assert refreshed["refresh"]["expires"] is True
        await wire.send({"send": {}})
        assert (await wire.ask({"id": 9, "rpc": {"method": "x"}}))["error"]["code"] == 108


async def test_payloads_keep_their_bytes(hub: RunningHub, token: str, chat: str) -> None:
    async with opened(hub, token) as wire:
        await wire.ask({"id": 2, "subscribe": {"channel": chat}})
        await wire.socket.send(f'{{"id":3,"publish":{{"channel":"{chat}","data":{{"b": 1.0,  "a":"é"}}}}}}')
        frame = ""
        while '"pub"' not in frame:
            frame = str(await wire.socket.recv())
        assert '"data":{"b": 1.0,  "a":"é"}' in frame


@BOTH
async def test_recovery(hub: RunningHub, token: str, binary: bool) -> None:
    channel = f"short:{next(_channels)}"
    async with opened(hub, token, binary=binary) as wire:
        first = (await wire.ask({"id": 2, "subscribe": {"channel": channel}}))["subscribe"]
    await published(hub, channel, 1, 2)
    since = {"channel": channel, "recover": True, "epoch": first["epoch"], "offset": 0}
    async with opened(hub, token, binary=binary) as wire:
        reply = (await wire.ask({"id": 2, "subscribe": since}))["subscribe"]
        assert reply["recovered"] is True
        assert int(reply.get("offset", 0)) == 0
        offsets = [int((await wire.push("pub"))["pub"]["offset"]) for _ in range(2)]
        assert offsets == [1, 2]
    async with opened(hub, token, binary=binary) as wire:
        reply = (await wire.ask({"id": 2, "subscribe": {**since, "epoch": "", "offset": 1}}))["subscribe"]
        assert reply["recovered"] is True
        assert int((await wire.push("pub"))["pub"]["offset"]) == 2
    await published(hub, channel, 3)
    async with opened(hub, token, binary=binary) as wire:
        lost = await wire.ask({"id": 2, "subscribe": {**since, "flag": 2}})
        assert lost["error"]["code"] == 112
        reply = (await wire.ask({"id": 3, "subscribe": since}))["subscribe"]  # the refused one did not stand
        assert reply.get("recovered", False) is False
        assert reply["was_recovering"] is True
        assert int(reply["offset"]) == 3


@BOTH
async def test_history(hub: RunningHub, token: str, chat: str, binary: bool) -> None:
    await published(hub, chat, "a", "b", "c")
    async with opened(hub, token, binary=binary) as wire:
        ids = iter(range(2, 100))

        async def offsets(**asked: Any) -> list[int]:
            reply = await wire.ask({"id": next(ids), "history": {"channel": chat, **asked}})
            assert int(reply["history"]["offset"]) == 3
            return [int(pub["offset"]) for pub in reply["history"].get("publications", [])]

        assert await offsets() == []
        assert await offsets(limit=2) == [1, 2]
        assert await offsets(limit=-1) == [1, 2, 3]
        assert await offsets(limit=2, reverse=True) == [3, 2]
        reply = await wire.ask({"id": next(ids), "history": {"channel": chat}})
        epoch = reply["history"]["epoch"]
        assert await offsets(limit=2, since={"epoch": epoch, "offset": 2}) == [3]
        assert await offsets(limit=2, since={"epoch": epoch, "offset": 3}, reverse=True) == [2, 1]
        lost = await wire.ask(
            {
                "id": next(ids),
                "history": {"channel": chat, "limit": 1, "since": {"epoch": "other", "offset": 1}},
            }
        )
        assert lost["error"]["code"] == 112


async def test_channels_of_the_token_and_their_end(hub: RunningHub) -> None:
    channel = f"chat:{next(_channels)}"
    token = hub.token("ann", channels=[channel])
    async with opened(hub, token) as wire:
        assert (await wire.push("subscribe"))["channel"] == channel
        await published(hub, channel, 1)
        assert (await wire.push("pub"))["pub"]["offset"] == 1
        await wire.ask({"id": 2, "unsubscribe": {"channel": channel}})
        await published(hub, channel, 2)
        await wire.quiet()


async def test_channel_tokens(hub: RunningHub, chat: str) -> None:
    right = hub.token("ann", ttl=300, claims={"channel": chat})
    async with opened(hub, hub.token("ann")) as wire:
        assert (await wire.ask({"id": 2, "subscribe": {"channel": chat}}))["error"]["code"] == 103
        reply = await wire.ask({"id": 3, "subscribe": {"channel": chat, "token": right}})
        assert reply["subscribe"]["expires"] is True
        assert 200 < reply["subscribe"]["ttl"] <= 270
        renewed = await wire.ask({"id": 4, "sub_refresh": {"channel": chat, "token": right}})
        assert renewed["sub_refresh"]["expires"] is True
        other = hub.token("bob", claims={"channel": chat})
        assert (await wire.ask({"id": 5, "sub_refresh": {"channel": chat, "token": other}}))["error"][
            "code"
        ] == 103


async def test_a_service_takes_the_right(hub: RunningHub, token: str, chat: str) -> None:
    async with opened(hub, token) as wire:
        await wire.ask({"id": 2, "subscribe": {"channel": chat}})
        body = {"user": "ann", "channel": chat}
        answer = await asyncio.to_thread(hub.http().post, "/v1/unsubscribe", json=body)
        assert answer.status_code < 300, answer.text
        assert (await wire.push("unsubscribe"))["unsubscribe"]["code"] == 2000


async def test_errors(hub: RunningHub, token: str) -> None:
    async with opened(hub, token) as wire:
        expected = {
            103: {"subscribe": {"channel": "job:1"}},
            102: {"subscribe": {"channel": "nowhere:1"}},
            107: {"subscribe": {"channel": "no-namespace"}},
            108: {"presence": {"channel": "short:1"}},
        }
        for id, (code, command) in enumerate(expected.items(), 2):
            assert (await wire.ask({"id": id, **command}))["error"]["code"] == code


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda hub: hub.token("ann", ttl=-5), 3005),
        (lambda hub: "no token", 3500),
        (lambda hub: "", 3500),
    ],
    ids=["expired", "broken", "none"],
)
async def test_tokens_that_are_not_taken(
    hub: RunningHub, make: Callable[[RunningHub], str], code: int
) -> None:
    async with opened(hub) as wire:
        await wire.send({"id": 1, "connect": {"token": make(hub)}})
        if code == 3005:  # the SDK fetches another one
            assert (await wire.receive())["error"]["code"] == 109
        assert (await wire.closed())[0] == code


@pytest.mark.parametrize(
    "frame",
    [
        "no JSON",
        "[]",
        '{"id":2,"subscribe":[]}',
        '{"id":"2","subscribe":{"channel":"chat:1"}}',
        '{"subscribe":{"channel":"chat:1"}}',
        '{"id":2,"nothing":{}}',
        '{"id":-1,"ping":{}}',
        '{"id":4294967296,"ping":{}}',
        '{"id":2.0,"ping":{}}',
        '{"id":2,"subscribe":{"channel":"chat:1","flag":1e400}}',
        '{"id":2,"history":{"channel":"chat:1","since":[]}}',
        "null",
        "[" * 30_000,
        '{"id":2,"connect":{}}',
        "{}",
        "\n" * 60_000 + "{}",
        " \n" * 30_000,
        '{"id":2,"ping":{}}\n' * 513,
        "",
        b"\x00",
    ],
)
async def test_bad_requests_close_with_a_code_that_is_final(
    hub: RunningHub, token: str, frame: str | bytes
) -> None:
    async with opened(hub, token) as wire:
        await wire.socket.send(frame)
        code, reason = await wire.closed()
        assert code == 3501
        assert reason.startswith("bad request: ")


@pytest.mark.parametrize(
    "frame",
    [
        b"\xff" * 11,
        b"\x7f\x08",
        b"\x02\x0b\x0c",
        b"\x00",
        b"",
        b"\x03\xa0\x06\x00" * 3,
        MANY_FIELDS,
        TWICE,
        "{}",
    ],
)
async def test_bad_messages_of_protobuf(hub: RunningHub, token: str, frame: str | bytes) -> None:
    async with opened(hub, token, binary=True) as wire:
        await wire.socket.send(frame)
        assert (await wire.closed())[0] == 3501


async def test_connect_comes_first_and_little_before_it(hub: RunningHub) -> None:
    async with opened(hub) as wire:
        await wire.send({"id": 1, "subscribe": {"channel": "chat:1"}})
        assert (await wire.closed())[0] == 3501
    async with opened(hub) as wire:
        await wire.socket.send("\n" * 12_000)
        await wire.socket.send("\n" * 12_000)
        assert (await wire.closed())[0] == 3501


async def test_who_does_not_answer_pings_is_closed_for_that(hub: RunningHub, token: str) -> None:
    async with opened(hub, token) as wire:
        pings = 0
        while pings < 1:
            pings += str(await wire.socket.recv()) == "{}"
        await wire.socket.send("{}")  # asked for: it stays
        assert "ping" in await wire.ask({"id": 2, "ping": {}})
        assert (await wire.closed())[0] == 3012


async def test_who_says_goodbye_without_a_code_is_gone_at_once(
    hub: RunningHub, token: str, chat: str
) -> None:
    async with opened(hub, token) as watcher, opened(hub, token) as wire:
        await watcher.ask({"id": 2, "subscribe": {"channel": chat}})
        await wire.ask({"id": 2, "subscribe": {"channel": chat}})
        await watcher.push("join")
        await watcher.push("join")  # the other's: what cancels out within a batch is not told
        wire.socket.transport.write(b"\x88\x80\0\0\0\0")  # their SDKs' close, long before the grace is over
        left = await watcher.push("leave")
        assert left["leave"]["info"]["user"] == "ann"


async def test_commands_over_the_limit_are_answered_then_not_read(hub: RunningHub, token: str) -> None:
    async with opened(hub, token) as wire:
        for first in (2, 502):
            await wire.send(*({"id": id, "rpc": {"method": "x"}} for id in range(first, first + 500)))
        codes = {(await wire.receive())["error"]["code"] for _ in range(450)}
        assert codes == {108, 111}


@pytest.mark.parametrize("name", ["centrifuge-json", "centrifuge-protobuf"])
async def test_an_offer_is_answered_also_where_the_query_says_it(hub: RunningHub, name: str) -> None:
    async with connect(f"{address(hub)}?format=protobuf", subprotocols=[name]) as socket:  # type: ignore[list-item]
        assert socket.subprotocol == name
        await socket.send(b"\x00")
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert "the other kind" not in closed.value.rcvd.reason


async def test_off_it_is_not_there() -> None:
    with running_hub() as hub:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(address(hub)):
                pass
        assert refused.value.response.status_code == 404


async def test_a_plain_request_is_told_to_upgrade(hub: RunningHub) -> None:
    url = address(hub).replace("ws://", "http://")
    answer = await asyncio.to_thread(httpx.get, url)
    assert answer.status_code == 426
    assert json.loads(answer.text)["code"] == "bad_message"
