"""A master with a replica and Sentinels: found, followed, and forked where the replica lagged."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import hiredis
import pytest

from hub.broker.base import Published
from hub.protocol.position import Position

from ..harness import attempt, publish, tops
from .conftest import MakeNode, Node
from .sentinel import Set, replicated_set
from .test_listening import heard_again, until


@pytest.fixture
async def replicated(tmp_path: Path) -> AsyncIterator[Set]:
    async with replicated_set(tmp_path) as found:
        yield found


async def position(node: Node) -> Position:
    return (await tops(node.broker, ["log:s"]))[0].position


async def until_stored(node: Node) -> Position:
    async with asyncio.timeout(15):
        while True:
            result = await attempt(node.broker, "log:s")
            if isinstance(result, Published):
                assert result.position is not None
                return result.position
            await asyncio.sleep(0.05)


async def test_a_dead_master_is_followed_by_its_replica(replicated: Set, make_node: MakeNode) -> None:
    node = await make_node(replicated.url)
    await node.broker.listen("log:s")
    for _ in range(5):
        before = (await publish(node.broker, "log:s")).position
    await replicated.master.replicated()
    await replicated.master.kill()
    await replicated.failed_over()
    after = await until_stored(node)
    await until(lambda: "log:s" in node.heard.lost)
    (top,) = await tops(node.broker, ["log:s"])
    assert after == Position(top.epoch, 6)
    assert top.ancestors == (before,)  # nothing was lost: every position is still good
    await heard_again(node, node)


async def test_writes_that_the_replica_did_not_have_are_beyond_the_fork(
    replicated: Set, make_node: MakeNode
) -> None:
    node = await make_node(replicated.url)
    await node.broker.listen("log:s")
    for _ in range(3):
        common = (await publish(node.broker, "log:s")).position
    await replicated.master.replicated()
    await replicated.lag()
    for _ in range(4):
        lost = (await publish(node.broker, "log:s")).position
    await replicated.lose_master()
    after = await until_stored(node)
    (top,) = await tops(node.broker, ["log:s"])
    assert common is not None
    assert lost is not None
    assert lost.offset == 7
    assert after.epoch != lost.epoch  # offset 4 was given twice, and in two epochs
    assert top.ancestors == (common,)


async def test_a_planned_failover_with_the_old_master_alive(replicated: Set, make_node: MakeNode) -> None:
    node = await make_node(replicated.url)
    other = await make_node(replicated.url)
    await node.broker.listen("log:s")
    await publish(node.broker, "log:s")
    await replicated.master.replicated()
    async with asyncio.timeout(15):
        started = False
        while not started:
            # A Sentinel that has just met the replica does not trust it yet (NOGOODSLAVE).
            with contextlib.suppress(hiredis.ReplyError):
                started = await replicated.sentinels[0].command("SENTINEL", "FAILOVER", "mymaster") == b"OK"
            await asyncio.sleep(0.1)
    await replicated.failed_over()
    for each in (node, other):
        shard = each.broker._topology.shards()[0]
        for side in (shard.commander, shard.listener):
            await until(lambda s=side: s.address.port == replicated.replica.port)  # type: ignore[misc]
    await until_stored(node)
    await until_stored(other)
    await heard_again(node, other)
    assert (await position(node)).epoch == (await position(other)).epoch


async def test_one_sentinel_is_enough_to_find_the_master(replicated: Set, make_node: MakeNode) -> None:
    await replicated.sentinels[0].kill()
    node = await make_node(replicated.url)
    await publish(node.broker, "log:s")
