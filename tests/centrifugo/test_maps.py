"""`state` channels as map subscriptions: pages of the state, then live, and back where one was."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ..support.server import RunningHub
from .wire import Wire, opened

BOTH = pytest.mark.parametrize("binary", [False, True], ids=["json", "protobuf"])
MAP, STREAM, STATE = 1, 1, 2
_channels = iter(range(1_000_000))


@pytest.fixture
def board() -> str:
    return f"board:m{next(_channels)}"


def put(hub: RunningHub, channel: str, **values: Any) -> None:
    http = hub.http()
    for key, value in values.items():
        body = {"channel": channel, "event": "moved", "key": key, "payload": value}
        http.post("/v1/publish", json=body).raise_for_status()


class Reader:
    """A map as its SDK keeps it."""

    def __init__(self, wire: Wire, channel: str) -> None:
        self.wire = wire
        self.channel = channel
        self.entries: dict[str, Any] = {}
        self.pages = 0
        self.epoch, self.offset = "", 0
        self._ids = iter(range(2, 1000))

    async def ask(self, **request: Any) -> dict[str, Any]:
        subscribe = {"channel": self.channel, "type": MAP, **request}
        reply = await self.wire.ask({"id": next(self._ids), "subscribe": subscribe})
        found: dict[str, Any] = reply.get("subscribe", reply)
        return found

    async def read(self, limit: int = 0) -> None:
        """To the end of the pages, and live."""
        answer = await self.ask(phase=STATE, limit=limit)
        self.epoch, self.offset = answer["epoch"], int(answer.get("offset", 0))
        while True:
            self.pages += 1
            assert answer["type"] == MAP
            assert answer["epoch"] == self.epoch
            for pub in answer.get("state", []):
                self.take(pub)
            if not answer.get("phase"):
                return
            assert int(answer.get("offset", 0)) == self.offset
            position = {"epoch": self.epoch, "offset": self.offset}
            answer = await self.ask(phase=STATE, limit=limit, cursor=answer["cursor"], **position)

    async def follow(self) -> dict[str, Any]:
        """One change."""
        pub: dict[str, Any] = (await self.wire.push("pub"))["pub"]
        self.take(pub)
        return pub

    def take(self, pub: dict[str, Any]) -> None:
        if pub.get("removed"):
            self.entries.pop(pub["key"], None)
        else:
            self.entries[pub["key"]] = pub["data"]
        self.offset = max(self.offset, int(pub["offset"]))


@asynccontextmanager
async def reading(hub: RunningHub, channel: str, binary: bool = False) -> AsyncIterator[Reader]:
    token = hub.token("ann", subscribe=["board:*", "chat:*"], publish=["board:*"])
    async with opened(hub, token, binary=binary) as wire:
        yield Reader(wire, channel)


@BOTH
async def test_an_empty_map_then_changes(hub: RunningHub, board: str, binary: bool) -> None:
    async with reading(hub, board, binary) as reader:
        await reader.read()
        assert (reader.entries, reader.pages) == ({}, 1)
        await asyncio.to_thread(put, hub, board, a={"x": 1})
        pub = await reader.follow()
        assert pub["key"] == "a"
        assert not pub.get("removed")
        data = "eyJ4IjoyfQ==" if binary else {"x": 2}
        sent = {"channel": board, "type": MAP, "key": "b", "data": data}
        assert "publish" in await reader.wire.ask({"id": 1001, "publish": sent})
        async with reading(hub, board, binary) as other:
            await other.read()
            assert other.entries.keys() == {"a", "b"}
            gone = {"channel": board, "type": MAP, "key": "a", "removed": True}
            assert "publish" in await other.wire.ask({"id": 1001, "publish": gone})
            assert (await other.follow())["removed"] is True
            assert other.entries.keys() == {"b"}
    async with reading(hub, board, binary) as reader:  # what is removed is not there
        await reader.read()
        assert reader.entries.keys() == {"b"}


@pytest.mark.parametrize("limit", [0, 2, 7])
async def test_pages(hub: RunningHub, board: str, limit: int) -> None:
    values = {f"k{number}": "x" * 4000 for number in range(20)}  # of more than one page of the hub's own
    await asyncio.to_thread(lambda: put(hub, board, **values))
    async with reading(hub, board) as reader:
        await reader.read(limit)
        assert reader.entries == values
        assert reader.pages > (20 / limit if limit else 2) - 1
        await asyncio.to_thread(put, hub, board, k0="y")
        await reader.follow()
        assert reader.entries == {**values, "k0": "y"}


async def test_what_changes_between_two_pages_follows(hub: RunningHub, board: str) -> None:
    await asyncio.to_thread(put, hub, board, a=1, b=2, c=3)
    async with reading(hub, board) as reader:
        first = await reader.ask(phase=STATE, limit=2)
        for pub in first["state"]:
            reader.take(pub)
        await asyncio.to_thread(put, hub, board, a=10, d=4)
        live = await reader.ask(phase=STATE, limit=2, cursor=first["cursor"])
        assert "phase" not in live
        for pub in live["state"]:
            reader.take(pub)
        await reader.follow()
        await reader.follow()
        assert reader.entries == {"a": 10, "b": 2, "c": 3, "d": 4}


@BOTH
async def test_back_where_it_was(hub: RunningHub, board: str, binary: bool) -> None:
    async with reading(hub, board, binary) as reader:
        await reader.read()
        position = {"epoch": reader.epoch, "offset": reader.offset, "recover": True}
    await asyncio.to_thread(put, hub, board, a=1, b=2)
    async with reading(hub, board, binary) as reader:
        live = await reader.ask(phase=STREAM, **position)
        assert live["recovered"] is True
        assert live["recoverable"] is True
        assert "state" not in live
        await reader.follow()
        await reader.follow()
        assert reader.entries.keys() == {"a", "b"}
    async with reading(hub, board, binary) as reader:
        lost = await reader.ask(phase=STREAM, **{**position, "epoch": "otherone"})
        assert lost["error"]["code"] == 112
        await reader.read()  # and from the beginning
        assert reader.entries.keys() == {"a", "b"}


async def test_a_payload_keeps_its_bytes(hub: RunningHub, board: str) -> None:
    body = b'{"channel":"%s","event":"moved","key":"a","payload":{"b": 1.0,  "a":2}}' % board.encode()
    await asyncio.to_thread(lambda: hub.http().post("/v1/publish", content=body).raise_for_status())
    async with reading(hub, board) as reader:
        ask = {"id": 2, "subscribe": {"channel": board, "type": MAP, "phase": STATE}}
        await reader.wire.socket.send(json.dumps(ask))
        frame = ""
        while '"state"' not in frame:
            frame = str(await reader.wire.socket.recv())
        assert '"data":{"b": 1.0,  "a":2}' in frame


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"type": 2, "phase": STATE}, 108),
        ({"type": -1, "phase": STATE}, 108),
        ({"channel": "chat:1", "phase": STATE}, 107),
        ({"channel": "job:1", "phase": STATE}, 103),
        ({"channel": "nowhere:1", "phase": STATE}, 102),
        ({"phase": STATE, "cursor": "0.0"}, 112),
        ({"phase": STATE, "cursor": "x"}, 107),
        ({"phase": STATE, "cursor": "9" * 5000}, 107),
        ({"phase": STATE, "cursor": "²"}, 107),
        ({"phase": STATE, "limit": -1}, 107),
        ({"phase": STREAM}, 107),
        ({}, 107),
    ],
)
async def test_what_is_refused(hub: RunningHub, board: str, request_: dict[str, Any], code: int) -> None:
    async with reading(hub, board) as reader:
        assert (await reader.ask(**request_))["error"]["code"] == code
        await reader.read()
        again = await reader.ask(phase=STATE)
        assert again["error"]["code"] == 105


@pytest.mark.parametrize(
    "publish",
    [{"data": 1}, {"key": "", "data": 1}, {"key": "x" * 300, "data": 1}, {"key": "a"}],
)
async def test_what_is_no_entry(hub: RunningHub, board: str, publish: dict[str, Any]) -> None:
    async with reading(hub, board) as reader:
        reply = await reader.wire.ask({"id": 2, "publish": {"channel": board, "type": MAP, **publish}})
        if publish == {"key": "a"}:
            assert "publish" in reply  # no data is null, as in any publication
        else:
            assert reply["error"]["code"] == 107
