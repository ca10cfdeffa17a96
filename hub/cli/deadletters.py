"""``hub deadletters``: what could not be handed on; look at it, repeat it, let it go."""

import argparse
import json
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx

from . import remote
from .failure import Failure
from .plain import plain

_DEADLINE_S = 10.0
_PAGE = 1000


def run(args: argparse.Namespace) -> int:
    """The command; status 1 where one of several was refused."""
    headers = {"Authorization": f"Bearer {remote.service_bearer(args.token)}"}
    with httpx.Client(base_url=remote.base_url(args.url), headers=headers, timeout=_DEADLINE_S) as http:
        if args.verb == "list":
            return _list(http, args.origin)
        if args.verb == "show":
            print(json.dumps(_ask(http, "GET", _path(args.ids[0])), indent=2, ensure_ascii=False))
            return 0
        return _each(http, args.verb, args.ids)


def _list(http: httpx.Client, origin: str) -> int:
    """A line for each, oldest first."""
    start = 0
    while True:
        page = _ask(http, "GET", f"/v1/deadletters?from={start}&limit={_PAGE}")
        for letter in page["letters"]:
            if letter["origin"].startswith(origin):
                print(plain(_line(letter)))
        if not page["letters"]:
            return 0
        start = page["next"]


def _line(letter: dict[str, Any]) -> str:
    when = datetime.fromtimestamp(letter["time"] / 1000).strftime("%Y-%m-%d %H:%M:%S")
    return f"{letter['id']}  {when}  {letter['origin']}  {letter['code']}: {letter['reason']}"


def _each(http: httpx.Client, verb: str, ids: list[str]) -> int:
    """Go on with the others where one is refused: those before it are done."""
    status = 0
    for id in ids:
        try:
            if verb == "drop":
                _ask(http, "DELETE", _path(id))
                print(f"{plain(id)}: dropped")
            else:
                done = _ask(http, "POST", f"{_path(id)}/replay")
                where = f" at offset {done['offset']}" if "offset" in done else ""
                print(plain(f"{id}: published on {done['channel']}{where}, behind what came since"))
        except Failure as failure:
            print(plain(f"{id}: {failure}"))
            status = 1
    return status


def _path(id: str) -> str:
    return f"/v1/deadletters/{quote(id, safe='')}"


def _ask(http: httpx.Client, method: str, path: str) -> dict[str, Any]:
    """The hub's answer.

    Raises:
        Failure: there is none, or it is a refusal.
    """
    try:
        response = http.request(method, path)
        body: dict[str, Any] = response.json()
    except httpx.HTTPError as error:
        raise Failure(f"no answer from {http.base_url}: {error or type(error).__name__}") from None
    except ValueError:
        raise Failure(f"{http.base_url} answered HTTP {response.status_code}, not as a hub does") from None
    if response.status_code >= 300:
        why = body.get("reason") or body.get("detail") or "it does not say why"
        raise Failure(f"the hub refused (HTTP {response.status_code}): {why}")
    return body
