"""``hub explain``: why an event came to somebody, or did not; one sentence, then the steps."""

import argparse

from . import output, remote


def run(args: argparse.Namespace) -> int:
    """The command; status 0 with an answer."""
    question = {
        name: value
        for name in ("user", "connection", "channel")
        if (value := getattr(args, name)) is not None
    }
    if args.event is not None:
        question |= {"offset": int(args.event)} if args.event.isdigit() else {"event_id": args.event}
    with remote.asking(args.url, args.bearer) as hub:
        body = hub.post("/v1/explain", question)
    if args.json:
        output.as_json(body)
        return 0
    output.lines([body["answer"], *(f"  {step}" for step in body["steps"])])
    if not body["complete"]:
        output.lines(["  NOT COMPLETE: not every node answered; this is what the others know"])
    return 0
