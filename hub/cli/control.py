"""``hub disconnect``, ``hub revoke``, ``hub drain``: what a person does to a running hub."""

import argparse
from typing import Any

from . import output, remote


def run(args: argparse.Namespace) -> int:
    """The command that `args.what` names."""
    with remote.asking(args.url, args.bearer) as hub:
        answer = hub.post(f"/v1/{args.what}", _body(args))
    if args.json:
        output.as_json(answer)
    else:
        output.lines([_said(args, answer)])
    return 0


def _body(args: argparse.Namespace) -> dict[str, Any]:
    if args.what == "disconnect":
        return {"user": args.user, "connection": args.connection, "reconnect": args.reconnect or None}
    return {"sub": args.user, "jti": args.jti} if args.what == "revoke" else {}


def _said(args: argparse.Namespace, answer: dict[str, Any]) -> str:
    if args.what == "disconnect":
        who = f"user {args.user}" if args.user else f"connection {args.connection}"
        then = "they are asked to come back" if args.reconnect else "their clients stay away"
        return f"every node was told to close {who}; {then}"
    if args.what == "revoke":
        which = f"of user {args.user}" if args.user else f"with jti {args.jti}"
        until = output.moment(answer["until"])
        return f"tokens {which} that were issued up to now are refused on every node until {until}"
    return f"{answer.get('node', 'the node')} departs: its clients are sent elsewhere, spread out in time"
