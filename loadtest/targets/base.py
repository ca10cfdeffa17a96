"""What the load test has to know of a server: how to start it, get in, publish, and read it.

A target speaks of channels and clients by number; each dialect gives them names of its own. Everything
here is bytes in, bytes out: the sockets belong to the fleet and to the publishers.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from loadtest.frames import http_responses

#: Channel numbers from here on are jobs, from there on a user's own; below them plain documents. Only the
#: hub gives them different names (and delivery modes).
JOB_FIRST, USER_FIRST = 500_000, 1_000_000

PEERS_DIR = Path(__file__).resolve().parent.parent / "peers"


@dataclass(slots=True)
class Command:
    """How a server is started: arguments, extra environment, directory."""

    arguments: list[str]
    environment: dict[str, str]
    directory: Path


class Unavailable(Exception):
    """The server's software is not installed; the message says how to install it."""


class Target:
    """The default dialect: HTTP publishing, nothing to say after the upgrade, live at once."""

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    #: Answers that the server gives to ``publisher_hello``.
    hello_answers: ClassVar[int] = 0
    #: Can a client choose among channels?
    has_channels: ClassVar[bool] = True
    #: Can a returning client say what it has seen?
    resumes: ClassVar[bool] = False
    #: Do the replies to a returning client bear events?
    replays_in_replies: ClassVar[bool] = False

    def __init__(self, port: int, *, host: str = "127.0.0.1", secret: str = "", second_port: int = 0) -> None:
        self.port = port
        self.host = host
        self.secret = secret
        self.second_port = second_port
        #: Where a returning client resumes: slot → channel → (epoch, offset).
        self.positions: dict[int, dict[int, tuple[str, int]]] = {}

    @property
    def publish_port(self) -> int:
        return self.port

    def command(self, scratch: Path) -> Command:
        """How to start it; files it needs may be written to ``scratch``. Raises ``Unavailable``."""
        raise NotImplementedError

    # -- a client ----------------------------------------------------------------------------------

    def open_request(self, slot: int, channels: tuple[int, ...], query: str = "") -> bytes:
        """The upgrade request of client ``slot``."""
        raise NotImplementedError

    def after_open(self, slot: int, channels: tuple[int, ...]) -> bytes:
        """What the client sends at once after the upgrade, already framed."""
        return b""

    def replies_wanted(self, channels: tuple[int, ...]) -> int:
        """How many messages satisfy ``is_joined`` before the client is in; 0: the upgrade is enough."""
        return 0

    def is_control(self, payload: bytes) -> bool:
        """Is this message of the protocol rather than an event?"""
        return b"lt:" not in payload

    def is_joined(self, payload: bytes) -> int:
        """How many of the replies that are wanted it is."""
        return 0

    def epochs(self, channels: tuple[int, ...], payload: bytes) -> dict[int, str]:
        """What a control message to a client of these channels says of the numbering of each."""
        return {}

    def answer(self, payload: bytes) -> bytes:
        """What a control message has to be answered with, framed (a heartbeat of the dialect's own)."""
        return b""

    def refusal(self, payload: bytes) -> str:
        """Why this control message ends the client, or nothing."""
        return ""

    # -- a publisher -------------------------------------------------------------------------------

    def publisher_hello(self) -> bytes:
        return b""

    def greet(self, sock: socket.socket) -> None:
        """Say what comes before the first publication; ``hello_answers`` come back."""
        if hello := self.publisher_hello():
            sock.sendall(hello)

    def publication(self, channel: int, payloads: list[bytes]) -> tuple[bytes, int]:
        """The bytes that publish ``payloads`` (JSON objects) in one go, and how many answers they get."""
        request = self._post(f"/publish?channel={channel}")
        return b"".join(request % len(body) + body for body in payloads), len(payloads)

    def answers(self, data: bytes) -> tuple[int, int, str]:
        """(answers, bytes taken, refusal) found in what the publisher received."""
        count, taken = 0, 0
        for status, body, taken in http_responses(data):
            if status >= 300:
                return count, taken, f"HTTP {status}: {body[:300].decode('utf-8', 'replace')}"
            count += 1
        return count, taken, ""

    def _post(self, path: str, headers: str = "") -> bytes:
        return (
            f"POST {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
            f"Content-Type: application/json\r\n{headers}Content-Length: %d\r\n\r\n"
        ).encode()


def event_body(mark: str, size: int = 200) -> bytes:
    """A JSON object of ``size`` bytes that carries ``mark``: the payload of every event measured."""
    plain = json.dumps({"state": "running", "mark": mark, "pad": ""}, separators=(",", ":"))
    return (plain[:-2] + "x" * max(0, size - len(plain)) + '"}').encode()
