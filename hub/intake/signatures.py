"""Whether a webhook is its sender's: the raw body is checked before anything is parsed, in constant time.

Sources: Standard Webhooks 1.0; GitHub "Validating webhook deliveries"; Stripe "Verify webhook signatures manually";
Slack "Verifying requests from Slack".
"""

import base64
import hmac
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers

from .settings import HookSettings

TOLERANCE_S = 300.0
MOST_SIGNATURES = 16  # in one header, while secrets are exchanged


class Refused(Exception):
    """The signature is not good; `str` says why, to the hub's log and not to the sender."""


@dataclass(frozen=True, slots=True)
class Signed:
    """What was signed, the signatures that came with it, and the delivery's name where a header has it."""

    content: bytes
    given: Sequence[str]
    id: str | None = None
    encoding: str = "hex"
    algorithm: str = "sha256"


def verify(settings: HookSettings, headers: Headers, body: bytes, now: float) -> str | None:
    """The name of a delivery, where a header has it. `now` is in Unix seconds.

    Raises:
        Refused: the signature is missing, wrong or too old.
    """
    signed = KINDS[settings.kind](settings, headers, body, now)
    good = False
    for key in settings.keys:
        digest = hmac.digest(key, signed.content, signed.algorithm)
        right = digest.hex() if signed.encoding == "hex" else base64.b64encode(digest).decode()
        for given in signed.given[:MOST_SIGNATURES]:
            good |= hmac.compare_digest(right.encode(), given.encode())  # all of them, whichever fits
    if not good:
        raise Refused("no signature fits")
    return signed.id


def _standard(_: HookSettings, headers: Headers, body: bytes, now: float) -> Signed:
    id, stamp = _one(headers, "webhook-id"), _fresh(_one(headers, "webhook-timestamp"), now)
    given = _of_version("v1,", _one(headers, "webhook-signature").split(" "))
    return Signed(f"{id}.{stamp}.".encode() + body, given, id, "base64")


def _github(_: HookSettings, headers: Headers, body: bytes, now: float) -> Signed:
    given = _of_version("sha256=", [_one(headers, "x-hub-signature-256")])
    return Signed(body, given, _one(headers, "x-github-delivery"))


def _stripe(_: HookSettings, headers: Headers, body: bytes, now: float) -> Signed:
    parts = [part.strip() for part in _one(headers, "stripe-signature").split(",")]
    stamps = _of_version("t=", parts)
    if len(stamps) != 1:
        raise Refused("there is no one timestamp")
    stamp = _fresh(stamps[0], now)
    return Signed(f"{stamp}.".encode() + body, _of_version("v1=", parts))


def _slack(_: HookSettings, headers: Headers, body: bytes, now: float) -> Signed:
    stamp = _fresh(_one(headers, "x-slack-request-timestamp"), now)
    given = _of_version("v0=", [_one(headers, "x-slack-signature")])
    return Signed(f"v0:{stamp}:".encode() + body, given)


def _hmac(settings: HookSettings, headers: Headers, body: bytes, now: float) -> Signed:
    assert settings.header is not None
    given = _of_version(settings.prefix, [_one(headers, settings.header)])
    content = body
    if settings.timestamp_header is not None:
        content = f"{_fresh(_one(headers, settings.timestamp_header), now)}.".encode() + body
    id = _one(headers, settings.id_header) if settings.id_header is not None else None
    return Signed(content, given, id, settings.encoding, settings.algorithm)


KINDS: dict[str, Callable[[HookSettings, Headers, bytes, float], Signed]] = {
    "standard": _standard,
    "github": _github,
    "stripe": _stripe,
    "slack": _slack,
    "hmac": _hmac,
}


def _one(headers: Headers, name: str) -> str:
    """A header that is there once: of two, proxies and programs choose differently."""
    found = headers.getlist(name)
    if len(found) != 1 or not found[0]:
        raise Refused(f"{name} is there {len(found)} times")
    return found[0]


def _fresh(stamp: str, now: float) -> str:
    """Unix seconds, not too far from now: else whoever once saw a delivery could repeat it for ever."""
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise Refused("the timestamp is no number of seconds")
    if abs(now - int(stamp)) > TOLERANCE_S:
        raise Refused(f"the timestamp is {now - int(stamp):.0f} s off")
    return stamp


def _of_version(prefix: str, parts: Iterable[str]) -> list[str]:
    """The signatures of the version that is known."""
    return [part.removeprefix(prefix) for part in parts if part.startswith(prefix)]
