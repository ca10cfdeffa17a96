"""What a token is, in words for the person who holds it: the text of ``hub explain-token``."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from ..protocol.errors import HubError
from . import claims, jws
from .channel_right import ChannelRight
from .grants import Pattern
from .identity import Identity
from .tokens import Authenticator


async def explain(
    authenticator: Authenticator,
    token: str,
    now: float,
    check: Callable[[Identity | ChannelRight], None] = lambda _proven: None,
) -> list[str]:
    """Lines that say whether a token is good at the Unix time `now`, exactly why, what it allows, until when.

    `check` raises `HubError` for a token that is good by itself and was revoked.
    The first line begins with ``valid`` or ``refused``. A refused token's claims are shown as it tells them.
    The lines quote the token: they are for its holder, never for a log.
    """
    try:
        proven = await authenticator.read(token)
        check(proven)
    except HubError as error:
        return [f"refused ({error.code.value}): {error.reason}", *_told(token)]
    parsed = jws.parse(token)
    return [
        f"valid: speaks for {proven.user}, and expires {_moment(proven.expires_at, now)}",
        _header(parsed),
        *(_allowed(proven) if isinstance(proven, Identity) else _allowed_in_channel(proven)),
        *await authenticator.explain(token),
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
    if identity.admin:
        lines.append(f"may {identity.admin.name.lower()} what only people who run the hub may (admin)")
    return lines


def _allowed_in_channel(right: ChannelRight) -> list[str]:
    lines = [
        f"is a channel token: it goes with subscribe, and may subscribe to {right.channel}, nothing else"
    ]
    if right.publish:
        lines.append(f"may publish to {right.channel}, where its namespace takes publications of clients")
    if right.presence:
        lines.append(f"may see and have presence in {right.channel}")
    if right.info is not None:
        lines.append(f"shows in presence {right.info.decode()}")
    return lines


def _patterns(pattern: Pattern) -> str:
    return ", ".join(pattern.patterns) or "no channel"


def _ignored(found: Mapping[str, Any]) -> list[str]:
    """A misspelt grant is no error, and grants nothing: say so."""
    hub = found.get("hub")
    known = claims.CHANNEL_FIELDS if claims.is_channel_token(found) else claims.HUB_FIELDS
    names = sorted(set(hub) - set(known)) if isinstance(hub, dict) else []
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
