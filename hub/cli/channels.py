"""``hub history``, ``hub snapshot``, ``hub presence``: what a channel of a running hub holds."""

import argparse
import json
from collections.abc import Callable, Iterator
from typing import Any

from ..protocol.commands import MAX_HISTORY
from . import output, remote

Show = Callable[[dict[str, Any]], Iterator[str]]
LONGEST = 400  # characters of a payload in a line for a person


def run(args: argparse.Namespace) -> int:
    """The command that `args.what` names."""
    query, show = _QUESTIONS[args.what]
    path = remote.channel_path(args.channel, f"/{args.what}")
    with remote.asking(args.url, args.bearer) as hub:
        answer = hub.get(path, **query(args))
    if args.json:
        output.as_json(answer)
    else:
        output.lines(show(answer))
    return 0


def _history_query(args: argparse.Namespace) -> dict[str, Any]:
    return {"since": args.since, "limit": min(args.limit, MAX_HISTORY)}


def _history(answer: dict[str, Any]) -> Iterator[str]:
    """Oldest first, then where the channel stands and how to go on."""
    if gap := answer.get("gap"):
        yield f"GAP: {gap['from']} to {gap['to']} are gone ({gap['cause']})"
    yield from map(_event, answer["events"])
    place = f"{answer['epoch']}:{answer['offset']}"
    if answer["more"]:
        yield f"more: go on with --since {answer['epoch']}:{answer['events'][-1]['offset']}"
    yield f"{answer['channel']} stands at {place}" if answer["events"] else f"no events; it stands at {place}"


def _snapshot(answer: dict[str, Any]) -> Iterator[str]:
    """The newest event of each key."""
    yield from map(_event, answer["events"])
    yield f"{len(answer['events'])} keys, complete at {answer['epoch']}:{answer['offset']}"


def _presence(answer: dict[str, Any]) -> Iterator[str]:
    for each in answer["members"]:
        shown = " ".join(_short(each[name]) for name in ("info", "state") if each.get(name) is not None)
        where = each.get("as") or each.get("connection") or f"{each['members']} times"
        yield f"{each['user']}  {where}  {shown}".rstrip()
    yield f"{len(answer['members'])} present in {answer['channel']}"


def _event(event: dict[str, Any]) -> str:
    head = [str(event["offset"]), output.clock(event["time"]), event["type"]]
    if (key := event.get("key")) is not None:
        head.append(f"key {key}{', final' if event.get('final') else ''}")
    if (sender := event.get("from")) is not None:
        head.append(f"from {sender.get('user') if isinstance(sender, dict) else sender}")
    return f"{'  '.join(head)}  {_short(event.get('payload'))}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


_QUESTIONS: dict[str, tuple[Callable[[argparse.Namespace], dict[str, Any]], Show]] = {
    "history": (_history_query, _history),
    "snapshot": (lambda _args: {}, _snapshot),
    "presence": (lambda args: {"group": "user" if args.by_user else None}, _presence),
}
