"""Several servers with the channels spread over them, and what nodes must agree on."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.broker.base import Published
from hub.broker.redis.client.command_connection import WrongServer
from hub.broker.redis.client.ring import HashRing
from hub.broker.redis.greeting import loads
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError

from ..harness import attempt, namespaces, publication, publish
from .conftest import MakeNode
from .servers import RedisServer
from .test_listening import until

CHANNELS = [f"log:{number}" for number in range(60)]


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[list[RedisServer]]:
    servers = [RedisServer(tmp_path / name) for name in ("a", "b", "c")]
    await asyncio.gather(*(server.start() for server in servers))
    yield servers
    await asyncio.gather(*(server.stop() for server in servers))


def urls(servers: list[RedisServer]) -> str:
    return ",".join(server.url for server in servers)


class TestHashRing:
    def test_shares_are_even(self) -> None:
        ring = HashRing(["a", "b", "c", "d"])
        shares = Counter(ring.of(f"job:{number}") for number in range(20_000))
        assert min(shares.values()) > 20_000 / 4 * 0.75
        assert max(shares.values()) < 20_000 / 4 * 1.25

    def test_the_order_of_names_does_not_matter(self) -> None:
        one, other = HashRing(["a", "b", "c"]), HashRing(["c", "a", "b"])
        assert all(one.of(str(number)) == other.of(str(number)) for number in range(1000))

    def test_a_server_less_moves_only_what_it_had(self) -> None:
        before, after = HashRing(["a", "b", "c"]), HashRing(["a", "b"])
        for number in range(1000):
            if before.of(str(number)) != "c":
                assert after.of(str(number)) == before.of(str(number))


class TestRing:
    async def test_channels_are_spread_and_heard_everywhere(
        self, servers: list[RedisServer], make_node: MakeNode
    ) -> None:
        one = await make_node(urls(servers))
        other = await make_node(urls(servers[::-1]))  # the same ring in another order
        await asyncio.gather(*(other.broker.listen(channel) for channel in CHANNELS))
        results = await one.broker.publish([publication(channel) for channel in CHANNELS])
        assert all(isinstance(result, Published) for result in results)
        await other.heard.until(lambda: len(other.heard.announced) == len(CHANNELS))
        assert len(await other.broker.tops(CHANNELS)) == len(CHANNELS)
        for server in servers:
            assert len(await server.command("KEYS", "hub:{log:*}:m")) > 5
        assert len(one.broker.health()) == 3

    async def test_a_server_down_takes_only_its_channels(
        self, servers: list[RedisServer], make_node: MakeNode
    ) -> None:
        node = await make_node(urls(servers))
        await asyncio.gather(*(node.broker.listen(channel) for channel in CHANNELS))
        await servers[0].kill()
        await until(lambda: [shard.usable for shard in node.broker.health()] == [False, True, True])
        results = await node.broker.publish([publication(channel) for channel in CHANNELS])
        refused = [result for result in results if isinstance(result, HubError)]
        assert 5 < len(refused) < 40
        assert {error.code for error in refused} == {ErrorCode.UNAVAILABLE}
        tops = await node.broker.tops(CHANNELS)
        assert [isinstance(top, HubError) for top in tops] == [isinstance(r, HubError) for r in results]
        await node.heard.until(lambda: len(node.heard.announced) == len(CHANNELS) - len(refused))
        await servers[0].start()
        await until(lambda: len(node.heard.lost) == len(refused))
        for channel in node.heard.lost:
            await publish(node.broker, channel)

    async def test_presence_leases_and_registry_work_on_it(
        self, servers: list[RedisServer], make_node: MakeNode
    ) -> None:
        node = await make_node(urls(servers))
        channels = [f"state:{number}" for number in range(12)]
        await asyncio.gather(*(node.broker.listen(channel) for channel in channels))
        await node.broker.publish([publication(channel, key="k", lease_ms=1000) for channel in channels])
        await node.heard.until(lambda: len(node.heard.announced) == 2 * len(channels))
        await node.broker.registry.register_node("n_0", b"{}", 5.0)
        assert await node.broker.registry.nodes() == {"n_0": b"{}"}


class TestAgreement:
    async def test_a_node_with_another_ring_is_refused(
        self, servers: list[RedisServer], make_node: MakeNode
    ) -> None:
        await make_node(urls(servers))
        with pytest.raises(WrongServer, match=str(servers[2].port)) as error:
            await make_node(urls(servers[:2]))
        assert "give all the same servers" in str(error.value)
        with pytest.raises(WrongServer):
            await make_node(servers[0].url)

    async def test_a_ring_is_free_when_nobody_lives_on_it(
        self, servers: list[RedisServer], make_node: MakeNode
    ) -> None:
        await make_node(urls(servers))
        (ring,) = await servers[0].command("KEYS", "hub:{settings}:ring")
        assert 0 < await servers[0].command("PTTL", ring) <= 60_000
        for server in servers[:2]:
            await server.command("DEL", ring)  # as its time to live does
        await make_node(urls(servers[:2]))

    async def test_signs_of_life_keep_it(self, servers: list[RedisServer], make_node: MakeNode) -> None:
        node = await make_node(urls(servers))
        for server in servers:
            await server.command("PEXPIRE", "hub:{settings}:ring", 5000)
        await node.broker.registry.register_node("n_0", b"{}", 5.0)
        for server in servers:
            assert await server.command("PTTL", "hub:{settings}:ring") > 50_000

    async def test_the_namespaces_are_there_for_publishers(
        self, servers: list[RedisServer], make_node: MakeNode
    ) -> None:
        await make_node(urls(servers))
        written = loads(await servers[1].command("GET", "hub:{settings}:namespaces"))
        assert written.items() == namespaces(60.0).items()

    async def test_prefixes_keep_hubs_apart(self, servers: list[RedisServer], make_node: MakeNode) -> None:
        one = await make_node(servers[0].url, prefix="one")
        two = await make_node(urls(servers), prefix="two")
        await one.broker.listen("log:s")
        await two.broker.listen("log:s")
        await publish(one.broker, "log:s")
        await one.heard.heard("log:s", 1)
        assert (await two.broker.read("log:s", 0, 1)).events == []
        assert two.heard.announced == []


async def test_ephemeral_events_on_a_ring(servers: list[RedisServer], make_node: MakeNode) -> None:
    node = await make_node(urls(servers))
    await node.broker.listen("cursor:7")
    result = await attempt(node.broker, "cursor:7", b"1")
    assert isinstance(result, Published)
    assert result.position is None
    (event,) = await node.heard.heard("cursor:7", 1)
    assert (event.offset, event.payload) == (0, b"1")
