"""Snapshots are shared, pulled at the pace of each socket, and bounded."""

import asyncio
from typing import Any

import pytest

from hub.node import Node
from hub.protocol.event import Publication
from hub.recovery.snapshots import FRESH_S, HOLD_S, WAIT_S
from hub.settings import Settings

from ..support import virtual
from ..support.backplane import Backplane
from ..support.node_client import Client
from .test_no_loss import check_end, make_node

KEYS = 400
BOARD_BYTES = 450_000  # about what it is as JSON
CONFIG = Settings(namespaces={"job": {"mode": "state"}}, snapshot_bytes=4 * BOARD_BYTES, jwt_secret="x" * 32)


class Stage:
    """A node with boards of `KEYS` keys, and clients that do not read until they are told to."""

    def __init__(self) -> None:
        self.backplane = Backplane(CONFIG.table)
        self.node: Node = make_node(self.backplane, CONFIG)
        self.clients: list[Client] = []

    async def board(self, channel: str) -> None:
        for number in range(KEYS):
            await self.change(channel, number)

    async def change(self, channel: str, number: int) -> None:
        publication = Publication(channel, "tick", b'"%01000d"' % number, "svc", key=f"k{number % KEYS}")
        await self.backplane.publish([publication])

    def client(self, channel: str) -> Client:
        client = Client(self.node, self.backplane, channel, None)
        self.clients.append(client)
        self.deaf(client)
        return client

    def deaf(self, client: Client) -> None:
        """It connects, and reads nothing."""
        client.connect()
        client.socket.reading = False

    @property
    def bytes(self) -> int:
        return self.node.channels.snapshots.bytes

    async def read_all(self) -> None:
        for client in self.clients:
            client.socket.read_on()
        for _ in range(40):
            await asyncio.sleep(5)
            for client in self.clients:
                client.take()
        for client in self.clients:
            check_end(client, self.backplane)
            assert len(client.keys) == KEYS


def play(story: Any) -> None:
    async def main() -> None:
        stage = Stage()
        await stage.node.start()
        try:
            await story(stage)
        finally:
            for client in stage.clients:
                client.cut()
            await stage.node.stop()

    virtual.run(main())


def test_all_who_begin_at_one_offset_hold_one_snapshot() -> None:
    async def story(stage: Stage) -> None:
        await stage.board("job:1")
        for _ in range(20):
            stage.client("job:1")
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        assert BOARD_BYTES / 2 < stage.bytes < 2 * BOARD_BYTES
        await stage.read_all()
        assert stage.bytes == 0, "when all have read it, nobody holds it"

    play(story)


def test_what_changes_meanwhile_follows_from_the_tail() -> None:
    async def story(stage: Stage) -> None:
        await stage.board("job:1")
        for number in range(20):
            stage.client("job:1")
            await asyncio.sleep(0.01)
            await stage.change("job:1", number)
        await asyncio.sleep(1)
        assert stage.bytes < 2 * BOARD_BYTES
        await stage.read_all()

    play(story)


@pytest.mark.parametrize("again", ["subscribe", "connect"])
def test_who_begins_anew_lets_go_of_what_was_not_read(again: str) -> None:
    async def story(stage: Stage) -> None:
        await stage.board("job:1")
        client = stage.client("job:1")
        for _ in range(8):
            await asyncio.sleep(FRESH_S + 1)
            await stage.change("job:1", 1)  # so that each is another snapshot
            client.next = 0
            getattr(client, "subscribe" if again == "subscribe" else "connect")()
            client.socket.reading = False
        await asyncio.sleep(FRESH_S + 2)
        assert stage.bytes < 2 * BOARD_BYTES
        client.cut()
        await asyncio.sleep(FRESH_S + 2)
        assert stage.bytes == 0

    play(story)


def test_an_end_lets_go_at_once() -> None:
    async def story(stage: Stage) -> None:
        await stage.board("job:1")
        client = stage.client("job:1")
        await asyncio.sleep(FRESH_S + 2)
        assert stage.bytes > BOARD_BYTES / 2
        (connection,) = stage.node.connections.all()
        stage.node.drop(connection, "job:1")
        assert stage.bytes == 0
        client.cut()

    play(story)


def test_at_the_budget_the_oldest_begins_anew_and_misses_nothing() -> None:
    """Eight boards for a budget of four, and readers that take one of them at first."""

    async def story(stage: Stage) -> None:
        for number in range(8):
            await stage.board(f"job:{number}")
        for number in range(8):
            stage.client(f"job:{number}")
            await asyncio.sleep(0.5)
        assert stage.bytes < 6.5 * BOARD_BYTES
        first = stage.clients[0]
        first.socket.read_on()
        await asyncio.sleep(0.001)
        first.socket.reading = False  # it has a part
        await asyncio.sleep(HOLD_S)
        assert stage.node.counters.snapshots_let_go > 0
        assert stage.bytes < 6.5 * BOARD_BYTES
        for number in range(8):
            await stage.change(f"job:{number}", 7)
        await stage.read_all()
        assert "hub.resubscribe" in told(first)

    play(story)


def told(client: Client) -> list[str]:
    """The types of all that the hub said, the code of an error."""
    messages = [message for message in client.log if isinstance(message, dict)]
    return [message.get("code") or message["type"] for message in messages]


def test_beyond_the_budget_is_said_with_when_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(stage: Stage) -> None:
        monkeypatch.setattr("hub.recovery.snapshots.HOLD_S", 10 * WAIT_S)
        for number in range(7):
            await stage.board(f"job:{number}")
        clients = [stage.client(f"job:{number}") for number in range(7)]
        await asyncio.sleep(2 * WAIT_S)
        assert stage.bytes < 6.5 * BOARD_BYTES
        for client in clients:
            client.socket.read_on()
        await asyncio.sleep(1)
        for client in clients:
            client.take()
        refused = sum(told(client) == ["unavailable"] for client in clients)
        assert refused == stage.node.counters.snapshots_refused
        assert refused in (1, 2), "two are read at once, and one more may be let in by what the two will hold"

    play(story)
