"""As whom a node connects, and where: credentials that rotate, Sentinels with a user, other addresses."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.credentials import CredentialProvider, UsernamePasswordCredentialProvider

from hub.broker.redis import access

from ..harness import publish
from .cluster import Cluster
from .conftest import MakeNode
from .sentinel import Set, replicated_set
from .servers import RedisServer
from .test_listening import until


class Rotating(CredentialProvider):
    """The password of this moment; `asked` counts."""

    def __init__(self, password: str) -> None:
        self.password = password
        self.asked = 0

    def get_credentials(self) -> tuple[str, str]:
        self.asked += 1
        return "hub", self.password


class RotatingInTheLoop(Rotating):
    """As one that calls a service of tokens."""

    async def get_credentials_async(self) -> tuple[str, str]:
        await asyncio.sleep(0)
        return self.get_credentials()


class Broken(CredentialProvider):
    def get_credentials(self) -> tuple[str, str]:
        raise RuntimeError("the vault says: s3cret")


def broken() -> CredentialProvider:
    raise RuntimeError("s3cret")


async def rotate(server: RedisServer, password: str) -> None:
    rights = ("~hub:*", "&hub:*", "+@all")
    await server.command("ACL", "SETUSER", "hub", "reset", "on", f">{password}", *rights)
    await server.command("ACL", "SETUSER", "default", "on", ">root", "+@all", "~*", "&*")


@pytest.mark.parametrize("kind", [Rotating, RotatingInTheLoop])
async def test_a_password_that_rotates(
    server: RedisServer, make_node: MakeNode, kind: type[Rotating]
) -> None:
    await server.command("ACL", "SETUSER", "hub", "on", ">first", "~hub:*", "&hub:*", "+@all")
    provider = kind("first")
    node = await make_node(server.url, credentials=provider)
    await node.broker.listen("log:s")
    await publish(node.broker, "log:s")
    asked = provider.asked
    await server.command("ACL", "SETUSER", "hub", "resetpass", ">second")
    provider.password = "second"
    await server.command("CLIENT", "KILL", "USER", "hub")
    await until(lambda: "log:s" in node.heard.lost)
    await publish(node.broker, "log:s")
    assert provider.asked >= asked + 2  # commands and listening, each its own connection


async def test_a_provider_that_fails_is_said_without_its_words(
    server: RedisServer, make_node: MakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    node = await make_node(server.url, credentials=Broken())
    (shard,) = node.broker.health()
    assert not shard.usable
    assert "the credential provider failed: RuntimeError" in shard.why
    assert "s3cret" not in caplog.text


def test_by_name() -> None:
    here = "tests.broker.redis.test_access"
    assert isinstance(access.credentials_of(f"{here}:Broken"), Broken)
    assert access.remap_of("tests.broker.redis.test_access:same")(("h", 1)) == ("h", 1)
    for path, why in (
        ("no.such.module:x", "can't be imported"),
        (f"{here}:missing", "can't be imported"),
        (f"{here}:until", "failed: TypeError"),
        (f"{here}:broken", r"broken\(\) failed: RuntimeError"),
        (f"{here}:same_port", "is no credential provider"),
    ):
        with pytest.raises(ValueError, match=why) as error:
            access.credentials_of(path)
        assert "s3cret" not in str(error.value)
    with pytest.raises(ValueError, match="is no function"):
        access.remap_of(f"{here}:same_port")


same_port = 1


def same(address: tuple[str, int]) -> tuple[str, int]:
    return address


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Set]:
    """A set whose Sentinels want a user and a password of their own, as common charts do."""
    async with replicated_set(tmp_path) as found:
        for sentinel in found.sentinels:
            await sentinel.pipeline(
                [
                    ("ACL", "SETUSER", "sen", "on", ">s&cret", "-@all", "+hello", "+client", "+sentinel"),
                    ("ACL", "SETUSER", "default", "off"),
                ]
            )
        yield found


async def test_sentinels_with_a_user_of_their_own(guarded: Set, make_node: MakeNode) -> None:
    node = await make_node(f"{guarded.url}?sentinel_username=sen&sentinel_password=s%26cret")
    await publish(node.broker, "log:s")
    stranger = await make_node(guarded.url)
    (shard,) = stranger.broker.health()
    assert not shard.usable
    assert "no Sentinel names the master of mymaster" in shard.why


async def test_a_master_that_is_reached_elsewhere(tmp_path: Path, make_node: MakeNode) -> None:
    async with replicated_set(tmp_path) as found:
        asked: list[tuple[str, int]] = []

        def remap(address: tuple[str, int]) -> tuple[str, int]:
            asked.append(address)
            return "127.0.0.2", address[1]

        await found.master.command("CONFIG", "SET", "bind", "127.0.0.1 127.0.0.2")
        node = await make_node(found.url, address_remap=remap)
        await publish(node.broker, "log:s")
        assert ("127.0.0.1", found.master.port) in asked
        (shard,) = node.broker._topology.shards()
        assert shard.commander.address is not None
        assert shard.commander.address.host == "127.0.0.2"


async def test_a_cluster_that_is_reached_elsewhere(tmp_path: Path, make_node: MakeNode) -> None:
    cluster = Cluster(tmp_path, 3)
    await cluster.start(replicas=0)
    try:
        for server in cluster.servers:
            await server.command("CONFIG", "SET", "bind", "127.0.0.1 127.0.0.2")
        node = await make_node(cluster.url, address_remap=lambda address: ("127.0.0.2", address[1]))
        assert {shard.name.partition(":")[0] for shard in node.broker.health()} == {"127.0.0.2"}
        await publish(node.broker, "log:s")
    finally:
        await cluster.stop()


async def test_a_provider_of_redis_py(server: RedisServer, make_node: MakeNode) -> None:
    await rotate(server, "word")
    node = await make_node(server.url, credentials=UsernamePasswordCredentialProvider("hub", "word"))
    await publish(node.broker, "log:s")
