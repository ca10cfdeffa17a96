"""What must be refused on both lanes, by whatever way it comes: payloads, moments, cursors, tokens, deletions."""

import json
from typing import Any

import httpx
import msgpack
import pytest
from websockets.exceptions import InvalidStatus

from ..support.server import RunningHub
from ..support.sse import stream
from ..support.wire import Place, connect, problem
from .test_channel_tokens import channel_token
from .test_contract import fresh

DIGITS = b"123456789012345678901234567890"
REFUSED = [
    b'"\\ud83d"',  # half a surrogate pair
    b'{"\\ude00":1}',
    b'"\xed\xa0\xbd"',
    b'"\xff"',
    b'"\xc0\xaf"',
    b"1e400",
    b"[-1E999]",
    b"NaN",
]


def written(channel: str, payload: bytes, **fields: Any) -> bytes:
    """A publication around the bytes of a payload, byte for byte."""
    head = json.dumps({**fields, "channel": channel, "event": "note"}).encode()
    return head[:-1] + b',"payload":' + payload + b"}"


async def test_payloads_that_nobody_could_read_over_http(hub: RunningHub) -> None:
    channel = fresh("doc")
    for payload in REFUSED:
        one = written(channel, payload)
        for path, body in (("publish", one), ("batch", b'{"events":[%s]}' % one)):
            answer = hub.http().post(f"/v1/{path}", content=body)
            found = answer.json()
            refusal = found["results"][0] if "results" in found else found
            assert refusal["code"] == "bad_message", (path, payload, found)
    assert hub.http().get(f"/v1/channels/{channel}/history").json()["events"] == []


async def test_payloads_that_nobody_could_read_on_a_socket(hub: RunningHub) -> None:
    """Refused with the command's id, but for bytes that are no text: RFC 6455 section 8.1 closes for those."""
    channel = fresh("doc")
    token = hub.token("ann", publish=[channel], subscribe=[channel])
    async with connect(hub.ws_url, token) as wire:
        for number, payload in enumerate(REFUSED):
            text = written(channel, payload, type="publish", id=f"p{number}")
            try:
                await wire.send_raw(text.decode())
            except UnicodeDecodeError:
                continue
            reply = await wire.reply(f"p{number}")
            assert (reply["type"], reply["code"]) == ("hub.error", "bad_message"), payload
            await wire.ask("ping")
    for payload in (b'"\xff"', b'"\xed\xa0\xbd"'):
        async with connect(hub.ws_url, token) as wire:
            await wire.websocket.send(written(channel, payload, type="publish", id=1), text=True)
            assert await wire.closed() == 1007


async def test_payloads_that_nobody_could_read_in_messagepack(hub: RunningHub) -> None:
    channel = fresh("doc")
    token = hub.token("ann", publish=[channel])
    bad = ["\ud83d", {"\ude00": 1}, [float("inf")], float("nan")]
    async with connect(hub.ws_url, token, encoding="msgpack") as wire:
        for number, payload in enumerate(bad):
            fields = {"id": f"p{number}", "channel": channel, "event": "note", "payload": payload}
            command = {"type": "publish", **fields}
            await wire.send_raw(msgpack.packb(command, unicode_errors="surrogatepass"))
            reply = await wire.reply(f"p{number}")
            assert (reply["type"], reply["code"]) == ("hub.error", "bad_message"), payload
            await wire.ask("ping")


async def test_a_number_of_thirty_digits_keeps_them_and_is_the_nearest_one_in_messagepack(
    hub: RunningHub,
) -> None:
    channel = fresh("doc")
    token = hub.token("ann", subscribe=[channel])
    async with (
        connect(hub.ws_url, token) as text,
        connect(hub.ws_url, token, encoding="msgpack") as packed,
        stream(f"{hub.url}/v1/stream?channel={channel}", token) as opened,
    ):
        await opened.expect("hub.welcome")
        await opened.expect("hub.subscribed")
        for wire in (text, packed):
            await wire.ask("subscribe", channel=channel)
        answer = hub.http().post("/v1/publish", content=written(channel, b"[%s]" % DIGITS))
        assert answer.status_code == 200
        assert (await text.expect("note"))["payload"] == [int(DIGITS)]
        assert (await packed.expect("note"))["payload"] == [float(DIGITS)]
        assert (await opened.expect("note")).data["payload"] == [int(DIGITS)]
    history = hub.http().get(f"/v1/channels/{channel}/history")
    assert b"[%s]" % DIGITS in history.content


@pytest.mark.parametrize(
    ("moment", "count"),
    [("0", 3), ("1970-01-01T00:00:00Z", 3), ("2999-01-01T00:00:00Z", 0), (str(2**53 - 1), 0)],
)
async def test_moments_before_and_after_all_there_is(hub: RunningHub, moment: str, count: int) -> None:
    channel = fresh("doc")
    token = hub.token("ann", subscribe=[channel])
    for _ in range(3):
        hub.publish(channel)
    page = hub.http().get(f"/v1/channels/{channel}/history", params={"since_time": moment}).json()
    assert len(page["events"]) == count
    wanted: int | str = int(moment) if moment.isdigit() else moment
    async with connect(hub.ws_url, token) as wire:
        reply = await wire.ask("subscribe", channel=channel, since_time=wanted)
        assert (reply["recovered"], reply["missed"]) == (True, count)
    async with stream(f"{hub.url}/v1/stream?channel={channel}&since_time={moment}", token) as opened:
        await opened.expect("hub.welcome")
        assert (await opened.expect("hub.subscribed")).data["missed"] == count
        hub.publish(channel, "last")
        for _ in range(count):
            await opened.expect("tick")
        assert (await opened.expect("last")).data["offset"] == 4


@pytest.mark.parametrize("moment", ["", "soon", "-1", "1e3", "9" * 400, "2026-02-30T00:00:00Z"])
async def test_what_is_no_moment(hub: RunningHub, moment: str) -> None:
    channel = fresh("doc")
    for path in (f"/v1/channels/{channel}/history", "/v1/stream"):
        answer = hub.http().get(path, params={"channel": channel, "since_time": moment})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_message"), path
    async with connect(hub.ws_url, hub.token("ann", subscribe=[channel])) as wire:
        reply = await wire.ask("subscribe", channel=channel, since_time=moment)
        assert (reply["type"], reply["code"]) == ("hub.error", "bad_message")


async def test_a_cursor_of_another_list_or_cut_short(hub: RunningHub) -> None:
    one, other = fresh("doc"), fresh("doc")
    token = hub.token("ann", subscribe=["*"])

    def address(*channels: str) -> str:
        return f"{hub.url}/v1/stream?" + "&".join(f"channel={name}" for name in channels)

    for channel in (one, other):
        hub.publish(channel)
    async with stream(address(one, other), token) as opened:
        await opened.expect("hub.welcome")
        cursor = [(await opened.expect("hub.subscribed")).id for _ in range(2)][-1]
    single = hub.http().get(f"/v1/channels/{one}").json()["epoch"] + ":1"
    cases = [
        ((other, one), cursor),
        ((one,), cursor),
        ((one, other, fresh("doc")), cursor),
        ((one, other), single),
        *(
            ((one, other), cursor[:length])
            for length in (1, 8, len(cursor) // 2, cursor.rindex(","), cursor.rindex(":"))
        ),
        ((one, other), cursor + ",-"),
        ((one, other), cursor + "x" * 4000),
    ]
    for channels, last in cases:
        async with stream(address(*channels), token, last_event_id=last) as opened:
            assert opened.response.status_code == 400, (channels, last)
            assert opened.response.json()["code"] == "bad_message"
    async with stream(address(one, other), token, last_event_id=cursor) as opened:
        await opened.expect("hub.welcome")
        assert (await opened.expect("hub.subscribed")).data["recovered"] is True


@pytest.mark.parametrize("place", ["header", "subprotocol", "query"])
async def test_a_channel_token_opens_no_socket(hub: RunningHub, place: Place) -> None:
    given = channel_token(hub, "ann", fresh("doc"), publish=True)
    with pytest.raises(InvalidStatus) as refused:
        async with connect(hub.ws_url, given, place=place):
            pass
    found = problem(refused.value)
    assert (found["status"], found["code"]) == (401, "token_invalid")
    assert "channel" in found["reason"]


def test_a_channel_token_is_no_bearer(hub: RunningHub) -> None:
    channel = fresh("doc")
    http = hub.http(channel_token(hub, "ann", channel, publish=True, presence=True))
    event = {"channel": channel, "event": "note", "payload": 1}
    answers: list[httpx.Response] = [
        http.get(f"/v1/channels/{channel}/history"),
        http.get(f"/v1/channels/{channel}/presence"),
        http.get("/v1/stream", params={"channel": channel}),
        http.post("/v1/publish", json=event),
        http.post("/v1/batch", json={"events": [event]}),
        http.post("/v1/tickets"),
        http.delete(f"/v1/channels/{channel}"),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid"), answer.request.url


async def test_a_sessions_token_is_no_channels_on_a_stream_either(hub: RunningHub) -> None:
    channel = fresh("job")
    session = hub.token("ann", subscribe=["doc:*"])
    wrong = {
        "a session's": hub.token("ann", subscribe=["*"]),
        "another user's": channel_token(hub, "bob", channel),
        "another channel's": channel_token(hub, "ann", fresh("job")),
        "expired": channel_token(hub, "ann", channel, ttl=-5),
    }
    for what, token in wrong.items():
        body = {"channels": [{"channel": channel, "token": token}]}
        async with stream(f"{hub.url}/v1/stream", session, body=body) as opened:
            await opened.expect("hub.welcome")
            refusal = (await opened.expect("hub.error")).data
            assert refusal["code"] in ("token_invalid", "token_expired", "forbidden"), what
            assert refusal["channel"] == channel
    body = {"channels": [{"channel": channel, "token": channel_token(hub, "ann", channel)}]}
    async with stream(f"{hub.url}/v1/stream", session, body=body) as opened:
        await opened.expect("hub.welcome")
        await opened.expect("hub.subscribed")


async def test_who_may_not_delete(hub: RunningHub) -> None:
    channel = fresh("job")
    hub.publish(channel, key="k")
    user = hub.token("ann", publish=["*"], subscribe=["*"])
    other = hub.token("svc", service=True, publish=["doc:*"], subscribe=["*"])
    async with connect(hub.ws_url, hub.token("ann", subscribe=[channel])) as wire:
        await wire.ask("subscribe", channel=channel)
        for bearer, status in ((user, 403), (other, 403), (None, 401)):
            for path in (f"/v1/channels/{channel}", f"/v1/channels/{channel}/snapshot/k"):
                assert hub.http(bearer).delete(path).status_code == status, (path, bearer)
        await wire.quiet()
    assert len(hub.http().get(f"/v1/channels/{channel}/snapshot").json()["events"]) == 1
