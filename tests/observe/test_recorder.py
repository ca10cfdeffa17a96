"""What is remembered of a storm stays small, and pushes out nothing of others."""

import time
import tracemalloc
from collections import OrderedDict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import orjson

from hub.connections.observer import Ending, Stranger
from hub.observe.recorder import FEW, SHARES, FlightRecorder
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError

BUDGET = 200_000


class Clock:
    now = 1_000_000.0


def place(name: str) -> Any:
    return SimpleNamespace(
        channel=SimpleNamespace(name=name, epoch="e", place=lambda _: 7),
        began=1,
        began_at=2,
        began_in="e",
        begun="live",
        merged=None,
        own=None,
    )


def connection(user: str, number: int) -> Any:
    return SimpleNamespace(
        id=f"c_{number}",
        member=f"c_{number}",
        address="10.0.0.1",
        opened_at=0.0,
        last_error=None,
        who=(user, None),
        subscriptions={name: place(name) for name in ("job:0", "job:1", "job:2")},
    )


def recorder() -> FlightRecorder:
    return FlightRecorder("n_1", lambda: 5.0, lambda: Clock.now, BUDGET)


def test_ten_thousand_connections_that_come_and_go() -> None:
    made = recorder()
    made.refused(connection("wendy", 0), HubError(ErrorCode.FORBIDDEN, "no grant", channel="job:1"))
    made.turned_away(Stranger("10.0.0.9", user="tom"), HubError(ErrorCode.TOKEN_EXPIRED, "it expired"))
    for number in range(10_000):
        made.ended(connection(f"user{number}", number), Ending(1000, "", by_hub=False))
        made.turned_away(
            Stranger(f"10.1.{number // 250}.{number % 250}"), HubError(ErrorCode.TOKEN_INVALID, "x")
        )
    assert made.bytes <= BUDGET
    assert len(made.ends(user="user9999")) == 1, "the last is there"
    assert made.ends(user="user9999")[0]["channels"]["job:1"]["to"] == 7
    assert made.ends(user="user0") == [], "the first is not"
    assert made.since > made.ends()[-1]["time"] / 1000 - 1, "and it does not claim to know of it"
    assert made.refusals(user="wendy")[0]["reason"] == "no grant", "ends push out no refusals"
    assert made.refusals(user="tom")[0]["code"] == "token_expired", "strangers push out no users"


def test_a_storm_of_one_user_is_one_entry_with_a_count() -> None:
    made = recorder()
    made.ended(connection("ann", 0), Ending(1000, "", by_hub=False))
    for number in range(5_000):
        made.ended(connection("storm", number), Ending(1006, "lost", by_hub=False))
    found = made.ends(user="storm")
    assert len(found) <= FEW + 1
    assert sum(each["count"] for each in found) == 5_000
    assert made.ends(user="ann"), "the others' ends are still there"


def test_what_is_long_is_cut_and_what_is_old_is_gone() -> None:
    made = recorder()
    many = connection("ann", 1)
    names = [f"job:{'x' * 180}{number}" for number in range(128)]
    many.subscriptions = {name: place(name) for name in names}
    made.ended(many, Ending(4101, "y" * 10_000, by_hub=True, unread_bytes=9))
    assert made.bytes < 2_000
    (found,) = made.ends(user="ann")
    assert found["channel_count"] == 128
    assert 1 < len(found["channels"]) < 8
    assert names[100] in made.described(many, names[100])["channels"], "of who is there, what is asked for"
    Clock.now += 15 * 60 + 1
    try:
        assert made.ends(user="ann") == []
    finally:
        Clock.now -= 15 * 60 + 1


def test_it_says_from_when_on_it_knows_everything() -> None:
    made = recorder()
    assert made.since == made.began
    try:
        Clock.now += 100
        made.ended(connection("ann", 1), Ending(1000, "", by_hub=False))
        assert made.since == made.began
        Clock.now += 15 * 60
        assert made.since == Clock.now - 15 * 60
        for number in range(1_000):
            Clock.now += 0.5
            made.ended(connection(f"user{number}", number), Ending(1000, "", by_hub=False))
        assert made.since > Clock.now - 15 * 60
        oldest = made.ends()[-1]["time"] / 1000
        assert made.since == oldest - 0.5, "the one before the oldest had to go"
    finally:
        Clock.now = 1_000_000.0


def test_the_shares_are_of_one_budget() -> None:
    assert round(sum(SHARES.values()), 6) == 1.0


def test_the_budget_is_what_it_takes_of_memory() -> None:
    """What a library's bytes keep beside their text counts as well."""
    made = recorder()
    ending = Ending(1000, "", by_hub=False)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(4_000):
            made.ended(connection(f"user{number}", number), ending)
        took = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert BUDGET * SHARES["ends"] / 2 < took < BUDGET, took


def test_who_comes_and_goes_costs_little() -> None:
    """In units of what it takes at least: a row as JSON, kept in order. All by this process's own time."""
    ending = Ending(1000, "", by_hub=False)
    them = [connection(f"user{number}", number) for number in range(2_000)]
    row = orjson.loads(orjson.dumps(recorder()._row(them[0], [])))

    def least() -> None:
        kept: OrderedDict[str, bytes] = OrderedDict()
        for each in them:
            kept[each.id] = bytes(memoryview(orjson.dumps(row)))

    def admitted() -> None:
        made = recorder()
        for each in them:
            made.admitted(each)

    def ended() -> None:
        made = recorder()
        for each in them:
            made.ended(each, ending)

    took: dict[Callable[[], None], float] = {}
    for _ in range(7):
        for work in (least, admitted, ended):
            began = time.process_time()
            work()
            took[work] = min(took.get(work, 9.0), time.process_time() - began)
    assert took[admitted] < took[least], "nothing is kept of a connection that lives"
    assert took[ended] < 30 * took[least], "coverage doubles what it measures"
