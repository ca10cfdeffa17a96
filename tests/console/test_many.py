"""A hub with 100,000 connections and as many channels: what the console asks for lists some, and holds nobody up.

The entries of the tables are made up, as light as what is read of each allows; all else is the hub itself.
"""

import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from hub.app import Hub
from hub.auth.claims import grants
from hub.auth.identity import Identity
from hub.connections.observer import Ending
from hub.delivery.channel import Channel
from hub.namespaces import Namespaces
from hub.node import Node
from hub.observe.overview import KEPT, MOST_CHANNELS
from hub.protocol.frames import Encoding

from ..support.server import JWT_SECRET
from .test_api import KEYS, READ

MANY = 100_000
GONE_ALREADY = 20_000
SHOWN = 50  # hub/console/static/connections.js
PAST_SHOWN = 200
GONE = f"/v1/connections?closed=true&limit={PAST_SHOWN}"
ROOM = 100_000  # bytes of an answer
PASSES = 30  # an answer takes no longer than so many plain passes over the table


class Entry:
    """What is read of a connection."""

    __slots__ = (
        "address",
        "id",
        "identity",
        "last_error",
        "last_heard",
        "member",
        "opened_at",
        "outbox",
        "session",
        "subscriptions",
    )

    def __init__(self, number: int, channel: Channel, identity: Identity) -> None:
        self.id = self.member = f"c_{number}"
        self.address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        self.identity = identity
        self.session = SESSION
        self.outbox = OUTBOX
        self.opened_at = self.last_heard = 0.0
        self.last_error = None
        place = SimpleNamespace(channel=channel, queued=0, plain=True, sent=0, merged=None, own=None)
        place.__dict__.update(began=0, began_at=0, began_in="", begun="live")
        self.subscriptions = {channel.name: place}

    @property
    def who(self) -> tuple[str, None]:
        return self.identity.user, None

    def close(self, *_: object) -> None:
        """The hub ends."""


SESSION = SimpleNamespace(encoding=Encoding.JSON)
OUTBOX = SimpleNamespace(blocked=False, queued=0, queued_bytes=0)


@pytest.fixture
async def hub() -> AsyncIterator[tuple[Node, httpx.AsyncClient]]:
    made = Hub(jwt_secret=JWT_SECRET, api_keys=KEYS, position_check=3600)
    async with made.lifespan():
        node = made.node
        assert node is not None
        fill(node)
        overview: Any = node.cluster._bus.handlers["samples"]
        for _ in range(2 * KEPT):
            await overview.__self__.sample()
        transport = httpx.ASGITransport(app=made.app)
        headers = {"Authorization": f"Bearer {READ}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://hub", headers=headers) as http:
            yield node, http


def fill(node: Node) -> None:
    nothing = grants((), (), ())
    namespace = Namespaces.shipped().of("job:1")
    channels: Any = node.channels
    connections: Any = node.connections
    for number in range(MANY):
        channel = Channel(f"job:{number}", namespace, node.flushes, channels._tails, lambda _: None)
        channel.plain = {object(): None}  # type: ignore[dict-item]
        channels._table[channel.name] = channel
        user = f"user{number // 2}"
        entry: Any = Entry(number, channel, Identity(user, float("inf"), nothing))
        connections.add(user, entry)
        if number < GONE_ALREADY:
            node.observer.ended(entry, Ending(1006, "", by_hub=False))


def cpu(work: Callable[[], object]) -> float:
    """Seconds of this process alone: the machine has other things to do."""
    began = time.process_time()
    work()
    return time.process_time() - began


async def asked(http: httpx.AsyncClient, path: str) -> tuple[dict[str, Any], int, float]:
    """An answer, its bytes, and the seconds that it took of this process; of three the quickest."""

    async def once() -> tuple[float, httpx.Response]:
        began = time.process_time()
        answer = await http.get(path)
        return time.process_time() - began, answer

    took, answer = min([await once() for _ in range(3)], key=lambda pair: pair[0])
    assert answer.status_code == 200, answer.text
    return answer.json(), len(answer.content), took


async def test_what_the_console_asks_for(hub: tuple[Node, httpx.AsyncClient]) -> None:
    node, http = hub
    one_pass = min(
        cpu(lambda: sum(each.address == "nobody" for each in node.connections.all())) for _ in range(3)
    )
    found: dict[str, Any] = {}
    for path in (
        "/v1/console",
        "/v1/nodes",
        "/v1/nodes?samples=true",
        "/v1/settings",
        f"/v1/connections?limit={SHOWN}",
        f"/v1/connections?user=user77&limit={SHOWN}",
        f"/v1/connections?address=10.1.134.159&limit={SHOWN}",
        f"/v1/connections?channel=job:99999&limit={SHOWN}",
        "/v1/connections?connection=c_99999",
        GONE,
        f"{GONE}&user=user7",
        "/v1/channels",
        "/v1/channels?search=9999",
        "/v1/channels?search=nobody",
    ):
        found[path], size, took = await asked(http, path)
        assert size <= ROOM, (path, size)
        assert took <= PASSES * one_pass, (path, took, one_pass)
    assert found["/v1/nodes"]["nodes"][0]["connections"] == MANY
    assert found["/v1/nodes"]["nodes"][0]["channels"] == MANY
    connections = [
        found[path]["connections"]
        for path in found
        if path.startswith("/v1/connections?") and not path.startswith(GONE)
    ]
    assert [len(each) for each in connections] == [SHOWN, 2, 1, 1, 1]
    assert [each[0]["connection"] for each in connections[2:]] == ["c_99999"] * 3, "also the last of all"
    assert len(found[GONE]["past"]) == PAST_SHOWN
    assert [each["user"] for each in found[f"{GONE}&user=user7"]["past"]] == ["user7"] * 2
    assert [len(each["samples"]) for each in found["/v1/nodes?samples=true"]["samples"]] == [KEPT]
    assert len(found["/v1/channels"]["channels"]) == MOST_CHANNELS
    assert len(found["/v1/channels?search=9999"]["channels"]) == 19
    everything, _, _ = await asked(http, "/v1/connections")
    assert len(everything["connections"]) == 1000, "also where no limit is asked for"
    everything, _, _ = await asked(http, "/v1/connections?closed=true")
    assert len(everything["past"]) == 1000
