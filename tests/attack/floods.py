"""The floods, an entry each: what a stranger sends (A, B), what a user sends (C). Who finds another adds a line."""

import json

import httpx

from hub.centrifugo.protobuf import delimited

from .flood import BLOCK, Flood, Target

MASK = bytes(4)
BOARD = "job:flood"
GET = b"GET /livez HTTP/1.1\r\nHost: hub\r\n\r\n"
POST = b"POST /v1/publish HTTP/1.1\r\nHost: hub\r\n"


def stranger(target: Target) -> bytes:
    """A socket that has not said who it is."""
    return target.upgrade()


def packed_stranger(target: Target) -> bytes:
    """The same, with MessagePack."""
    return target.upgrade(subprotocol="hub.v1.msgpack")


def user(target: Target) -> bytes:
    """A socket of an ordinary user."""
    return target.upgrade(f"?token={target.token}")


def frame(body: bytes, opcode: int = 1) -> bytes:
    """A client's frame, masked with zeros."""
    size = len(body)
    head = (
        bytes((0x80 | opcode, 0x80 | size))
        if size < 126
        else bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2, "big")
    )
    return head + MASK + body


def board(target: Target) -> None:
    """A board of 10,000 keys, which is 2 MB."""
    for start in range(0, 10_000, 500):
        events = [
            {"channel": BOARD, "event": "row", "payload": [number, "x" * 120], "key": f"k{number}"}
            for number in range(start, start + 500)
        ]
        bearer = {"Authorization": f"Bearer {target.api_key}"}
        url = f"http://127.0.0.1:{target.port}/v1/batch"
        httpx.post(
            url, json={"events": events}, headers=bearer, timeout=60.0, trust_env=False
        ).raise_for_status()


def board_by_http(target: Target) -> bytes:
    """A request for it."""
    head = f"GET /v1/channels/{BOARD}/snapshot HTTP/1.1\r\nHost: hub\r\n"
    return f"{head}Authorization: Bearer {target.token}\r\n\r\n".encode()


def batch_without_a_grant(target: Target) -> bytes:
    """The head of a body of 8 MB, by a user who may publish nowhere."""
    head = "POST /v1/batch HTTP/1.1\r\nHost: hub\r\nContent-Length: 8000000\r\n"
    return f'{head}Authorization: Bearer {target.token}\r\n\r\n{{"events":['.encode()


def sockets() -> list[Flood]:
    """Frames."""
    nested = b"\xdc\x3e\x80" * 5400
    ping = frame(json.dumps({"type": "ping"}).encode())
    return [
        Flood("pings", "B1", b"\x89\x80" + MASK, stranger, upgraded=True),
        Flood("pings, not read", "B1", b"\x89\x80" + MASK, stranger, upgraded=True, reads=False),
        Flood("pings of 50", "B1", b"\x89\x80" + MASK, stranger, upgraded=True, connections=50),
        Flood(
            "empty fragments", "B1", b"\x00\x80" + MASK, stranger, upgraded=True, opening=b"\x01\x80" + MASK
        ),
        Flood(
            "fragments of a byte",
            "B1",
            b"\x00\x81" + MASK + b"x",
            stranger,
            upgraded=True,
            opening=b"\x01\x80" + MASK,
        ),
        Flood("nested MessagePack", "B2", frame(nested, 2), packed_stranger, upgraded=True, connections=5),
        Flood("commands", "C3", ping, user, upgraded=True),
        Flood("commands, not read", "C3", ping, user, upgraded=True, reads=False),
        Flood("commands of 50", "C3", ping, user, upgraded=True, connections=50),
    ]


def centrifugo_stranger(target: Target) -> bytes:
    """A socket of Centrifugo's clients that has not said who it is."""
    return target.upgrade(path="/connection/websocket", subprotocol="centrifuge-json")


def centrifugo_user(target: Target) -> bytes:
    """The same of an ordinary user."""
    connect = json.dumps({"id": 1, "connect": {"token": target.token}}).encode()
    return centrifugo_stranger(target) + frame(connect)


def centrifugo_packed(target: Target) -> bytes:
    """The same, in Protobuf."""
    token = target.token.encode()
    request = b"\x0a" + delimited(token)
    upgrade = target.upgrade(path="/connection/websocket", subprotocol="centrifuge-protobuf")
    return upgrade + frame(delimited(b"\x08\x01\x22" + delimited(request)), 2)


def centrifugo() -> list[Flood]:
    """Frames of Centrifugo's protocol."""
    lines = frame(b'{"id":2,"ping":{}}\n' * 500)
    ping = frame(b'{"id":2,"ping":{}}')
    fields = frame(delimited(b"\x08\x02\x5a\x00" + b"\xa0\x06\x00" * 250) * 60, 2)
    return [
        Flood("Centrifugo: line ends", "B6", frame(b"\n" * 60_000), centrifugo_stranger, True),
        Flood("Centrifugo: commands", "C5", ping, centrifugo_user, True),
        Flood("Centrifugo: commands, not read", "C5", ping, centrifugo_user, True, reads=False),
        Flood("Centrifugo: commands in frames", "C5", lines, centrifugo_user, True, connections=20),
        Flood("Centrifugo: fields of nobody", "C5", fields, centrifugo_packed, True, connections=20),
    ]


def users() -> list[Flood]:
    """What an ordinary user's rights allow."""
    subscribe = frame(json.dumps({"type": "subscribe", "channel": BOARD}).encode())
    names = b"".join(
        frame(json.dumps({"type": "history", "channel": f"doc:nobody{number}"}).encode())
        for number in range(BLOCK // 64)
    )
    many = [{"channel": f"job:nobody{number}"} for number in range(128)]
    return [
        Flood("a board, not read", "C1", subscribe, user, True, connections=20, reads=False, prepare=board),
        Flood("a board, read", "C1", subscribe, user, True, connections=20, prepare=board),
        Flood("a board by HTTP", "C1", b"", board_by_http, connections=50, once=True, prepare=board),
        Flood("small objects, no grant", "C2", b"{}," * 1000, batch_without_a_grant, connections=5),
        Flood("names of nobody", "C4", names, user, True),
        Flood(
            "many names at once",
            "C4",
            frame(json.dumps({"type": "subscribe", "channels": many}).encode()),
            user,
            True,
            connections=20,
        ),
    ]


def requests() -> list[Flood]:
    """HTTP."""
    return [
        Flood("pipelined requests", "B3", GET, connections=20),
        Flood("pipelined, not read", "B3", GET, connections=20, reads=False),
        Flood(
            "pipelined refusals",
            "B3",
            POST + b"Content-Length: 2\r\n\r\n{}",
            connections=5,
        ),
        Flood(
            "trailers",
            "B4",
            b"X-Trailer: " + b"x" * 100 + b"\r\n",
            lambda _: POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n",
            connections=10,
        ),
        Flood(
            "empty lines in chunks",
            "B4",
            b"4\r\n\r\n\r\n\r\n",
            lambda _: POST + b"Transfer-Encoding: chunked\r\n\r\n",
            connections=10,
        ),
        Flood(
            "bodies that never end",
            "B5",
            POST + b"Content-Length: 9\r\n\r\n",
            once=True,
            connections=500,
            drip=b"x",
        ),
        Flood("a byte after the answer", "B5", GET + b"x", once=True, connections=500),
        Flood("silent connections", "B5", b"", once=True, connections=2000),
        Flood(
            "h2c with a body",
            "A1",
            POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 34\r\n\r\n" + GET,
        ),
    ]


# The first is what the machine itself does to another client.
FLOODS: list[Flood] = [Flood("none", "-", b"", once=True), *sockets(), *centrifugo(), *requests(), *users()]
