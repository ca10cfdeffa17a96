"""The contract on both lanes, JSON and MessagePack. What differs, and why:

what                          fast lane                    portable lane
----------------------------  ---------------------------  ------------------------------------------
pings                         the hub's, `heartbeat_ms`    the server's own (uvicorn: 20 s, closes 1011)
a peer that is silent         4102                         the server closes it
a message over the limit      1009 by the frame's header   1009 once the server has read it (16 MiB)
wrong path, broken handshake  problem+json                 the outer app's and the server's answers
broken frames                 1002, 1007                   1002, 1007 (the server's), with a stack trace in its log
a handshake refused by HTTP   silent                       uvicorn logs "returned without completing handshake"
"""

import asyncio
import contextlib
import json
import socket
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ..support.server import RunningHub
from ..support.wire import Encoding, Place, Wire, connect, problem
from .lanes import Lane, running

ENCODINGS: list[Encoding] = ["json", "msgpack"]
PLACES: list[Place] = ["header", "subprotocol", "query", "ticket", "message"]
GRANTS: dict[str, Any] = {"subscribe": ["*"], "publish": ["*"], "presence": ["*"]}

_names = iter(range(1_000_000))


def fresh(namespace: str) -> str:
    return f"{namespace}:t{next(_names)}"


def ticket(hub: RunningHub, token: str) -> str:
    answer = hub.http(token).post("/v1/tickets")
    assert answer.status_code == 200, answer.text
    return hub.secret(answer.json()["ticket"])


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("place", PLACES)
async def test_a_token_in_each_of_the_five_places(hub: RunningHub, place: Place, encoding: Encoding) -> None:
    token = hub.token("ann", **GRANTS)
    given = ticket(hub, token) if place == "ticket" else token
    async with connect(hub.ws_url, given, encoding=encoding, place=place) as wire:
        assert wire.welcome["user"] == "ann"
        assert wire.websocket.subprotocol == f"hub.v1.{encoding}"
        assert (await wire.ask("ping"))["type"] == "hub.pong"


async def test_a_ticket_is_good_once(hub: RunningHub) -> None:
    given = ticket(hub, hub.token("ann"))
    async with connect(hub.ws_url, given, place="ticket"):
        pass
    with pytest.raises(InvalidStatus) as refused:
        async with connect(hub.ws_url, given, place="ticket"):
            pass
    assert problem(refused.value)["status"] == 401


def bad_tokens(hub: RunningHub) -> dict[str, tuple[str, str]]:
    """Token and code, by what is wrong with it."""
    import time

    import jwt

    from ..support.server import JWT_SECRET

    now = time.time()
    claims = {"sub": "ann", "exp": now + 60}
    return {
        "none": (jwt.encode(claims, "", "none"), "token_invalid"),
        "foreign algorithm": (jwt.encode(claims, JWT_SECRET * 2, "HS512"), "token_invalid"),
        "foreign key": (jwt.encode(claims, "another-secret-of-at-least-32-bytes!", "HS256"), "token_invalid"),
        "unknown kid": (jwt.encode(claims, "x" * 40, "HS256", {"kid": "nobody"}), "token_invalid"),
        "expired": (jwt.encode({**claims, "exp": now - 60}, JWT_SECRET, "HS256"), "token_expired"),
        "not yet": (jwt.encode({**claims, "nbf": now + 60}, JWT_SECRET, "HS256"), "token_invalid"),
        "nobody": (jwt.encode({"exp": now + 60}, JWT_SECRET, "HS256"), "token_invalid"),
        "no token": ("nonsense", "token_invalid"),
    }


@pytest.mark.parametrize(
    "wrong",
    [
        "none",
        "foreign algorithm",
        "foreign key",
        "unknown kid",
        "expired",
        "not yet",
        "nobody",
        "no token",
    ],
)
async def test_a_wrong_token_is_told_so_by_http_or_to_a_browser(hub: RunningHub, wrong: str) -> None:
    token, code = bad_tokens(hub)[wrong]
    with pytest.raises(InvalidStatus) as refused:
        async with connect(hub.ws_url, token, place="query"):
            pass
    body = problem(refused.value)
    assert (body["status"], body["code"]) == (401, code)
    assert refused.value.response.headers["Content-Type"] == "application/problem+json"
    async with connect(
        hub.ws_url, token, place="query", origin="https://good.example", welcomed=False
    ) as wire:
        error = await wire.expect("hub.error")
        assert error["code"] == code
        close = await wire.expect("hub.close")
        expected = 4201 if code == "token_expired" else 4202
        assert close["code"] == expected
        assert await wire.closed() == expected
    async with connect(hub.ws_url, token, place="message", welcomed=False) as wire:
        assert (await wire.expect("hub.error"))["code"] == code
        await wire.expect("hub.close")
        assert await wire.closed() == expected


async def test_a_foreign_origin_is_refused(hub: RunningHub) -> None:
    for origin in ("https://bad.example", "null", "https://good.example.bad.example", "\u00ff"):
        with pytest.raises(InvalidStatus) as refused:
            async with connect(hub.ws_url, hub.token("ann"), headers={"Origin": origin}):
                pass
        assert problem(refused.value)["status"] == 403


async def test_an_origin_that_is_no_text_is_refused_too(hub: RunningHub) -> None:
    answer = await handshake(hub, b"Origin: https://\xff\xfe\r\n")
    assert b" 403 " in answer.partition(b"\r\n")[0], answer


async def handshake(hub: RunningHub, headers: bytes) -> bytes:
    """The answer to an upgrade request with odd headers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
    path = hub.ws_url.partition(str(hub.port))[2].encode()
    writer.write(
        b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + headers + b"\r\n"
    )
    try:
        async with asyncio.timeout(5):
            return await reader.readuntil(b"\r\n\r\n")
    finally:
        await hang_up(writer)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@pytest.mark.parametrize("offered", ["nothing.known", "hub.v2.json, hub.token.x", "hub.token.x"])
async def test_unknown_subprotocols_are_refused(hub: RunningHub, offered: str) -> None:
    answer = await handshake(hub, b"Sec-WebSocket-Protocol: " + offered.encode() + b"\r\n")
    assert b" 400 " in answer.partition(b"\r\n")[0], answer


@pytest.mark.parametrize("encoding", [*ENCODINGS, "none"])
async def test_every_command_and_its_reply(hub: RunningHub, encoding: Encoding) -> None:
    doc, job = fresh("doc"), fresh("job")
    async with connect(hub.ws_url, hub.token("ann", **GRANTS), encoding=encoding) as wire:
        subscribed = await wire.ask("subscribe", channel=doc, presence=True)
        assert subscribed["offset"] == 0
        assert [member["user"] for member in subscribed["members"]] == ["ann"]
        published = await wire.ask("publish", channel=doc, event="note", payload={"a": 1}, event_id="one")
        assert (published["type"], published["offset"], published["event_id"]) == ("hub.published", 1, "one")
        again = await wire.ask("publish", channel=doc, event="note", payload={"a": 1}, event_id="one")
        assert again["offset"] == 1
        event = await wire.expect("note")
        assert event["payload"] == {"a": 1}
        assert event["from"] == "ann"
        assert event["id"] == "one"
        history = await wire.ask("history", channel=doc)
        assert [found["offset"] for found in history["events"]] == [1]
        assert history["more"] is False
        assert (await wire.ask("set_presence", channel=doc, state={"x": 1}))["type"] == "hub.presence_set"
        presence = await wire.ask("presence", channel=doc)
        assert presence["members"][0]["state"] == {"x": 1}
        grouped = await wire.ask("presence", channel=doc, group="user")
        assert grouped["members"] == [{"user": "ann", "members": 1}]
        assert (await wire.ask("unsubscribe", channel=doc))["type"] == "hub.unsubscribed"
        assert (await wire.ask("unsubscribe", channel=doc))["type"] == "hub.unsubscribed"
        state = await wire.ask("subscribe", channel=job)
        assert state["snapshot"] == []
        hub.publish("user:ann", "mail", 1)
        inbox = await wire.ask("subscribe", channel="user:ann")
        assert inbox["unread"] >= 1
        acked = await wire.ask("ack", channel="user:ann", epoch=inbox["epoch"], offset=inbox["offset"])
        assert (acked["type"], acked["unread"]) == ("hub.acked", 0)
        renewed = await wire.ask("authenticate", token=hub.token("ann", **GRANTS))
        assert renewed["type"] == "hub.authenticated"
        assert (await wire.ask("ping"))["type"] == "hub.pong"


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_a_batch_answers_each_entry(hub: RunningHub, encoding: Encoding) -> None:
    doc = fresh("doc")
    first = hub.publish(doc, "note", 1)
    hub.publish(doc, "note", 2)
    async with connect(hub.ws_url, hub.token("ann", subscribe=["doc:*"]), encoding=encoding) as wire:
        since = {"epoch": first["epoch"], "offset": 1}
        entries = [
            {"channel": doc, "since": since},
            {"channel": "job:1"},
            {"channel": "nope:1"},
            {"channel": "x"},
        ]
        reply = await wire.ask("subscribe", channels=entries)
        good, forbidden, unknown, bad = reply["results"]
        assert (good["recovered"], good["missed"]) == (True, 1)
        assert (forbidden["code"], forbidden["channel"]) == ("forbidden", "job:1")
        assert unknown["code"] == "unknown_namespace"
        assert bad["code"] == "bad_channel"
        assert (await wire.expect("note"))["offset"] == 2


async def test_a_batch_does_not_pass_the_limit_of_channels(hub: RunningHub) -> None:
    async with connect(hub.ws_url, hub.token("ann", **GRANTS)) as wire:
        most = wire.welcome["limits"]["channels"]
        entries = [{"channel": f"doc:limit{n}"} for n in range(most + 40)]
        results = (await wire.ask("subscribe", channels=entries))["results"]
        assert [result.get("code") for result in results] == [None] * most + ["limit"] * 40
        one_more = await wire.ask("subscribe", channel="doc:one-more")
        assert (one_more["code"], one_more["channel"]) == ("limit", "doc:one-more")
        assert one_more["retry_after_ms"] > 0


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("[]", "bad_message"),
        ("{", "bad_message"),
        ('{"type":5}', "bad_message"),
        ('{"type":"nothing"}', "unknown_type"),
        ('{"type":"subscribe","channel":"doc:a\\u0000b"}', "bad_channel"),
        ('{"type":"subscribe","channel":"doc:a\\nb"}', "bad_channel"),
        ('{"type":"subscribe","channel":"nope:1"}', "unknown_namespace"),
        ('{"type":"subscribe","channel":"job:1"}', "forbidden"),
        ('{"type":"publish","channel":"job:1","event":"x","payload":1}', "forbidden"),
        ('{"type":"publish","channel":"doc:1","event":"hub.x","payload":1}', "bad_message"),
        ('{"type":"history","channel":"cursor:1"}', "bad_channel"),
        ('{"type":"ack","channel":"doc:1","epoch":"e","offset":1}', "bad_channel"),
        ('{"type":"set_presence","channel":"doc:1","state":1}', "conflict"),
        (b"\x80", "bad_message"),
    ],
)
async def test_what_is_wrong_is_said_and_the_connection_stays(
    hub: RunningHub, message: str | bytes, code: str
) -> None:
    grants: dict[str, Any] = {"subscribe": ["doc:*", "cursor:*"], "publish": ["doc:*"], "presence": ["doc:*"]}
    async with connect(hub.ws_url, hub.token("ann", **grants)) as wire:
        await wire.send_raw(message)
        error = await wire.expect("hub.error")
        assert error["code"] == code, error
        assert error["reason"]
        assert (await wire.ask("ping"))["type"] == "hub.pong"


async def test_ten_bad_messages_are_too_many(hub: RunningHub) -> None:
    async with connect(hub.ws_url, hub.token("ann")) as wire:
        for _ in range(10):
            await wire.send_raw("[]")
        assert await wire.closed() == 4400
        for _ in range(10):
            await wire.expect("hub.error")
        assert (await wire.expect("hub.close"))["reconnect"] is None


async def test_before_the_token_little_is_read(hub: RunningHub) -> None:
    async with connect(hub.ws_url, welcomed=False) as wire:
        await wire.send("ping", id=1)
        assert (await wire.expect("hub.error"))["code"] == "unauthenticated"
        for _ in range(3):
            await wire.send_raw(json.dumps({"type": "authenticate", "token": 5, "pad": "x" * 6000}))
        assert await wire.closed() == 4400
    async with connect(hub.ws_url, welcomed=False) as wire:
        await wire.send("authenticate", token="x" * 17_000)
        assert await wire.closed() in (1009, 4400)


async def test_a_message_that_is_too_large(hub: RunningHub) -> None:
    """Its sender learns why, though it still sends when the hub has seen enough."""
    raw = await Raw.connect(hub, hub.token("ann"))
    raw.writer.write(b"\x81\xff" + (10_000_000).to_bytes(8, "big") + bytes(4))
    sending = asyncio.create_task(raw.fill(10_000_000))
    assert await raw.close_code() == 1009
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await hang_up(raw.writer)


async def test_fragments_with_control_frames_in_between(hub: RunningHub) -> None:
    async with connect(hub.ws_url, hub.token("ann")) as wire:

        async def parts() -> Any:
            yield '{"type":"pi'
            await wire.websocket.ping()
            yield ""
            yield 'ng","i'
            await asyncio.sleep(0.01)
            yield 'd":1}'

        await wire.websocket.send(parts())
        assert (await wire.reply(1))["type"] == "hub.pong"


class Raw:
    """A socket after the upgrade, for frames that no library sends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, hub: RunningHub, token: str) -> "Raw":
        reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
        path = hub.ws_url.partition(str(hub.port))[2]
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Sec-WebSocket-Protocol: hub.v1.json\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        return cls(reader, writer)

    async def fill(self, size: int) -> None:
        """So many bytes of payload, at the pace at which they are taken."""
        for _ in range(0, size, 50_000):
            self.writer.write(b"x" * 50_000)
            await self.writer.drain()

    async def close_code(self) -> int:
        """Read frames until a close."""
        async with asyncio.timeout(5):
            while True:
                first, second = await self.reader.readexactly(2)
                size = second
                if second == 126:
                    size = int.from_bytes(await self.reader.readexactly(2), "big")
                body = await self.reader.readexactly(size)
                if first & 15 == 8:
                    return int.from_bytes(body[:2], "big")


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x02{}", 1002),  # not masked
        (b"\x83\x80\x00\x00\x00\x00", 1002),  # reserved opcode
        (b"\xc1\x80\x00\x00\x00\x00", 1002),  # reserved bit
        (b"\x80\x80\x00\x00\x00\x00", 1002),  # a continuation of nothing
        (b"\x09\x80\x00\x00\x00\x00", 1002),  # a ping in fragments
        (b"\x81\x81\x00\x00\x00\x00\xff", 1007),  # no UTF-8
    ],
)
async def test_broken_frames(hub: RunningHub, frame: bytes, code: int) -> None:
    raw = await Raw.connect(hub, hub.token("ann"))
    raw.writer.write(frame)
    assert await raw.close_code() == code
    await hang_up(raw.writer)


async def test_commands_on_one_channel_are_done_in_order(hub: RunningHub) -> None:
    doc = fresh("doc")
    async with connect(hub.ws_url, hub.token("ann", **GRANTS)) as wire:
        for number in range(40):
            await wire.send("publish", id=f"p{number}", channel=doc, event="n", payload=number)
            await wire.send("subscribe" if number % 2 else "unsubscribe", id=f"s{number}", channel=doc)
        replies = [message async for message in until_id(wire, "s39")]
        ids = [message["id"] for message in replies if message["type"].startswith("hub.")]
        assert ids == [name for number in range(40) for name in (f"p{number}", f"s{number}")]
        # Published while it was subscribed: by each even number.
        assert [m["payload"] for m in replies if m["type"] == "n"] == list(range(2, 40, 2))


async def until_id(wire: Wire, id: str) -> Any:
    while True:
        message = await wire.receive()
        yield message
        if message.get("id") == id:
            return


async def test_a_flood_of_commands_is_limited_and_in_the_end_closed(hub: RunningHub) -> None:
    """What is over the limit is answered; who keeps on is not read from for a while, five times, then closed."""
    async with connect(hub.ws_url, hub.token("ann", **GRANTS)) as wire:

        async def flood() -> None:
            number = 0
            with contextlib.suppress(ConnectionClosed):
                while True:
                    command = {"type": "subscribe", "id": number, "channel": f"doc:f{number}"}
                    await wire.websocket.send(json.dumps(command))
                    number += 1
                    if number % 20 == 0:
                        await asyncio.sleep(0.002)  # it reads, too

        sending = asyncio.create_task(flood())
        codes: dict[str, int] = {}
        ids: list[int] = []
        try:
            while (message := await wire.receive(10))["type"] != "hub.close":
                assert message["type"] in ("hub.subscribed", "hub.error"), message
                code = message.get("code", "ok")
                codes[code] = codes.get(code, 0) + 1
                assert code == "ok" or message["retry_after_ms"] > 0
                ids.append(message["id"])
            assert (message["code"], message["reason"]) == (4129, "commands kept coming over the limit")
            assert await wire.closed() == 4129
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        assert codes["ok"] == 128
        assert set(codes) == {"ok", "limit", "rate_limited"}
        assert len(set(ids)) == len(ids) > 900, "each has one answer"
    async with connect(hub.ws_url, hub.token("bob", **GRANTS)) as wire:
        assert (await wire.ask("ping"))["type"] == "hub.pong"


async def test_a_service_publishes_as_many_as_it_likes_in_one_go(hub: RunningHub) -> None:
    doc = fresh("doc")
    async with connect(hub.ws_url, hub.token("svc", service=True, publish=["*"])) as wire:
        for number in range(600):  # a user is told rate_limited after 400
            await wire.send("publish", id=number, channel=doc, event="tick", payload=number)
        replies = [await wire.receive() for _ in range(600)]
    assert [(each["type"], each["offset"]) for each in replies] == [
        ("hub.published", number + 1) for number in range(600)
    ]


async def test_many_connections_of_a_user_may_ask_no_more_than_the_user(lane: Lane) -> None:
    async with contextlib.AsyncExitStack() as stack:
        hub = stack.enter_context(running(lane, user_command_rate=0.01, user_command_burst=60))
        wires = [
            await stack.enter_async_context(connect(hub.ws_url, hub.token(user, **GRANTS)))
            for user in ("ann", "ann", "ann", "bob")
        ]
        asked = [await wire.ask("history", channel=f"doc:u{n}") for wire in wires[:3] for n in range(15)]
        many: dict[str, Any] = {"channels": [{"channel": f"doc:u{n}"} for n in range(16)]}
        asked.append(await wires[0].ask("subscribe", **many))
        assert [reply.get("code") for reply in asked] == [*[None] * 45, "rate_limited"], "each name counts"
        assert asked[-1]["reason"].startswith("too many commands of this user")
        assert (await wires[3].ask("history", channel="doc:u1"))["type"] == "hub.history"


async def test_a_renewal_in_place(hub: RunningHub) -> None:
    doc, job = fresh("doc"), fresh("job")
    async with connect(hub.ws_url, hub.token("ann", subscribe=["doc:*", "job:*"])) as wire:
        await wire.ask("subscribe", channels=[{"channel": doc}, {"channel": job}])
        other = await wire.ask("authenticate", token=hub.token("bob", subscribe=["*"]))
        assert other["code"] == "forbidden"
        invalid = await wire.ask("authenticate", token="nonsense")
        assert invalid["code"] == "token_invalid"
        hub.publish(job, "tick", 1)
        await wire.expect("tick")  # the old token is in force
        added = fresh("doc")
        await wire.send("authenticate", id="r", token=hub.token("ann", subscribe=["doc:*"], channels=[added]))
        assert (await wire.reply("r"))["type"] == "hub.authenticated"
        ended = await wire.expect("hub.unsubscribed")
        assert (ended["channel"], "id" in ended) == (job, False)
        assert ended["reason"]
        assert (await wire.expect("hub.subscribed"))["channel"] == added
        hub.publish(job, "tick", 2)
        hub.publish(doc, "tick", 3)
        assert (await wire.expect("tick"))["payload"] == 3


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_channels_of_the_token_and_where_they_continue(hub: RunningHub, encoding: Encoding) -> None:
    doc = fresh("doc")
    first = hub.publish(doc, "tick", 1)
    hub.publish(doc, "tick", 2)
    token = hub.token("ann", channels=[doc])
    since = [("since", f"{doc}@{first['epoch']}:1")]
    async with connect(hub.ws_url, token, encoding=encoding, query=since) as wire:
        reply = await wire.expect("hub.subscribed")
        assert (reply["channel"], reply["recovered"], reply["missed"]) == (doc, True, 1)
        assert (await wire.expect("tick"))["payload"] == 2
    async with connect(hub.ws_url, encoding=encoding, welcomed=False) as wire:
        position = {doc: {"epoch": first["epoch"], "offset": 0}}
        await wire.send("authenticate", id=1, token=token, since=position)
        assert (await wire.expect("hub.welcome"))["id"] == 1
        assert (await wire.expect("hub.subscribed"))["missed"] == 2


async def test_a_since_that_is_none(hub: RunningHub) -> None:
    query = [("since", "nonsense")]
    with pytest.raises(InvalidStatus) as refused:
        async with connect(hub.ws_url, hub.token("ann"), query=query):
            pass
    assert problem(refused.value)["code"] == "bad_message"
    origin = "https://good.example"
    async with connect(hub.ws_url, hub.token("ann"), query=query, origin=origin, welcomed=False) as wire:
        assert await wire.closed() == 4400


async def test_a_resume_value_makes_a_returning_one(hub: RunningHub) -> None:
    doc = fresh("doc")
    token = hub.token("ann", **GRANTS)
    async with connect(hub.ws_url, hub.token("bob", **GRANTS)) as watcher:
        await watcher.ask("subscribe", channel=doc, presence=True)
        async with connect(hub.ws_url, token) as first:
            await first.ask("subscribe", channel=doc, presence=True)
            (joined,) = (await watcher.expect("hub.join"))["members"]
            assert joined["user"] == "ann"
            first.abort()
        resume = [("resume", first.welcome["resume"])]
        async with connect(hub.ws_url, token, query=resume) as second:
            await second.ask("subscribe", channel=doc, presence=True)
            await watcher.quiet(0.5)


async def test_a_member_comes_and_goes(hub: RunningHub) -> None:
    doc = fresh("doc")
    async with (
        connect(hub.ws_url, hub.token("ann", **GRANTS)) as ann,
        connect(hub.ws_url, hub.token("bob", **GRANTS)) as bob,
    ):
        await ann.ask("subscribe", channel=doc, presence={"as": "tab"})
        reply = await bob.ask("subscribe", channel=doc, presence=True)
        assert sorted(member["user"] for member in reply["members"]) == ["ann", "bob"]
        assert (await ann.expect("hub.join"))["members"][0]["user"] == "bob"
        await bob.ask("set_presence", channel=doc, state=5)
        assert (await ann.expect("hub.update"))["members"][0]["state"] == 5
        await bob.ask("unsubscribe", channel=doc)
        assert (await ann.expect("hub.leave"))["members"][0]["user"] == "bob"
        assert (await ann.ask("presence", channel=doc))["members"] == [{"user": "ann", "as": "tab"}]


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_a_long_snapshot_comes_in_pages(hub: RunningHub, encoding: Encoding) -> None:
    job = fresh("job")
    events = [
        {"channel": job, "event": "s", "payload": "x" * 10_000, "key": f"k{number}"} for number in range(200)
    ]
    for start in range(0, 200, 50):
        answer = hub.http().post("/v1/batch", json={"events": events[start : start + 50]})
        assert answer.status_code == 200
    async with connect(hub.ws_url, hub.token("ann", subscribe=["*"]), encoding=encoding) as wire:
        frame_bytes = wire.welcome["limits"]["frame_bytes"]
        reply = await wire.ask("subscribe", channel=job)
        assert (reply["snapshot"], reply["more"], reply["offset"]) == ([], True, 200)
        hub.publish(job, "s", 1, key="k0")
        offsets: list[int] = []
        more = True
        while more:
            page = await wire.expect("hub.snapshot")
            assert len(json.dumps(page)) <= frame_bytes
            offsets += [event["offset"] for event in page["events"]]
            more = page["more"]
        assert offsets == list(range(1, 201))
        assert (await wire.expect("s"))["offset"] == 201


async def test_many_long_replies_at_once_close_nobody(hub: RunningHub) -> None:
    """Snapshots and pages of history wait for the socket; they never make a slow consumer."""
    jobs = [fresh("job") for _ in range(8)]
    for job in jobs:
        events = [
            {"channel": job, "event": "s", "payload": "x" * 10_000, "key": f"k{number}"}
            for number in range(40)
        ]
        assert hub.http().post("/v1/batch", json={"events": events}).status_code == 200
    async with connect(hub.ws_url, hub.token("ann", subscribe=["*"])) as wire:
        for number, job in enumerate(jobs):
            await wire.send("subscribe", id=f"s{number}", channel=job)
            await wire.send("history", id=f"h{number}", channel=job)
        await asyncio.sleep(0.3)  # everything that would be too much has been queued by now
        snapshots: dict[str, int] = dict.fromkeys(jobs, 0)
        histories = 0
        while histories < len(jobs) or set(snapshots.values()) != {40}:
            message = await wire.receive()
            if message["type"] == "hub.history":
                histories += 1
                assert len(message["events"]) == 40
            elif message["type"] == "hub.subscribed":
                snapshots[message["channel"]] += len(message["snapshot"])
            else:
                assert message["type"] == "hub.snapshot", message
                snapshots[message["channel"]] += len(message["events"])


async def test_a_slow_reader_gets_a_long_replay(hub: RunningHub) -> None:
    doc = fresh("doc")
    for start in range(0, 1000, 100):
        events = [{"channel": doc, "event": "n", "payload": [start + n, "x" * 4000]} for n in range(100)]
        assert hub.http().post("/v1/batch", json={"events": events}).status_code == 200
    epoch = hub.http().get(f"/v1/channels/{doc}").json()["epoch"]
    async with connect(hub.ws_url, hub.token("ann", subscribe=["*"])) as wire:
        wire.websocket.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, 65536
        )
        reply = await wire.ask("subscribe", channel=doc, since={"epoch": epoch, "offset": 0})
        assert reply["missed"] == 1000
        for number in range(1000):
            event = await wire.receive()
            assert event["offset"] == number + 1
            if number % 100 == 0:
                await asyncio.sleep(0.05)
