"""``hub inspect``: the answer at 3 a.m. to "why did it not come?"."""

import argparse
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx

from ..auth.claims import span
from . import remote
from .failure import Failure
from .plain import plain

_DEADLINE_S = 10.0


def run(args: argparse.Namespace) -> int:
    """The command; status 1 where there is no such connection."""
    asked = {name: getattr(args, name) for name in ("user", "connection", "channel")}
    query = {name: value for name, value in asked.items() if value is not None}
    headers = {"Authorization": f"Bearer {remote.service_bearer(args.token)}"}
    with httpx.Client(base_url=remote.base_url(args.url), headers=headers, timeout=_DEADLINE_S) as http:
        if args.channel is not None:
            print(plain(_channel(_get(http, f"/v1/channels/{quote(args.channel, safe=':')}", {}))))
        if args.past:
            answer = _get(http, "/v1/connections", {**query, "closed": "true"})
            print("\n".join(map(plain, past(answer))))
            return 0 if answer["past"] else 1
        answer = _get(http, "/v1/connections", query)
    print("\n".join(map(plain, report(answer, query))))
    return 0 if answer["connections"] else 1


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
    when = datetime.fromtimestamp(each["time"] / 1000).strftime("%H:%M:%S")
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


def _get(http: httpx.Client, path: str, query: dict[str, str]) -> dict[str, Any]:
    try:
        response = http.get(path, params=query)
        body: dict[str, Any] = response.json()
    except httpx.HTTPError as error:
        raise Failure(f"no answer from {http.base_url}: {error or type(error).__name__}") from None
    except ValueError:
        raise Failure(f"{http.base_url} answered HTTP {response.status_code}, not as a hub does") from None
    if response.status_code != 200:
        why = body.get("detail", "it does not say why")
        raise Failure(f"the hub refused (HTTP {response.status_code}): {why}")
    return body
