"""A client as strict as the contract: it knows which offset must be next, and takes nothing else."""

import asyncio
from typing import Any

import orjson

from hub.auth.grants import pattern
from hub.auth.identity import Grants, Identity
from hub.connections.connection import Connection
from hub.node import Node
from hub.protocol.frames import Encoding, bodies
from hub.protocol.replies import Window

from .backplane import Backplane

HIGH = 4096  # bytes that the socket takes before it says stop
ALL = pattern(("*",))


class Socket:
    """A `connection.Shell` with a buffer that somebody may not read."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.received: list[bytes] = []
        self.reading = True
        self.closed: int | None = None
        self._buffer: list[bytes] = []
        self._scheduled = False

    def write(self, data: bytes) -> None:
        self._buffer.append(data)
        if sum(map(len, self._buffer)) > HIGH and self.connection is not None:
            self.connection.outbox.block()
        self._schedule()

    def read_on(self) -> None:
        self.reading = True
        self._schedule()

    def _schedule(self) -> None:
        if self.reading and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(0.001, self._drain)

    def _drain(self) -> None:
        self._scheduled = False
        if not self.reading:
            return
        buffer, self._buffer = self._buffer, []
        self.received += bodies(b"".join(buffer))
        if self.connection is not None and self.connection.outbox.blocked and not self.connection.closed:
            self.connection.outbox.unblock()

    def ping(self) -> None:
        if self.connection is not None:
            self.connection.heard()

    def close(self, code: int, reason: str, window: Window | None = None) -> None:
        self.closed = code
        self.connection = None

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def admitted(self) -> None: ...

    def sent_away(self, window: Window) -> None: ...

    def unacknowledged(self) -> int | None:
        return None


class Client:
    """One user of one channel, over any number of connections."""

    def __init__(self, node: Node, backplane: Backplane, channel: str, rate: float | None) -> None:
        self.node = node
        self.backplane = backplane
        self.channel = channel
        self.state = channel.startswith("job:")
        self.rate = rate
        self.socket = Socket()
        self.epoch = ""
        self.next = 0  # 0: it has no position yet
        self.keys: dict[str, int] = {}
        self.waiting = 0  # replies that are to come
        self.refused = False  # its subscribe was not possible then
        self.paged = False
        self.log: list[Any] = []
        self._id = 0

    @property
    def connected(self) -> bool:
        return self.socket.connection is not None

    @property
    def position(self) -> tuple[str, int]:
        return self.epoch, self.next - 1

    def connect(self) -> None:
        self.cut()
        socket = self.socket = Socket()
        self.waiting = 0
        connection = socket.connection = Connection(self.node, socket, Encoding.JSON, False, "test")
        self.node.enter(connection, Identity("ann", float("inf"), Grants(ALL, ALL, ALL)), None)
        self.subscribe()

    def subscribe(self) -> None:
        """From where it stands, or live."""
        if self.socket.connection is None:
            return
        self.take()
        self._id += 1
        self.waiting += 1
        self.refused = False
        command: dict[str, Any] = {"type": "subscribe", "id": self._id, "channel": self.channel}
        if self.next:
            command["since"] = {"epoch": self.epoch, "offset": self.next - 1}
        if self.rate is not None:
            command["max_rate"] = self.rate
        self.log.append(("->", command))
        self.socket.connection.receive(orjson.dumps(command), True)

    def cut(self) -> None:
        connection = self.socket.connection
        if connection is not None:
            self.take()
            self.socket.connection = None
            connection.gone(1006)
            self.log.append("cut")

    def take(self) -> None:
        """Look at everything that has arrived."""
        received, self.socket.received = self.socket.received, []
        for body in received:
            message = orjson.loads(body)
            self.log.append(message)
            try:
                self._message(message)
            except AssertionError as error:
                raise AssertionError(f"{error}\n" + "\n".join(map(str, self.log[-40:]))) from None

    def _message(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "hub.subscribed":
            self._subscribed(message)
        elif kind == "hub.error":
            assert message["code"] == "unavailable", message
            self.waiting -= 1
            self.refused = True
        elif kind == "hub.gap":
            assert not self.paged
            assert message["from"] == self.next, f"the gap must begin at {self.next}"
            if message["filled"]:
                assert message["to"] >= message["from"]
            else:
                self.next = message["to"] + 1
        elif kind == "hub.resubscribe":
            self._resubscribe(message)
        elif kind == "hub.snapshot":
            assert self.paged
            self._pages(message)
        elif kind == "hub.close":
            assert message["code"] == 4101, message
        elif not kind.startswith("hub."):
            self._event(message)
        else:
            raise AssertionError(f"what is {kind}?")

    def _subscribed(self, message: dict[str, Any]) -> None:
        self.waiting -= 1
        self.paged = False
        had = self.next
        if message.get("recovered"):
            assert had, "nothing was asked to be recovered"
            # `since` was this client's position when it asked: what came in between it gets once more.
            self.next = message["offset"] - message["missed"] + 1
            assert self.next <= had
        else:
            if gap := message.get("gap"):
                assert gap["to"] == message["offset"], message
                assert gap["from"] <= had or gap["cause"] == "epoch"
                if gap["cause"] == "epoch":
                    assert gap["from"] == 1
                self._really_gone(gap, message["epoch"])
            self.next = message["offset"] + 1
        self.epoch = message["epoch"]
        self._snapshot(message)

    def _resubscribe(self, message: dict[str, Any]) -> None:
        self.paged = False
        gap = message["gap"]
        if gap is None:
            assert message["offset"] == self.next - 1, f"only the epoch's name changed, at {self.next - 1}"
        else:
            assert gap["to"] == message["offset"]
            assert gap["from"] == (1 if gap["cause"] == "epoch" else self.next)
            self._really_gone(gap, message["epoch"])
        self.epoch, self.next = message["epoch"], message["offset"] + 1
        self._snapshot(message)

    def _really_gone(self, gap: dict[str, Any], epoch: str) -> None:
        """What is said to be trimmed is not stored: in one numbering, it never comes back."""
        stored = self.backplane.stored(self.channel)
        if gap["cause"] == "trimmed" and stored.epoch == epoch:
            assert stored.top.first > gap["from"], f"{gap} is stored from {stored.top.first}"

    def _snapshot(self, message: dict[str, Any]) -> None:
        if "snapshot" not in message:
            assert not self.state or message.get("recovered") or ("gap" in message and message["gap"] is None)
            return
        assert self.state
        self.keys = {}
        self.paged = bool(message.get("more"))
        self._pages({"events": message["snapshot"], "more": self.paged})

    def _pages(self, message: dict[str, Any]) -> None:
        for event in message["events"]:
            assert event["offset"] < self.next
            self._check(event)
            self.keys[event["key"]] = event["offset"]
        self.paged = message["more"]

    def _event(self, event: dict[str, Any]) -> None:
        assert not self.paged, "an event among the pages of a snapshot"
        conflated = event.get("conflated", 0)
        assert conflated == 0 or self.state, "a log is never merged"
        assert event["offset"] == self.next + conflated, f"{self.next} must be next"
        self.next = event["offset"] + 1
        self._check(event)
        if self.state:
            self.keys[event["key"]] = event["offset"]

    def _check(self, event: dict[str, Any]) -> None:
        """It is what was published at this offset: in this epoch, or in one that this one forked from."""
        truth = self.backplane.truth
        known = [
            found
            for (channel, _, offset), found in truth.items()
            if channel == self.channel and offset == event["offset"] and found.id == event["id"]
        ]
        assert known, "nobody has published this"
        assert orjson.loads(known[0].payload) == event["payload"]
