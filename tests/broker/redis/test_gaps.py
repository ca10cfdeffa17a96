"""A gap between nodes, seen by those who watch: told once."""

import asyncio
from typing import Any

from ...support.proxy import Proxy
from ...support.server import running_hub
from ...support.wire import connect
from .servers import RedisServer
from .test_listening import listening_connection, proxy, until

__all__ = ["proxy"]


async def test_watchers_get_one_list_for_one_gap(server: RedisServer, proxy: Proxy) -> None:
    settings: dict[str, Any] = {
        "broker": f"redis://127.0.0.1:{proxy.port}",
        "node_secret": "a-secret-of-the-nodes-of-32-bytes",
        "namespaces": {"log": {"mode": "log", "presence": True}},
    }
    with running_hub(**settings) as hub:
        await until(lambda: hub.http(None).get("/readyz").status_code == 200)
        token = hub.token("ann", subscribe=["log:*"], presence=["log:*"])
        async with connect(hub.ws_url, token) as wire:
            reply = await wire.ask("subscribe", channel="log:s", presence=True)
            assert reply["type"] == "hub.subscribed"
            await settled(wire)
            number = await listening_connection(server, proxy)
            proxy.only = lambda other: other == number
            proxy.swallowing = True
            await asyncio.to_thread(hub.publish, "log:s")
            await server.command("CLIENT", "KILL", "TYPE", "pubsub")  # the next connection is not swallowed
            said = await settled(wire)
    assert [message["type"] for message in said if message["type"] in ("hub.gap", "tick")] == [
        "hub.gap",
        "tick",
    ]
    assert [message["type"] for message in said].count("hub.presence") == 1


async def settled(wire: Any) -> list[dict[str, Any]]:
    """All that comes until nothing has come for a while."""
    said: list[dict[str, Any]] = []
    while True:
        try:
            said.append(await wire.receive(0.7))
        except TimeoutError:
            return said
