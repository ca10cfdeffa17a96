"""The plain way through the script of a publication gives what the ordinary way gives, with fewer commands."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from hub.broker.base import Published
from hub.broker.redis import scripts
from hub.broker.redis.channels import Asked
from hub.broker.redis.store import Request
from hub.protocol.errors import HubError
from hub.protocol.event import Publication, Source, Version
from hub.protocol.position import Position

from ..harness import Recorder, attempt, publication
from .conftest import MakeNode, Node
from .harness import QUICK
from .servers import RedisServer

CHANNELS = ["state:a", "log:a"]
SUFFIXES = "mskxvlco"
_HEAD = b"local at, answers, replies = 11, 8, {}\n"  # what is left of the plain way where there is none
_WITHOUT = scripts._script("publish", "numbering", "snapshot_keys", "sources").source
_AT = _WITHOUT.index(b"-- The numbering of one channel")
ORDINARY = _WITHOUT[:_AT] + _HEAD + _WITHOUT[_AT:]


async def ordinary_node(server: RedisServer, make_node: MakeNode) -> Node:
    """A node whose publications all go the ordinary way, under a prefix of its own."""
    node = await make_node(server.url, prefix="ordinary")
    sha = (await server.command("SCRIPT", "LOAD", ORDINARY)).decode()
    script = scripts.Script("ordinary", ORDINARY, sha)
    channels: Any = node.broker._channels
    asking = channels._asking

    def without(asked: Sequence[Asked], ordered: bool = False) -> Request:
        request: Request = asking(asked, ordered)
        if request.script is scripts.PUBLISH:
            request.script = script
        return request

    channels._asking = without
    return node


def some(choice: random.Random) -> Publication:
    """Most publications are plain, and few are anything else."""
    channel = choice.choice(CHANNELS)
    key = choice.choice([None, *"aaabbbcccde"])
    fields: dict[str, Any] = {}
    if choice.random() < 0.2:
        fields["event_id"] = choice.choice("wxyz")
    if choice.random() < 0.05:
        fields["source"] = Source("src", Version(0, choice.randrange(1, 30)))
    if key is not None and channel == "state:a":
        if choice.random() < 0.15:
            fields["version"] = (choice.randrange(2), choice.randrange(9))
        if choice.random() < 0.1:
            fields["final"] = True
        if choice.random() < 0.05:
            fields["lease_ms"] = 60_000
    return publication(channel, choice.choice([b"1", b'{"n":2}']), key=key, **fields)


class Epochs:
    """Names of epochs in the order in which they were seen: two servers' are alike by that."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def told(self, position: Position | None) -> tuple[int, int] | None:
        if position is None:
            return None
        return self._seen.setdefault(position.epoch, len(self._seen)), position.offset

    def result(self, result: Published | HubError) -> object:
        if isinstance(result, HubError):
            return result.code, result.reason
        return self.told(result.position), result.stale, result.duplicate


def said(heard: Recorder) -> list[object]:
    """What was announced, without what each node makes up by itself."""
    return [(each.channel, each.offset, each.payload, each.key, each.final) for _, each in heard.announced]


@pytest.mark.parametrize("seed", range(4))
async def test_both_ways_give_the_same(server: RedisServer, make_node: MakeNode, seed: int) -> None:
    choice = random.Random(seed)
    nodes = [await make_node(server.url), await ordinary_node(server, make_node)]
    epochs = [Epochs(), Epochs()]
    for node in nodes:
        for channel in CHANNELS:
            await node.broker.listen(channel)
    for _ in range(80):
        chance = choice.random()
        if chance < 0.05:
            name, suffix = choice.choice(CHANNELS), choice.choice(SUFFIXES)
            for prefix in ("hub", "ordinary"):
                await server.command("DEL", f"{prefix}:{{{name}}}:{suffix}")
            continue
        if chance < 0.1:
            tops = [await node.broker.tops(["log:a"]) for node in nodes]
            for node, (top,) in zip(nodes, tops, strict=True):
                await node.broker.ack("log:a", "ann", top.position)  # type: ignore[union-attr]
            continue
        batch = [some(choice) for _ in range(choice.choice([1, 1, 3, 8]))]
        ordered = choice.random() < 0.3
        given = [await node.broker.publish(batch, ordered=ordered) for node in nodes]
        plain, ordinary = (
            [each.result(one) for one in answers] for each, answers in zip(epochs, given, strict=True)
        )
        assert plain == ordinary
        for channel in CHANNELS:
            there = []
            for prefix in ("hub", "ordinary"):
                lives = [await server.command("PTTL", f"{prefix}:{{{channel}}}:{each}") for each in SUFFIXES]
                there.append([life if life < 0 else round(life / 100_000) for life in lives])
            assert there[0] == there[1], channel
    for channel in CHANNELS:
        pages = [await node.broker.read(channel, 0, 100) for node in nodes]
        states = [await node.broker.snapshot(channel) for node in nodes]
        for left, right in (pages, states):
            assert left.top.offset == right.top.offset
            assert [(e.offset, e.payload, e.key) for e in left.events] == [
                (e.offset, e.payload, e.key) for e in right.events
            ]
    await nodes[1].heard.until(lambda: len(said(nodes[0].heard)) == len(said(nodes[1].heard)))
    assert said(nodes[0].heard) == said(nodes[1].heard)


async def commands(server: RedisServer) -> int:
    """How many commands the server has carried out, those of scripts too."""
    stats = (await server.command("INFO", "commandstats")).decode()
    lines = [line.split("calls=")[1] for line in stats.splitlines() if "calls=" in line]
    return sum(int(line.split(",")[0]) for line in lines)


async def spent(server: RedisServer, node: Node, batch: list[Publication]) -> int:
    """Commands that the batch took, without those that count them."""
    before = await commands(server)
    idle = await commands(server) - before
    answers = await node.broker.publish(batch)
    assert all(isinstance(answer, Published) for answer in answers)
    return await commands(server) - before - 2 * idle


@pytest.mark.parametrize(
    ("channel", "key", "lone", "more"),
    [
        # EVALSHA TIME GET · XADD · PEXPIRE PEXPIRE SET · PUBLISH
        ("log:c", None, 8, 2),
        # EVALSHA TIME GET EXISTS · ZSCORE HEXISTS XADD HSET ZADD · PEXPIRE PEXPIRE PEXPIRE SET · PUBLISH
        ("state:c", "k", 14, 6),
    ],
)
async def test_how_many_commands_a_publication_takes(
    server: RedisServer, make_node: MakeNode, channel: str, key: str | None, lone: int, more: int
) -> None:
    """Only they: a node whose canaries, and looks at what is due, come between none of them."""
    node = await make_node(server.url, tuning=replace(QUICK, pulse=600.0, sweep=600.0))
    await attempt(node.broker, channel, key=key)
    one = publication(channel, key=key)
    assert await spent(server, node, [one]) == lone
    assert await spent(server, node, [one] * 100) == lone + 99 * more
