"""A JSON Web Key Set (RFC 7517) read into keys that check signatures."""

from collections.abc import Sequence
from typing import Any

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from jwt.algorithms import Algorithm, get_default_algorithms
from jwt.exceptions import PyJWTError

from .jws import Jws
from .keys import Key, bind, weakness
from .refusals import invalid

MAX_KEYS = 100
# So many keys are tried on a token that names none: each try costs a public-key operation.
_MAX_TRIES = 4

# Public members only: a set that leaks a private key is read as if it did not.
_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_READERS: dict[str, Algorithm] = {
    kty: get_default_algorithms()[algorithm]
    for kty, algorithm in (("RSA", "RS256"), ("EC", "ES256"), ("OKP", "EdDSA"))
}


class KeySet:
    """The usable keys of a set, by `kid`.

    Left out are keys for encryption (`use`, `key_ops`), symmetric ones, ones of another algorithm than the
    allowed, too weak ones, and ones that make no sense: a set is shared with others, and their keys are no
    error.
    """

    __slots__ = ("_by_kid", "_keys", "names")

    def __init__(self, entries: Sequence[object], algorithms: Sequence[str]) -> None:
        self._by_kid: dict[str | None, list[Key]] = {}
        self._keys: list[Key] = []
        self.names: set[bytes] = set()
        """What identifies each key, `kid` and material together: to see whether one has gone."""
        for entry in entries[:MAX_KEYS]:
            if isinstance(entry, dict) and (keys := _read(entry, algorithms)):
                kid = entry.get("kid")
                self._by_kid.setdefault(kid if isinstance(kid, str) else None, []).extend(keys)
                self._keys.extend(keys)
                self.names.add(orjson.dumps([kid, _public(entry)]))

    def __len__(self) -> int:
        return len(self.names)

    def matching(self, jws: Jws) -> list[Key]:
        """The keys that may have signed it: those of its `kid`, or where it names none, those that fit.

        Raises:
            HubError: ``token_invalid``: it names none, and too many fit.
        """
        if jws.kid is not None:
            return [key for key in self._by_kid.get(jws.kid, ()) if key.algorithm == jws.algorithm]
        fitting = [key for key in self._keys if key.algorithm == jws.algorithm]
        if len(fitting) > _MAX_TRIES:
            raise invalid(
                f"the token names no key (kid), and the issuer's key set has {len(fitting)} for {jws.algorithm}: "
                "the issuer must name the one that signed"
            )
        return fitting


def read(document: bytes, algorithms: Sequence[str]) -> KeySet:
    """The keys of a document that are usable for `algorithms`; there may be none.

    Raises:
        ValueError: it is no key set, with why.
    """
    try:
        value = orjson.loads(document)
    except orjson.JSONDecodeError:
        raise ValueError("the answer is no JSON") from None
    entries = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(entries, list):
        raise ValueError("the answer is no key set: it has no list `keys`")
    return KeySet(entries, algorithms)


def _read(entry: dict[str, Any], algorithms: Sequence[str]) -> list[Key]:
    reader = _READERS.get(entry["kty"]) if isinstance(entry.get("kty"), str) else None
    if reader is None or not _is_for_signatures(entry):
        return []
    own = entry.get("alg")
    try:
        material = reader.from_jwk(_public(entry))
    except (PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, KeyError):
        return []
    if weakness(material) is not None:
        return []
    return bind(material, [each for each in algorithms if own is None or each == own])


def _is_for_signatures(entry: dict[str, Any]) -> bool:
    operations = entry.get("key_ops", ["verify"])
    return entry.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations


def _public(entry: dict[str, Any]) -> dict[str, Any]:
    return {"kty": entry["kty"], **{name: entry.get(name) for name in _MEMBERS[entry["kty"]]}}
