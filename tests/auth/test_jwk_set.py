"""Which keys of a set are used."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import get_default_algorithms

from hub.auth import jws
from hub.auth.jwk_set import MAX_KEYS, KeySet, read
from hub.auth.jwks import ASYMMETRIC
from hub.protocol.errors import HubError

from .conftest import Pair, good, pair, token
from .issuer import jwk


@pytest.mark.parametrize("algorithm", ["RS256", "PS512", "ES256", "ES384", "ES512", "ES256K", "EdDSA"])
def test_every_kind_of_key(algorithm: str, pairs: dict[str, Pair]) -> None:
    keys = KeySet([jwk(pairs[algorithm], algorithm, kid="k1", use="sig")], ASYMMETRIC)
    parsed = jws.parse(token(good(), pairs[algorithm].private, algorithm, kid="k1"))
    assert any(key.verifies(parsed) for key in keys.matching(parsed))
    assert not keys.matching(jws.parse(token(good(), pairs[algorithm].private, algorithm, kid="k2")))
    unnamed = jws.parse(token(good(), pairs[algorithm].private, algorithm))
    assert any(key.verifies(unnamed) for key in keys.matching(unnamed))


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"use": 5},
        {"key_ops": ["encrypt"]},
        {"key_ops": "verify"},
        {"alg": "RS512"},
        {"alg": "HS256"},
        {"alg": ["RS256"]},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "EC"},
        {"kty": ["RSA"]},
        {"kty": None},
        {"n": 5},
        {"n": "!!"},
        {"e": "AA"},
        {"n": None},
    ],
)
def test_keys_that_are_not_for_this(change: dict[str, Any], pairs: dict[str, Pair]) -> None:
    entry = {**jwk(pairs["RS256"], "RS256", kid="k1"), **change}
    assert len(KeySet([entry], ["RS256"])) == 0
    assert len(KeySet([entry, jwk(pairs["RS256"], "RS256", kid="k1")], ["RS256"])) == 1


def test_weak_keys_are_left_out() -> None:
    small = pair(rsa.generate_private_key(65537, 1024))
    assert len(KeySet([jwk(small, "RS256")], ["RS256"])) == 0


def test_a_leaked_private_key_is_read_as_public(pairs: dict[str, Pair]) -> None:
    leaked = get_default_algorithms()["ES256"].to_jwk(pairs["ES256"].private, as_dict=True)
    assert "d" in leaked
    keys = KeySet([leaked], ["ES256"])
    parsed = jws.parse(token(good(), pairs["ES256"].private, "ES256"))
    assert keys.matching(parsed)[0].verifies(parsed)


def test_a_kid_says_nothing_of_the_algorithm(pairs: dict[str, Pair]) -> None:
    keys = KeySet(
        [jwk(pairs["RS256"], "RS256", kid="k", alg="RS256"), jwk(pairs["ES256"], "ES256", kid="k")],
        ASYMMETRIC,
    )
    for algorithm in ("RS256", "ES256"):
        parsed = jws.parse(token(good(), pairs[algorithm].private, algorithm, kid="k"))
        assert [key.verifies(parsed) for key in keys.matching(parsed)] == [True]


def test_tries_and_keys_are_bounded(pairs: dict[str, Pair]) -> None:
    entries = [jwk(pairs["ES256"], "ES256", kid=str(at)) for at in range(MAX_KEYS + 5)]
    keys = KeySet(entries, ["ES256"])
    assert len(keys) == MAX_KEYS
    with pytest.raises(HubError, match=r"names no key \(kid\).* has 100 for ES256"):
        keys.matching(jws.parse(token(good(), pairs["ES256"].private, "ES256")))
    few = KeySet(entries[:4], ["ES256"])
    assert len(few.matching(jws.parse(token(good(), pairs["ES256"].private, "ES256")))) == 4


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b"<html>", "no JSON"),
        (b"", "no JSON"),
        (b"[]", "no list"),
        (b'{"keys":{}}', "no list"),
        (b'{"error":"x"}', "no list"),
    ],
)
def test_documents_that_are_no_set(document: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read(document, ["RS256"])


def test_a_set_may_hold_anything(pairs: dict[str, Pair]) -> None:
    document = json.dumps({"keys": [None, 5, "x", [], {}, jwk(pairs["RS256"], "RS256", kid=7)]}).encode()
    assert len(read(document, ["RS256"])) == 1
