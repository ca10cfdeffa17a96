"""The way to the hub: what the hub has against the bridge itself is said, and waited for."""

from collections.abc import Sequence
from typing import Any

import httpx
import orjson
import pytest

from hub.bridge.hand_over import HubHandOver, HubLetterbox
from hub.bridge.letters import Letter
from hub.bridge.process import Bridges
from hub.runtime.backoff import Timing
from hub.runtime.breaker import BreakerState, CircuitBreaker
from hub.sdk.delivery import HttpDelivery, TryAgain
from hub.sdk.errors import TokenRefused
from hub.sdk.tokens import TokenSource

from .test_mapping import settings
from .test_partition import Clock, FakeHub, Stand, batch

LETTER = Letter("1", "orders:orders/0@1", "forbidden", "no", 1, b"{}")


class Answers:
    """A delivery that answers, or raises, one after the other."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)

    async def send(self, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        return [{"offset": 1} for _ in events]

    async def close(self) -> None: ...


def hub_of(*answers: Exception | None) -> HubHandOver:
    clock = Clock()
    return HubHandOver(Answers(*answers), CircuitBreaker(), Timing(clock.now, clock.sleep, lambda: 0.5))


async def test_a_key_that_is_refused_is_said_until_another_is_set_and_nothing_is_given_up() -> None:
    hub = hub_of(TokenRefused("the hub refused the token", 401))
    with pytest.raises(TryAgain):
        await hub.publish([{}])
    assert hub.problem == "the hub refused the token"
    await hub.publish([{}])
    assert hub.problem == ""


async def test_a_partition_goes_on_after_it() -> None:
    stand = Stand(hub_of(TokenRefused("no", 401), TokenRefused("no", 401)))  # type: ignore[arg-type]
    await stand.run(batch(0, 3))
    assert stand.source.settled == [0, 1, 2]


async def test_a_fault_of_our_own_turns_it_red_and_settles_nothing() -> None:
    stand = Stand(hub_of(RuntimeError("a bug")))  # type: ignore[arg-type]
    await stand.run(batch(0, 3))
    assert stand.worker.problem == "orders:orders/3: RuntimeError"
    assert stand.source.settled == []


async def test_a_letter_that_the_hub_does_not_take_is_said() -> None:
    statuses = [403, 201]
    clock = Clock()

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(box.problem)
        return httpx.Response(statuses[len(seen) - 1])

    seen: list[str] = []
    http = httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://hub")
    box = HubLetterbox(http, CircuitBreaker(), Timing(clock.now, clock.sleep, lambda: 0.5))
    await box.post(LETTER)
    assert seen == ["", "the hub keeps no dead letter: HTTP 403"]
    assert box.problem == ""


async def test_a_hub_that_is_away_turns_it_red() -> None:
    bridges = Bridges([settings(kind="redis_stream", url="redis://x", streams=["s"])], "http://hub", "key")
    for bridge in bridges.all:
        bridge._down = ""
    assert bridges.problems == []
    bridges.breaker.state = BreakerState.OPEN
    assert bridges.problems == ["the hub at http://hub is not reached"]
    await bridges.stop()


async def test_a_hub_that_does_not_know_of_replicas_has_not_taken_it_for_sure() -> None:
    asked: list[dict[str, Any]] = []
    answers: list[dict[str, Any]] = [{}, {"replicas": 1}]

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(orjson.loads(request.content))
        return httpx.Response(200, json={"results": [{"offset": 1}], **answers.pop(0)})

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    delivery = HttpDelivery("http://hub", TokenSource("key", 1.0), 1.0, client, ordered=True, replicas=1)
    with pytest.raises(TryAgain):
        await delivery.send([{}])
    assert await delivery.send([{}]) == [{"offset": 1}]
    assert asked == 2 * [{"events": [{}], "ordered": True, "replicas": 1}]


async def test_what_is_waited_for_is_said_after_a_while() -> None:
    def answer(event: dict[str, Any]) -> dict[str, Any]:
        said.append(stand.worker.problem)
        if len(said) < 12:
            return {"code": "unavailable", "reason": "stored, but on 0 replicas", "retry": True}
        return {"offset": 1}

    said: list[str] = []
    stand = Stand(FakeHub(answer))
    await stand.run(batch(0, 1))
    assert said[1] == ""
    assert "s: stored, but on 0 replicas" in said[-1]
    assert stand.worker.problem == ""
