"""``hub webhooks``: which endpoints there are and how they do; a test, off and on."""

import argparse
from typing import Any
from urllib.parse import quote

from . import output, remote


def run(args: argparse.Namespace) -> int:
    """The command; status 1 where a test was not taken."""
    with remote.asking(args.url, args.bearer) as hub:
        if args.verb == "list":
            for each in hub.get("/v1/webhooks")["webhooks"]:
                _say(args, each, _line(each))
            return 0
        done = hub.post(f"/v1/webhooks/{quote(args.name, safe='')}/{args.verb}", {})
        if args.verb != "test":
            _say(args, done, _line(done))
            return 0
        _say(args, done, f"{args.name}: {'taken' if done['delivered'] else done['why']}")
        return 0 if done["delivered"] else 1


def _say(args: argparse.Namespace, answer: dict[str, Any], text: str) -> None:
    if args.json:
        output.as_json(answer)
    else:
        output.lines([text])


def _line(each: dict[str, Any]) -> str:
    standing = f"disabled: {each['disabled']}" if each["disabled"] else f"breaker {each['breaker']}"
    counts = f"{each['delivered']} delivered, {each['failed']} failed, {each['dead_letters']} dead letters"
    last = f"; the last failure: {each['last_failure']}" if each["last_failure"] else ""
    return f"{each['name']}  {each['host']}  {standing}  {counts}{last}"
