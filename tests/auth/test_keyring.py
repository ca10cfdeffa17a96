"""Several sources of keys."""

import pytest

from hub.auth import jws
from hub.auth.jwks import JwksKeys
from hub.auth.keyring import KeyRing
from hub.auth.keys import StaticKeys
from hub.auth.tokens import Authenticator
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError

from .conftest import SECRET, Clock, Pair, good, raw, refused, token


async def test_any_source_will_do(pairs: dict[str, Pair], clock: Clock) -> None:
    ring = KeyRing([StaticKeys(secret=SECRET), StaticKeys(public_key=pairs["ES256"].public)])
    assert ring.problems() == []
    checker = Authenticator(ring, clock=clock)
    assert (await checker.verify(token(good()))).user == "ann"
    assert (await checker.verify(token(good(), pairs["ES256"].private, "ES256"))).user == "ann"
    _, reason = await refused(checker, token(good(), pairs["EdDSA"].private, "EdDSA"))
    assert reason == (
        "the token's algorithm EdDSA is not accepted here; accepted: HS256, HS384, HS512; "
        "the token's algorithm EdDSA is not accepted here; accepted: ES256"
    )
    _, reason = await refused(checker, raw({"alg": "none"}, good()))
    assert reason == "the token is not signed (alg none), which is never accepted"


async def test_a_source_that_is_away_hides_no_other(pairs: dict[str, Pair]) -> None:
    away = JwksKeys("http://127.0.0.1:1/jwks.json")  # port 1: nothing listens there
    ring = KeyRing([away, StaticKeys(public_key=pairs["RS256"].public, algorithms=["RS256"], complete=False)])
    try:
        parsed = jws.parse(token(good(), pairs["RS256"].private, "RS256"))
        assert [key.algorithm for key in await ring.keys_for(parsed)] == ["RS256"]
        with pytest.raises(HubError) as caught:
            await ring.keys_for(jws.parse(token(good(), pairs["ES256"].private, "ES256")))
        assert caught.value.code is ErrorCode.UNAVAILABLE
    finally:
        await away.close()


async def test_no_source_is_a_problem() -> None:
    ring = KeyRing([])
    assert ring.problems()[0].startswith("there is no key")
    with pytest.raises(HubError, match="the hub has no key"):
        await ring.keys_for(jws.parse(token(good())))


def test_problems_of_all() -> None:
    assert len(KeyRing([StaticKeys(secret="short"), StaticKeys(public_key="rubbish")]).problems()) == 2
    assert StaticKeys(secret=SECRET, algorithms=["HS256", "RS256"], complete=False).problems() == []
