"""Listening through every fault of a link: what is lost is reported, and nothing stays deaf."""

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from hub.broker.base import Published
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError

from ...support.pace import SCALE
from ...support.proxy import Proxy
from ..harness import attempt, publication, publish, tops
from .conftest import MakeNode, Node
from .harness import QUICK
from .servers import RedisServer, free_port


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds * SCALE):
        while not condition():
            await asyncio.sleep(0.02)


def deaf(node: Node) -> bool:
    return any(shard.deaf_s > 0 for shard in node.broker.health())


def usable(node: Node) -> bool:
    return all(shard.usable for shard in node.broker.health())


async def subscribers(server: RedisServer, channel: str) -> int:
    (_, count) = await server.command("PUBSUB", "NUMSUB", f"hub:{{{channel}}}:e")
    assert isinstance(count, int)
    return count


@pytest.fixture
async def proxy(server: RedisServer) -> AsyncIterator[Proxy]:
    proxy = await Proxy("127.0.0.1", server.port).start()
    yield proxy
    await proxy.close()


@pytest.fixture
async def behind(proxy: Proxy, make_node: MakeNode) -> Node:
    """A node behind the proxy, listening to ``log:s`` and hearing its canary."""
    node = await make_node(f"redis://127.0.0.1:{proxy.port}")
    await node.broker.listen("log:s")
    await until(lambda: node.broker.health()[0].rtt_s > 0)
    return node


async def listening_connection(server: RedisServer, proxy: Proxy) -> int:
    """The number of the proxy's connection that listens."""
    clients = (await server.command("CLIENT", "LIST", "TYPE", "pubsub")).decode()
    match = re.search(r"addr=127\.0\.0\.1:(\d+)", clients)
    assert match is not None, clients
    return proxy.number_of(int(match[1]))


class Flow:
    """Somebody who publishes all the time, and keeps what was stored."""

    def __init__(self, node: Node, channel: str = "log:s") -> None:
        self.stored: list[int] = []
        self.refused = 0
        self._node = node
        self._channel = channel
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        number = 0
        while True:
            number += 1
            result = await attempt(self._node.broker, self._channel, b"%d" % number)
            if isinstance(result, Published):
                self.stored.append(number)
            else:
                self.refused += 1
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def heard_again(node: Node, publisher: Node) -> None:
    """A new event reaches the node."""
    marker = f"m{random.getrandbits(32)}"
    async with asyncio.timeout(10):
        while not any(event.type == marker for event in node.heard.events("log:s")):
            await attempt(publisher.broker, "log:s", type=marker)
            await asyncio.sleep(0.02)


class TestFaults:
    async def test_a_listener_whose_own_words_are_lost_is_deaf_before_its_link_is_given_up(
        self, server: RedisServer, make_node: MakeNode
    ) -> None:
        """What others say still comes, the canary too; but nothing that it subscribes to from now on."""
        proxy = await Proxy("127.0.0.1", server.port).start()
        node = await make_node(f"redis://127.0.0.1:{proxy.port}")
        await node.broker.listen("log:s")
        clients = (await server.command("CLIENT", "LIST", "TYPE", "pubsub")).decode()
        (port,) = re.findall(r" addr=[\d.]+:(\d+)", clients)
        number = proxy.number_of(int(port))
        proxy.only = lambda other: other == number
        proxy.muting = True
        await until(lambda: deaf(node) or node.count("listener_disconnects") > 0)
        assert node.count("listener_disconnects") == 0
        proxy.heal()
        await until(lambda: not deaf(node))
        await proxy.close()

    async def test_killed_subscribers(self, server: RedisServer, node: Node, make_node: MakeNode) -> None:
        await node.broker.listen("log:s")
        publisher = await make_node(server.url)
        flow = Flow(publisher)
        for round_ in range(1, 4):
            await server.command("CLIENT", "KILL", "TYPE", "pubsub")
            await until(lambda count=round_: node.heard.lost.count("log:s") >= count)  # type: ignore[misc]
        await heard_again(node, publisher)
        await flow.stop()
        assert flow.refused == 0
        assert not usable(node) or not deaf(node)

    async def test_lost_is_said_after_listening_works_again(
        self, server: RedisServer, node: Node, make_node: MakeNode
    ) -> None:
        """Whoever reads the history when told, and then goes on with what is heard, misses nothing."""
        await node.broker.listen("log:s")
        publisher = await make_node(server.url)
        flow = Flow(publisher)
        await node.heard.until(lambda: len(node.heard.announced) > 10)
        await server.command("CLIENT", "KILL", "TYPE", "pubsub")
        await until(lambda: "log:s" in node.heard.lost)
        top = (await tops(node.broker, ["log:s"]))[0].offset
        await asyncio.sleep(0.3)
        await flow.stop()
        last = (await tops(node.broker, ["log:s"]))[0].offset
        assert last > top
        await until(lambda: node.heard.events("log:s")[-1].offset == last)
        after = [event.offset for event in node.heard.events("log:s") if event.offset > top]
        assert after == [*range(top + 1, last + 1)]

    async def test_a_half_open_listener_is_noticed_and_healed(
        self, server: RedisServer, proxy: Proxy, behind: Node, make_node: MakeNode
    ) -> None:
        publisher = await make_node(server.url)
        number = await listening_connection(server, proxy)
        proxy.only = lambda other: other == number
        proxy.swallowing = True
        started = time.monotonic()
        await until(lambda: deaf(behind))
        assert usable(behind)
        assert time.monotonic() - started < (QUICK.overdue + 1.0) * SCALE
        assert isinstance(await attempt(behind.broker, "log:s"), Published)
        await until(lambda: "log:s" in behind.heard.lost)
        await until(lambda: not deaf(behind))
        assert time.monotonic() - started < (QUICK.pulse + QUICK.patience + 2.0) * SCALE
        await heard_again(behind, publisher)

    async def test_a_listener_that_only_answers_pings_is_deaf_too(
        self, server: RedisServer, node: Node, make_node: MakeNode
    ) -> None:
        """The socket is fine and pings are answered, but nothing is heard: only the canary can tell."""
        await node.broker.listen("log:s")
        await until(lambda: node.broker.health()[0].rtt_s > 0)
        shard = node.broker._topology.shards()[0]
        link = shard.listener._link
        assert link is not None
        names = await server.command("PUBSUB", "CHANNELS", "hub:*")
        await link.subscribe("UNSUBSCRIBE", names)
        await until(lambda: node.count("listener_aborts") == 1)
        await until(lambda: "log:s" in node.heard.lost)
        await heard_again(node, await make_node(server.url))

    async def test_everything_swallowed(
        self, server: RedisServer, proxy: Proxy, behind: Node, make_node: MakeNode
    ) -> None:
        publisher = await make_node(server.url)
        proxy.swallowing = True
        result = await attempt(behind.broker, "log:s")
        assert isinstance(result, HubError)
        assert result.code is ErrorCode.UNAVAILABLE
        await until(lambda: not usable(behind))
        started = time.monotonic()
        results = [await attempt(behind.broker, "log:s") for _ in range(100)]
        assert time.monotonic() - started < 0.5 * SCALE
        assert all(isinstance(each, HubError) and each.retry_after_ms for each in results)
        proxy.heal()
        await until(lambda: usable(behind) and not deaf(behind))
        await until(lambda: "log:s" in behind.heard.lost)
        await heard_again(behind, publisher)
        assert isinstance(await attempt(behind.broker, "log:s"), Published)

    async def test_connections_cut_and_refused(
        self, server: RedisServer, proxy: Proxy, behind: Node, make_node: MakeNode
    ) -> None:
        publisher = await make_node(server.url)
        proxy.refusing = True
        proxy.cut()
        await until(lambda: not usable(behind))
        for _ in range(5):
            await publish(publisher.broker, "log:s")
        proxy.heal()
        await until(lambda: usable(behind) and "log:s" in behind.heard.lost)
        assert (await behind.broker.read("log:s", 0, 10)).top.offset == 5
        await heard_again(behind, publisher)

    async def test_a_stopped_server(self, server: RedisServer, node: Node) -> None:
        await node.broker.listen("log:s")
        before = await publish(node.broker, "log:s")
        server.pause()
        try:
            result = await attempt(node.broker, "log:s")
            assert isinstance(result, HubError)
            await until(lambda: not usable(node))
            await asyncio.sleep(1)
        finally:
            server.resume()
        await until(lambda: usable(node) and not deaf(node))
        await until(lambda: "log:s" in node.heard.lost)
        after = await publish(node.broker, "log:s")
        assert before.position is not None
        assert after.position == before.position._replace(offset=2)

    async def test_paused_clients(self, server: RedisServer, node: Node) -> None:
        await node.broker.listen("log:s")
        await server.command("CLIENT", "PAUSE", 3000, "ALL")
        result = await attempt(node.broker, "log:s", b'"refused"')
        assert isinstance(result, HubError)
        await until(lambda: usable(node) and not deaf(node))
        await until(lambda: isinstance(node.heard.lost, list) and "log:s" in node.heard.lost)
        assert (await publish(node.broker, "log:s")).position is not None
        payloads = [event.payload for event in (await node.broker.read("log:s", 0, 10)).events]
        assert payloads == [b"{}"]

    async def test_a_slow_listener_is_cut_off_and_comes_back(
        self, server: RedisServer, proxy: Proxy, behind: Node, make_node: MakeNode
    ) -> None:
        publisher = await make_node(server.url)
        await server.command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 200kb 0 0")
        number = await listening_connection(server, proxy)
        proxy.only = lambda other: other == number
        proxy.delay_s = 30.0
        body = b'"' + b"x" * 100_000 + b'"'
        for _ in range(20):
            await publisher.broker.publish([publication("log:s", body) for _ in range(10)])
        proxy.heal()
        await until(lambda: "log:s" in behind.heard.lost)
        await heard_again(behind, publisher)

    async def test_the_server_is_away_at_the_start(self, make_node: MakeNode, tmp_path: object) -> None:
        from pathlib import Path

        server = RedisServer(Path(str(tmp_path)) / "late", port=free_port())
        node = await make_node(server.url)
        assert not usable(node)
        with pytest.raises(HubError) as error:
            await node.broker.listen("log:s")
        assert error.value.code is ErrorCode.UNAVAILABLE
        await asyncio.sleep(2 * QUICK.linger)  # whoever wanted it has given up, and so has the node
        await server.start()
        try:
            await until(lambda: usable(node))
            await until(lambda: node.broker._topology.shards()[0].listener.connected_at is not None)
            await node.broker.listen("log:s")
            await publish(node.broker, "log:s")
            await node.heard.heard("log:s", 1)
        finally:
            await server.stop()


class TestGarbage:
    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"x",
            b"\x01",
            b"\x02e0|1|\x01",
            b"\x01e",
            b"\x01eabc|1",
            b"\x01eabc|99999999999999999999|\x01\x90",
            b"\x01eabc|1|\x01\xc1",
            b"\x01eabc|1|\x01\x9a",
            b"\x01eabc|-1|\x01\x90",
            b"\x01p\x97\x01\x02\x03\x04\x05\x06\x07",
            b"\x01p",
            b"\x01a\x94\xa1a\x01\x01\x01",
            b"\x01a",
            b"\x01z",
            b"\x80\x04\x95\x0b",
            b"\xff" * 100_000,
        ],
        ids=lambda data: data[:12].hex() or "empty",
    )
    async def test_on_a_channel_it_is_counted_and_skipped(
        self, server: RedisServer, node: Node, data: bytes
    ) -> None:
        await node.broker.listen("log:s")
        await server.command("PUBLISH", "hub:{log:s}:e", data)
        await publish(node.broker, "log:s")
        await node.heard.heard("log:s", 1)
        assert node.count("unreadable_messages") == 1
        assert (node.heard.presence, node.heard.acks, node.heard.lost) == ([], [], [])

    async def test_on_the_canarys_channel(self, server: RedisServer, node: Node) -> None:
        await until(lambda: node.broker.health()[0].rtt_s > 0)
        for data in (b"", b"x", b"a|b", b"a|1.0"):
            await server.command("PUBLISH", "hub:{canary}:n_0", data)
        await until(lambda: node.count("foreign_canaries") == 4)
        assert usable(node)

    async def test_it_is_logged_once_a_while(
        self, server: RedisServer, node: Node, caplog: pytest.LogCaptureFixture
    ) -> None:
        await node.broker.listen("log:s")
        for _ in range(50):
            await server.command("PUBLISH", "hub:{log:s}:e", b"garbage")
        await until(lambda: node.count("unreadable_messages") == 50)
        assert caplog.text.count("a message was skipped") == 1


class TestInterest:
    async def test_it_lingers(self, server: RedisServer, node: Node) -> None:
        await node.broker.listen("log:s")
        await node.broker.unlisten("log:s")
        assert await subscribers(server, "log:s") == 1
        await publish(node.broker, "log:s")
        await node.heard.heard("log:s", 1)
        async with asyncio.timeout(5):
            while await subscribers(server, "log:s"):
                await asyncio.sleep(0.02)

    async def test_a_reload_subscribes_only_once(self, server: RedisServer, node: Node) -> None:
        await server.command("CONFIG", "RESETSTAT")
        await node.broker.listen("log:s")
        for _ in range(5):
            await node.broker.unlisten("log:s")
            await node.broker.listen("log:s")
        await asyncio.sleep(QUICK.linger * 2)
        stats = (await server.command("INFO", "commandstats")).decode()
        assert "cmdstat_subscribe:calls=1," in stats
        assert "cmdstat_unsubscribe" not in stats
        assert await subscribers(server, "log:s") == 1

    async def test_whatever_crosses_the_last_decision_stands(self, server: RedisServer, node: Node) -> None:
        rng = random.Random(7)
        channels = [f"log:{number}" for number in range(20)]
        last: dict[str, bool] = {}

        async def decide(channel: str) -> None:
            for _ in range(10):
                last[channel] = rng.random() < 0.5
                if last[channel]:
                    await node.broker.listen(channel)
                    await publish(node.broker, channel)
                else:
                    node.broker._forget(channel)  # at once, without lingering
                if rng.random() < 0.3:
                    await asyncio.sleep(0)

        await asyncio.gather(*(decide(channel) for channel in channels))
        for channel in channels:
            heard = len(node.heard.events(channel))
            await publish(node.broker, channel)
            if last[channel]:
                await until(lambda c=channel, n=heard: len(node.heard.events(c)) > n)  # type: ignore[misc]
        async with asyncio.timeout(5):
            while [bool(await subscribers(server, c)) for c in channels] != [last[c] for c in channels]:
                await asyncio.sleep(0.02)

    async def test_what_follows_a_listen_is_heard(self, node: Node) -> None:
        for number in range(50):
            channel = f"log:{number}"
            await node.broker.listen(channel)
            await publish(node.broker, channel)
        await node.heard.until(lambda: len(node.heard.announced) == 50)

    async def test_thousands_are_subscribed_again_in_batches(
        self, server: RedisServer, make_node: MakeNode
    ) -> None:
        node = await make_node(
            server.url, tuning=replace(QUICK, patience=20.0)
        )  # it counts, and races nothing
        channels = [f"log:{number}" for number in range(2000)]
        await asyncio.gather(*(node.broker.listen(channel) for channel in channels))
        await server.command("CONFIG", "RESETSTAT")
        await server.command("CLIENT", "KILL", "TYPE", "pubsub")
        await until(lambda: len(node.heard.lost) == 2000)
        assert set(node.heard.lost) == set(channels)
        stats = (await server.command("INFO", "commandstats")).decode()
        calls = re.search(r"cmdstat_subscribe:calls=(\d+)", stats)
        assert calls is not None
        assert int(calls[1]) <= 5
