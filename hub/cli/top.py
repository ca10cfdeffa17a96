"""``hub top``: what the nodes are doing, like top: rates, slow consumers, channels by traffic."""

import argparse
import itertools
import sys
import time
from collections.abc import Iterator
from typing import Any

from ..auth.claims import span
from . import output, remote
from .plain import plain

_CLEAR = "\x1b[H\x1b[J"
_RATES = ("published", "delivered", "opened")
_ALARMS = ("gaps", "lost", "unrecovered", "slow_consumers", "refused", "errors")
_LINES = 10

_HEAD = f"{'node':<14}{'version':<9}{'up':>8}{'conns':>8}{'chans':>8}{'pub/s':>9}{'deliv/s':>10}{'lag ms':>8}"

Sample = dict[str, Any]


def run(args: argparse.Namespace) -> int:
    """The command; until it is interrupted, or `--once` and `--count` have it end."""
    rounds = 1 if args.once else args.count
    before: Sample = {}
    with remote.asking(args.url, args.bearer) as hub:
        for number in itertools.count(1):
            answer = hub.get("/v1/top")
            if args.json:
                output.as_json(answer)
            else:
                _show(list(screen(answer, before)), live=rounds is None and sys.stdout.isatty())
            sys.stdout.flush()
            if number == rounds:
                return 0
            before = {each["node"]: each for each in answer["nodes"]}
            time.sleep(args.every)
    raise AssertionError("not reached")


def _show(texts: list[str], *, live: bool) -> None:
    body = "\n".join(plain(text) for text in texts)
    sys.stdout.write(f"{_CLEAR}{body}\n" if live else f"{body}\n\n")


def screen(answer: Sample, before: Sample) -> Iterator[str]:
    """The lines of one look; rates are those since the look before, else since the node's start."""
    nodes = answer["nodes"]
    total = sum(each["connections"] for each in nodes)
    yield f"{len(nodes)} nodes, {total} connections" + (
        "" if answer["complete"] else "   NOT COMPLETE: a node did not answer in time"
    )
    yield _HEAD
    for each in sorted(nodes, key=lambda each: (each["node"], each["worker"])):
        yield _node(each, before.get(each["node"]))
    yield from _alarms(nodes)
    yield from _slow(nodes)
    yield from _busiest(nodes)


def _node(each: Sample, old: Sample | None) -> str:
    rates = {name: _rate(each, old, name) for name in _RATES}
    age = span((each["time"] - each["started"]) / 1000)
    state = "draining" if each["draining"] else "; ".join(each["reasons"]) or "ready"
    shards = [shard for shard in each["shards"] if not shard["usable"]]
    if shards:
        state += "; away: " + ", ".join(shard["name"] for shard in shards)
    return (
        f"{each['node']:<14}{each['version']:<9}{age:>8}{each['connections']:>8}{each['channels']:>8}"
        f"{rates['published']:>9.1f}{rates['delivered']:>10.1f}{each['loop_lag_s'] * 1000:>8.1f}  {state}"
    )


def _rate(each: Sample, old: Sample | None, name: str) -> float:
    since = old["time"] if old else each["started"]
    count: float = each["totals"][name] - (old["totals"][name] if old else 0)
    seconds: float = (each["time"] - since) / 1000
    return max(0.0, count) / max(0.001, seconds)


def _alarms(nodes: list[Sample]) -> Iterator[str]:
    sums = {name: sum(each["totals"][name] for each in nodes) for name in _ALARMS}
    yield "since their start: " + ", ".join(
        f"{count} {name.replace('_', ' ')}" for name, count in sums.items()
    )


def _slow(nodes: list[Sample]) -> Iterator[str]:
    slow = sorted((each for node in nodes for each in node["slow"]), key=lambda each: -int(each["bytes"]))
    if slow:
        yield ""
        yield "who does not read fast enough"
    for each in slow[:_LINES]:
        yield f"  {each['connection']}  {each['user']}  {each['address']}  {each['bytes']} bytes wait"


def _busiest(nodes: list[Sample]) -> Iterator[str]:
    rates: dict[str, list[float]] = {}
    for each in (each for node in nodes for each in node["busiest"]):
        one = rates.setdefault(each["channel"], [0.0, 0])
        one[0], one[1] = max(one[0], each["events_s"]), one[1] + each["subscribers"]
    if rates:
        yield ""
        yield "stored channels by events a second, over the last 10 s"
    for name, (rate, subscribers) in sorted(rates.items(), key=lambda pair: -pair[1][0])[:_LINES]:
        yield f"  {rate:>9.1f}  {name}  {subscribers:.0f} subscribers"
