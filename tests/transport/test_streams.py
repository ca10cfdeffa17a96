"""``/v1/stream`` on both lanes: what a socket would have said, and where each block puts its reader."""

import asyncio
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from ..support.pace import SCALE
from ..support.server import RunningHub
from ..support.sse import Stream, stream
from .lanes import Lane, running
from .test_contract import fresh


@pytest.fixture(scope="module")
def hub(lane: Lane) -> Iterator[RunningHub]:
    with running(lane, frame_bytes=4096, message_bytes=2048, allowed_origins=["*"]) as hub:
        yield hub


def url(hub: RunningHub, *channels: str, **query: str) -> str:
    pairs = [*(("channel", name) for name in channels), *query.items()]
    return f"{hub.url}/v1/stream?" + "&".join(f"{name}={value}" for name, value in pairs)


def token(hub: RunningHub, **more: Any) -> str:
    return hub.token("ann", **{"subscribe": ["*"], **more})


async def begun(opened: Stream, count: int = 1) -> list[Any]:
    """The welcome, and the first words on each channel."""
    assert opened.response.status_code == 200, opened.response.text
    await opened.expect("hub.welcome")
    return [await opened.expect("hub.subscribed") for _ in range(count)]


async def test_one_channel_its_headers_and_its_blocks(hub: RunningHub) -> None:
    doc = fresh("doc")
    async with stream(url(hub, doc), token(hub)) as opened:
        headers = opened.response.headers
        assert headers["content-type"].startswith("text/event-stream")
        assert headers["cache-control"] == "no-store, no-transform"
        assert headers["x-accel-buffering"] == "no"
        assert "content-length" not in headers
        (subscribed,) = await begun(opened)
        assert opened.parser.retry is not None
        epoch = subscribed.data["epoch"]
        assert subscribed.id == f"{epoch}:0"
        hub.publish(doc, "note", {"a": 1})
        block = await opened.expect("note")
        assert block.id == f"{epoch}:1"
        assert block.data["payload"] == {"a": 1}
        assert block.data["offset"] == 1
        # An EventSource's own events go out as `message`.
        for kind in ("error", "open", "message"):
            hub.publish(doc, kind, None)
            assert (await opened.expect("message")).data["type"] == kind


async def test_it_resumes_by_last_event_id_which_goes_before_the_query(hub: RunningHub) -> None:
    doc = fresh("doc")
    at = hub.publish(doc, "note", 1)
    hub.publish(doc, "note", 2)
    hub.publish(doc, "note", 3)
    epoch = at["epoch"]
    cases: list[tuple[dict[str, str], dict[str, Any], int]] = [
        ({"since": f"{doc}@{epoch}:0"}, {}, 1),
        ({"since": f"{doc}@{epoch}:0", "last_event_id": f"{epoch}:1"}, {}, 2),
        ({"last_event_id": f"{epoch}:0"}, {"Last_Event_ID": f"{epoch}:2"}, 3),
        ({"last_event_id": f"{epoch}:2"}, {"Last_Event_ID": ""}, 3),
    ]
    for given, header, first in cases:
        async with stream(url(hub, doc, **given), token(hub), **header) as opened:
            (subscribed,) = await begun(opened)
            assert subscribed.data["recovered"] is True
            assert subscribed.id == ""  # nothing has moved
            block = await opened.expect("note")
            assert (block.data["payload"], block.id) == (first, f"{epoch}:{first}")


async def test_a_gap_is_told_and_moves_the_position(hub: RunningHub) -> None:
    doc = fresh("doc")
    at = hub.publish(doc, "note", 1)
    async with stream(url(hub, doc, last_event_id="gone:5"), token(hub)) as opened:
        (subscribed,) = await begun(opened)
        assert subscribed.data["recovered"] is False
        assert subscribed.data["gap"]["cause"] == "epoch"
        assert subscribed.id == f"{at['epoch']}:1"


async def test_several_channels_stand_in_one_cursor(hub: RunningHub) -> None:
    doc, job, cursor = fresh("doc"), fresh("job"), fresh("cursor")
    address = url(hub, doc, job, cursor)
    async with stream(address, token(hub)) as opened:
        blocks = {block.data["channel"]: block for block in await begun(opened, 3)}
        epochs = {name: blocks[name].data["epoch"] for name in (doc, job)}
        hub.publish(doc, "note", 1)
        first = await opened.expect("note")
        head, *places = first.id.split(",")
        assert places == [f"{epochs[doc]}:1", f"{epochs[job]}:0", "-"]
        hub.publish(cursor, "moved", 2)
        assert (await opened.expect("moved")).id == first.id  # it moves nothing
        hub.publish(job, "step", 3, key="1")
        last = await opened.expect("step")
        assert last.id == f"{head},{epochs[doc]}:1,{epochs[job]}:1,-"
    hub.publish(doc, "note", 4)
    hub.publish(job, "step", 5, key="1")
    async with stream(address, token(hub), Last_Event_ID=last.id) as opened:
        await opened.expect("hub.welcome")
        found = [await opened.next() for _ in range(5)]
        told = {b.data["channel"]: b.data.get("recovered") for b in found if b.event == "hub.subscribed"}
        assert told == {doc: True, job: True, cursor: None}
        assert {b.data["payload"] for b in found if b.event != "hub.subscribed"} == {4, 5}
    async with stream(url(hub, job, doc, cursor), token(hub), Last_Event_ID=last.id) as opened:
        assert opened.response.status_code == 400
        assert "another list" in opened.response.json()["reason"]
    async with stream(address, token(hub), Last_Event_ID=last.id[:-3]) as opened:
        assert opened.response.status_code == 400


async def test_a_snapshot_of_several_pages(hub: RunningHub) -> None:
    job, doc = fresh("job"), fresh("doc")
    for key in range(20):
        hub.publish(job, "step", "x" * 700, key=str(key))
    for channels in ((job,), (job, doc)):
        async with stream(url(hub, *channels), token(hub)) as opened:
            keys: set[str] = set()
            pages: list[Any] = []
            while not pages or pages[-1].data["more"]:
                block = await opened.next()
                if block.event == "hub.snapshot":
                    pages.append(block)
                    keys |= {event["key"] for event in block.data["events"]}
                    # No position before the last page: who is cut off here begins anew.
                    place = block.id.split(",")[1] if len(channels) > 1 else block.id
                    assert (place in ("", "-")) == block.data["more"], block.id
                elif block.event == "hub.subscribed" and block.data["channel"] == job:
                    assert (block.data["snapshot"], block.data["more"]) == ([], True)
            assert len(pages) > 1
            assert len(keys) == 20
            assert block.id.split(",")[-2 if len(channels) > 1 else -1].endswith(":20")
    async with stream(url(hub, job), token(hub), Last_Event_ID="-") as opened:
        assert opened.response.status_code == 400


async def test_ndjson_and_post(hub: RunningHub) -> None:
    doc, job = fresh("doc"), fresh("job")
    at = hub.publish(doc, "note", 1)
    body = {"channels": [doc, {"channel": job, "max_rate": 10}], "since": [f"{doc}@{at['epoch']}:0"]}
    async with stream(f"{hub.url}/v1/stream", token(hub), body=body, lines=True) as opened:
        assert opened.response.headers["content-type"].startswith("application/x-ndjson")
        await begun(opened, 1)
        kinds = {(await opened.next()).event for _ in range(2)}
        assert kinds == {"hub.subscribed", "note"}


async def test_all_as_message(hub: RunningHub) -> None:
    doc = fresh("doc")
    async with stream(url(hub, doc, event="message"), token(hub)) as opened:
        kinds = [(await opened.next()).data["type"] for _ in range(2)]
        assert kinds == ["hub.welcome", "hub.subscribed"]
        hub.publish(doc, "note", 1)
        block = await opened.expect("message")
        assert block.data["type"] == "note"
        assert block.id.endswith(":1")


async def test_what_is_final_has_a_status_of_its_own(hub: RunningHub) -> None:
    doc = fresh("doc")
    good, other = token(hub), hub.token("bob")
    many = [fresh("doc") for _ in range(129)]
    cases = [
        (url(hub), good, 400),
        (url(hub, doc, doc), good, 400),
        (url(hub, *many), good, 400),
        (url(hub, doc, since="x"), good, 400),
        (url(hub, doc, last_event_id="x"), good, 400),
        (url(hub, doc, last_event_id="x" * 5000), good, 400),
        (url(hub, doc, event="x"), good, 400),
        (url(hub, "doc"), good, 400),
        (url(hub, "nope:1"), good, 404),
        (url(hub, doc), other, 403),
        (url(hub, "hub:nodes"), good, 403),
        (url(hub, doc), None, 401),
        (url(hub, doc), hub.token("ann", ttl=-5, subscribe=["*"]), 401),
        (url(hub, doc, ticket="s.x"), None, 401),
        (url(hub, doc, token="x.y.z"), None, 401),
    ]
    for address, bearer, status in cases:
        async with stream(address, bearer) as opened:
            assert opened.response.status_code == status, address
            assert opened.response.headers["content-type"] == "application/problem+json"
    async with stream(f"{hub.url}/v1/stream", good, body={"channels": [5]}) as opened:
        assert opened.response.status_code == 400


async def test_more_than_32_channels_are_not_resumable(hub: RunningHub) -> None:
    names = [fresh("doc") for _ in range(33)]
    async with stream(url(hub, *names), token(hub)) as opened:
        welcome = await opened.expect("hub.welcome")
        assert welcome.data["resumable"] is False
        for _ in names:
            assert (await opened.expect("hub.subscribed")).id == ""
        hub.publish(names[5], "note", 1)
        assert (await opened.expect("note")).id == ""


async def test_a_ticket_for_streams(hub: RunningHub) -> None:
    doc = fresh("doc")
    bearer = hub.token("ann", subscribe=[doc, "job:*"], claims={"jti": f"jti-{doc}"})
    client = hub.http(bearer)
    answer = client.post("/v1/tickets", json={"stream": True, "channels": [doc]})
    assert answer.status_code == 200, answer.text
    ticket = hub.secret(answer.json()["ticket"])
    assert answer.json()["expires_in"] > 3000
    for _ in range(2):
        async with stream(url(hub, doc, ticket=ticket)) as opened:
            await begun(opened)
    for channel in ("job:1", "user:ann"):
        async with stream(url(hub, channel, ticket=ticket)) as opened:
            assert opened.response.status_code == 403
    # It lets nobody in elsewhere.
    assert hub.http(ticket).get(f"/v1/channels/{doc}").status_code == 401
    assert client.post("/v1/tickets", json={"stream": True, "channels": ["doc:other"]}).status_code == 403
    for channels in ([], ["x"] * 129, "doc:1", None, [5]):
        body = {"stream": True, "channels": channels}
        assert client.post("/v1/tickets", json=body).status_code == 400
    hub.http().post("/v1/revoke", json={"jti": f"jti-{doc}"}).raise_for_status()
    async with stream(url(hub, doc, ticket=ticket)) as opened:
        assert opened.response.status_code == 401


async def test_the_token_ends(hub: RunningHub) -> None:
    doc = fresh("doc")
    async with stream(url(hub, doc), token(hub, ttl=1.5)) as opened:
        await begun(opened)
        blocks = await opened.rest(20)
        assert [block.event for block in blocks] == ["hub.token_expiring", "hub.close"]
        assert blocks[-1].data["code"] == 4201


async def test_a_stream_is_seen_and_closed_like_a_socket(hub: RunningHub) -> None:
    doc, user = fresh("doc"), fresh("user")
    async with stream(url(hub, doc), hub.token(user, subscribe=[doc])) as opened:
        await begun(opened)
        (found,) = hub.http().get("/v1/connections", params={"user": user}).json()["connections"]
        assert list(found["channels"]) == [doc]
        assert found["encoding"] == "sse"
        hub.http().post("/v1/disconnect", json={"user": user, "reconnect": True}).raise_for_status()
        blocks = await opened.rest()
        assert [block.event for block in blocks] == ["hub.close"]
        window = blocks[0].data["reconnect"]
        assert opened.parser.retry is not None
        assert window["min_ms"] <= opened.parser.retry <= window["max_ms"]

    async def gone() -> bool:
        return not hub.http().get("/v1/connections", params={"user": user}).json()["connections"]

    for _ in range(100):
        if await gone():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the stream is still there")


async def test_who_goes_away_is_forgotten(hub: RunningHub) -> None:
    doc, user = fresh("doc"), fresh("user")
    async with stream(url(hub, doc), hub.token(user, subscribe=[doc])) as opened:
        await begun(opened)
    for _ in range(100):
        if not hub.http().get("/v1/connections", params={"user": user}).json()["connections"]:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the stream is still there")


async def test_payloads_with_raw_line_ends_stay_in_their_line(hub: RunningHub) -> None:
    doc = fresh("doc")
    async with stream(url(hub, doc), token(hub)) as opened:
        await begun(opened)
        content = f'{{"channel":"{doc}","event":"note","payload":{{"a":1,\r\n\n "b":"x\\ny"}}}}'
        hub.http().post("/v1/publish", content=content).raise_for_status()
        block = await opened.expect("note")
        assert block.data["payload"] == {"a": 1, "b": "x\ny"}


def test_head_opens_nothing(hub: RunningHub) -> None:
    answer = hub.http(token(hub)).head(url(hub, fresh("doc")))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")


def test_a_preflight_allows_what_an_event_source_sends(hub: RunningHub) -> None:
    headers = {"Origin": "https://page.example", "Access-Control-Request-Method": "GET"}
    answer = hub.http(None).request("OPTIONS", "/v1/stream", headers=headers)
    allowed = answer.headers["access-control-allow-headers"]
    assert {"Last-Event-ID", "traceparent"} <= set(allowed.split(", "))
    assert "DELETE" in answer.headers["access-control-allow-methods"]


async def test_what_passes_is_told_inside_the_stream(lane: Lane) -> None:
    with running(lane, max_connections_per_user=1) as small:
        doc = fresh("doc")
        bearer = small.token("ann", subscribe=["*"])
        async with stream(url(small, doc), bearer) as first:
            await begun(first)
            async with stream(url(small, doc), bearer) as second:
                assert second.response.status_code == 200
                blocks = await second.rest()
                assert [block.event for block in blocks] == ["hub.error", "hub.close"]
                assert blocks[0].data["code"] == "limit"
                assert (second.parser.retry or 0) >= 30_000


async def sockets(hub: RunningHub, count: int) -> None:
    """Until so many connections are counted."""
    async with asyncio.timeout(10 * SCALE):
        while True:
            found = re.search(r"^hub_sockets\S* (\d+)", hub.http().get("/metrics").text, re.M)
            if found is not None and int(found[1]) == count:
                return
            await asyncio.sleep(0.02)


async def test_long_polling(hub: RunningHub) -> None:
    doc = fresh("doc")
    at = hub.publish(doc, "note", 1)
    path = f"/v1/channels/{doc}/history?since={at['epoch']}:1&wait=25"
    async with httpx.AsyncClient(base_url=hub.url, timeout=40, trust_env=False) as client:
        client.headers["Authorization"] = f"Bearer {token(hub)}"
        waiting = asyncio.create_task(client.get(path))
        await sockets(hub, 1)
        hub.publish(doc, "note", 2)
        answer = (await waiting).json()
        assert [event["payload"] for event in answer["events"]] == [2]
        began = time.monotonic()
        empty = (await client.get(path.replace(":1&wait=25", ":2&wait=1"))).json()
        assert time.monotonic() - began > 0.9
        assert empty["events"] == []
        for wait in ("-1", "61", "x", "1e9", ""):
            bad = await client.get(path.replace("wait=25", f"wait={wait}"))
            assert bad.status_code == 400, wait
        # Who hangs up is forgotten.
        cut = asyncio.create_task(client.get(path.replace(":1&", ":2&")))
        await sockets(hub, 1)
        cut.cancel()
        await sockets(hub, 0)


async def test_an_event_source_that_never_reads(lane: Lane) -> None:
    with running(lane, outbox_bytes=65_536, write_buffer_bytes=16_384, command_rate=1e6) as small:
        doc = fresh("doc")
        _, writer = await asyncio.open_connection("127.0.0.1", small.port, limit=1024)
        path = f"{'/hub' if lane == 'portable' else ''}/v1/stream?channel={doc}"
        bearer = small.token("mute", subscribe=["*"])
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\n\r\n".encode())
        async with stream(url(small, doc), small.token("ann", subscribe=["*"])) as opened:
            await begun(opened)
            batch = {"events": [{"channel": doc, "event": "note", "payload": "x" * 2000}] * 200}
            client = small.http()
            seen = 0
            async with asyncio.timeout(60 * SCALE):
                while (
                    client.get("/v1/connections", params={"user": "mute"}).json()["connections"] or not seen
                ):
                    assert client.post("/v1/batch", json=batch).status_code == 200
                    for _ in range(200):
                        seen += 1
                        assert (await opened.expect("note")).data["offset"] == seen
            assert "hub_closed_total" in client.get("/metrics").text
            assert 'reason="slow_consumer"' in client.get("/metrics").text
        writer.close()


async def test_curl(hub: RunningHub) -> None:
    doc = fresh("doc")
    at = hub.publish(doc, "note", {"text": "hello"})
    words = ["curl", "-sN", "-H", f"Authorization: Bearer {token(hub)}"]
    address = url(hub, doc, since=f"{doc}@{at['epoch']}:0")
    curl = await asyncio.create_subprocess_exec(*words, address, stdout=asyncio.subprocess.PIPE)
    assert curl.stdout is not None
    try:
        async with asyncio.timeout(10 * SCALE):
            lines: list[Any] = []
            while not lines or b"hello" not in lines[-1]:
                lines.append(await curl.stdout.readline())
        assert lines[0].startswith(b"retry: ")
        assert b"event: hub.welcome\n" in lines
        assert f"id: {at['epoch']}:1\n".encode() in lines
    finally:
        curl.kill()
        await curl.wait()
