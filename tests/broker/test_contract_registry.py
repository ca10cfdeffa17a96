"""The contract of every broker: what nodes know together beside the channels."""

import asyncio

from hub.broker.base import Broker

from .harness import Harness, Recorder


class TestTickets:
    async def test_a_ticket_is_taken_once(self, broker: Broker) -> None:
        await broker.registry.put_ticket("d1", b'{"sub":"ann"}', 30)
        await broker.registry.put_ticket("d2", b'{"sub":"bob"}', 30)
        assert await broker.registry.take_ticket("d1") == b'{"sub":"ann"}'
        assert await broker.registry.take_ticket("d1") is None
        assert await broker.registry.take_ticket("d2") == b'{"sub":"bob"}'

    async def test_of_many_takers_one_gets_it(self, broker: Broker) -> None:
        await broker.registry.put_ticket("d1", b"claims", 30)
        taken = await asyncio.gather(*(broker.registry.take_ticket("d1") for _ in range(10)))
        assert [claims for claims in taken if claims is not None] == [b"claims"]

    async def test_an_unknown_one_is_none(self, broker: Broker) -> None:
        assert await broker.registry.take_ticket("nope") is None

    async def test_an_old_one_is_none(self, harness: Harness, broker: Broker) -> None:
        await broker.registry.put_ticket("d1", b"claims", harness.unit)
        await harness.advance(1.25)
        assert await broker.registry.take_ticket("d1") is None


class TestRevocations:
    async def test_they_are_remembered_until_their_time(self, harness: Harness, broker: Broker) -> None:
        now = harness.now()
        assert await broker.registry.revocations() == {}
        await broker.registry.revoke("sub:ann|x", now + 1000)
        await broker.registry.revoke("jti:☃", now + harness.unit)
        standing = await broker.registry.revocations()
        assert set(standing) == {"sub:ann|x", "jti:☃"}
        assert abs(standing["sub:ann|x"] - now - 1000) < 0.01
        await harness.advance(1.25)
        assert set(await broker.registry.revocations()) == {"sub:ann|x"}

    async def test_the_later_of_two_stands(self, harness: Harness, broker: Broker) -> None:
        now = harness.now()
        for seconds in (1000, 2000, 500):
            await broker.registry.revoke("sub:ann", now + seconds)
        assert abs((await broker.registry.revocations())["sub:ann"] - now - 2000) < 0.01

    async def test_one_of_the_past_does_not_stand(self, harness: Harness, broker: Broker) -> None:
        await broker.registry.revoke("sub:ann", harness.now() - 10)
        assert await broker.registry.revocations() == {}


class TestCommands:
    async def test_they_reach_the_node_that_sent_them(self, broker: Broker, heard: Recorder) -> None:
        commands = [b"one", bytes(range(256)), b""]
        for data in commands:
            await broker.registry.send_command(data)
        await heard.until(lambda: len(heard.commands) >= 3)
        assert heard.commands == commands


class TestNodes:
    async def test_a_node_lives_while_it_says_so(self, harness: Harness, broker: Broker) -> None:
        await broker.registry.register_node("n_a", b'{"load":1}', 2 * harness.unit)
        await broker.registry.register_node("n_b", b"{}", harness.unit)
        nodes = await broker.registry.nodes()
        assert (nodes["n_a"], nodes["n_b"]) == (b'{"load":1}', b"{}")
        await harness.advance(1.25)
        await broker.registry.register_node("n_a", b'{"load":2}', 2 * harness.unit)
        nodes = await broker.registry.nodes()
        assert "n_b" not in nodes
        await harness.advance(1.25)
        assert (await broker.registry.nodes())["n_a"] == b'{"load":2}'

    async def test_a_node_departs_in_order(self, broker: Broker) -> None:
        await broker.registry.register_node("n_a", b"{}", 60)
        await broker.registry.unregister_node("n_a")
        await broker.registry.unregister_node("n_never")
        assert "n_a" not in await broker.registry.nodes()
