"""Real keys of every kind, a clock that stands still until it is told to move, and tokens."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import settings

from hub.auth.tokens import Authenticator

# A busy machine is no fault of an example.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

NOW = 1_767_225_600.0
SECRET = "a secret of more than thirty-two bytes, truly"


class Clock:
    """Unix seconds, moved by hand."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Pair:
    """A private key and its public half in PEM."""

    private: Any
    public: str

    @property
    def private_pem(self) -> str:
        pem = self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return str(pem.decode())


def pair(private: Any) -> Pair:
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return Pair(private, pem.decode())


CURVES: dict[str, Callable[[], ec.EllipticCurve]] = {
    "ES256": ec.SECP256R1,
    "ES384": ec.SECP384R1,
    "ES512": ec.SECP521R1,
    "ES256K": ec.SECP256K1,
}


@pytest.fixture(scope="session")
def pairs() -> dict[str, Pair]:
    """A key pair by algorithm."""
    rsa_pair = pair(rsa.generate_private_key(65537, 2048))
    table = {f"{family}{bits}": rsa_pair for family in ("RS", "PS") for bits in (256, 384, 512)}
    table |= {name: pair(ec.generate_private_key(curve())) for name, curve in CURVES.items()}
    table["EdDSA"] = pair(ed25519.Ed25519PrivateKey.generate())
    return table


@pytest.fixture
def clock() -> Clock:
    return Clock()


def good(**more: Any) -> dict[str, Any]:
    """Claims that nothing is wrong with."""
    return {"sub": "ann", "exp": NOW + 3600, "iat": NOW, **more}


def token(claims: dict[str, Any], key: Any = SECRET, algorithm: str = "HS256", **header: Any) -> str:
    return jwt.encode(claims, key, algorithm, headers=header or None)


def raw(header: Any, payload: Any, signature: bytes = b"") -> str:
    """A token with exactly these parts, signed by nobody."""
    parts = (json.dumps(header).encode(), json.dumps(payload).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


async def refused(authenticator: Authenticator, text: str) -> tuple[str, str]:
    """Code and reason of a refusal, which may hold no part of the token."""
    from hub.protocol.errors import HubError

    with pytest.raises(HubError) as caught:
        await authenticator.verify(text)
    for part in text.split("."):
        assert len(part) < 8 or part not in caught.value.reason
    return caught.value.code.value, caught.value.reason
