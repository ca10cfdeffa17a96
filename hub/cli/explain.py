"""``hub explain-token``: whether a token is good here, exactly why, and what it allows."""

import argparse
import asyncio
import sys
import time

from ..auth.explain import explain
from ..auth.from_settings import make_authenticator, make_keys
from . import configuration, output, remote
from .failure import Failure


def run(args: argparse.Namespace) -> int:
    """The command; status 1 where the token is refused. What it prints is for the token's holder."""
    token = sys.stdin.read() if args.token == "-" else args.token  # noqa: S105  # a dash is no password
    token = token.strip()
    lines = asyncio.run(_explain(token))
    known = None
    if lines[0].startswith("valid"):
        known, lines = _asked(token, lines, args)
    valid = lines[0].startswith("valid")
    if args.json:
        output.as_json({"valid": valid, "revocation_known": known, "lines": lines})
    else:
        output.lines(lines)
    return 0 if valid else 1


def _asked(token: str, lines: list[str], args: argparse.Namespace) -> tuple[bool, list[str]]:
    """What the running hub says of a token that is good by the settings: it knows what was revoked, and it may have
    other settings. And whether it said anything."""
    # Who may ask: a service, else the token itself, where it is no channel token.
    credentials = [*remote.bearers(args.bearer), token]
    with remote.RunningHub(args.url, credentials[:1]) as hub:
        try:
            said = hub.post("/v1/tokens/explain", {"token": token})
        except remote.Refused as refused:
            if credentials[0] == token and refused.http_status == 401:
                return True, [f"{_refusal(refused)}, says the hub at {hub.url}", *lines[1:]]
            return False, [*lines, f"whether it was revoked is not known: {refused.lines[0]}"]
        except Failure as failure:
            return False, [*lines, f"whether it was revoked is not known: {failure.lines[0]}"]
    if said["valid"]:
        return True, [*lines, f"the hub at {hub.url} takes it, and knows of no revocation"]
    return True, [f"{said['lines'][0]}, says the hub at {hub.url}", *lines[1:]]


def _refusal(refused: remote.Refused) -> str:
    return f"refused ({refused.body.get('code')}): {refused.body.get('reason')}"


async def _explain(token: str) -> list[str]:
    settings = configuration.load()
    keys = make_keys(settings)
    try:
        return await explain(make_authenticator(settings, keys), token, time.time())
    finally:
        await keys.close()
