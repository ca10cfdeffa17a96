"""Admission: the rate, the order, the queue's bound, and what is refused."""

import asyncio
from typing import Any

import pytest

from hub.connections.admission import HELD_OVER, QUEUE_S, RATE_LEAST, Admission
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError

from ..support.virtual import run


def admission(rate: float = 100.0, most: int = 10_000, by_address: int = 10_000) -> Admission:
    return Admission(rate, most, by_address, asyncio.get_running_loop().time)


async def outcome(gate: Admission, returning: bool, log: list[tuple[str, float]]) -> None:
    begin = asyncio.get_running_loop().time()
    kind = "returning" if returning else "fresh"
    try:
        await gate.admit("1.2.3.4", returning=returning)
    except HubError as error:
        kind = error.code.value
    log.append((kind, asyncio.get_running_loop().time() - begin))


def test_returning_clients_go_first_and_the_rate_is_kept() -> None:
    async def story() -> None:
        gate, log = admission(), list[Any]()
        fresh = [outcome(gate, False, log) for _ in range(100)]
        await asyncio.gather(*fresh, *(outcome(gate, True, log) for _ in range(100)))
        assert len(log) == 200
        assert {kind for kind, _ in log} == {"fresh", "returning"}
        assert max(waited for kind, waited in log if kind == "returning") <= 1.1  # 100 at 100 a second
        late = [waited for kind, waited in log if kind == "fresh"]
        assert sorted(late)[5] > 0.9  # but for the first few, they wait until the others are in
        assert max(late) <= 1.1 + 100 / 40 + 0.2  # then 40 a second

    run(story())


def test_what_the_queue_cannot_take_is_refused_and_held_back() -> None:
    async def story() -> None:
        gate, log = admission(), list[Any]()
        most = int(100 * QUEUE_S)
        await asyncio.gather(*(outcome(gate, True, log) for _ in range(most + 100)))
        refused = [waited for kind, waited in log if kind == "unavailable"]
        assert len(refused) == pytest.approx(100, abs=8)
        assert all(2.0 <= waited <= 5.1 for waited in refused)
        assert sum(kind == "returning" for kind, _ in log) == most + 100 - len(refused)

    run(story())


def test_the_window_grows_with_the_queue() -> None:
    async def story() -> None:
        gate, log = admission(), list[Any]()
        tasks = [asyncio.ensure_future(outcome(gate, True, log)) for _ in range(int(100 * QUEUE_S) + 20)]
        await asyncio.sleep(0)
        for _ in range(20):
            gate.adapt(0.2)  # the loop is late: the queue hardly moves any more
        with pytest.raises(HubError) as refused:
            await gate.admit("1.2.3.4", returning=True)
        assert refused.value.code is ErrorCode.UNAVAILABLE
        assert refused.value.retry_after_ms is not None
        left = gate.waiting
        assert left > 300
        assert refused.value.retry_after_ms == pytest.approx(1000 + 1000 * left / RATE_LEAST, rel=0.1)
        await asyncio.gather(*tasks)

    run(story())


def test_a_late_loop_lowers_the_rate_and_a_timely_one_restores_it() -> None:
    async def story() -> None:
        gate = admission(rate=1000.0)
        for _ in range(50):
            gate.adapt(0.2)
        assert gate.rate == RATE_LEAST
        for _ in range(200):
            gate.adapt(0.0)
        assert gate.rate == 1000.0

    run(story())


def test_a_departing_node_sends_those_who_wait_elsewhere() -> None:
    async def story() -> None:
        gate, log = admission(), list[Any]()
        tasks = [asyncio.ensure_future(outcome(gate, True, log)) for _ in range(50)]
        await asyncio.sleep(0)
        gate.stop_accepting()
        await asyncio.gather(*tasks)
        assert sum(kind == "unavailable" for kind, _ in log) >= 45
        assert max(waited for _, waited in log) < 0.1

    run(story())


def test_limits_of_the_node_and_of_an_address() -> None:
    async def story() -> None:
        gate = admission(most=3, by_address=2)
        gate.opened("1.1.1.1")
        gate.opened("1.1.1.1")
        with pytest.raises(HubError) as refused:
            await gate.admit("1.1.1.1", returning=False)
        assert refused.value.code is ErrorCode.LIMIT
        await gate.admit("2.2.2.2", returning=False)
        gate.opened("2.2.2.2")
        with pytest.raises(HubError) as refused:
            await gate.admit("3.3.3.3", returning=False)
        assert refused.value.code is ErrorCode.UNAVAILABLE
        gate.lost("1.1.1.1")
        assert gate.by_address["1.1.1.1"] == 1
        await gate.admit("1.1.1.1", returning=True)

    run(story())


def test_a_full_node_holds_its_refusals_back_while_there_are_sockets_for_it() -> None:
    async def story() -> None:
        gate, log = admission(most=3), list[Any]()
        for number in range(3):
            gate.opened(str(number))
        await asyncio.gather(*(outcome(gate, True, log) for _ in range(HELD_OVER + 50)))
        assert {kind for kind, _ in log} == {"unavailable"}
        assert sum(waited == 0.0 for _, waited in log) == 50
        assert sum(2.0 <= waited <= 5.0 for _, waited in log) == HELD_OVER
        gate.stop_accepting()
        await outcome(gate, True, log)
        assert log[-1] == ("unavailable", 0.0), "who departs sends its clients on at once"

    run(story())
