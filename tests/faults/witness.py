"""A client of its own, on purpose not the SDK: it writes down all that comes, and is put right by nobody.

It keeps the position of each channel and nothing else. When its socket breaks it goes to the next node, as
behind a load balancer, and resumes there.
"""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Sequence
from typing import Any

import msgpack
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from .items import Again, Gap, Hole, Item, Seen, Start

OPEN_S = 10.0
HOP_S = (0.3, 0.9)  # how long one that hops stays on a node


class Witness:
    """See the module's head. `urls` are the nodes, its own first."""

    def __init__(
        self, name: str, urls: Sequence[str], token: str, channels: Sequence[str], *, packed: bool = False
    ) -> None:
        self.name = name
        self._packed = packed
        self.notes: dict[str, list[Item]] = {channel: [] for channel in channels}
        self.breaks: list[tuple[float, str]] = []
        self.errors: list[dict[str, Any]] = []
        self._urls = list(urls)
        self._token = token
        self._positions: dict[str, tuple[str, int]] = {}
        self._task: asyncio.Task[None] | None = None
        self._hopping: asyncio.Task[None] | None = None
        self._turn = 0
        self._asking: set[asyncio.Task[None]] = set()

    # Life

    def come(self) -> None:
        """Connect, and stay connected."""
        self._task = asyncio.create_task(self._stay())

    async def go(self) -> None:
        """Away, without a word; `come` resumes."""
        if self._task is None:
            return
        task, self._task = self._task, None
        for each in (task, *self._asking):
            each.cancel()
        await asyncio.gather(task, *self._asking, return_exceptions=True)

    def hop(self) -> None:
        """From now on, go to another node all the time."""
        self._hopping = asyncio.create_task(self._hop())

    async def rest(self) -> None:
        """Stay where it is."""
        if self._hopping is not None:
            self._hopping.cancel()
            await asyncio.gather(self._hopping, return_exceptions=True)
            self._hopping = None
            if self._task is None:
                self.come()

    async def _hop(self) -> None:
        while True:
            await asyncio.sleep(random.uniform(*HOP_S))
            await self.go()
            self._turn += 1
            self.come()

    async def _stay(self) -> None:
        while True:
            url = self._urls[self._turn % len(self._urls)]
            try:
                async with connect(
                    url,
                    subprotocols=[Subprotocol("hub.v1.msgpack")] if self._packed else None,
                    additional_headers={"Authorization": f"Bearer {self._token}"},
                    compression=None,
                    proxy=None,
                    max_size=None,
                    open_timeout=OPEN_S,
                    close_timeout=1.0,
                ) as socket:
                    await self._listen(socket)
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd is not None else 1006
                self.breaks.append((time.monotonic(), f"closed with {code}"))
            except (OSError, InvalidHandshake, TimeoutError) as error:
                self.breaks.append((time.monotonic(), type(error).__name__))
            self._turn += 1
            await asyncio.sleep(random.uniform(0.05, 0.2))

    async def _listen(self, socket: ClientConnection) -> None:
        for channel in self.notes:
            await self._subscribe(socket, channel)
        async for data in socket:
            self._take(socket, msgpack.unpackb(data) if isinstance(data, bytes) else json.loads(data))

    async def _subscribe(self, socket: ClientConnection, channel: str) -> None:
        command: dict[str, Any] = {"type": "subscribe", "id": channel, "channel": channel}
        if channel in self._positions:
            epoch, offset = self._positions[channel]
            command["since"] = {"epoch": epoch, "offset": offset}
        await socket.send(msgpack.packb(command) if self._packed else json.dumps(command))

    async def _subscribe_later(self, socket: ClientConnection, error: dict[str, Any]) -> None:
        await asyncio.sleep(error["retry_after_ms"] / 1000 * random.uniform(0.5, 1.0))
        with contextlib.suppress(ConnectionClosed):  # then the next connection subscribes
            await self._subscribe(socket, error["channel"])

    # What comes

    def _take(self, socket: ClientConnection, message: dict[str, Any]) -> None:
        kind = message["type"]
        now = time.monotonic()
        if not kind.startswith("hub."):
            self._note(message["channel"], _seen(now, message))
        elif kind == "hub.subscribed":
            self._begin(now, message)
        elif kind == "hub.gap":
            found = _gap(message)
            assert found is not None
            self._note(message["channel"], Hole(now, found, message["filled"]))
        elif kind == "hub.resubscribe":
            self._again(now, message)
        elif kind == "hub.error":
            self.errors.append(message)
            if message["retry"]:
                task = asyncio.create_task(self._subscribe_later(socket, message))
                self._asking.add(task)
                task.add_done_callback(self._asking.discard)
        else:
            assert kind in ("hub.welcome", "hub.close", "hub.drain"), message

    def _note(self, channel: str, item: Item) -> None:
        self.notes[channel].append(item)
        epoch, offset = self._positions[channel]
        if isinstance(item, Seen):
            self._positions[channel] = (epoch, item.offset)
        elif isinstance(item, Hole) and not item.filled:
            self._positions[channel] = (epoch, max(offset, item.gap.last))

    def _begin(self, now: float, message: dict[str, Any]) -> None:
        channel, missed = message["channel"], message.get("missed", 0)
        self._positions[channel] = (message["epoch"], message["offset"] - missed)
        resumed = "recovered" in message
        start = Start(
            now,
            message["epoch"],
            message["offset"],
            missed,
            resumed,
            _gap(message.get("gap")),
            _snapshot(now, message),
        )
        self.notes[channel].append(start)

    def _again(self, now: float, message: dict[str, Any]) -> None:
        channel = message["channel"]
        self._positions[channel] = (message["epoch"], message["offset"])
        again = Again(now, message["epoch"], message["offset"], _gap(message["gap"]), _snapshot(now, message))
        self.notes[channel].append(again)

    @property
    def failure(self) -> str | None:
        """What came and could not be understood, where that happened."""
        if self._task is None or not self._task.done() or self._task.cancelled():
            return None
        return f"{self.name} stumbled: {self._task.exception()!r}"

    def events(self, channel: str) -> list[Seen]:
        """The events that came."""
        return [item for item in self.notes[channel] if isinstance(item, Seen)]

    def place(self, channel: str) -> tuple[str, int]:
        """Its position now."""
        return self._positions.get(channel, ("", -1))


def _seen(now: float, message: dict[str, Any]) -> Seen:
    return Seen(
        now,
        message["offset"],
        message["payload"]["n"],
        message.get("key"),
        message.get("conflated", 0),
    )


def _gap(fields: dict[str, Any] | None) -> Gap | None:
    return None if fields is None else Gap(fields["from"], fields["to"], fields["cause"])


def _snapshot(now: float, message: dict[str, Any]) -> tuple[Seen, ...] | None:
    if "snapshot" not in message:
        return None
    assert not message.get("more"), "the snapshots of these tests are small"
    return tuple(_seen(now, event) for event in message["snapshot"])
