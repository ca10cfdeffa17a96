"""What replicas have is said of the server that took it, and of no other."""

import asyncio
from pathlib import Path

from hub.protocol.codes import ErrorCode, Outcome

from ...support.pace import SCALE
from ...support.proxy import Proxy
from ..harness import publish
from .conftest import MakeNode, Node
from .servers import RedisServer

CHANNELS = ("log:a", "state:b")


async def published(node: Node) -> dict[str, str]:
    """What is not confirmed of a publication to each channel, and why."""
    witness = node.broker.witness(CHANNELS)
    for name in CHANNELS:
        await publish(node.broker, name)
    refused = await witness.unconfirmed(1)
    for name, error in refused.items():
        assert (error.code, error.outcome, error.channel) == (ErrorCode.UNAVAILABLE, Outcome.UNKNOWN, name)
    return {name: error.reason for name, error in refused.items()}


async def test_what_a_replica_has_is_confirmed_and_what_lags_is_not(
    tmp_path: Path, make_node: MakeNode
) -> None:
    master = RedisServer(tmp_path / "master", "repl-diskless-sync-delay 0")
    replica = RedisServer(tmp_path / "replica", f"replicaof 127.0.0.1 {master.port}")
    async with master, replica:
        await master.replicated()
        node = await make_node(master.url)
        assert await published(node) == {}
        replica.pause()
        refused = await published(node)
        assert refused == dict.fromkeys(CHANNELS, "stored, but on 0 replicas so far, and 1 were asked for")
        await publish(node.broker, "log:a")  # who does not ask does not wait
        replica.resume()
        async with asyncio.timeout(20 * SCALE):
            while await published(node):
                pass
        assert node.count("witness_failures") == 0


async def test_a_server_without_replicas_confirms_nothing(node: Node) -> None:
    assert set(await published(node)) == set(CHANNELS)


async def test_what_another_master_took_meanwhile_is_not_confirmed(
    tmp_path: Path, make_node: MakeNode
) -> None:
    first, other = (RedisServer(tmp_path / name, "repl-diskless-sync-delay 0") for name in ("first", "other"))
    replica = RedisServer(tmp_path / "replica", f"replicaof 127.0.0.1 {other.port}")
    async with first, other, replica:
        await other.replicated()
        link = await Proxy("127.0.0.1", first.port).start()
        try:
            node = await make_node(f"redis://127.0.0.1:{link.port}")
            witness = node.broker.witness(CHANNELS)
            await publish(node.broker, "log:a")
            link.target = ("127.0.0.1", other.port)
            link.cut()
            async with asyncio.timeout(20 * SCALE):
                while not (node.count("disconnects") and node.broker.health()[0].usable):
                    await asyncio.sleep(0.02)
            refused = await witness.unconfirmed(1)
            assert "master is changing" in refused["log:a"].reason
            async with asyncio.timeout(20 * SCALE):
                while await published(node):  # a witness from now on is of the other one
                    await asyncio.sleep(0.02)
        finally:
            await link.close()
