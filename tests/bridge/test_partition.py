"""A partition's worker against a hub and a source that do what a test says."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import pytest

from hub.bridge.letters import Letter, LetterRate
from hub.bridge.mapping import Mapper
from hub.bridge.partition import MOST_BYTES, PartitionWorker
from hub.bridge.records import Batch, Record
from hub.bridge.source import SourceError
from hub.bridge.stats import BridgeStats
from hub.runtime.backoff import Timing
from hub.sdk.delivery import TryAgain

from .test_mapping import settings

Answer = Callable[[dict[str, Any]], dict[str, Any]]


class FakeSource:
    """Remembers what was settled, rejected, held."""

    def __init__(self) -> None:
        self.settled: list[int] = []
        self.rejected: list[int] = []
        self.held: list[bool] = []

    async def settle(self, batch: Batch) -> None:
        self.settled += [place(record) for record in batch.records if record.place]

    async def reject(self, record: Record, code: str, reason: str) -> None:
        self.rejected.append(place(record) if record.place else -1)

    def hold(self, partition: str) -> None:
        self.held.append(True)

    def release(self, partition: str) -> None:
        self.held.append(False)

    async def start(self, revoked: object) -> None: ...

    async def probe(self) -> str:
        return "there"

    async def next(self) -> Batch:
        raise NotImplementedError

    async def lag(self) -> Mapping[str, int]:
        return {}

    async def close(self) -> None: ...


class FakeHub:
    """Answers each event by `answer`; keeps what it took, once."""

    def __init__(self, answer: Answer = lambda event: {"offset": 1}) -> None:
        self.answer = answer
        self.taken: list[int] = []
        self.calls = 0
        self.down = 0

    async def publish(self, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        self.calls += 1
        if self.down:
            self.down -= 1
            raise TryAgain("away")
        results = []
        for event in events:
            result = self.answer(event)
            if "code" not in result:
                self.taken.append(event["source"]["position"][1])
            results.append(result)
        return results


class FakeLetters:
    """Keeps letters."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []

    async def post(self, letter: Letter) -> None:
        self.letters.append(letter)


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)


def place(record: Record) -> int:
    assert isinstance(record.place, tuple)
    return record.place[1]


class Stand:
    """A worker and what it works with."""

    def __init__(self, hub: FakeHub, **changes: Any) -> None:
        self.hub, self.source, self.letters, self.clock = hub, FakeSource(), FakeLetters(), Clock()
        chosen = settings(**changes)
        timing = Timing(self.clock.now, self.clock.sleep, lambda: 0.5)
        self.worker = PartitionWorker(
            "orders/3",
            chosen,
            Mapper(chosen),
            self.source,
            hub,
            self.letters,
            LetterRate(chosen.dead_per_minute),
            BridgeStats("orders", "kafka"),
            timing,
        )

    async def run(self, *batches: Batch) -> None:
        self.worker.start()
        for each in batches:
            self.worker.take(each)
        await self.worker.stop(10.0)


def batch(start: int, end: int, body: Callable[[int], bytes] | None = None) -> Batch:
    def order(number: int) -> bytes:
        return orjson.dumps({"event_type": "e", "aggregate_id": str(number % 3), "n": number})

    return Batch("orders/3", [Record((body or order)(number), (1, number)) for number in range(start, end)])


async def test_all_is_handed_on_in_order_and_settled() -> None:
    stand = Stand(FakeHub(), batch=2)
    await stand.run(batch(0, 5), batch(5, 9))
    assert stand.hub.taken == list(range(9))
    assert stand.source.settled == list(range(9))
    assert stand.source.held == [True, False], "four times the batch is under way at the most"


async def test_however_few_long_messages_hold_the_source() -> None:
    stand = Stand(FakeHub())
    long = orjson.dumps({"event_type": "e", "aggregate_id": "1", "n": "x" * (MOST_BYTES // 2)})
    stand.worker.take(batch(0, 1, lambda number: long))
    assert stand.source.held == []
    stand.worker.take(batch(1, 2, lambda number: long))
    assert stand.source.held == [True]
    await stand.run()
    assert stand.source.held == [True, False]


async def test_what_comes_while_the_hub_is_busy_goes_on_in_one_request() -> None:
    stand = Stand(FakeHub(), batch=10)
    await stand.run(*(batch(number, number + 1) for number in range(25)))
    assert stand.hub.taken == list(range(25))
    assert stand.hub.calls == 3


async def test_the_hub_has_the_next_batch_while_the_source_is_told_of_the_one_before() -> None:
    stand = Stand(FakeHub(), batch=3)
    told = asyncio.Event()
    settle = stand.source.settle

    async def slowly(batch: Batch) -> None:
        await told.wait()
        await settle(batch)

    stand.source.settle = slowly  # type: ignore[method-assign]
    stand.worker.start()
    stand.worker.take(batch(0, 3))
    stand.worker.take(batch(3, 6))
    while stand.hub.calls < 2:
        await asyncio.sleep(0)
    assert stand.source.settled == []
    told.set()
    await stand.worker.stop(10.0)
    assert stand.source.settled == list(range(6))


async def test_what_the_source_is_not_told_of_is_told_again() -> None:
    stand = Stand(FakeHub())
    settle, failures = stand.source.settle, [SourceError("away"), SourceError("still away")]

    async def at_last(batch: Batch) -> None:
        if failures:
            raise failures.pop()
        await settle(batch)

    stand.source.settle = at_last  # type: ignore[method-assign]
    await stand.run(batch(0, 3), batch(3, 6))
    assert stand.source.settled == list(range(6))
    assert stand.worker.in_flight == 0


async def test_what_is_behind_a_message_that_can_not_be_rejected_waits_for_it() -> None:
    stand = Stand(FakeHub())
    reject, failures = stand.source.reject, [SourceError("away"), SourceError("still away")]

    async def at_last(record: Record, code: str, reason: str) -> None:
        if failures:
            assert stand.source.settled == []
            raise failures.pop()
        await reject(record, code, reason)

    stand.source.reject = at_last  # type: ignore[method-assign]
    poison = batch(0, 3, lambda number: b"{" if number == 1 else b'{"event_type":"e","aggregate_id":"1"}')
    await stand.run(poison, batch(3, 6))
    assert stand.hub.taken == [0, 2, 3, 4, 5]
    assert stand.source.rejected == [1]
    assert stand.source.settled == list(range(6))


async def test_a_hub_that_is_away_is_waited_for() -> None:
    hub = FakeHub()
    hub.down = 20
    stand = Stand(hub)
    await stand.run(batch(0, 5))
    assert stand.hub.taken == list(range(5))
    assert stand.clock.time > 1, "with pauses between"


async def test_what_is_refused_for_now_is_repeated_alone_and_in_order() -> None:
    refused: dict[int, int] = {}

    def answer(event: dict[str, Any]) -> dict[str, Any]:
        number = event["source"]["position"][1]
        if number in (1, 4) and refused.setdefault(number, 0) < 3:
            refused[number] += 1
            return {"code": "unavailable", "reason": "away", "retry": True}
        return {"offset": 1}

    stand = Stand(FakeHub(answer))
    await stand.run(batch(0, 6))
    assert sorted(stand.hub.taken) == list(range(6))
    assert stand.hub.taken[-2:] == [1, 4]
    assert stand.source.settled == list(range(6))


async def test_poison_without_place_and_identity_has_a_letter_each() -> None:
    stand = Stand(FakeHub())
    await stand.run(Batch("orders/0", [Record(b"{"), Record(b"["), Record(b"{")]))
    ids = [letter.id for letter in stand.letters.letters]
    assert len(set(ids)) == 2, "by its bytes: a redelivery makes no second one, another message does"


async def test_a_final_refusal_and_what_can_not_be_read_become_letters() -> None:
    def answer(event: dict[str, Any]) -> dict[str, Any]:
        if event["source"]["position"][1] == 2:
            return {"code": "forbidden", "reason": "no", "retry": False}
        return {"offset": 1}

    def body(number: int) -> bytes:
        return b"{" if number == 1 else orjson.dumps({"event_type": "e", "aggregate_id": "1"})

    stand = Stand(FakeHub(answer))
    await stand.run(batch(0, 4, body))
    assert stand.hub.taken == [0, 3]
    assert [(letter.origin, letter.code) for letter in stand.letters.letters] == [
        ("orders:orders/3@1:1", "bad_message"),
        ("orders:orders/3@1:2", "forbidden"),
    ]
    assert stand.letters.letters[0].body == b"{"
    refused = stand.letters.letters[1].event
    assert refused is not None
    assert "source" not in refused, "a replay carries none"
    assert stand.source.rejected == [1, 2]
    assert stand.source.settled == list(range(4))


async def test_a_channel_that_alone_refuses_for_minutes_is_diverted_and_the_rest_goes_on() -> None:
    def answer(event: dict[str, Any]) -> dict[str, Any]:
        if event["channel"] == "order:1":
            return {"code": "limit", "reason": "full", "retry": True, "retry_after_ms": 1000}
        return {"offset": 1}

    stand = Stand(FakeHub(answer), divert_after=300.0, dead_per_minute=1)
    await stand.run(batch(0, 6), batch(6, 9))
    assert stand.hub.taken == [0, 2, 3, 5, 6, 8]
    assert stand.source.rejected == [1, 4, 7]
    assert stand.clock.time >= 300
    assert stand.worker.diverted == ["order:1"]


async def test_too_many_letters_stop_the_bridge_and_settle_nothing_more() -> None:
    stand = Stand(FakeHub(), dead_per_minute=3)
    await stand.run(batch(0, 10, lambda number: b"{"))
    assert len(stand.letters.letters) == 3
    assert "mapping" in stand.worker.problem
    assert stand.source.settled == []


async def test_a_source_that_begins_anew_is_noticed() -> None:
    stand = Stand(FakeHub(lambda event: {"offset": 1, "duplicate": True}), batch=1)
    await stand.run(*(batch(number, number + 1) for number in range(20)))
    assert "generation" in stand.worker.problem
    assert len(stand.source.settled) < 20


async def test_a_body_that_the_hub_refuses_as_a_whole_is_halved() -> None:
    from hub.protocol.codes import ErrorCode
    from hub.protocol.errors import HubError

    class Narrow(FakeHub):
        async def publish(self, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
            if any(event["source"]["position"][1] == 2 for event in events):
                raise HubError(ErrorCode.TOO_LARGE, "the body is over 8 MB")
            return await super().publish(events)

    stand = Stand(Narrow())
    await stand.run(batch(0, 5))
    assert stand.hub.taken == [0, 1, 3, 4]
    assert [letter.code for letter in stand.letters.letters] == ["too_large"]


async def test_a_stop_ends_what_has_swallowed_its_cancellation() -> None:
    """As a library does that is timing out at that moment."""
    stand = Stand(FakeHub())

    async def swallow(batch: Batch) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if not swallowed:
                swallowed.append(True)
                raise SourceError("no answer in time") from None
            raise

    swallowed: list[bool] = []
    stand.source.settle = swallow  # type: ignore[method-assign]
    stand.worker.start()
    stand.worker.take(batch(0, 3))
    while not stand.hub.taken:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await stand.worker.stop(0.0)
    assert swallowed


@pytest.mark.parametrize("within", [0.0, 0.01])
async def test_a_stop_does_not_wait_for_ever(within: float) -> None:
    hub = FakeHub()
    hub.down = 10**9
    stand = Stand(hub)
    stand.worker.start()
    stand.worker.take(batch(0, 3))
    await asyncio.sleep(0)
    await stand.worker.stop(within)
    assert stand.source.settled == []


async def test_what_has_waited_for_longer_than_its_time_to_live_is_kept_and_the_rest_goes_on() -> None:
    stand = Stand(FakeHub(), entry_ttl=60, dead_per_minute=1)
    worker = stand.worker
    worker._wall = lambda: 1_000.0
    records = list(batch(0, 4).records)
    for record, time_ms in zip(records, (939_000, 941_000, 900_000, None), strict=True):
        record.time_ms = time_ms
    await stand.run(Batch("orders/3", records))
    assert stand.hub.taken == [1, 3]
    assert [(letter.code, letter.reason) for letter in stand.letters.letters] == [
        ("expired", "it has waited for 61 s, entry_ttl is 60 s"),
        ("expired", "it has waited for 100 s, entry_ttl is 60 s"),
    ]
    assert stand.worker.problem == "", "however many: the mapping is right"


async def test_letters_are_masked() -> None:
    stand = Stand(FakeHub(lambda event: {"code": "forbidden"}), mask=["payload.card.number", "payload.mail"])
    card = {"event_type": "e", "aggregate_id": "1", "card": {"number": "4111", "type": "x"}, "mail": "a@b"}
    await stand.run(batch(0, 1, lambda number: orjson.dumps(card)), batch(1, 2, lambda number: b"4111 {"))
    refused, unreadable = stand.letters.letters
    assert refused.event is not None
    assert refused.event["payload"] == {"event_type": "e", "aggregate_id": "1", "card": {"type": "x"}}
    assert orjson.loads(refused.body) == refused.event["payload"]
    assert set(orjson.loads(unreadable.body)) == {"bytes", "sha256"}


async def test_what_is_nested_too_deep_is_kept_by_its_bytes() -> None:
    def answer(event: dict[str, Any]) -> dict[str, Any]:
        try:
            orjson.dumps(event)
        except TypeError:
            return {"code": "bad_message", "reason": "nested too deep"}
        return {"offset": 1}

    deep = b'{"event_type":"e","aggregate_id":"1","n":' + b"[" * 1000 + b"]" * 1000 + b"}"
    for mask in ([], ["payload.card"]):
        stand = Stand(FakeHub(answer), payload="data.n", mask=mask)
        await stand.run(
            batch(0, 2, lambda number: b'{"event_type":"e","aggregate_id":"1"}' if number else deep)
        )
        (letter,) = stand.letters.letters
        assert letter.event is None
        assert letter.fields()
        assert stand.hub.taken == [1]
