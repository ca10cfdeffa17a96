"""``hub explain-token``: whether a token is good here, exactly why, and what it allows."""

import argparse
import asyncio
import os
import sys
import time

import httpx

from ..auth.explain import explain
from ..auth.from_settings import make_authenticator, make_keys
from . import configuration, remote
from .plain import plain

_DEADLINE_S = 10.0


def run(args: argparse.Namespace) -> int:
    """The command; status 1 where the token is refused. What it prints is for the token's holder."""
    token = sys.stdin.read() if args.token == "-" else args.token  # noqa: S105  # a dash is no password
    token = token.strip()
    lines = asyncio.run(_explain(token))
    if lines[0].startswith("valid"):
        lines = _asked(token, lines, args.url)
    print("\n".join(map(plain, lines)))
    return 0 if lines[0].startswith("valid") else 1


def _asked(token: str, lines: list[str], url: str | None) -> list[str]:
    """What a running hub says of a token that is good by the settings: it knows what was revoked."""
    if url is None and not os.environ.get("HUB_URL"):
        return [*lines, "whether it was revoked only a running hub knows: --url or HUB_URL asks one"]
    base = remote.base_url(url)
    try:
        answer = httpx.get(
            f"{base}/v1/connections", headers={"Authorization": f"Bearer {token}"}, timeout=_DEADLINE_S
        )
        body = answer.json()
    except (httpx.HTTPError, ValueError):
        return [*lines, f"whether it was revoked is not known: no hub answers at {base}"]
    if answer.status_code == httpx.codes.UNAUTHORIZED and "revoked" in str(body.get("reason")):
        return [f"refused ({body.get('code')}): {body.get('reason')}, says the hub at {base}", *lines[1:]]
    return [*lines, f"the hub at {base} knows of no revocation"]


async def _explain(token: str) -> list[str]:
    settings = configuration.load()
    keys = make_keys(settings)
    try:
        return await explain(make_authenticator(settings, keys), token, time.time())
    finally:
        await keys.close()
