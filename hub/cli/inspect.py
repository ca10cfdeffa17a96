"""``hub inspect``: the answer at 3 a.m. to "why did it not come?"."""

import argparse
from collections.abc import Iterable
from typing import Any

from ..auth.claims import span
from . import output, remote


def run(args: argparse.Namespace) -> int:
    """The command; status 1 where there is no such connection."""
    asked = {name: getattr(args, name) for name in ("user", "connection", "channel")}
    query = {name: value for name, value in asked.items() if value is not None}
    with remote.asking(args.url, args.bearer) as hub:
        place = None if args.channel is None else hub.get(remote.channel_path(args.channel))
        answer = hub.get("/v1/connections", **query, closed="true" if args.past else None)
    found = answer["past" if args.past else "connections"]
    if args.json:
        output.as_json(answer if place is None else {**answer, "channel": place})
    else:
        texts: Iterable[str] = past(answer) if args.past else report(answer, query)
        output.lines(([] if place is None else [_channel(place)]) + list(texts))
    return 0 if found else 1


def report(answer: dict[str, Any], query: dict[str, str]) -> list[str]:
    """The lines that show the answer of ``GET /v1/connections``."""
    connections = answer["connections"]
    which = "".join(f" with {name} {value}" for name, value in query.items())
    lines = [f"{len(connections) or 'no'} connection{'' if len(connections) == 1 else 's'}{which}"]
    if not answer["complete"]:
        lines.append("NOT COMPLETE: a node did not answer in time")
    for each in connections:
        lines += ["", *_connection(each)]
    return lines


def past(answer: dict[str, Any]) -> list[str]:
    """The lines that show what is over: a line each, newest first."""
    lines = [] if answer["complete"] else ["NOT COMPLETE: a node did not answer in time"]
    return lines + [_over(each) for each in answer["past"]] or ["nothing in the last 15 minutes"]


def _over(each: dict[str, Any]) -> str:
    when = output.clock(each["time"])
    times = f" ({each['count']} times)" if each["count"] > 1 else ""
    who = f"{each.get('user') or 'somebody'} from {each['address']}"
    if each["kind"] == "ended":
        where = (
            ", ".join(f"{name} at {place['to']}" for name, place in each["channels"].items()) or "no channel"
        )
        unread = f", {each['unread_bytes']} bytes unread" if each["unread_bytes"] else ""
        why = (
            f"closed with {each['code']} {each['name']} by the {each['by']}: {each['reason'] or 'no reason'}"
        )
        return f"{when}  {each['connection']} of {who} {why}; {where}{unread}{times}"
    about = f" on {each['channel']}" if each.get("channel") else ""
    page = f" (a page of {each['origin']})" if each.get("origin") else ""
    return f"{when}  {who}{page} was refused{about}: {each['code']}: {each['reason']}{times}"


def _channel(found: dict[str, Any]) -> str:
    place = f" at {found['epoch']}:{found['offset']}" if "offset" in found else ", not numbered"
    return f"{found['channel']}: mode {found['mode']}{place}, {found['subscribers']} subscriptions"


def _connection(found: dict[str, Any]) -> list[str]:
    outbox = found["outbox"]
    waiting = f"{outbox['entries']} frames, {outbox['bytes']} bytes wait" if outbox["entries"] else "empty"
    return [
        f"{found['connection']}  user {found['user']}  from {found['address']}  by {found['encoding']}  "
        f"on {found['node']}",
        f"  open for {span(found['age_s'])}, last heard {span(found['silent_s'])} ago",
        f"  outbox {waiting}" + ("; BLOCKED: the client does not read" if outbox["blocked"] else ""),
        f"  last error: {found['last_error'] or 'none'}",
        *(_place(name, place) for name, place in sorted(found["channels"].items())),
    ]


def _place(name: str, place: dict[str, Any]) -> str:
    if place["top"] is None or not place["epoch"]:
        return f"  {name}  {place['state']}"
    behind = place["top"] - place["offset"]
    text = f"  {name}  at {place['epoch']}:{place['offset']}, {place['state']}"
    if behind > 0:
        text += f", {behind} behind the channel's {place['top']}"
    if place["queued"]:
        text += f", {place['queued']} queued"
    return text
