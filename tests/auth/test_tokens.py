"""The whole check of a token, and its memory."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.auth import jws
from hub.auth.keys import Key, StaticKeys
from hub.auth.tokens import Authenticator
from hub.protocol.errors import HubError

from .conftest import NOW, SECRET, Clock, Pair, good, raw, refused, token

OTHER = "another secret of more than thirty-two bytes"


def authenticator(clock: Clock, **more: object) -> Authenticator:
    return Authenticator(StaticKeys(secret=SECRET), ["HS256"], clock=clock, **more)  # type: ignore[arg-type]


class CountingKeys(StaticKeys):
    """Static keys that count the questions, and whose version can be moved."""

    asked = 0
    moved = 0

    async def keys_for(self, jws: jws.Jws) -> list[Key]:
        self.asked += 1
        return list(await super().keys_for(jws))

    def version(self) -> int:
        return self.moved


async def test_a_good_token(clock: Clock) -> None:
    found = await authenticator(clock).verify(token(good(hub={"subscribe": ["job:*"]})))
    assert found.user == "ann"
    assert found.may_subscribe("job:42")


@pytest.mark.parametrize("algorithm", ["RS256", "PS384", "ES256", "ES512", "EdDSA"])
async def test_real_key_pairs(clock: Clock, pairs: dict[str, Pair], algorithm: str) -> None:
    keys = StaticKeys(public_key=pairs[algorithm].public, algorithms=[algorithm])
    checker = Authenticator(keys, [algorithm], clock=clock)
    assert (await checker.verify(token(good(), pairs[algorithm].private, algorithm))).user == "ann"


async def test_refusals(clock: Clock, pairs: dict[str, Pair]) -> None:
    checker = authenticator(clock, issuer="https://id.example", audience="hub")
    fine = {"iss": "https://id.example", "aud": ["hub"]}
    assert (await checker.verify(token(good(**fine)))).user == "ann"
    assert await refused(checker, token(good(**fine), OTHER)) == (
        "token_invalid",
        "the signature does not match: another key signed this token, or it was changed",
    )
    assert await refused(checker, token(good(**fine) | {"exp": NOW - 5})) == (
        "token_expired",
        "the token expired 5 s ago (claim exp)",
    )
    assert await refused(checker, token(good(aud="hub"))) == (
        "token_invalid",
        "claim iss is missing; it must be https://id.example",
    )
    assert await refused(checker, token(good(), pairs["RS256"].private, "RS256")) == (
        "token_invalid",
        "the token's algorithm RS256 is not accepted here; accepted: HS256",
    )
    assert await refused(checker, raw({"alg": "none"}, good())) == (
        "token_invalid",
        "the token is not signed (alg none), which is never accepted",
    )
    assert (await refused(checker, ""))[0] == "unauthenticated"
    assert (await refused(checker, "x" * 50))[0] == "token_invalid"


async def test_a_foreign_signature_is_judged_before_the_claims(clock: Clock) -> None:
    """What a token says matters only once it is known who says it."""
    _code, reason = await refused(authenticator(clock), token({"sub": 5}, OTHER))
    assert reason.startswith("the signature does not match")


async def test_algorithms_come_from_settings_even_if_the_keys_know_more(clock: Clock) -> None:
    keys = StaticKeys(secret=SECRET + OTHER, algorithms=["HS256", "HS512"])
    checker = Authenticator(keys, ["HS512"], clock=clock)
    assert (await checker.verify(token(good(), SECRET + OTHER, "HS512"))).user == "ann"
    assert (await refused(checker, token(good(), SECRET + OTHER)))[0] == "token_invalid"


async def test_a_token_is_checked_once_in_its_life(clock: Clock) -> None:
    keys = CountingKeys(secret=SECRET)
    checker = Authenticator(keys, ["HS256"], clock=clock)
    text = token(good())
    assert checker.verify_cached(text) is None
    first = await checker.verify(text)
    assert checker.verify_cached(text) is first
    assert await checker.verify(text) is first
    assert keys.asked == 1
    clock.now = NOW + 3600
    assert checker.verify_cached(text) is None
    assert (await refused(checker, text))[0] == "token_expired"


async def test_the_memory_is_bounded_and_keeps_what_is_used(clock: Clock) -> None:
    checker = authenticator(clock, remembered=2)
    a, b, c, *others = (token(good(sub=name)) for name in "abcdefgh")
    for text in (a, b, c):
        await checker.verify(text)
    assert all(map(checker.verify_cached, (a, c))), "the last two that were used"
    for text in others:
        await checker.verify(text)
        assert checker.verify_cached(a) is not None
    assert [text for text in (b, c, *others) if checker.verify_cached(text)] == others[-2:]


async def test_no_memory_where_none_is_wanted(clock: Clock) -> None:
    checker = authenticator(clock, remembered=0)
    await checker.verify(token(good()))
    assert checker.verify_cached(token(good())) is None


async def test_the_memory_ends_when_a_key_is_taken_away(clock: Clock) -> None:
    keys = CountingKeys(secret=SECRET)
    checker = Authenticator(keys, ["HS256"], clock=clock)
    await checker.verify(token(good()))
    keys.moved = 1
    assert checker.verify_cached(token(good())) is None
    await checker.verify(token(good()))
    assert keys.asked == 2


async def test_bad_tokens_are_not_remembered(clock: Clock) -> None:
    checker = authenticator(clock, remembered=1)
    await checker.verify(token(good()))
    for _ in range(3):
        await refused(checker, token(good(), OTHER))
    assert checker.verify_cached(token(good())) is not None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 400), to=st.sampled_from("AZaz09-_.=\n é"))
async def test_no_changed_character_passes(clock: Clock, at: int, to: str) -> None:
    text = token(good(hub={"subscribe": ["job:*"]}))
    at %= len(text)
    changed = text[:at] + to + text[at + 1 :]
    checker = authenticator(clock)
    if changed == text:
        assert (await checker.verify(changed)).user == "ann"
    elif at == len(text) - 1 and jws_signature(changed) == jws_signature(text):
        assert (await checker.verify(changed)).user == "ann"  # the last character has four unused bits
    else:
        with pytest.raises(HubError):
            await checker.verify(changed)


def jws_signature(text: str) -> bytes | None:
    try:
        return jws.parse(text).signature
    except HubError:
        return None
