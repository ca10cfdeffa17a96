"""A departure's decisions, against a node that is made up, in time that is made up too."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from hub.protocol.codes import CloseCode
from hub.server.drain import HANDOVER_S, SHARE, SHORTEST_S, WINDOW_MS, Drain
from hub.settings import Settings

NOTICE_S, DRAIN_S = 5.0, 30.0


class Connection:
    """It leaves a while after it was told, or never."""

    def __init__(self, node: "Node", stays_s: float | None) -> None:
        self._node = node
        self._stays_s = stays_s
        self.told_at: float | None = None
        self.closed: tuple[int, str, tuple[int, int]] | None = None

    def send_away(self, window_ms: int, _deadline_s: float) -> None:
        assert window_ms == WINDOW_MS
        if self.told_at is None:
            self.told_at = self._node.now()

    def close(self, code: int, reason: str, window: tuple[int, int]) -> None:
        self.closed = code, reason, window

    @property
    def gone(self) -> bool:
        if self.told_at is None or self._stays_s is None:
            return False
        return self._node.now() >= self.told_at + self._stays_s


class Node:
    """As much of a node as a departure goes through."""

    def __init__(self, connections: int, rate: float, stays_s: float | None = 0.0) -> None:
        self.time = 100.0
        self.settings = Settings(drain_notice=NOTICE_S, drain_seconds=DRAIN_S, jwt_secret="x" * 32)
        self.readiness = SimpleNamespace(draining=False)
        self.everybody = [Connection(self, stays_s) for _ in range(connections)]
        self.connections = self
        self.admission = self
        self.peers = SimpleNamespace(accept_rate=rate)
        self.refuses_since: float | None = None

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.time += seconds
        await asyncio.sleep(0)

    def all(self) -> list[Connection]:
        return [connection for connection in self.everybody if not connection.gone]

    def __len__(self) -> int:
        return len(self.all())

    @property
    def sockets(self) -> int:
        return len(self)

    def stop_accepting(self) -> None:
        self.refuses_since = self.time

    def told(self) -> list[float]:
        return sorted(connection.told_at for connection in self.everybody if connection.told_at is not None)


async def drained(node: Node, *, hasty: bool = False) -> float:
    """Run it; how long it took."""
    begun = node.time
    made: Any = node
    await Drain(made, node.sleep, hasty=hasty).run()
    assert node.readiness.draining
    return node.time - begun


async def test_balancers_have_the_notice_before_anybody_is_refused_or_told() -> None:
    node = Node(100, rate=0.0)
    await drained(node)
    assert node.refuses_since == pytest.approx(100.0 + NOTICE_S, abs=0.06)
    assert node.refuses_since is not None
    assert node.told()[0] >= node.refuses_since


async def test_where_nobody_is_there_nobody_is_waited_for() -> None:
    node = Node(0, rate=0.0)
    assert await drained(node) < 0.2
    assert node.refuses_since is not None


@pytest.mark.parametrize(
    ("rate", "spread"),
    [
        (0.0, DRAIN_S),  # nobody is known: the longest spread is safe
        (100 / SHARE / 12, 12.0),  # a tenth of what the others take
        (1e9, SHORTEST_S),
        (0.1, DRAIN_S),
    ],
)
async def test_it_takes_as_long_as_the_others_need_not_to_notice(rate: float, spread: float) -> None:
    node = Node(100, rate)
    await drained(node)
    told = node.told()
    assert len(told) == 100
    assert node.refuses_since is not None
    assert told[-1] - node.refuses_since == pytest.approx(spread, rel=0.1, abs=0.2)
    half = sum(at - node.refuses_since <= spread / 2 for at in told)
    assert 45 <= half <= 56, "evenly over all of it"


async def test_in_haste_there_is_no_notice_and_it_takes_seconds() -> None:
    node = Node(100, rate=0.0)
    assert await drained(node, hasty=True) < SHORTEST_S + 1.0
    assert node.refuses_since == 100.0


async def test_who_stays_is_closed_at_the_end_and_has_a_window_to_come_back() -> None:
    node = Node(10, rate=1e9, stays_s=None)
    took = await drained(node)
    assert took == pytest.approx(NOTICE_S + SHORTEST_S + WINDOW_MS / 1000 + HANDOVER_S + 1.0, abs=0.5)
    assert [each.closed and (each.closed[0], each.closed[2]) for each in node.everybody] == [
        (CloseCode.DRAINING, (0, WINDOW_MS))
    ] * 10


async def test_who_leaves_by_itself_is_not_closed() -> None:
    node = Node(10, rate=1e9, stays_s=1.5)
    await drained(node)
    assert [each.closed for each in node.everybody] == [None] * 10


async def test_who_came_in_while_others_were_told_is_told_too() -> None:
    node = Node(10, rate=1e9, stays_s=2.0)
    sleep = node.sleep

    async def with_one_more(seconds: float) -> None:
        await sleep(seconds)
        if len(node.told()) == 10 and len(node.everybody) == 10:
            node.everybody.append(Connection(node, 0.0))

    made: Any = node
    await Drain(made, with_one_more).run()
    assert node.everybody[-1].told_at is not None
