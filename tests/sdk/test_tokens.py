"""Tokens: renewed when refused, renewed in place, and not for ever."""

# ruff: noqa: SIM117  the hub, the client and the subscription are three steps of a test, not one line

import asyncio
import logging
import random
from collections import Counter
from typing import Any

import pytest

from hub.client import (
    Client,
    TokenRefused,
)
from hub.publisher import Publisher
from hub.runtime.backoff import Timing
from hub.sdk.tokens import renewal_wait

from ..support.golden import table
from .clock import Clock
from .fake import FakeHub, Peer, problem
from .steps import welcome


@pytest.mark.parametrize("refusal", [401, 4201, 4202])
async def test_a_refused_token_is_renewed_once(refusal: int) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.say("hub.error", code="token_expired", reason="expired", retry=False)
        await peer.say("hub.close", code=refusal, reason="expired", reconnect=None)
        await peer.socket.close(refusal)

    first = problem(401, "expired") if refusal == 401 else refuse
    tokens = iter(["old", "new"])
    async with FakeHub(first, welcome) as hub:
        async with Client(hub.url, lambda: next(tokens), timing=Clock().timing):
            assert hub.peers[-1].token == "new"


async def test_a_token_refused_twice_stops_the_client() -> None:
    refusals = [problem(401, "the signature does not match") for _ in range(2)]
    async with FakeHub(*refusals) as hub:
        with pytest.raises(TokenRefused, match="the signature does not match") as refused:
            await Client(hub.url, lambda: "secret-token", timing=Clock().timing).start()
        assert hub.refused == 2
    assert "secret-token" not in str(refused.value)
    assert refused.value.code == 401


async def test_no_log_line_holds_the_token(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with FakeHub(problem(503, "busy"), welcome) as hub:
            async with Client(hub.url, "a-secret-token", timing=Clock().timing):
                pass
    own = [record for record in caplog.records if not record.name.startswith("websockets.server")]
    assert own
    assert not any("a-secret-token" in record.getMessage() for record in own)


async def test_a_fixed_token_is_refused_once() -> None:
    async with FakeHub(problem(401, "expired")) as hub:
        with pytest.raises(TokenRefused, match="no callable"):
            await Client(hub.url, "t", timing=Clock().timing).start()


async def test_an_async_token_callable_that_fails_is_asked_again() -> None:
    calls = 0

    async def token() -> str:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise ConnectionError("https://idp/?secret=1")
        return "t3"

    clock, seen = Clock(), list[Any]()
    async with FakeHub(welcome) as hub:
        async with Client(hub.url, token, timing=clock.timing, on_status=seen.append):
            assert hub.peers[0].token == "t3"
    assert clock.slept == [0.25, 0.5]
    assert not any("secret" in status.reason for status in seen)


async def test_a_token_endpoint_that_is_down_is_not_hammered() -> None:
    clients, down_s = 40, 120.0
    asked: list[float] = []
    served: list[float] = []

    async def one(seed: int) -> None:
        clock = Clock()
        begin = clock.time

        async def token() -> str:
            at = clock.time - begin
            if at < down_s:
                asked.append(at)
                raise ConnectionError("the endpoint is down")
            served.append(at)
            return "t"

        timing = Timing(clock.timing.now, clock.timing.sleep, random.Random(seed).random)
        async with Client(hub.url, token, timing=timing):
            pass

    async with FakeHub(*[welcome] * clients) as hub:
        await asyncio.gather(*(one(seed) for seed in range(clients)))
    assert len(served) == clients, "all come back, each with one question"
    settled = [at for at in asked if at >= 30.0]
    assert len(settled) < clients * (down_s - 30.0) / 10.0 * 1.25, "each asks every 10 s, by the average"
    for times in (settled, served):
        assert max(Counter(map(int, times)).values()) < clients / 3, "and they do not ask together"


async def test_a_renewal_waits_for_an_endpoint_that_is_down_and_keeps_the_connection() -> None:
    done = asyncio.Event()
    calls = 0

    async def token() -> str:
        nonlocal calls
        calls += 1
        if 1 < calls < 7:
            raise ConnectionError("the endpoint is down")
        return f"t{calls}"

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.say("hub.token_expiring", expires_at=1, expires_in_ms=40_000)
        asked = await peer.expect("authenticate")
        assert asked["token"] == "t7"
        await peer.say("hub.authenticated", id=asked["id"], user="ann", expires_at=2)
        done.set()

    clock = Clock()
    async with FakeHub(script) as hub, Client(hub.url, token, timing=clock.timing):
        await done.wait()
    assert clock.slept[:6] == [25.0, 0.5, 1.0, 2.0, 4.0, 5.0]


async def test_an_expiring_token_is_renewed_in_place_after_a_jitter() -> None:
    done = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.say("hub.token_expiring", expires_at=1, expires_in_ms=40_000)
        asked = await peer.expect("authenticate")
        assert asked["token"] == "second"
        await peer.say("hub.error", id=asked["id"], code="token_invalid", reason="no", retry=False)
        asked = await peer.expect("authenticate")
        assert asked["token"] == "third"
        await peer.say("hub.authenticated", id=asked["id"], user="ann", expires_at=2)
        done.set()

    tokens, clock = iter(["first", "second", "third"]), Clock()
    async with FakeHub(script) as hub, Client(hub.url, lambda: next(tokens), timing=clock.timing):
        await done.wait()
    assert clock.slept[0] == 25.0


@pytest.mark.parametrize("row", table("renewal"), ids=str)
def test_a_renewal_waits_for_half_of_the_tokens_life(row: dict[str, Any]) -> None:
    wait = renewal_wait(row["elapsed_ms"] / 1000, row["left_ms"] / 1000, lambda: float(row["random"]))
    assert wait * 1000 == pytest.approx(row["wait_ms"])


async def test_tokens_of_40_s_are_asked_for_at_half_of_their_life() -> None:
    """The hub warns as soon as such a token is accepted."""

    async def script(peer: Peer) -> None:
        await peer.welcome()
        for _ in range(4):
            await peer.say("hub.token_expiring", expires_at=1, expires_in_ms=40_000)
            asked = await peer.expect("authenticate")
            await peer.say("hub.authenticated", id=asked["id"], user="ann", expires_at=2)
        done.set()

    done, clock, calls = asyncio.Event(), Clock(), Counter[str]()

    def token() -> str:
        calls["asked"] += 1
        return "t"

    async with FakeHub(script) as hub, Client(hub.url, token, timing=clock.timing):
        await done.wait()
    assert clock.slept[:4] == [25.0] * 4
    assert calls["asked"] == 5


async def test_a_token_from_a_file_has_a_line_end_which_is_taken_off() -> None:
    async with FakeHub(welcome, welcome) as hub:
        for token in ("a.b.c\n", lambda: "a.b.c\r\n"):
            async with Client(hub.url, token):
                assert hub.peers[-1].token == "a.b.c"


@pytest.mark.parametrize("token", ["se\ncret", "se cret", "secr\u00e9t", "", " "])
async def test_a_token_that_cannot_travel_is_an_error_at_once_and_is_in_no_error(
    token: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    async with FakeHub() as hub:
        for source in (token, lambda: token):
            with pytest.raises(TokenRefused) as refused:
                await Client(hub.url, source, timing=clock.timing).start()
            assert "cr" not in str(refused.value)
        async with Publisher("http://127.0.0.1:9", api_key=token) as publisher:
            with pytest.raises(TokenRefused):
                await publisher.publish("job:1", "x", 1)
        assert (hub.peers, hub.refused, clock.slept) == ([], 0, [])
    assert "cret" not in caplog.text
