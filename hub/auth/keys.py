"""The keys that tokens are checked with, and the ones given by settings.

Which algorithms count is said by settings. A token's `alg` and `kid` only choose among keys that are bound to
an algorithm already, so a public key can never be taken for a secret (RFC 8725 section 2.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import Algorithm, get_default_algorithms

from .jws import Jws
from .refusals import invalid

MIN_SECRET_BYTES = 32
MIN_RSA_BITS = 2048

_CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1", "ES256K": "secp256k1"}
ALGORITHMS = (
    *("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *(*_CURVES, "EdDSA"),
)
"""All that settings may name."""

_IMPLEMENTATIONS = {name: get_default_algorithms()[name] for name in ALGORITHMS}


@dataclass(frozen=True, slots=True)
class Key:
    """One key, ready for one algorithm. `provider`: the issuer that discovery found it by."""

    algorithm: str
    material: Any = field(repr=False)
    implementation: Algorithm
    provider: str | None = None

    def verifies(self, jws: Jws) -> bool:
        """Whether this key made the signature."""
        return self.implementation.verify(jws.message, self.material, jws.signature)


class Keys(Protocol):
    """Where keys come from."""

    async def keys_for(self, jws: Jws) -> Sequence[Key]:
        """The keys that may have signed this, at least one.

        Raises:
            HubError: ``token_invalid`` where there is none, ``unavailable`` where nobody can say just now.
        """

    def version(self) -> int:
        """Another number once a key was taken away: what was verified before it counts no more."""

    def problems(self) -> list[str]:
        """What is wrong with the settings, in words; nothing may be served while there is any."""

    async def close(self) -> None:
        """Let go of what it holds."""


def bind(material: Any, algorithms: Sequence[str]) -> list[Key]:
    """The keys that `material` makes: one for each of `algorithms` that it fits."""
    return [Key(each, material, _IMPLEMENTATIONS[each]) for each in algorithms if _fits(material, each)]


def refusal(algorithm: str, allowed: Sequence[str]) -> str | None:
    """Why a token's `alg` is not taken, or None. Only known names are repeated, no stranger's text."""
    if algorithm in allowed:
        return None
    if algorithm.lower() == "none":
        return "the token is not signed (alg none), which is never accepted"
    name = algorithm if algorithm in ALGORITHMS else "of an unknown name"
    return f"the token's algorithm {name} is not accepted here; accepted: {', '.join(allowed) or 'none'}"


class StaticKeys:
    """Keys given by settings: a secret for HS*, a public key for the rest, and the previous ones of each.

    Public keys are PEM, or a PEM certificate. While a key is being changed, the old one stands as the
    previous one until its last token has expired. A `kid` is not looked at. What `problems` complains about
    is not used. `algorithms` None allows all that the keys fit; else there must be a key for each, unless
    `complete` is False and others may have it.
    """

    def __init__(
        self,
        *,
        secret: str | bytes | None = None,
        previous_secret: str | bytes | None = None,
        public_key: str | bytes | None = None,
        previous_public_key: str | bytes | None = None,
        algorithms: Sequence[str] | None = None,
        complete: bool = True,
    ) -> None:
        wanted = ALGORITHMS if algorithms is None else tuple(algorithms)
        self._problems = [
            f"{each} is no algorithm for tokens; there are {', '.join(ALGORITHMS)}"
            for each in wanted
            if each not in ALGORITHMS
        ]
        self._allowed = tuple(each for each in wanted if each in ALGORITHMS)
        self._keys: dict[str, list[Key]] = {}
        for name, value in (("JWT secret", secret), ("JWT previous secret", previous_secret)):
            if value:
                self._add(name, self._secret(name, _bytes(value)))
        for name, value in (("JWT public key", public_key), ("JWT previous public key", previous_public_key)):
            if value:
                self._add(name, self._public(name, _bytes(value)))
        if algorithms is None:
            self._allowed = self.algorithms
        elif complete and not self._problems:
            self._problems += [
                f"tokens by {each} are allowed, but no key for them is given"
                for each in self._allowed
                if each not in self._keys
            ]

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The algorithms that there is a key for."""
        return tuple(each for each in self._allowed if each in self._keys)

    async def keys_for(self, jws: Jws) -> Sequence[Key]:
        """The keys that may have signed this, at least one."""
        if (why := refusal(jws.algorithm, self._allowed)) is not None:
            raise invalid(why)
        keys = self._keys.get(jws.algorithm)
        if keys is None:
            raise invalid(f"the hub has no key for {jws.algorithm}")
        return keys

    def version(self) -> int:
        """Another number once a key was taken away: what was verified before it counts no more. Settings do
        not change while the hub runs."""
        return 0

    async def close(self) -> None:
        """Let go of what it holds. Nothing is held."""

    def problems(self) -> list[str]:
        """What is wrong with the settings, in words; nothing may be served while there is any."""
        return list(self._problems)

    def _add(self, name: str, material: Any) -> None:
        if material is None:
            return
        keys = bind(material, self._allowed)
        if not keys:
            allowed = ", ".join(self._allowed) or "none"
            self._problems.append(f"the {name} fits none of the allowed algorithms ({allowed})")
        for key in keys:
            self._keys.setdefault(key.algorithm, []).append(key)

    def _secret(self, name: str, value: bytes) -> bytes | None:
        if b"-----BEGIN " in value or value.startswith((b"ssh-", b"ecdsa-")):
            self._problems.append(
                f"the {name} is a key file, not a secret: give its public half as public key"
            )
            return None
        if len(value) < MIN_SECRET_BYTES:
            self._problems.append(
                f"the {name} has {len(value)} bytes and can be guessed from one token; "
                f"it needs {MIN_SECRET_BYTES} or more, from a random source"
            )
            return None
        return value

    def _public(self, name: str, pem: bytes) -> Any:
        if b"PRIVATE KEY-----" in pem:
            self._problems.append(f"the {name} is a private key: give the hub its public half only")
            return None
        try:
            certificate = b"-----BEGIN CERTIFICATE" in pem
            key = (
                x509.load_pem_x509_certificate(pem).public_key() if certificate else load_pem_public_key(pem)
            )
        except Exception as error:  # cryptography raises several kinds, and what matters is the sentence
            self._problems.append(f"the {name} can't be read as PEM: {type(error).__name__}")
            return None
        if (why := weakness(key)) is not None:
            self._problems.append(f"the {name} {why}")
            return None
        return key


def weakness(material: Any) -> str | None:
    """Why a public key is too weak to be used, or None."""
    if isinstance(material, rsa.RSAPublicKey) and material.key_size < MIN_RSA_BITS:
        return f"has {material.key_size} bits; RSA needs {MIN_RSA_BITS} or more"
    return None


def _fits(material: Any, algorithm: str) -> bool:
    match algorithm[:2]:
        case "HS":
            return isinstance(material, bytes)
        case "RS" | "PS":
            return isinstance(material, rsa.RSAPublicKey)
        case "ES":
            return (
                isinstance(material, ec.EllipticCurvePublicKey) and material.curve.name == _CURVES[algorithm]
            )
        case _:
            return isinstance(material, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey)


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
