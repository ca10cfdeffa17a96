"""Keys of settings: every algorithm with a real key, every confusion refused, every problem in words."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from hub.auth import jws
from hub.auth.keys import ALGORITHMS, Key, StaticKeys
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError

from .conftest import SECRET, Pair, good, pair, raw, token

OTHER = "another secret of more than thirty-two bytes"


async def accepts(keys: StaticKeys, text: str) -> bool:
    parsed = jws.parse(text)
    return any(key.verifies(parsed) for key in await keys.keys_for(parsed))


async def reason(keys: StaticKeys, text: str) -> str:
    with pytest.raises(HubError) as caught:
        await keys.keys_for(jws.parse(text))
    assert caught.value.code is ErrorCode.TOKEN_INVALID
    return caught.value.reason


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_secrets(algorithm: str) -> None:
    keys = StaticKeys(secret=SECRET, algorithms=[algorithm])
    assert keys.problems() == []
    # PyJWT's wish for 48 and 64 bytes with the longer digests is heeded, so that it does not warn
    long = SECRET + OTHER
    assert await accepts(StaticKeys(secret=long, algorithms=[algorithm]), token(good(), long, algorithm))
    assert not await accepts(keys, token(good(), long, algorithm))


@pytest.mark.parametrize("algorithm", [each for each in ALGORITHMS if each[:2] != "HS"])
async def test_public_keys(algorithm: str, pairs: dict[str, Pair]) -> None:
    keys = StaticKeys(public_key=pairs[algorithm].public, algorithms=[algorithm])
    assert keys.problems() == []
    good_token = token(good(), pairs[algorithm].private, algorithm)
    assert await accepts(keys, good_token)
    header, _payload, signature = good_token.split(".")
    other = token(good(sub="eve"), pairs[algorithm].private, algorithm).split(".")[1]
    assert not await accepts(keys, f"{header}.{other}.{signature}")
    assert not await accepts(keys, good_token[:-8])


async def test_the_previous_keys_still_count(pairs: dict[str, Pair]) -> None:
    new = pair(rsa.generate_private_key(65537, 2048))
    keys = StaticKeys(
        secret=OTHER,
        previous_secret=SECRET,
        public_key=new.public,
        previous_public_key=pairs["RS256"].public,
        algorithms=["HS256", "RS256"],
    )
    assert keys.problems() == []
    for key in (OTHER, SECRET):
        assert await accepts(keys, token(good(), key))
    for each in (new, pairs["RS256"]):
        assert await accepts(keys, token(good(), each.private, "RS256"))


async def test_a_public_key_is_never_a_secret(pairs: dict[str, Pair]) -> None:
    """The classic: the attacker signs HS256 with the public PEM as the secret."""
    import hashlib
    import hmac

    unsigned = raw({"alg": "HS256"}, good()).rpartition(".")[0]
    pem = pairs["RS256"].public.encode()
    import base64

    mac = base64.urlsafe_b64encode(hmac.digest(pem, unsigned.encode(), hashlib.sha256)).decode().rstrip("=")
    forged = f"{unsigned}.{mac}"
    only_rsa = StaticKeys(public_key=pem, algorithms=["RS256"])
    assert (
        await reason(only_rsa, forged) == "the token's algorithm HS256 is not accepted here; accepted: RS256"
    )
    both = StaticKeys(public_key=pem, algorithms=["RS256", "HS256"])
    assert await reason(both, forged) == "the hub has no key for HS256"
    with_secret = StaticKeys(public_key=pem, secret=SECRET, algorithms=["RS256", "HS256"])
    assert not await accepts(with_secret, forged)


async def test_no_signature_is_never_accepted() -> None:
    keys = StaticKeys(secret=SECRET, algorithms=["HS256", "none"])
    assert keys.problems()[0].startswith("none is no algorithm for tokens")
    for name in ("none", "None", "NONE"):
        assert await reason(keys, raw({"alg": name}, good())) == (
            "the token is not signed (alg none), which is never accepted"
        )
    assert not await accepts(keys, raw({"alg": "HS256"}, good()))


async def test_a_strangers_algorithm_name_is_not_repeated() -> None:
    why = await reason(StaticKeys(secret=SECRET), raw({"alg": "<script>"}, good()))
    assert (
        why == "the token's algorithm of an unknown name is not accepted here; accepted: HS256, HS384, HS512"
    )


async def test_a_curve_belongs_to_its_algorithm(pairs: dict[str, Pair]) -> None:
    keys = StaticKeys(public_key=pairs["ES384"].public, algorithms=["ES256"])
    assert keys.problems() == ["the JWT public key fits none of the allowed algorithms (ES256)"]


def certificate(key: Pair) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
    start = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.private.public_key())
    )
    builder = builder.serial_number(1).not_valid_before(start).not_valid_after(start + timedelta(days=1))
    return builder.sign(key.private, hashes.SHA256()).public_bytes(Encoding.PEM)


async def test_a_certificate_gives_its_key(pairs: dict[str, Pair]) -> None:
    keys = StaticKeys(public_key=certificate(pairs["RS256"]), algorithms=["RS256"])
    assert keys.problems() == []
    assert await accepts(keys, token(good(), pairs["RS256"].private, "RS256"))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            {"secret": "short"},
            "the JWT secret has 5 bytes and can be guessed from one token; "
            "it needs 32 or more, from a random source",
        ),
        ({"secret": SECRET, "previous_secret": "short"}, "the JWT previous secret has 5 bytes"),
        ({"algorithms": ["HS256"]}, "tokens by HS256 are allowed, but no key for them is given"),
        (
            {"secret": SECRET, "algorithms": ["HS256", "RS256"]},
            "tokens by RS256 are allowed, but no key for them",
        ),
        ({"secret": SECRET, "algorithms": ["XX1"]}, "XX1 is no algorithm for tokens; there are HS256,"),
        ({"public_key": "rubbish", "algorithms": ["RS256"]}, "the JWT public key can't be read as PEM"),
        ({"secret": "ssh-rsa " + "A" * 99}, "the JWT secret is a key file, not a secret"),
    ],
)
async def test_problems_in_words(settings: dict[str, Any], problem: str) -> None:
    keys = StaticKeys(**settings)
    assert any(each.startswith(problem) for each in keys.problems()), keys.problems()


async def test_what_is_complained_about_is_not_used(pairs: dict[str, Pair]) -> None:
    weak = StaticKeys(secret="short", algorithms=["HS256"])
    assert await reason(weak, raw({"alg": "HS256"}, good())) == "the hub has no key for HS256"
    private = StaticKeys(public_key=pairs["RS256"].private_pem, algorithms=["RS256"])
    assert private.problems() == ["the JWT public key is a private key: give the hub its public half only"]
    pem_as_secret = StaticKeys(secret=pairs["RS256"].public)
    assert pem_as_secret.problems()[0].startswith("the JWT secret is a key file")
    small = pair(rsa.generate_private_key(65537, 1024))
    assert StaticKeys(public_key=small.public, algorithms=["RS256"]).problems() == [
        "the JWT public key has 1024 bits; RSA needs 2048 or more"
    ]


def test_no_secret_is_in_a_problem_or_a_repr() -> None:
    keys = StaticKeys(secret="hunter2", algorithms=["HS256", "RS256"])
    assert "hunter2" not in "".join(keys.problems())
    assert "hunter2" not in repr(keys)
    assert SECRET not in repr(Key("HS256", SECRET.encode(), None))  # type: ignore[arg-type]
