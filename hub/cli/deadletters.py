"""``hub deadletters``: what could not be handed on; look at it, repeat it, let it go."""

import argparse
import json
from typing import Any
from urllib.parse import quote

from . import output, remote
from .failure import Failure

_PAGE = 1000


def run(args: argparse.Namespace) -> int:
    """The command; status 1 where one of several was refused."""
    with remote.asking(args.url, args.bearer) as hub:
        if args.verb == "list":
            return _list(hub, args.origin, as_json=args.json)
        if args.verb == "show":
            return _show(hub.get(_path(args.ids[0])), as_json=args.json)
        return _each(hub, args)


def _show(letter: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        output.as_json(letter)
    else:
        output.lines(json.dumps(letter, indent=2, ensure_ascii=False).splitlines())
    return 0


def _list(hub: remote.RunningHub, origin: str, *, as_json: bool) -> int:
    """A line for each, oldest first."""
    start = 0
    while True:
        page = hub.get("/v1/deadletters", **{"from": start, "limit": _PAGE})
        for letter in page["letters"]:
            if letter["origin"].startswith(origin):
                if as_json:
                    output.as_json(letter)
                else:
                    output.lines([_line(letter)])
        if not page["letters"]:
            return 0
        start = page["next"]


def _line(letter: dict[str, Any]) -> str:
    when = output.moment(letter["time"])
    return f"{letter['id']}  {when}  {letter['origin']}  {letter['code']}: {letter['reason']}"


def _each(hub: remote.RunningHub, args: argparse.Namespace) -> int:
    """Go on with the others where one is refused: those before it are done."""
    status = 0
    for id in args.ids:
        try:
            done = _do(hub, args.verb, id)
            text = _done(args.verb, id, done)
        except Failure as failure:
            done = {"id": id, "failed": str(failure)}
            text = f"{id}: {failure}"
            status = 1
        if args.json:
            output.as_json(done)
        else:
            output.lines([text])
    return status


def _do(hub: remote.RunningHub, verb: str, id: str) -> dict[str, Any]:
    return hub.ask("DELETE", _path(id)) if verb == "drop" else hub.post(f"{_path(id)}/replay", {})


def _done(verb: str, id: str, done: dict[str, Any]) -> str:
    if verb == "drop":
        return f"{id}: dropped"
    if "endpoint" in done:
        return f"{id}: waits for the webhook {done['endpoint']}, behind what waited of {done['channel']}"
    where = f" at offset {done['offset']}" if "offset" in done else ""
    return f"{id}: published on {done['channel']}{where}, behind what came since"


def _path(id: str) -> str:
    return f"/v1/deadletters/{quote(id, safe='')}"
