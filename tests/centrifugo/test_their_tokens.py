"""Centrifugo's own tokens and channel names, over the wire: ``HUB_CENTRIFUGO_TOKENS=true``."""

import asyncio
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import jwt
import pytest

from hub.assembly import problems
from hub.auth.from_settings import make_keys
from hub.auth.revocations import Revocations
from hub.centrifugo.dialect import JSON
from hub.centrifugo.terms import make_terms
from hub.centrifugo.tokens import ENDLESS
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError
from hub.protocol.event import Event
from hub.settings import Settings

from ..support.server import JWT_SECRET, RunningHub, running_hub
from .conftest import SETTINGS
from .wire import Wire, opened

BOTH = pytest.mark.parametrize("binary", [False, True], ids=["json", "protobuf"])
_rooms = iter(range(1_000_000))


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    namespaces = {
        **SETTINGS["namespaces"],
        "plain": {"client_subscribe": True, "client_publish": True, "presence": True, "client_event": "news"},
        "user": {"client_publish": True, "presence": True},
    }
    settings = {**SETTINGS, "namespaces": namespaces, "centrifugo_tokens": True, "centrifugo_personal": True}
    with running_hub(**settings) as hub:
        yield hub


def token(hub: RunningHub, sub: str = "42", **claims: Any) -> str:
    return hub.secret(jwt.encode({"sub": sub, **claims}, JWT_SECRET, "HS256"))


@pytest.fixture
def room() -> str:
    return f"room{next(_rooms)}"


async def code(wire: Wire, id: int, **request: Any) -> int:
    return int((await wire.ask({"id": id, **request}))["error"]["code"])


@BOTH
async def test_a_session_by_a_token_without_an_end(hub: RunningHub, room: str, binary: bool) -> None:
    async with opened(hub, binary=binary) as wire:
        reply = (await wire.ask({"id": 1, "connect": {"token": token(hub, info={"n": 1})}}))["connect"]
        assert "expires" not in reply
        assert "ttl" not in reply
        assert (await wire.push("subscribe"))["channel"] == "#42"
        assert (await wire.push("join"))["join"]["info"]["user"] == "42"
        assert "subscribe" in await wire.ask({"id": 2, "subscribe": {"channel": room}})
        assert (await wire.push("join"))["channel"] == room
        await asyncio.to_thread(hub.publish, f"plain:{room}", "note", {"b": 1})
        assert (await wire.push("pub"))["channel"] == room
        data = "e30=" if binary else {}
        assert "publish" in await wire.ask({"id": 3, "publish": {"channel": "#42", "data": data}})
        assert "publish" in await wire.ask({"id": 4, "publish": {"channel": room, "data": data}})
        history = await wire.ask({"id": 5, "history": {"channel": room, "limit": -1}})
        kinds = [pub["tags"]["type"] for pub in history["history"]["publications"]]
        assert kinds == ["note", "news"]


@BOTH
async def test_channels_of_the_token(hub: RunningHub, room: str, binary: bool) -> None:
    async with opened(hub, token(hub, channels=[f"$chat:{room}"], subs={room: {}}), binary=binary) as wire:
        seen = {(await wire.push("subscribe"))["channel"] for _ in range(3)}
        assert seen == {f"$chat:{room}", room, "#42"}
        await asyncio.to_thread(hub.publish, f"chat:${room}", "note", 1)
        assert (await wire.push("pub"))["channel"] == f"$chat:{room}"


async def test_what_is_refused(hub: RunningHub, room: str) -> None:
    async with opened(hub, token(hub)) as wire:
        assert await code(wire, 2, subscribe={"channel": "#43"}) == 103
        assert await code(wire, 3, subscribe={"channel": f"${room}"}) == 103
        assert await code(wire, 4, history={"channel": f"${room}", "limit": 1}) == 103
        assert await code(wire, 5, presence={"channel": f"${room}"}) == 103
        assert await code(wire, 6, publish={"channel": f"${room}", "data": {}}) == 103
        assert await code(wire, 7, subscribe={"channel": f"chat:{room}"}) == 103
        assert await code(wire, 8, subscribe={"channel": f"plain:{room}"}) == 107
        assert await code(wire, 9, subscribe={"channel": "nowhere:1"}) == 102
        assert await code(wire, 10, subscribe={"channel": "chat:1#42,43"}) == 107
        other = token(hub, "43", channel=f"${room}")
        assert await code(wire, 11, subscribe={"channel": f"${room}", "token": other}) == 103
        connects = token(hub)
        assert await code(wire, 12, subscribe={"channel": f"${room}", "token": connects}) == 103


@BOTH
async def test_a_private_channel_by_its_token(hub: RunningHub, room: str, binary: bool) -> None:
    right = token(hub, channel=f"${room}", exp=int(time.time()) + 300)
    async with opened(hub, token(hub), binary=binary) as wire:
        reply = await wire.ask({"id": 2, "subscribe": {"channel": f"${room}", "token": right}})
        assert 200 < int(reply["subscribe"]["ttl"]) <= 270
        assert (await wire.push("join"))["channel"] == f"${room}"
        there = await wire.ask({"id": 3, "presence": {"channel": f"${room}"}})
        assert [each["user"] for each in there["presence"]["presence"].values()] == ["42"]
        data = "e30=" if binary else {}
        assert "publish" in await wire.ask({"id": 4, "publish": {"channel": f"${room}", "data": data}})
        renewed = await wire.ask({"id": 5, "sub_refresh": {"channel": f"${room}", "token": right}})
        assert "sub_refresh" in renewed
        assert "unsubscribe" in await wire.ask({"id": 6, "unsubscribe": {"channel": f"${room}"}})
        assert await code(wire, 7, history={"channel": f"${room}", "limit": 1}) == 103


@pytest.mark.parametrize(
    ("claims", "closes"),
    [
        ({"channel": "news"}, 3500),
        ({"sub": ""}, 3500),
        ({"exp": 1}, 3005),
        ({"expire_at": 1}, 3005),
        ({"channels": ["*"]}, 3500),
    ],
)
async def test_tokens_that_let_nobody_in(hub: RunningHub, claims: dict[str, Any], closes: int) -> None:
    async with opened(hub) as wire:
        await wire.send({"id": 1, "connect": {"token": token(hub, **claims)}})
        assert (await wire.closed())[0] == closes


async def test_a_used_token_whose_gift_outlives_it_is_not_taken_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(centrifugo=True, centrifugo_tokens=True, jwt_secret=JWT_SECRET)
    node: Any = SimpleNamespace(revocations=Revocations(time.time, ttl=60.0))
    terms: Any = make_terms(settings, node, make_keys(settings))
    short = jwt.encode({"sub": "42", "exp": time.time() + 60, "expire_at": 0}, JWT_SECRET, "HS256")
    assert (await terms.executes.verify(short)).expires_at == ENDLESS
    monkeypatch.setattr(terms.executes._authenticator, "_clock", lambda: time.time() + 61)
    with pytest.raises(HubError) as refused:
        await terms.executes.verify(short)
    assert refused.value.code == ErrorCode.TOKEN_EXPIRED


async def test_positions_of_channels_that_no_name_fits_end_the_connection(hub: RunningHub) -> None:
    async with opened(hub) as wire:
        subs = {"plain:x": {"recover": True, "epoch": "abcdefgh", "offset": 1}}
        await wire.send({"id": 1, "connect": {"token": token(hub), "subs": subs}})
        found, why = await wire.closed()
        assert found == 3501
        assert "called x here" in why


async def test_who_has_no_token_where_that_is_let_in() -> None:
    lobby = {"client_subscribe": True, "client_anonymous": True, "presence": True}
    settings = {
        **SETTINGS,
        "namespaces": {"lobby": lobby, "plain": {"client_subscribe": True}},
        "centrifugo_tokens": True,
        "centrifugo_anonymous": True,
        "max_connections_per_user": 1,
    }
    with running_hub(**settings) as hub:
        async with opened(hub, "") as one, opened(hub, token(hub, "")) as two, opened(hub, token(hub)) as ann:
            for wire in (one, two, ann):
                assert "subscribe" in await wire.ask({"id": 2, "subscribe": {"channel": "lobby:1"}})
            await asyncio.to_thread(hub.publish, "lobby:1", "note", 1)
            for wire in (one, two):
                assert (await wire.push("pub"))["pub"]["data"] == 1
                assert await code(wire, 3, subscribe={"channel": "news"}) == 103
                assert await code(wire, 4, presence={"channel": "lobby:1"}) == 103
                assert await code(wire, 5, refresh={}) == 103
            assert "subscribe" in await ann.ask({"id": 3, "subscribe": {"channel": "news"}})
        body = {"id": 1, "connect": {"token": "none"}}
        async with opened(hub) as wire:  # a token that is bad is not none
            await wire.send(body)
            assert (await wire.closed())[0] == 3500


def test_two_hubs_in_one_process_name_channels_each_its_own_way() -> None:
    event = Event("news:1", 1, "e_1", 1, "note", b"1")
    named = [
        make_terms(settings, cast("Any", None), make_keys(settings)).dialect(JSON)
        for settings in (
            Settings(jwt_secret=JWT_SECRET),
            Settings(jwt_secret=JWT_SECRET, centrifugo_tokens=True, centrifugo_default_namespace="news"),
        )
    ]
    assert b'"channel":"news:1"' in event.frame(named[0])
    assert b'"channel":"1"' in event.frame(named[1])


async def test_the_hubs_own_door_does_not_take_them(hub: RunningHub) -> None:
    answer = await asyncio.to_thread(hub.http(token(hub)).get, "/v1/channels/plain:x/history")
    assert answer.status_code == 401


def test_without_the_sdks_the_setting_is_refused() -> None:
    settings = Settings(centrifugo_tokens=True, jwt_secret=JWT_SECRET)
    assert any("HUB_CENTRIFUGO=true" in problem for problem in problems(settings))
