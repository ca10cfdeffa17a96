"""The key set of an issuer, over a real HTTP server that rotates, fails, dawdles and talks rubbish."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from hub.auth import jws
from hub.auth.jwks import MAX_DOCUMENT_BYTES, JwksKeys
from hub.auth.tokens import Authenticator
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError

from .conftest import NOW, Clock, Pair, good, pair, token
from .issuer import Issuer, jwk, serving, until


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with serving() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def old() -> Pair:
    return pair(ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture(scope="module")
def new() -> Pair:
    return pair(ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture
async def keys(issuer: Issuer, clock: Clock) -> AsyncIterator[JwksKeys]:
    keys = JwksKeys(issuer.url, clock=clock, algorithms=["ES256", "HS256"])
    yield keys
    await keys.close()


def signed(key: Pair, kid: str | None, **claims: Any) -> str:
    return token(good(**claims), key.private, "ES256", **({"kid": kid} if kid else {}))


async def ask(keys: JwksKeys, text: str) -> bool:
    parsed = jws.parse(text)
    return any(key.verifies(parsed) for key in await keys.keys_for(parsed))


async def refusal(keys: JwksKeys, text: str) -> HubError:
    with pytest.raises(HubError) as caught:
        await keys.keys_for(jws.parse(text))
    return caught.value


async def test_fetched_once_and_kept(issuer: Issuer, keys: JwksKeys, old: Pair) -> None:
    issuer.publish(jwk(old, "ES256", kid="old"))
    assert keys.problems() == []
    assert await ask(keys, signed(old, "old"))
    assert await ask(keys, signed(old, None))
    assert issuer.requests == 1


async def test_one_flight_for_all_who_wait(issuer: Issuer, keys: JwksKeys, old: Pair) -> None:
    issuer.publish(jwk(old, "ES256", kid="old"))
    issuer.gate.clear()
    waiting = [asyncio.create_task(ask(keys, signed(old, "old"))) for _ in range(50)]
    await until(lambda: issuer.requests)
    waiting.pop().cancel()  # one who goes away takes nobody along
    issuer.gate.set()
    assert all(await asyncio.gather(*waiting))
    assert issuer.requests == 1


async def test_a_secrets_algorithm_is_refused(issuer: Issuer, keys: JwksKeys, old: Pair) -> None:
    error = await refusal(keys, token(good()))
    assert error.reason == "the token's algorithm HS256 is not accepted here; accepted: ES256"
    assert issuer.requests == 0


async def test_a_new_key_is_found_by_its_kid(issuer: Issuer, keys: JwksKeys, old: Pair, new: Pair) -> None:
    issuer.publish(jwk(old, "ES256", kid="old"))
    assert await ask(keys, signed(old, "old"))
    issuer.publish(jwk(old, "ES256", kid="old"), jwk(new, "ES256", kid="new"))
    assert await ask(keys, signed(new, "new"))
    assert issuer.requests == 2
    assert keys.version() == 0  # nothing was taken away


async def test_unknown_kids_fetch_a_few_times_only(
    issuer: Issuer, keys: JwksKeys, old: Pair, new: Pair, clock: Clock
) -> None:
    issuer.publish(jwk(old, "ES256", kid="old"))
    assert await ask(keys, signed(old, "old"))
    error = await refusal(keys, signed(old, "x"))
    assert error.code is ErrorCode.TOKEN_INVALID
    assert error.reason == "the issuer's key set has no key of the token's kid and algorithm"
    for _ in range(20):  # the same kid: remembered
        await refusal(keys, signed(old, "x"))
    assert issuer.requests == 2
    codes = [(await refusal(keys, signed(old, f"x{at}"))).code for at in range(100)]
    assert codes == [ErrorCode.TOKEN_INVALID] * 4 + [ErrorCode.UNAVAILABLE] * 96
    assert issuer.requests == 6
    # meanwhile the key that is known serves, and a new one is found once the bucket has a drop again
    assert await ask(keys, signed(old, "old"))
    issuer.publish(jwk(old, "ES256", kid="old"), jwk(new, "ES256", kid="new"))
    error = await refusal(keys, signed(new, "new"))
    assert error.code is ErrorCode.UNAVAILABLE
    assert error.retry_after_ms == 10_000
    clock.now += 10
    assert await ask(keys, signed(new, "new"))


async def test_a_kid_that_was_unknown_may_come_true(
    issuer: Issuer, keys: JwksKeys, old: Pair, new: Pair, clock: Clock
) -> None:
    issuer.publish(jwk(old, "ES256", kid="old"))
    await refusal(keys, signed(new, "new"))
    issuer.publish(jwk(new, "ES256", kid="new"))
    assert (await refusal(keys, signed(new, "new"))).code is ErrorCode.TOKEN_INVALID
    clock.now += 30
    assert await ask(keys, signed(new, "new"))


async def test_the_memory_of_unknown_kids_is_bounded(
    issuer: Issuer, keys: JwksKeys, old: Pair, clock: Clock
) -> None:
    issuer.publish(jwk(old, "ES256", kid="old"))
    for at in range(1100):
        clock.now += 10
        await refusal(keys, signed(old, f"x{at}", exp=NOW + 10**6))
    assert len(keys._unknown) <= 1024


async def test_old_keys_serve_while_the_endpoint_is_down(
    issuer: Issuer, keys: JwksKeys, old: Pair, new: Pair, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.publish(jwk(old, "ES256", kid="old"))
    assert await ask(keys, signed(old, "old"))
    await issuer.down()
    clock.now += 3600
    with caplog.at_level(logging.WARNING):
        assert await ask(keys, signed(old, "old"))
        await until(lambda: caplog.records)
    assert "can't be reached" in caplog.text
    error = await refusal(keys, signed(new, "new"))
    assert error.code is ErrorCode.UNAVAILABLE
    assert error.retry_after_ms
    await issuer.up()
    issuer.publish(jwk(new, "ES256", kid="new"))
    clock.now += 10
    assert await ask(keys, signed(new, "new"))
    assert (await refusal(keys, signed(old, "old"))).code is ErrorCode.TOKEN_INVALID


async def test_an_unknown_kid_while_the_endpoint_fails(
    issuer: Issuer, keys: JwksKeys, old: Pair, new: Pair
) -> None:
    """Nobody can say whether it is a new key, so the token is not called bad."""
    issuer.publish(jwk(old, "ES256", kid="old"))
    assert await ask(keys, signed(old, "old"))
    issuer.status = 503
    for _ in range(3):
        error = await refusal(keys, signed(new, "new"))
        assert error.code is ErrorCode.UNAVAILABLE
        assert error.reason.endswith("the endpoint answered HTTP 503")
        assert error.retry_after_ms
    assert issuer.requests == 2  # the failure is remembered for a while
    assert await ask(keys, signed(old, "old"))


async def test_old_keys_do_not_serve_for_ever(
    issuer: Issuer, keys: JwksKeys, old: Pair, clock: Clock
) -> None:
    issuer.publish(jwk(old, "ES256", kid="old"))
    assert await ask(keys, signed(old, "old"))
    await issuer.down()
    clock.now += 86_400
    error = await refusal(keys, signed(old, "old"))
    assert error.code is ErrorCode.UNAVAILABLE
    assert keys.version() == 1


async def test_a_refresh_keeps_nobody_waiting(
    issuer: Issuer, keys: JwksKeys, old: Pair, clock: Clock
) -> None:
    issuer.publish(jwk(old, "ES256", kid="old"))
    assert await ask(keys, signed(old, "old"))
    issuer.gate.clear()
    clock.now += 600
    assert await ask(keys, signed(old, "old"))  # answered while the endpoint has not
    await until(lambda: issuer.requests == 2)
    issuer.gate.set()


async def test_a_key_taken_away_ends_the_memory_of_tokens(
    issuer: Issuer, keys: JwksKeys, old: Pair, new: Pair, clock: Clock
) -> None:
    issuer.publish(jwk(old, "ES256", kid="old"))
    checker = Authenticator(keys, clock=clock)
    text = signed(old, "old")
    await checker.verify(text)
    assert checker.verify_cached(text) is not None
    issuer.publish(jwk(new, "ES256", kid="old"))  # the same name, another key
    clock.now += 600
    assert checker.verify_cached(text) is not None  # begins the refresh
    await until(lambda: keys.version() == 1)
    assert checker.verify_cached(text) is None
    with pytest.raises(HubError, match="signature does not match"):
        await checker.verify(text)


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (500, b"oops", "the endpoint answered HTTP 500"),
        (302, b"", "the endpoint answered HTTP 302"),
        (200, b"<html>", "the answer is no JSON"),
        (200, b"[]", "the answer is no key set: it has no list `keys`"),
        (200, b" " * (MAX_DOCUMENT_BYTES + 1), "the answer is longer than 262144 bytes"),
    ],
)
async def test_rubbish(
    issuer: Issuer, keys: JwksKeys, old: Pair, clock: Clock, status: int, body: bytes, why: str
) -> None:
    issuer.status, issuer.body = status, body
    assert await keys.probe() == [f"the key set can't be had: {why}"]
    error = await refusal(keys, signed(old, "old"))
    assert error.code is ErrorCode.UNAVAILABLE
    assert error.reason == f"the token can't be checked at the moment: {why}"
    assert issuer.requests == 1  # not asked again at once
    issuer.status = 200
    issuer.publish(jwk(old, "ES256", kid="old"))
    clock.now += 10
    assert await ask(keys, signed(old, "old"))
    assert await keys.probe() == []


async def test_rubbish_does_not_replace_good_keys(
    issuer: Issuer, keys: JwksKeys, old: Pair, clock: Clock
) -> None:
    issuer.publish(jwk(old, "ES256", kid="old"))
    assert await ask(keys, signed(old, "old"))
    issuer.body = b"{}"
    clock.now += 600
    assert await keys.probe() == ["the key set can't be had: the answer is no key set: it has no list `keys`"]
    assert await ask(keys, signed(old, "old"))


async def test_a_slow_endpoint(issuer: Issuer, clock: Clock, old: Pair) -> None:
    issuer.gate.clear()
    keys = JwksKeys(issuer.url, clock=clock, deadline_s=0.05)
    error = await refusal(keys, signed(old, "old"))
    assert error.reason.endswith("the endpoint did not answer within 0.05 s")
    await keys.close()


async def test_an_empty_set_is_said(keys: JwksKeys, old: Pair, caplog: pytest.LogCaptureFixture) -> None:
    assert await keys.probe() == ["the key set holds no key for ES256"]
    assert "holds no usable key" in caplog.text
    assert (await refusal(keys, signed(old, "old"))).code is ErrorCode.TOKEN_INVALID
    assert (await refusal(keys, signed(old, None))).reason.startswith("the token names no key")


async def test_closing_ends_a_fetch(issuer: Issuer, keys: JwksKeys, old: Pair) -> None:
    issuer.gate.clear()
    waiting = asyncio.create_task(ask(keys, signed(old, "old")))
    await until(lambda: issuer.requests)
    await keys.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize("url", ["", "example.com/jwks", "ftp://example.com/", "https://", "http://[::1"])
def test_addresses_that_are_none(url: str) -> None:
    assert JwksKeys(url).problems()


def test_algorithms_that_no_key_set_has() -> None:
    assert (
        JwksKeys("https://id.example/jwks", algorithms=["HS256"])
        .problems()[0]
        .startswith("no allowed algorithm")
    )
    assert JwksKeys("https://id.example/jwks").problems() == []
