"""A backend that publishes straight into Redis."""

from collections.abc import AsyncIterator

import pytest

from hub.broker.base import Published
from hub.broker.redis.client.command_connection import WrongServer
from hub.broker.redis.publishing import RedisPublishing
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError

from ..harness import publication
from .conftest import MakeNode, Node
from .harness import QUICK
from .servers import RedisServer, free_port
from .test_listening import until


@pytest.fixture
async def backend(server: RedisServer, node: Node) -> AsyncIterator[RedisPublishing]:
    backend = RedisPublishing(server.url, tuning=QUICK)
    await backend.start()
    yield backend
    await backend.close()


async def test_nodes_hear_it(node: Node, backend: RedisPublishing) -> None:
    await node.broker.listen("state:s")
    results = await backend.publish([publication("state:s", b"%d" % n, key="k") for n in range(5)])
    assert [r.position.offset for r in results if isinstance(r, Published) and r.position] == [1, 2, 3, 4, 5]
    events = await node.heard.heard("state:s", 5)
    assert [event.payload for event in events] == [b"0", b"1", b"2", b"3", b"4"]
    assert len((await node.broker.snapshot("state:s")).events) == 1


async def test_the_hubs_namespaces_hold(backend: RedisPublishing) -> None:
    (unknown,) = await backend.publish([publication("nowhere:s")])
    assert isinstance(unknown, HubError)
    assert unknown.code is ErrorCode.UNKNOWN_NAMESPACE
    results = await backend.publish([publication("state:s", key=str(n)) for n in range(5)])
    assert isinstance(results[4], HubError)
    assert results[4].code is ErrorCode.LIMIT


async def test_what_only_a_hub_can_check_is_refused(server: RedisServer, make_node: MakeNode) -> None:
    await make_node(server.url, through_hub=["state"])
    backend = RedisPublishing(server.url, tuning=QUICK)
    await backend.start()
    try:
        refused, stored = await backend.publish([publication("state:s", key="k"), publication("log:s")])
    finally:
        await backend.close()
    assert isinstance(refused, HubError)
    assert refused.code is ErrorCode.FORBIDDEN
    assert "publish over HTTP" in refused.reason
    assert isinstance(stored, Published)


async def test_leases_run_out(node: Node, backend: RedisPublishing) -> None:
    await node.broker.listen("state:s")
    await backend.publish([publication("state:s", key="k", lease_ms=1000)])
    await until(lambda: len(node.heard.events("state:s")) == 2)


async def test_it_listens_to_nothing(server: RedisServer, backend: RedisPublishing) -> None:
    clients = (await server.command("CLIENT", "LIST")).decode()
    assert clients.count("name=hub-publisher") == 1


async def test_without_a_hub_it_says_so(server: RedisServer) -> None:
    backend = RedisPublishing(server.url, prefix="other", tuning=QUICK)
    with pytest.raises(WrongServer, match="no settings of a hub under the prefix other"):
        await backend.start()


async def test_without_a_server_it_says_so() -> None:
    backend = RedisPublishing(f"redis://127.0.0.1:{free_port()}", tuning=QUICK)
    with pytest.raises(HubError) as error:
        await backend.start()
    assert error.value.code is ErrorCode.UNAVAILABLE


async def test_with_another_ring_it_says_so(server: RedisServer, node: Node) -> None:
    backend = RedisPublishing(f"{server.url},redis://127.0.0.1:{free_port()}", tuning=QUICK)
    with pytest.raises(WrongServer, match="this publisher"):
        await backend.start()
