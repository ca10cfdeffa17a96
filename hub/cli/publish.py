"""``hub publish``: one event, by HTTP, repeated with the same id until it is stored."""

import argparse
import asyncio
import sys

from ..sdk.console import run_publish
from . import remote


def run(args: argparse.Namespace) -> int:
    """The command."""
    payload = sys.stdin.read() if args.payload == "-" else args.payload
    work = run_publish(
        remote.base_url(args.url),
        args.channel,
        args.event,
        payload,
        token=remote.service_bearer(args.bearer),
        out=sys.stdout,
        err=sys.stderr,
        key=args.key,
        final=args.final,
        version=args.version,
        event_id=args.event_id,
        lease_ms=args.lease_ms,
    )
    return asyncio.run(work)
