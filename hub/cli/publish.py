"""``hub publish``: one event, by HTTP, repeated with the same id until it is stored."""

import argparse
import asyncio
import json
import sys

from ..sdk.console import run_publish
from . import remote, tokens
from .failure import Failure


def run(args: argparse.Namespace) -> int:
    """The command."""
    payload = sys.stdin.read() if args.payload == "-" else args.payload
    url = remote.base_url(args.url)
    work = run_publish(
        url,
        args.channel,
        args.event,
        payload,
        token=remote.service_bearer(args.bearer),
        out=sys.stdout,
        err=sys.stderr,
        tls=remote.tls(url),
        key=args.key,
        final=args.final,
        version=args.version,
        event_id=args.event_id,
        lease_ms=args.lease_ms,
        event_id_ttl_ms=None
        if args.event_id_ttl is None
        else int(tokens.span(args.event_id_ttl, "--event-id-ttl") * 1000),
        meta=_meta(args.meta),
        source=args.source,
    )
    return asyncio.run(work)


def _meta(text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    try:
        meta = json.loads(text)
    except ValueError:
        meta = None
    if not isinstance(meta, dict):
        raise Failure("--meta is an object of strings, as JSON")
    return meta
