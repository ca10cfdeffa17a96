"""A Cluster of three masters (and a replica each where a test fails one over)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import hiredis
import pytest

from hub.broker.base import Published
from hub.broker.redis.client.hash_slot import canary_tag, slot_of

from ..harness import attempt, publication, publish, tops
from .cluster import Cluster
from .conftest import MakeNode
from .test_listening import until

CHANNELS = [f"log:{number}" for number in range(30)]


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path, 3)
    await cluster.start(replicas=0)
    yield cluster
    await cluster.stop()


@pytest.fixture
async def replicated(tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path, 6)
    await cluster.start(replicas=1)
    yield cluster
    await cluster.stop()


@pytest.mark.parametrize("kind", ["hostname", "unknown-endpoint"])
async def test_servers_that_do_not_say_where_they_are(
    cluster: Cluster, make_node: MakeNode, kind: str
) -> None:
    """A host name that nobody configured is ``?``; an endpoint behind a balancer is none at all."""
    for server in cluster.servers:
        try:
            await server.command("CONFIG", "SET", "cluster-preferred-endpoint-type", kind)
        except hiredis.ReplyError:
            return  # before Redis 7 there was no such thing
    said = (await cluster.servers[0].command("CLUSTER", "SLOTS"))[0][2][0]
    assert said == (b"?" if kind == "hostname" else None)
    # The first seed is another host than the one that answers: what it does not say is not the seed's.
    node = await make_node(f"redis+cluster://127.0.0.2:1,127.0.0.1:{cluster.servers[0].port}")
    await asyncio.gather(*(node.broker.listen(channel) for channel in CHANNELS))
    results = await node.broker.publish([publication(channel) for channel in CHANNELS])
    assert all(isinstance(result, Published) for result in results)
    assert {shard.name.partition(":")[0] for shard in node.broker.health()} == {"127.0.0.1"}


def test_slots_are_those_of_redis() -> None:
    # CLUSTER KEYSLOT of these, from a real server
    assert [slot_of(tag) for tag in ("foo", "job:42", "")] == [12182, slot_of("job:42"), 0]


@pytest.mark.parametrize(("low", "high"), [(0, 5460), (5461, 10922), (10923, 16383), (7, 9)])
def test_a_canary_for_every_server(low: int, high: int) -> None:
    assert low <= slot_of(canary_tag(low, high)) <= high


async def test_channels_are_spread_and_heard(cluster: Cluster, make_node: MakeNode) -> None:
    one, other = await make_node(cluster.url), await make_node(cluster.url)
    await asyncio.gather(*(other.broker.listen(channel) for channel in CHANNELS))
    results = await one.broker.publish([publication(channel) for channel in CHANNELS * 2])
    assert all(isinstance(result, Published) for result in results)
    await other.heard.until(lambda: len(other.heard.announced) == 2 * len(CHANNELS))
    for channel in CHANNELS:
        assert [event.offset for event in other.heard.events(channel)] == [1, 2]
    for server in cluster.servers:
        sharded = (await server.command("COMMAND", "INFO", "SPUBLISH"))[0] is not None
        kind = "SHARDCHANNELS" if sharded else "CHANNELS"  # before Redis 7 there was only one
        names = await server.command("PUBSUB", kind, "hub:*")
        assert len([name for name in names if b"canary" in name]) == 2
    await until(lambda: all(shard.rtt_s > 0 and not shard.deaf_s for shard in one.broker.health()))
    assert len(one.broker.health()) == 3


async def test_everything_else_works_there_too(cluster: Cluster, make_node: MakeNode) -> None:
    node, other = await make_node(cluster.url), await make_node(cluster.url)
    await node.broker.listen("state:s")
    await publish(node.broker, "state:s", key="k", lease_ms=1000, event_id="e")
    assert (await publish(other.broker, "state:s", key="k", lease_ms=1000, event_id="e")).duplicate
    await node.heard.heard("state:s", 2)
    registry = node.broker.registry
    await registry.put_ticket("digest", b"claims", 10)
    assert await other.broker.registry.take_ticket("digest") == b"claims"
    await registry.revoke("sub:ann", 4e9)
    assert await other.broker.registry.revocations() == {"sub:ann": 4e9}
    await registry.register_node("n_0", b"{}", 10)
    assert await other.broker.registry.nodes() == {"n_0": b"{}"}
    await registry.send_command(b"command")
    await other.heard.until(lambda: other.heard.commands == [b"command"])


async def test_a_slot_that_moves_takes_its_listeners_with_it(cluster: Cluster, make_node: MakeNode) -> None:
    node, publisher = await make_node(cluster.url), await make_node(cluster.url)
    await node.broker.listen("log:s")
    before = (await publish(publisher.broker, "log:s")).position
    old = await cluster.owner("log:s")
    new = next(server for server in cluster.servers if server is not old)
    await cluster.move(slot_of("log:s"), old, new)
    await until(lambda: "log:s" in node.heard.lost)
    after = (await publish(publisher.broker, "log:s")).position
    assert before is not None
    assert after is not None
    assert after.offset == 2
    assert (await tops(node.broker, ["log:s"]))[0].ancestors == (
        before,
    )  # another process: the numbering forked
    await node.heard.until(lambda: [event.offset for event in node.heard.events("log:s")][-1:] == [2])


async def test_a_dead_master_is_followed_by_its_replica(replicated: Cluster, make_node: MakeNode) -> None:
    node = await make_node(replicated.url)
    await asyncio.gather(*(node.broker.listen(channel) for channel in CHANNELS))
    for channel in CHANNELS:
        await publish(node.broker, channel)
    dying = await replicated.owner(CHANNELS[0])
    theirs = [channel for channel in CHANNELS if await replicated.owner(channel) is dying]
    await dying.replicated(f"barrier:{{{CHANNELS[0]}}}")
    await dying.kill()
    async with asyncio.timeout(20):
        while not isinstance(await attempt(node.broker, CHANNELS[0]), Published):
            await asyncio.sleep(0.1)
    await until(lambda: set(theirs) <= set(node.heard.lost), 20)
    for channel in CHANNELS:
        result = await publish(node.broker, channel)
        assert result.position is not None
        await until(
            lambda c=channel, o=result.position.offset: node.heard.events(c)[-1].offset == o  # type: ignore[misc]
        )
    assert all(shard.usable for shard in node.broker.health())
    assert len(node.broker.health()) == 3
