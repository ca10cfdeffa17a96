"""``hub explain``: why an event came to somebody, or did not; one sentence, then the steps."""

import argparse
import json

import httpx

from . import remote
from .failure import Failure
from .plain import plain

_DEADLINE_S = 10.0


def run(args: argparse.Namespace) -> int:
    """The command; status 0 with an answer."""
    question = {
        name: value
        for name in ("user", "connection", "channel")
        if (value := getattr(args, name)) is not None
    }
    if args.event is not None:
        question |= {"offset": int(args.event)} if args.event.isdigit() else {"event_id": args.event}
    url = remote.base_url(args.url)
    headers = {"Authorization": f"Bearer {remote.service_bearer(args.token)}"}
    try:
        response = httpx.post(f"{url}/v1/explain", json=question, headers=headers, timeout=_DEADLINE_S)
        body = response.json()
    except httpx.HTTPError as error:
        raise Failure(f"no answer from {url}: {error or type(error).__name__}") from None
    except ValueError:
        raise Failure(f"{url} answered HTTP {response.status_code}, not as a hub does") from None
    if response.status_code != 200:
        raise Failure(
            f"the hub refused (HTTP {response.status_code}): {body.get('detail', 'it does not say why')}"
        )
    if args.json:
        print(json.dumps(body, ensure_ascii=False))
        return 0
    print(plain(body["answer"]))
    for step in body["steps"]:
        print(plain(f"  {step}"))
    if not body["complete"]:
        print("  NOT COMPLETE: not every node answered; this is what the others know")
    return 0
