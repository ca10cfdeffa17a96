"""Signed requests: Standard Webhooks 1.0 (symmetric, ``v1``).

The receiver computes HMAC-SHA256 over ``<webhook-id>.<webhook-timestamp>.<body>``; during an exchange of secrets
there is a signature by each, separated by spaces.
"""

import base64
import binascii
import hmac
from collections.abc import Sequence

from pydantic import SecretStr

PREFIX = "whsec_"
SHORTEST = 24  # bytes of a secret, by the standard


def keys_of(secrets: Sequence[SecretStr]) -> list[bytes]:
    """The secrets as bytes: base64 behind ``whsec_``.

    Raises:
        ValueError: one is none; it is not quoted.
    """
    keys = []
    for secret in secrets:
        try:
            key = base64.b64decode(secret.get_secret_value().removeprefix(PREFIX), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"a secret is {PREFIX} and base64") from None
        if len(key) < SHORTEST:
            raise ValueError(f"a secret is too short; it needs {SHORTEST} bytes or more behind {PREFIX}")
        keys.append(key)
    return keys


def signed(keys: Sequence[bytes], id: str, now: float, body: bytes) -> dict[str, str]:
    """The headers of a request with `body`; `now` is in Unix seconds."""
    stamp = str(int(now))
    content = f"{id}.{stamp}.".encode() + body
    signatures = (base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in keys)
    headers = {"webhook-id": id, "webhook-timestamp": stamp}
    if keys:
        headers["webhook-signature"] = " ".join(f"v1,{signature}" for signature in signatures)
    return headers
