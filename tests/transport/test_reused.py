"""A WebSocket on a connection that served HTTP before, to a client that has not read its answers yet."""

import socket
import time
from collections.abc import Iterator

import orjson
import pytest

from hub.protocol.frames import bodies

from ..support.pace import SCALE
from ..support.server import API_KEY, RunningHub, running_hub

EVENTS = 60
PAYLOAD = "x" * 8000  # in all more than the sockets hold


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    with running_hub(auth_timeout=1, unsent_bytes=16384, close_timeout=60) as hub:
        for number in range(EVENTS):
            hub.publish("doc:1", payload=f"{number}{PAYLOAD}")
        yield hub


def slow_client(hub: RunningHub) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(10 * SCALE)
    client.connect(("127.0.0.1", hub.port))
    return client


def request(hub: RunningHub, path: str, *headers: str) -> bytes:
    return "\r\n".join((f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{hub.port}", *headers, "", "")).encode()


def history(hub: RunningHub) -> bytes:
    return request(hub, "/v1/channels/doc:1/history?limit=1000", f"Authorization: Bearer {API_KEY}")


def upgrade(hub: RunningHub, path: str) -> bytes:
    headers = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
    return request(hub, path, *headers, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")


def read_all(client: socket.socket, until: bytes) -> bytes:
    data = b""
    while until not in data[-500:]:
        chunk = client.recv(65536)
        if not chunk:
            break
        data += chunk
    return data


def answered(data: bytes) -> tuple[bytes, bytes]:
    """The head of an answer, and what comes after its body."""
    head, _, rest = data.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            rest = rest[int(line.partition(b":")[2]) :]
    return head, rest


def test_events_follow_the_answers(hub: RunningHub) -> None:
    with slow_client(hub) as client:
        client.sendall(history(hub))
        time.sleep(0.5)  # the answer fills the sockets meanwhile; that it does is what the test is about
        token = hub.token("ann", subscribe=["doc:*"], channels=["doc:2"])
        client.sendall(upgrade(hub, f"/ws?token={token}"))
        time.sleep(0.5)
        data = b""
        for number in range(60):
            hub.publish("doc:2", payload=number)
            data += client.recv(8192)
        hub.publish("doc:2", payload="last")
        head, rest = answered(data + read_all(client, b'"last"'))
    assert head.startswith(b"HTTP/1.1 200"), head
    head, rest = answered(rest)
    assert head.startswith(b"HTTP/1.1 101"), head
    messages = [orjson.loads(body) for body in bodies(rest) if body]  # a ping has none
    assert messages[0]["type"] == "hub.welcome"
    assert [each["payload"] for each in messages if each["type"] == "tick"] == [*range(60), "last"]


def test_one_that_is_closed_meanwhile_learns_why(hub: RunningHub) -> None:
    """The answer to the handshake is not given up with what waits behind it."""
    with slow_client(hub) as client:
        client.sendall(history(hub))
        time.sleep(0.5)
        client.sendall(upgrade(hub, "/ws"))  # and no token within a second
        time.sleep(1.5 * SCALE)
        head, rest = answered(read_all(client, b"no token within 1 s"))
    assert head.startswith(b"HTTP/1.1 200"), head
    head, rest = answered(rest)
    assert head.startswith(b"HTTP/1.1 101"), head
    assert orjson.loads(next(body for body in bodies(rest) if body))["type"] == "hub.close"


def test_an_upgrade_behind_a_request_waits_for_its_answer(hub: RunningHub) -> None:
    """Frames do not stand between the pieces of the answer."""
    for number in range(EVENTS):
        hub.publish("job:1", key=f"k{number}", payload=PAYLOAD)
    for pause in (0.0, 0.3):
        with slow_client(hub) as client:
            client.sendall(request(hub, "/v1/channels/job:1/snapshot", f"Authorization: Bearer {API_KEY}"))
            time.sleep(pause)
            client.sendall(upgrade(hub, f"/ws?token={hub.token('ann')}"))
            answer, _, rest = read_all(client, b'"hub.welcome"').partition(b"HTTP/1.1 101")
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b"\r\n0\r\n\r\n")  # its last chunk
        assert b"hub.welcome" in rest
    assert hub.http().get("/livez").status_code == 200
