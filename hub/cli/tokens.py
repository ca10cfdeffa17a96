"""``hub token``: sign a token with the hub's own secret."""

import argparse
import asyncio
import re
import sys
from typing import Any

from ..auth import mint
from ..auth.dead_patterns import why_dead
from ..auth.from_settings import make_authenticator, make_keys
from ..protocol.codec import loads_json
from ..protocol.errors import HubError
from ..settings import Settings
from . import configuration
from .failure import Failure
from .plain import plain

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SPAN = re.compile(r"([1-9][0-9]{0,8})([smhd]?)\Z")


def run(args: argparse.Namespace) -> int:
    """The command."""
    settings = configuration.load()
    if args.for_channel is None:
        hub, more = _session_rights(args), {}
    else:
        hub, more = _channel_rights(args), {"channel": args.for_channel}
    if args.info is not None:
        hub["info"] = _info(args.info)
    token = sign(settings, args.user, hub, span(args.ttl), **more)
    asyncio.run(_check(settings, token))
    for text in _dead(settings, hub):
        print(f"hub: {plain(text)}", file=sys.stderr)
    print(token)
    return 0


def _dead(settings: Settings, hub: dict[str, Any]) -> list[str]:
    """Grants that give nothing: the token is good all the same."""
    given = [
        (name, hub[name]) for name in ("subscribe", "publish", "presence") if isinstance(hub.get(name), list)
    ]
    return [
        f"--{name} {pattern} matches no channel: {why}"
        for name, patterns in given
        for pattern in patterns
        if (why := why_dead(pattern, settings.table)) is not None
    ]


def _session_rights(args: argparse.Namespace) -> dict[str, Any]:
    """The claim `hub` of a connection's token."""
    hub: dict[str, Any] = {}
    for name in ("subscribe", "publish", "presence", "channels"):
        given = getattr(args, name)
        if given:
            hub[name] = given
        elif given is not None:
            raise Failure(f"--{name} needs a channel, as in --{name} 'job:*'")
    if args.service:
        hub["service"] = True
    if args.admin:
        hub["admin"] = args.admin
    return hub


def _channel_rights(args: argparse.Namespace) -> dict[str, Any]:
    """The claim `hub` of a channel token: `--publish` and `--presence` alone, as the channel is said already."""
    for name in ("subscribe", "channels", "service", "admin"):
        if getattr(args, name):
            raise Failure(f"--{name} has no place in a token for one channel")
    hub: dict[str, Any] = {}
    for name in ("publish", "presence"):
        given = getattr(args, name)
        if given not in (None, [], [args.for_channel]):
            raise Failure(f"--{name} stands alone beside --for-channel: it is for that channel")
        if given is not None:
            hub[name] = True
    return hub


def sign(settings: Settings, user: str, hub: dict[str, Any], ttl_s: float, **more: str) -> str:
    """A token by the hub's secret, as `mint.sign`.

    Raises:
        Failure: the hub has no secret, or takes no tokens by one.
    """
    try:
        return mint.sign(settings, user, hub, ttl_s, **more)
    except mint.CanNotSign as error:
        raise Failure(*error.problems) from None


def span(text: str, option: str = "--ttl") -> int:
    """Seconds of ``90s``, ``15m``, ``1h``, ``7d``, or of a bare number.

    Raises:
        Failure: it is none of these.
    """
    found = _SPAN.match(text)
    if found is None:
        raise Failure(f"{option} is a number with s, m, h or d behind it: 90s, 15m, 1h, 7d")
    return int(found[1]) * _UNITS[found[2] or "s"]


async def _check(settings: Settings, token: str) -> None:
    """A token that the hub would refuse is not handed out."""
    keys = make_keys(settings)
    try:
        await make_authenticator(settings, keys).read(token)
    except HubError as error:
        raise Failure(error.reason) from None
    finally:
        await keys.close()


def _info(text: str) -> Any:
    try:
        return loads_json(text.encode())
    except HubError as error:
        raise Failure(f"--info: {error.reason}") from None
