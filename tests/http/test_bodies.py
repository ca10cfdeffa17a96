"""Bodies and requests that are not what they should be. Nobody else notices, and the log has no stack trace."""

import json
import socket
import time
from typing import Any

import pytest

from ..support.pace import SCALE
from ..support.server import RunningHub, running_hub
from .test_publish import refused

BODIES = ["/v1/publish", "/v1/batch", "/v1/broadcast", "/v1/disconnect", "/v1/revoke"]
EVENT = {"channel": "doc:bodies", "event": "x", "payload": 1}


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "invalid JSON"),
        (b"no json", "invalid JSON"),
        (b'{"a":1', "invalid JSON"),
        (b'{"a":NaN}', "invalid JSON"),
        (b'{"a":"\xff"}', "invalid JSON"),
        (b"\xff\xfe{}", "invalid JSON"),
        (b"[" * 100_000, "invalid JSON"),
        (b"[]", "an array"),
        (b"null", "null"),
        (b'"text"', "a string"),
        (b"7", "a number"),
        (b"true", "a boolean"),
    ],
)
def test_a_body_that_is_no_json_object(hub: RunningHub, path: str, body: bytes, words: str) -> None:
    problem = refused(hub.http().post(path, content=body), 400, "bad_message")
    assert words in problem["reason"]


def test_the_content_type_is_not_looked_at(hub: RunningHub) -> None:
    http = hub.http()
    for kind in ("application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8"):
        headers = {"Content-Type": kind}
        assert http.post("/v1/publish", content=json.dumps(EVENT), headers=headers).status_code == 200


def test_text_that_is_not_unicode(hub: RunningHub) -> None:
    body = b'{"channel":"doc:1","event":"x","payload":"\\ud800"}'
    refused(hub.http().post("/v1/publish", content=body), 400, "bad_message")


def test_numbers_beyond_64_bits_are_no_crash(hub: RunningHub) -> None:
    body = b'{"channel":"doc:1","event":"x","payload":%s}' % (b"9" * 400)
    answer = hub.http().post("/v1/publish", content=body)
    assert answer.status_code in (200, 400)


def test_a_body_of_ten_megabytes(hub: RunningHub) -> None:
    http = hub.http()
    body = json.dumps({**EVENT, "payload": "x" * 10_000_000}).encode()
    refused(http.post("/v1/publish", content=body), 413, "too_large")
    chunks = (body[at : at + 65536] for at in range(0, len(body), 65536))
    refused(http.post("/v1/publish", content=chunks), 413, "too_large")
    assert http.post("/v1/publish", json=EVENT).status_code == 200


def test_a_chunked_body(hub: RunningHub) -> None:
    body = json.dumps(EVENT).encode()
    chunks = (body[at : at + 7] for at in range(0, len(body), 7))
    assert hub.http().post("/v1/publish", content=chunks).status_code == 200


def head(hub: RunningHub, *lines: str, path: str = "/v1/publish") -> bytes:
    """The head of a raw request."""
    first = (f"POST {path} HTTP/1.1", "Host: hub", f"Authorization: Bearer {hub.api_key}")
    return "\r\n".join((*first, *lines, "", "")).encode()


def dial(hub: RunningHub) -> socket.socket:
    """A raw connection."""
    return socket.create_connection(("127.0.0.1", hub.port), timeout=10 * SCALE)


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("Transfer-Encoding: chunked", b'14\r\n{"channel":"doc:cut",\r\n5\r\n"eve'),
        ("Transfer-Encoding: chunked", b"zz\r\n"),
        ("Content-Length: 500", b'{"channel":"doc:cut","event":"x"'),
    ],
)
def test_a_body_that_is_cut(hub: RunningHub, line: str, body: bytes) -> None:
    before = hub.http().get("/v1/channels/doc:cut").json()["offset"]
    with dial(hub) as raw:
        raw.sendall(head(hub, line) + body)
    assert hub.http().get("/v1/channels/doc:cut").json()["offset"] == before
    assert hub.http().post("/v1/publish", json=EVENT).status_code == 200


@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 100,
        b"GET\r\n\r\n",
        b"POST /v1/publish HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ],
)
def test_what_is_no_http(hub: RunningHub, data: bytes) -> None:
    with dial(hub) as raw:
        raw.sendall(data)
        assert b" 400 " in raw.recv(65536).split(b"\r\n")[0]


def test_cut_answers_leave_the_hub_alone(hub: RunningHub) -> None:
    """Who asks and hangs up at once."""
    body = json.dumps({"events": [EVENT] * 1000}).encode()
    for _ in range(20):
        with dial(hub) as raw:
            raw.sendall(head(hub, f"Content-Length: {len(body)}", path="/v1/batch") + body)
    assert hub.http().get("/livez").status_code == 200


def test_many_large_bodies_leave_no_memory_behind() -> None:
    with running_hub(max_body_bytes=100_000) as hub:
        http = hub.http()
        body = b"x" * 5_000_000
        refused(http.post("/v1/publish", content=body), 413, "too_large")
        before = memory(hub)
        for _ in range(30):
            refused(http.post("/v1/publish", content=body), 413, "too_large")
        assert memory(hub) < before + 20_000_000


def memory(hub: RunningHub) -> int:
    """Resident bytes of the hub's process."""
    with open(f"/proc/{hub.pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v1/nothing", 404),
        ("POST", "/v1/publish/", 404),
        ("GET", "/v1/channels/", 404),
        ("GET", "/v1/channels/job:1/nothing", 404),
        ("GET", "/v1/publish", 405),
        ("PATCH", "/v1/channels/job:1", 405),
        ("PUT", "/v1/tickets", 405),
        ("OPTIONS", "/v1/publish", 405),
        ("GET", "/ws", 426),
        ("POST", "/ws", 405),
    ],
)
def test_what_is_not_there(hub: RunningHub, method: str, path: str, status: int) -> None:
    answer = hub.http().request(method, path)
    refused(answer, status, "bad_message")
    assert ("allow" in answer.headers) == (status == 405)
    if status == 426:
        assert answer.headers["upgrade"] == "websocket"
        assert answer.headers["connection"].lower() == "upgrade"


def test_a_socket_elsewhere_is_404(hub: RunningHub) -> None:
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    refused(hub.http(None).get("/elsewhere", headers=headers), 404, "bad_message")


@pytest.mark.parametrize(
    "path",
    ["/livez", "/readyz", "/metrics", "/openapi.json", "/v1/channels/job:h", "/v1/channels/job:h/snapshot"],
)
def test_head_is_get_without_a_body(hub: RunningHub, path: str) -> None:
    answer = hub.http().head(path)
    assert answer.status_code == 200
    assert answer.content == b""


def test_a_slow_body_stops_nobody(hub: RunningHub) -> None:
    body = json.dumps(EVENT).encode()
    with dial(hub) as slow:
        slow.sendall(head(hub, f"Content-Length: {len(body)}") + body[:5])
        started = time.monotonic()
        assert hub.http().post("/v1/publish", json=EVENT).status_code == 200
        assert time.monotonic() - started < 5 * SCALE
        slow.sendall(body[5:])
        assert b" 200 " in slow.recv(65536).split(b"\r\n")[0]


def test_requests_in_a_row_on_one_connection(hub: RunningHub) -> None:
    """Pipelined (RFC 9112 section 9.3.2): answered in order."""
    bodies = [json.dumps({**EVENT, "channel": "doc:row", "payload": number}).encode() for number in range(5)]
    with dial(hub) as raw:
        raw.sendall(b"".join(head(hub, f"Content-Length: {len(body)}") + body for body in bodies))
        received = b""
        while received.count(b'"offset":') < 5:
            data = raw.recv(65536)
            assert data
            received += data
    stored: Any = hub.http().get("/v1/channels/doc:row/history").json()["events"]
    assert [event["payload"] for event in stored] == list(range(5))


@pytest.mark.parametrize("path", ["/v1/publish", "/v1/batch", "/v1/broadcast", "/v1/subscribe", "/v1/revoke"])
def test_rights_come_before_the_body_is_read(hub: RunningHub, path: str) -> None:
    """A user without any grant costs no parsing: 8 MB of small objects took a third of a second of everybody."""
    body = b'{"events":[' + b"{}," * 2_000_000 + b"{}]}"
    before = hub.cpu_seconds()
    refused(hub.http(hub.token("eve")).post(path, content=body), 403, "forbidden")
    assert hub.cpu_seconds() - before < 0.15


def test_a_users_body_is_no_longer_than_four_messages(hub: RunningHub) -> None:
    body = b'{"events":[' + b"{}," * 90_000 + b"{}]}"
    user = hub.http(hub.token("ann", publish=["doc:*"]))
    problem = refused(user.post("/v1/batch", content=body), 413, "too_large")
    assert "262144" in problem["reason"]
    refused(hub.http().post("/v1/batch", content=body), 400, "bad_message")


@pytest.mark.parametrize("extra", [b"", b',"key":"k","lease_ms":1000'])
@pytest.mark.parametrize("channel", ["job:deep", "doc:deep", "cursor:deep"])
def test_a_payload_nested_too_deep_is_refused_and_no_failure(
    hub: RunningHub, channel: str, extra: bytes
) -> None:
    deep = b"[" * 300 + b"]" * 300
    body = b'{"channel":"%s","event":"x","payload":%s%s}' % (channel.encode(), deep, extra)
    refused(hub.http().post("/v1/publish", content=body), 400, "bad_message")
    token = hub.token("ann", subscribe=["job:*"], info=json.loads(deep))
    assert (
        "nested too deep"
        in refused(hub.http(token).get("/v1/channels/job:1"), 401, "token_invalid")["reason"]
    )
