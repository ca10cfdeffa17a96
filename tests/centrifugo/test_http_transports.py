"""The protocol over HTTP, on both lanes: what its SDK relies on, what a stranger may try, and who only listens."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ..broker.redis.servers import RedisServer
from ..support.pace import patience
from ..support.server import RunningHub, running_hub
from .conftest import SETTINGS
from .over_http import JSON, KINDS, Answer, connected, encoded, opened

ONE_WAY = ["uni_sse", "uni_http_stream"]
_channels = iter(range(1_000_000))


@pytest.fixture
def chat() -> str:
    return f"chat:h{next(_channels)}"


@pytest.fixture
def token(hub: RunningHub) -> str:
    return hub.token("ann", subscribe=["chat:*"], publish=["chat:*"], presence=["chat:*"])


@pytest.mark.parametrize("kind", KINDS)
async def test_a_session(hub: RunningHub, token: str, chat: str, kind: str) -> None:
    async with connected(hub, kind, token) as answer:
        subscribed = await answer.ask({"id": 2, "subscribe": {"channel": chat}})
        assert subscribed["subscribe"]["recoverable"] is True
        assert (await answer.push("join"))["channel"] == chat
        await asyncio.to_thread(hub.publish, chat, "note", {"b": "a\u2028é"})
        pub = (await answer.push("pub"))["pub"]
        assert int(pub["offset"]) == 1
        assert pub["tags"]["type"] == "note"
        reply = await answer.ask({"id": 3, "history": {"channel": chat}})
        epoch = reply["history"]["epoch"]
    async with connected(hub, kind, token) as answer:  # back, where it was
        since = {"channel": chat, "recover": True, "epoch": epoch, "offset": 0}
        reply = await answer.ask({"id": 2, "subscribe": since})
        assert reply["subscribe"]["recovered"] is True
        assert int((await answer.push("pub"))["pub"]["offset"]) == 1


@pytest.mark.parametrize("kind", ["sse", "http_stream"])
async def test_raw_line_ends_of_a_payload_break_no_line(
    hub: RunningHub, token: str, chat: str, kind: str
) -> None:
    async with connected(hub, kind, token) as answer:
        await answer.ask({"id": 2, "subscribe": {"channel": chat}})
        body = b'{"channel":"%s","event":"note","payload":{"a":\r\n1,\r"b":\n2}}' % chat.encode()
        published = await asyncio.to_thread(lambda: hub.http().post("/v1/publish", content=body))
        assert published.status_code < 300, published.text
        assert (await answer.push("pub"))["pub"]["data"] == {"a": 1, "b": 2}


@pytest.mark.parametrize("kind", KINDS)
async def test_who_lets_go_is_gone_at_once(hub: RunningHub, token: str, chat: str, kind: str) -> None:
    async with connected(hub, "sse", token) as watcher:
        await watcher.ask({"id": 2, "subscribe": {"channel": chat}})
        await watcher.push("join")
        async with connected(hub, kind, token) as answer:
            await answer.ask({"id": 2, "subscribe": {"channel": chat}})
            await watcher.push("join")
        left = await watcher.push("leave")  # long before the grace is over
        assert left["leave"]["info"]["user"] == "ann"


@pytest.mark.parametrize("kind", KINDS)
async def test_pings_are_answered_by_emulation(hub: RunningHub, token: str, kind: str) -> None:
    async with connected(hub, kind, token) as answer:
        answer.pings = True
        for _ in range(2):
            async with patience(10):
                while await answer.receive():
                    pass
            assert (await answer.send({})).status_code == 204
        assert (await answer.send({})).status_code == 409  # nobody asked for that one: it does nothing
        answer.pings = False
        assert "ping" in await answer.ask({"id": 2, "ping": {}})


async def test_who_does_not_answer_pings_is_told_why_it_ends(hub: RunningHub, token: str) -> None:
    async with connected(hub, "http_stream", token) as answer:
        ended = await answer.ended()
        assert ended["push"]["disconnect"]["code"] == 3012


async def test_a_service_ends_it_with_a_code_that_is_final(hub: RunningHub, token: str) -> None:
    async with connected(hub, "sse", token) as answer:
        connection = (await answer.ask({"id": 2, "subscribe": {"channel": "chat:gone"}}))["id"]
        assert connection == 2
        await asyncio.to_thread(lambda: hub.http().post("/v1/disconnect", json={"user": "ann"}))
        ended = await answer.ended()
        assert ended["push"]["disconnect"]["code"] == 3503


class TestEmulation:
    """What a stranger may try."""

    async def test_a_session_is_told_to_its_client_alone(self, hub: RunningHub, token: str) -> None:
        async with connected(hub, "sse", token) as ann, connected(hub, "sse", hub.token("bob")) as bob:
            assert ann.session != bob.session
            found = await asyncio.to_thread(lambda: hub.http().get("/v1/connections?user=ann").text)
            assert ann.session not in found

    @pytest.mark.parametrize("kind", ["sse", "protobuf"])
    async def test_a_session_that_the_hub_did_not_give_away(
        self, hub: RunningHub, token: str, kind: str
    ) -> None:
        async with connected(hub, kind, token) as answer:
            ping = {"id": 2, "ping": {}}
            altered = answer.session[:-4] + ("AAAA" if answer.session[-4:] != "AAAA" else "BBBB")
            for session in ("", "x", "ä", altered, answer.session * 20, answer.session + "A"):
                assert (await answer.send(ping, session=session)).status_code == 403
            for node in ("", "n_other"):
                assert (await answer.send(ping, node=node)).status_code == 403
            assert "ping" in await answer.ask(ping)  # nothing of that was heard

    async def test_another_users_session_reaches_that_user_only(
        self, hub: RunningHub, token: str, chat: str
    ) -> None:
        async with connected(hub, "sse", token) as ann, connected(hub, "sse", hub.token("bob")) as bob:
            assert (await ann.send({"id": 2, "ping": {}}, session=bob.session)).status_code == 204
            assert "ping" in await bob.reply(2)
            # bob's session has bob's rights, whoever brings the frame
            sent = await ann.send({"id": 3, "subscribe": {"channel": chat}}, session=bob.session)
            assert sent.status_code == 204
            assert (await bob.reply(3))["error"]["code"] == 103
            taken = {"id": 4, "refresh": {"token": token}}  # nor does another's token make it another's
            assert (await bob.send(taken)).status_code == 204
            assert (await bob.reply(4))["error"]["code"] == 103

    @pytest.mark.parametrize("kind", KINDS)
    async def test_a_repeated_frame_does_nothing(
        self, hub: RunningHub, token: str, chat: str, kind: str
    ) -> None:
        async with connected(hub, kind, token) as answer:
            await answer.ask({"id": 2, "subscribe": {"channel": chat}})
            publish = {"channel": chat, "data": "MQ==" if kind == "protobuf" else 1}
            await answer.ask({"id": 4, "publish": publish})
            assert (await answer.send({"id": 4, "publish": publish})).status_code == 409
            await answer.ask({"id": 3, "ping": {}})  # requests overtake each other
            reply = await answer.ask({"id": 5, "history": {"channel": chat}})
            assert int(reply["history"]["offset"]) == 1

    async def test_a_second_connect_ends_it(self, hub: RunningHub, token: str) -> None:
        async with connected(hub, "http_stream", token) as answer:
            assert (await answer.send({"id": 2, "connect": {"token": token}})).status_code == 204
            assert (await answer.ended())["push"]["disconnect"]["code"] == 3501
            assert (await answer.send({"id": 3, "ping": {}})).status_code == 404

    async def test_a_bad_request_ends_it(self, hub: RunningHub, token: str) -> None:
        async with connected(hub, "sse", token) as answer:
            assert (await answer.send({"id": 2, "nothing": {}})).status_code == 204
            assert (await answer.ended())["push"]["disconnect"]["code"] == 3501

    async def test_bodies_are_bounded(self, hub: RunningHub, token: str) -> None:
        async with connected(hub, "sse", token) as answer:
            assert (await answer.send(data=b" " * 65_537)).status_code == 413
            assert (await answer.send(data=b"\n" * 200_000)).status_code == 413
            url = f"{hub.url}/connection/http_stream"
            assert (await answer.client.post(url, content=b" " * 20_000)).status_code == 413
            assert "ping" in await answer.ask({"id": 2, "ping": {}})

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (b"", JSON),
            (b"[]", JSON),
            (b"{}", JSON),
            (b'{"session":1,"node":"","data":""}', JSON),
            (b'{"session":"","node":"","data":{}}', JSON),
            (b'{"session":"","node":"","data":"\\ud800"}', JSON),
            (b"\xff" * 11, "application/octet-stream"),
            (b"\x0b\x0c", "application/octet-stream"),
            (b"\x0a\x05a", "application/octet-stream"),
        ],
    )
    async def test_what_is_no_frame(self, hub: RunningHub, body: bytes, kind: str) -> None:
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"{hub.url}/emulation", content=body, headers={"Content-Type": kind})
        assert answer.status_code == 400


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", [b"", b"no command", b"[]", b"\x00\x00"])
async def test_a_request_without_a_connect(hub: RunningHub, kind: str, first: bytes) -> None:
    async with opened(hub, kind, first) as answer:
        assert (await answer.ended())["push"]["disconnect"]["code"] == 3501


async def test_a_token_that_is_not_taken(hub: RunningHub) -> None:
    for made, code in ((hub.token("ann", ttl=-5), 3005), ("none", 3500)):
        async with opened(hub, "sse", encoded("sse", {"id": 1, "connect": {"token": made}})) as answer:
            assert (await answer.ended())["push"]["disconnect"]["code"] == code


async def test_a_page_of_another_origin_may_not_read(hub: RunningHub) -> None:
    async with httpx.AsyncClient() as client:
        for path in ("/connection/http_stream", "/emulation"):
            asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
            answer = await client.options(hub.url + path, headers=asked)
            assert answer.status_code == 403
        assert (await client.head(f"{hub.url}/connection/sse")).status_code == 200
        assert (await client.get(f"{hub.url}/connection/http_stream")).status_code == 405


async def test_an_answer_counts_as_a_connection(hub: RunningHub, token: str) -> None:
    async with connected(hub, "http_stream", token):
        found = await asyncio.to_thread(lambda: hub.http().get("/v1/connections?user=ann").json())
        (one,) = [each for each in found["connections"] if each["encoding"] == "centrifugo_http_stream"]
        assert one["user"] == "ann"


async def test_the_document_of_the_api_has_them(hub: RunningHub) -> None:
    document = (await asyncio.to_thread(hub.http(None).get, "/openapi.json")).json()
    OpenAPIV31SpecValidator(document).validate()
    paths = document["paths"]
    assert paths["/connection/sse"].keys() == {"get", "post"}
    assert paths["/connection/http_stream"].keys() == paths["/emulation"].keys() == {"post"}


class TestOneWay:
    @pytest.mark.parametrize("kind", ONE_WAY)
    async def test_who_only_listens(self, hub: RunningHub, chat: str, kind: str) -> None:
        token = hub.token("ann", channels=[chat])
        async with opened(hub, kind, json.dumps({"token": token}).encode()) as answer:
            told = await message(answer, "connect")
            assert told["connect"]["ping"] == 2
            assert "pong" not in told["connect"]
            subscribed = await message(answer, "subscribe")
            assert subscribed["channel"] == chat
            await asyncio.to_thread(hub.publish, chat, "note", 1)
            pub = await message(answer, "pub")
            assert (pub["channel"], pub["pub"]["offset"], pub["pub"]["data"]) == (chat, 1, 1)
            answer.pings = True
            for _ in range(3):  # it stands for longer than who is silent may
                while await answer.receive():
                    pass
            position = {"recover": True, "epoch": subscribed["subscribe"]["epoch"], "offset": 0}
        first = {"token": token, "subs": {chat: position}}
        async with opened(hub, kind, json.dumps(first).encode()) as answer:
            assert (await message(answer, "pub"))["pub"]["offset"] == 1

    @pytest.mark.parametrize("kind", ONE_WAY)
    @pytest.mark.parametrize(("first", "code"), [(b"x", 3501), (b"[]", 3501), (b"null", 3500), (b"", 3500)])
    async def test_what_is_no_request(self, hub: RunningHub, kind: str, first: bytes, code: int) -> None:
        async with opened(hub, kind, first) as answer:
            assert (await answer.ended())["disconnect"]["code"] == code

    async def test_a_token_in_the_query_is_in_no_log(self, hub: RunningHub, chat: str) -> None:
        token = hub.token("ann", channels=[chat])
        async with opened(hub, "uni_sse", json.dumps({"token": token}).encode()) as answer:
            await message(answer, "connect")
        assert token not in hub.log()

    @pytest.mark.parametrize("in_query", [False, True])
    async def test_over_a_socket(self, hub: RunningHub, chat: str, in_query: bool) -> None:
        first = json.dumps({"token": hub.token("ann", channels=[chat])})
        async with listening(hub, first if in_query else None) as socket:
            if not in_query:
                await socket.send(first)
            assert "pong" not in (await said(socket, "connect"))["connect"]
            assert (await said(socket, "subscribe"))["channel"] == chat
            await asyncio.to_thread(hub.publish, chat, "note", 1)
            assert (await said(socket, "pub"))["pub"]["offset"] == 1
            await socket.send("{}")
            assert (await said(socket, "disconnect"))["disconnect"]["code"] == 3501
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 3501

    @pytest.mark.parametrize("frame", [b"{}", "x", "[]", '{"token":1}'])
    async def test_what_is_no_request_over_a_socket(self, hub: RunningHub, frame: str | bytes) -> None:
        async with listening(hub, None) as socket:
            await socket.send(frame)
            assert (await said(socket, "disconnect"))["disconnect"]["code"] == 3501


async def test_the_way_up_by_another_node(redis: RedisServer, chat: str) -> None:
    with (
        running_hub(broker=redis.url, **SETTINGS) as one,
        running_hub(broker=redis.url, drain_notice=0, drain_seconds=2, **SETTINGS) as other,
    ):
        token = one.token("ann", subscribe=["chat:*"], publish=["chat:*"])
        for kind in KINDS:
            async with connected(one, kind, token) as answer:
                sent = await answer.send({"id": 2, "subscribe": {"channel": chat}}, base=other.url)
                assert sent.status_code == 204
                assert (await answer.reply(2))["subscribe"]["recoverable"] is True
                again = await answer.send({"id": 2, "ping": {}}, base=other.url)
                assert again.status_code == 409
                forged = await answer.send({"id": 3, "ping": {}}, base=other.url, session="x")
                assert forged.status_code == 403
                await answer.send({"id": 4, "connect": {"token": token}}, base=other.url)
                await answer.ended()
                late = await answer.send({"id": 5, "ping": {}}, base=other.url)
                assert late.status_code == 404
        async with connected(other, "sse", token) as answer, connected(other, "protobuf", token) as second:
            assert (await asyncio.to_thread(other.http().post, "/v1/drain")).status_code == 202
            for each in (answer, second):
                assert (await each.ended())["push"]["disconnect"]["code"] == 3001


async def test_no_token_in_the_query_where_that_is_off() -> None:
    with running_hub(query_token=False, **SETTINGS) as hub:
        token = hub.token("ann", channels=["chat:1"])
        async with httpx.AsyncClient() as client:
            for path in ("sse", "uni_sse"):
                query = {"cf_connect": json.dumps({"token": token})}
                answer = await client.get(f"{hub.url}/connection/{path}", params=query)
                assert answer.status_code == 401
        with pytest.raises(InvalidStatus) as refused:
            async with listening(hub, json.dumps({"token": token})):
                pass
        assert refused.value.response.status_code == 401
        async with listening(hub, None) as socket:
            await socket.send(json.dumps({"token": token}))
            await said(socket, "connect")


async def message(answer: Answer, kind: str) -> dict[str, Any]:
    while kind not in (found := await answer.receive()):
        pass
    return found


async def said(socket: ClientConnection, kind: str) -> dict[str, Any]:
    async with patience(10):
        while True:
            for line in str(await socket.recv()).split("\n"):
                found: dict[str, Any] = json.loads(line)
                if kind in found:
                    return found


@asynccontextmanager
async def listening(hub: RunningHub, first: str | None) -> AsyncIterator[ClientConnection]:
    url = hub.ws_url.removesuffix("/ws") + "/connection/uni_websocket"
    if first is not None:
        url += f"?{httpx.QueryParams(cf_connect=first)}"
    async with connect(url) as socket:
        yield socket
