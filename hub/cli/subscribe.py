"""``hub subscribe``: events on standard output, a line of JSON each; what happens to the link on standard error."""

import argparse
import asyncio
import sys

from ..sdk.console import run_subscribe
from . import remote


def run(args: argparse.Namespace) -> int:
    """The command."""
    url = remote.socket_url(args.url)
    # Checked once, before anything is connected; asked again for every connection, as tokens expire.
    remote.reader_token(args.bearer, args.channels)

    def token() -> str:
        return remote.reader_token(args.bearer, args.channels)

    work = run_subscribe(
        url,
        args.channels,
        args.since,
        token,
        sys.stdout,
        sys.stderr,
        max_rate=args.max_rate,
        tls=remote.tls(url),
    )
    return asyncio.run(work)
