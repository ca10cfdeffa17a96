"""By which way a publication goes: HTTP, as every target knows it; a socket; straight into Redis."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import hiredis

from hub.broker.redis import format as wire
from hub.broker.redis.channels import new_event_id
from hub.broker.redis.keys import KeyNames
from hub.broker.redis.scripts import PUBLISH
from hub.namespaces import Namespaces
from hub.protocol import ids
from hub.protocol.event import Publication
from loadtest import frames, tokens
from loadtest.machine import Unfit
from loadtest.redis_info import redis_info
from loadtest.targets.centrifugo import Centrifugo
from loadtest.targets.hub import Hub

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from loadtest.targets.base import Target

WAYS = ("http", "socket", "redis")


class Way(Protocol):
    """What a publisher has to know: where to connect, what to say first, how to publish, what is an answer."""

    host: str

    @property
    def name(self) -> str:
        """The server's."""

    @property
    def hello_answers(self) -> int:
        """How many `greet` brings."""

    @property
    def publish_port(self) -> int:
        """Where it connects to."""

    def greet(self, sock: socket.socket) -> None:
        """Say what comes before the first publication; `hello_answers` come back."""

    def publication(self, channel: int, payloads: list[bytes]) -> tuple[bytes, int]:
        """The bytes that publish ``payloads`` in one go, and how many answers they get."""

    def answers(self, data: bytes) -> tuple[int, int, str]:
        """(answers, bytes taken, refusal) found in what the publisher received."""


def way_to(target: Target, by: str, redis: str) -> Callable[[], Way]:
    """Makes the way of each publisher.

    Raises:
        Unfit: the target can't be published to so.
    """
    if by == "http":
        return lambda: target
    if by == "socket" and isinstance(target, Hub):
        return lambda: HubSocket(target)
    if by == "socket" and isinstance(target, Centrifugo):
        return lambda: CentrifugoSocket(target)
    if by == "redis" and isinstance(target, Hub) and redis:
        return lambda: HubRedis(target, redis)
    raise Unfit(
        f"--by {by} is not for {target.title}" + ("" if redis or by != "redis" else " without --redis")
    )


class _Socket:
    """A WebSocket on which nothing is subscribed; publications are sent one behind the other, unasked."""

    hello_answers = 1

    def __init__(self, target: Target) -> None:
        self.name = target.name
        self.host = target.host
        self.publish_port = target.port
        self._id = 1

    def _upgrade(self, sock: socket.socket, path: str, headers: str = "") -> None:
        sock.sendall(frames.upgrade_request(path, f"{self.host}:{self.publish_port}", headers=headers))
        head = b""
        while not head.endswith(b"\r\n\r\n"):  # byte by byte: what comes behind it is for `answers`
            byte = sock.recv(1)
            if not byte:
                raise OSError(f"no upgrade: {head[:200]!r}")
            head += byte
        if b" 101 " not in head.split(b"\r\n", 1)[0]:
            raise OSError(f"no upgrade: {head[:200]!r}")

    def _command(self, command: Mapping[str, object], body: bytes) -> bytes:
        """A command whose last field is a payload, of the bytes ``body``."""
        self._id += 1
        text = json.dumps({"id": self._id, **command}, separators=(",", ":")).encode()
        return frames.client_frame(frames.TEXT, text.replace(b'"@"', body))


class HubSocket(_Socket):
    """A service's socket of the hub."""

    def __init__(self, target: Hub) -> None:
        super().__init__(target)
        self._target = target

    def greet(self, sock: socket.socket) -> None:
        claims = {"sub": "load-publisher", "exp": int(time.time() + 7200)}
        token = tokens.sign({**claims, "hub": {"publish": ["*"], "service": True}}, self._target.secret)
        self._upgrade(sock, f"/ws?token={token}", "Sec-WebSocket-Protocol: hub.v1.json\r\n")

    def publication(self, channel: int, payloads: list[bytes]) -> tuple[bytes, int]:
        command = {
            "type": "publish",
            "channel": self._target.channel(channel),
            "event": "load",
            "payload": "@",
        }
        return b"".join(self._command(command, body) for body in payloads), len(payloads)

    def answers(self, data: bytes) -> tuple[int, int, str]:
        found, taken = frames.split_frames(data)
        said = [payload for opcode, payload in found if opcode == frames.TEXT]
        refusal = next((text[:300].decode() for text in said if text.startswith(b'{"type":"hub.error"')), "")
        count = sum(text.startswith((b'{"type":"hub.published"', b'{"type":"hub.welcome"')) for text in said)
        return count, taken, refusal


class CentrifugoSocket(_Socket):
    """A client of Centrifugo that may publish."""

    def __init__(self, target: Centrifugo) -> None:
        super().__init__(target)
        self._target = target

    def greet(self, sock: socket.socket) -> None:
        self._upgrade(sock, "/connection/websocket")
        token = tokens.user_token("load-publisher", self._target.secret, subscribe=["*"])
        command = json.dumps({"id": 1, "connect": {"token": token}}, separators=(",", ":"))
        sock.sendall(frames.client_frame(frames.TEXT, command.encode()))

    def publication(self, channel: int, payloads: list[bytes]) -> tuple[bytes, int]:
        command = {"publish": {"channel": self._target.channel(channel), "data": "@"}}
        return b"".join(self._command(command, body) for body in payloads), len(payloads)

    def answers(self, data: bytes) -> tuple[int, int, str]:
        found, taken = frames.split_frames(data)
        lines = [line for opcode, payload in found if opcode == frames.TEXT for line in payload.split(b"\n")]
        refusal = next((line[:300].decode() for line in lines if b'"error":{' in line), "")
        return sum(b'"publish":{' in line or b'"connect":{' in line for line in lines), taken, refusal


class HubRedis:
    """As `hub.publisher` writes straight into the hub's Redis, by the same script."""

    hello_answers = 1

    def __init__(self, target: Hub, url: str) -> None:
        parts = urlsplit(url)
        self.name = "redis"
        self.host = parts.hostname or "127.0.0.1"
        self.publish_port = parts.port or 6379
        self._target = target
        self._keys = KeyNames("hub")
        self._rules = Namespaces.shipped()
        self._reader = hiredis.Reader(notEnoughData=...)
        info = redis_info(url)
        self._incarnation = f"{info['run_id'][:16]}-{info['master_replid'][:16]}"
        self._spare = 0  # the name of an epoch, should one be needed

    def greet(self, sock: socket.socket) -> None:
        sock.sendall(_packed(("SCRIPT", "LOAD", PUBLISH.source)))

    def publication(self, channel: int, payloads: list[bytes]) -> tuple[bytes, int]:
        return b"".join(self._one(self._target.channel(channel), body) for body in payloads), len(payloads)

    def _one(self, channel: str, body: bytes) -> bytes:
        rules = self._rules.of(channel)
        self._spare += 1
        now_ms = int(time.time() * 1000)
        entry = wire.entry(Publication(channel, "load", body, "load"), new_event_id(now_ms), now_ms)
        keys = self._keys.stored(channel)
        head = (self._incarnation, "0", "0", ids.epoch(self._spare << 20))
        rest = (int(rules.meta_ttl * 1000), "PUBLISH", self._keys.announcements(channel), rules.history_size)
        more = (int(rules.history_ttl * 1000), "", entry, "", "300000", "")
        command = ("EVALSHA", PUBLISH.sha, len(keys), *keys, *head, *rest, *more)
        return _packed(command)

    def answers(self, data: bytes) -> tuple[int, int, str]:
        self._reader.feed(data)
        count = 0
        while (reply := self._reader.gets()) is not ...:
            if isinstance(reply, hiredis.ReplyError) or (isinstance(reply, list) and reply[0] != b"ok"):
                return count, len(data), str(reply)[:300]
            count += 1
        return count, len(data), ""


def _packed(command: tuple[object, ...]) -> bytes:
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]  # its stub knows one word only
    return packed
