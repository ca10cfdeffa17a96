"""What a token is, in words for the person who holds it: the text of ``hub explain-token``."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from ..protocol.errors import HubError
from . import claims, jws
from .grants import Pattern
from .identity import Identity
from .tokens import Authenticator


async def explain(authenticator: Authenticator, token: str, now: float) -> list[str]:
    """Lines that say whether a token is good at the Unix time `now`, exactly why, what it allows, until when.

    The first line begins with ``valid`` or ``refused``. A refused token's claims are shown as it tells them.
    The lines quote the token: they are for its holder, never for a log.
    """
    try:
        identity = await authenticator.verify(token)
    except HubError as error:
        return [f"refused ({error.code.value}): {error.reason}", *_told(token)]
    parsed = jws.parse(token)
    return [
        f"valid: speaks for {identity.user}, and expires {_moment(identity.expires_at, now)}",
        _header(parsed),
        *_allowed(identity),
        *_ignored(jws.claims(parsed)),
    ]


def _header(parsed: jws.Jws) -> str:
    return f"algorithm {parsed.algorithm}, " + (f"key {parsed.kid}" if parsed.kid else "no key named (kid)")


def _allowed(identity: Identity) -> list[str]:
    own = f", and {identity.own_channel} as one's own" if identity.own_channel else ""
    lines = [
        f"may subscribe to {_patterns(identity.grants.subscribe)}{own}",
        f"may publish to {_patterns(identity.grants.publish)}",
        f"may see presence of {_patterns(identity.grants.presence)}",
    ]
    if identity.channels:
        lines.append(f"is subscribed by the server to {', '.join(identity.channels)}")
    if identity.info is not None:
        lines.append(f"shows in presence {identity.info.decode()}")
    if identity.service:
        lines.append("is a service: may disconnect, revoke, drain, and publish without `from`")
    return lines


def _patterns(pattern: Pattern) -> str:
    return ", ".join(pattern.patterns) or "no channel"


def _ignored(found: Mapping[str, Any]) -> list[str]:
    """A misspelt grant is no error, and grants nothing: say so."""
    hub = found.get("hub")
    names = sorted(set(hub) - set(claims.HUB_FIELDS)) if isinstance(hub, dict) else []
    return [f"claim hub.{name} is unknown and ignored" for name in names]


def _told(token: str) -> list[str]:
    try:
        parsed = jws.parse(token)
        found = jws.claims(parsed)
    except HubError:
        return []
    return [
        _header(parsed),
        "the token says of itself, unproven:",
        *(f"  {name}: {orjson.dumps(value).decode()}" for name, value in found.items()),
        *_ignored(found),
    ]


def _moment(when: float, now: float) -> str:
    stamp = datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{stamp} (in {claims.span(when - now)})"
