"""``hub explain-token``: whether a token is good here, exactly why, and what it allows."""

import argparse
import asyncio
import sys
import time

from ..auth.explain import explain
from ..auth.from_settings import make_authenticator, make_keys
from . import configuration


def run(args: argparse.Namespace) -> int:
    """The command; status 1 where the token is refused. What it prints is for the token's holder."""
    token = sys.stdin.read() if args.token == "-" else args.token  # noqa: S105  # a dash is no password
    lines = asyncio.run(_explain(token.strip()))
    print("\n".join(lines))
    return 0 if lines[0].startswith("valid") else 1


async def _explain(token: str) -> list[str]:
    settings = configuration.load()
    keys = make_keys(settings)
    try:
        return await explain(make_authenticator(settings, keys), token, time.time())
    finally:
        await keys.close()
