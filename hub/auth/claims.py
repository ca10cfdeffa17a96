"""From the claims of a checked token to an `Identity`. Past this module nobody sees a raw claims dict."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from ..protocol.channels import is_reserved, namespace_of
from ..protocol.errors import HubError
from .channel_right import ChannelRight
from .grants import pattern
from .identity import Grants, Identity, Level
from .refusals import expired, invalid

MAX_ID = 256
MAX_INFO_BYTES = 4096
LEEWAY_S = 10.0
"""How far the issuer's clock may be ahead. `exp` has none: a connection ends at that very second too."""

# A date in milliseconds would make a token that lives for 50,000 years: a common slip, and a dangerous one.
_MAX_TIME = 100_000_000_000

# What would frame, end or disguise a line in a log, at a terminal or in a store: C0, C1, separators, surrogates.
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

HUB_FIELDS = ("subscribe", "publish", "presence", "channels", "info", "service", "admin")
CHANNEL_FIELDS = ("publish", "presence", "info")


def identity(claims: Mapping[str, Any], now: float, leeway: float = LEEWAY_S) -> Identity:
    """Check the claims at the Unix time `now`.

    Raises:
        HubError: ``token_expired``, or ``token_invalid`` with the claim and what is wrong with it.
    """
    user = subject(claims)
    expires_at, issued_at = life(claims, now, leeway)
    hub = _hub(claims)
    service = _flag(hub, "service")
    admin = _admin(hub)
    return Identity(
        user=user,
        expires_at=expires_at,
        grants=grants(_grant(hub, "subscribe"), _grant(hub, "publish"), _grant(hub, "presence")),
        channels=_channels(hub),
        info=shown(hub.get("info"), "hub.info"),
        service=service,
        issued_at=issued_at,
        jti=token_id(claims),
        name=publisher(user),
        control=Level.WRITE if service else admin,
        admin=admin,
    )


def is_channel_token(claims: Mapping[str, Any]) -> bool:
    """Whether the token speaks of one channel, and so lets nobody in."""
    return claims.get("channel") is not None


def channel_right(claims: Mapping[str, Any], now: float, leeway: float = LEEWAY_S) -> ChannelRight:
    """Check the claims of a channel token at the Unix time `now`.

    Raises:
        HubError: ``token_expired``, or ``token_invalid`` with the claim and what is wrong with it.
    """
    channel = claims.get("channel")
    if not isinstance(channel, str):
        raise invalid("claim channel must be a string")
    try:
        namespace_of(channel)
    except HubError as error:
        raise invalid(f"claim channel: {error.reason}") from None
    if is_reserved(channel):
        raise invalid("claim channel: the channels of the namespace hub are not given away")
    expires_at, issued_at = life(claims, now, leeway)
    hub = _hub(claims)
    return ChannelRight(
        user=subject(claims),
        channel=channel,
        expires_at=expires_at,
        publish=_flag(hub, "publish"),
        presence=_flag(hub, "presence"),
        info=shown(hub.get("info"), "hub.info"),
        issued_at=issued_at,
        jti=token_id(claims),
    )


def check_addressed(claims: Mapping[str, Any], issuer: str | None, audience: str | None) -> None:
    """Check `iss` and `aud` (RFC 7519 sections 4.1.1 and 4.1.3) where settings name them.

    Raises:
        HubError: ``token_invalid``.
    """
    if issuer is not None and claims.get("iss") != issuer:
        raise invalid(f"claim iss {'is not' if 'iss' in claims else 'is missing; it must be'} {issuer}")
    if audience is None:
        return
    meant = claims.get("aud")
    if audience not in (meant if isinstance(meant, list) else [meant]):
        raise invalid(
            f"claim aud {'does not name' if 'aud' in claims else 'is missing; it must name'} {audience}"
        )


@lru_cache(maxsize=4096)
def grants(subscribe: tuple[str, ...], publish: tuple[str, ...], presence: tuple[str, ...]) -> Grants:
    """The shared `Grants` of three sets of patterns."""
    return Grants(pattern(subscribe), pattern(publish), pattern(presence))


def span(seconds: float) -> str:
    """A time span as people say it: ``90 s``, ``4 h``."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def life(
    claims: Mapping[str, Any], now: float, leeway: float, endless: float | None = None
) -> tuple[float, float | None]:
    """`exp` and `iat`, checked at the Unix time `now`; `endless` stands for an `exp` that may be missing.

    Raises:
        HubError: ``token_expired`` or ``token_invalid``.
    """
    expires_at = seconds(claims, "exp")
    if expires_at is None:
        expires_at = endless
    if expires_at is None:
        raise invalid("claim exp is missing")
    issued_at = seconds(claims, "iat")
    _check_times(now, leeway, expires_at, seconds(claims, "nbf"), issued_at)
    return expires_at, issued_at


def subject(claims: Mapping[str, Any]) -> str:
    """`sub`, checked: whom the token speaks for.

    Raises:
        HubError: ``token_invalid``.
    """
    user = claims.get("sub")
    if user is None:
        raise invalid("claim sub is missing")
    if not isinstance(user, str):
        raise invalid("claim sub must be a string")
    if not 1 <= len(user) <= MAX_ID:
        raise invalid(f"claim sub must have 1 to {MAX_ID} characters")
    if _CONTROL.search(user) is not None:
        raise invalid("claim sub holds control characters")
    return user


def token_id(claims: Mapping[str, Any]) -> str | None:
    """`jti`, checked.

    Raises:
        HubError: ``token_invalid``.
    """
    jti = claims.get("jti")
    if jti is None:
        return None
    if not isinstance(jti, str):
        raise invalid("claim jti must be a string")
    if not 1 <= len(jti) <= MAX_ID:
        raise invalid(f"claim jti must have 1 to {MAX_ID} characters")
    return jti


def seconds(claims: Mapping[str, Any], name: str) -> float | None:
    """A claim that is a Unix time, checked.

    Raises:
        HubError: ``token_invalid``.
    """
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid(f"claim {name} must be a number of seconds since 1970")
    if not 0 <= value < _MAX_TIME:
        raise invalid(f"claim {name} must be in seconds since 1970, and this is out of range (milliseconds?)")
    return float(value)


def shown(value: Any, name: str) -> bytes | None:
    """What presence shows of somebody, as JSON; `name` is the claim's.

    Raises:
        HubError: ``token_invalid``.
    """
    if value is None:
        return None
    # Copied, as it lives as long as a connection: the result of orjson keeps all 4 KiB that it was built in.
    try:
        info = bytes(memoryview(orjson.dumps(value)))
    except TypeError:  # orjson.JSONEncodeError: too deep for it, or half a surrogate pair
        raise invalid(f"claim {name} is nested too deep, or holds text that is no Unicode") from None
    if len(info) > MAX_INFO_BYTES:
        raise invalid(f"claim {name} has {len(info)} bytes of JSON; {MAX_INFO_BYTES} are allowed")
    return info


def _check_times(
    now: float, leeway: float, expires_at: float, not_before: float | None, issued_at: float | None
) -> None:
    if expires_at <= now:
        raise expired(f"the token expired {span(now - expires_at)} ago (claim exp)")
    if not_before is not None and not_before > now + leeway:
        raise invalid(f"the token is not valid before {span(not_before - now)} from now (claim nbf)")
    if issued_at is not None and issued_at > now + leeway:
        raise invalid(f"the token was issued {span(issued_at - now)} in the future (claim iat)")


def publisher(user: str) -> str:
    """Whom the event ids of a token belong to: its `sub`, which can't be taken for the name of an API key."""
    return f"token:{user}" if user.startswith(("key:", "token:")) else user


def _hub(claims: Mapping[str, Any]) -> Mapping[str, Any]:
    hub = claims.get("hub")
    if hub is None:
        return {}
    if not isinstance(hub, dict):
        raise invalid("claim hub must be an object")
    return hub


def _grant(hub: Mapping[str, Any], verb: str) -> tuple[str, ...]:
    """The patterns of a verb. A service that names none may do all, as one with an API key; named ones bind it."""
    if hub.get(verb) is None and hub.get("service") is True:
        return ("*",)
    return _strings(hub, verb)


def _strings(hub: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = hub.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise invalid(f"claim hub.{name} must be a list of strings")
    return tuple(dict.fromkeys(value))


def _channels(hub: Mapping[str, Any]) -> tuple[str, ...]:
    channels = _strings(hub, "channels")
    for index, channel in enumerate(channels):
        try:
            namespace_of(channel)
        except HubError as error:
            raise invalid(f"claim hub.channels[{index}]: {error.reason}") from None
    return channels


def _flag(hub: Mapping[str, Any], name: str) -> bool:
    value = hub.get(name)
    if not isinstance(value, bool | None):
        raise invalid(f"claim hub.{name} must be true or false")
    return bool(value)


def _admin(hub: Mapping[str, Any]) -> Level:
    value = hub.get("admin")
    if value is None:
        return Level.NONE
    if value not in ("read", "write"):
        raise invalid("claim hub.admin must be read or write")
    return Level[value.upper()]
