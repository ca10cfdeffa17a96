"""A release beside the one before it on one Redis: a rolling deploy under flow, forth and back.

The release before is taken out of the history, by the commit that the changelog names, and runs as it was.
"""

import asyncio
import contextlib
import re
import subprocess
import tarfile
import time
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..broker.redis.servers import RedisServer
from ..cli.readme import ROOT
from ..faults.judge import Ledger, judge
from ..faults.scenario import _at_rest, _settle
from ..faults.stage import CHANNELS, HISTORY, PREFIX, Stage, _leave
from ..schedules.visitors import ROOM, Visitor
from ..support.pace import SCALE
from ..support.proxy import Proxy
from ..support.server import RunningHub, running_hub

pytestmark = pytest.mark.sources  # the release before is taken out of the history, which a bare copy lacks

BEFORE = "0.1.0"
SOME = 10  # events of each channel between two things that happen
LEASE_MS = 2000
LEASED = "job:leased"


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package of the release before."""
    found = re.search(
        rf"^## {re.escape(BEFORE)} \((\w+)\)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert found is not None, f"the changelog names the commit of {BEFORE}"
    packed = subprocess.run(["git", "archive", found[1], "hub"], cwd=ROOT, capture_output=True, check=True)
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


class Place:
    """Where one node runs: what stands before it stays, and sends who comes to the newest. It is to its users what
    a `RunningHub` is."""

    def __init__(self, proxy: Proxy, broker: str) -> None:
        self._proxy = proxy
        self._broker = broker
        self._running: contextlib.AbstractContextManager[RunningHub] | None = None
        self.hub: RunningHub
        self.logs: list[str] = []

    @property
    def port(self) -> int:
        return self._proxy.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    @property
    def api_key(self) -> str:
        return self.hub.api_key

    def token(self, user: str, **grants: Any) -> str:
        return self.hub.token(user, **grants)

    def log(self) -> str:
        return "\n".join([*self.logs, self.hub.log()])

    async def run(self, source: Path | None) -> None:
        """A node of this source; the one before it is drained, and ends."""
        rules: dict[str, Any] = {name: {"history_size": HISTORY} for name in ("system", "job")}
        rules["doc"] = {"presence": True}
        serving = running_hub(
            source=source,
            broker=self._broker,
            namespaces=rules,
            prefix=PREFIX,
            node_secret="a secret that all the nodes of this test share",
            presence_grace=2,
            position_check=5,
            drain_seconds=1,
        )
        hub = await asyncio.to_thread(serving.__enter__)
        self._proxy.target = ("127.0.0.1", hub.port)
        await self.stop()
        self.hub, self._running = hub, serving

    async def stop(self) -> None:
        if self._running is not None:
            self.logs.append(self.hub.log())
            running, self._running = self._running, None
            await asyncio.to_thread(running.__exit__, None, None, None)


@pytest.fixture
async def places(tmp_path: Path) -> AsyncIterator[tuple[RedisServer, list[Place]]]:
    async with RedisServer(tmp_path / "redis", "save 3600 1000000") as server:
        proxies = [await Proxy("127.0.0.1", 1).start() for _ in range(2)]
        found = [Place(proxy, server.url) for proxy in proxies]
        yield server, found
        for place, proxy in zip(found, proxies, strict=True):
            await place.stop()
            await proxy.close()


@pytest.mark.parametrize("way", ["forth", "back"])
async def test_a_rolling_deploy(way: str, before: Path, places: tuple[RedisServer, list[Place]]) -> None:
    """Nothing is lost, doubled or reordered, nobody is told of a gap, who is present is; with a restart of Redis
    that keeps all data while both releases run, and one before or after."""
    server, (one, two) = places
    old, new = (before, None) if way == "forth" else (None, before)
    for place in (one, two):
        await place.run(old)
    stage = Stage(server, None, one._proxy, [one, two])  # type: ignore[list-item]
    visitors = [
        Visitor(user, [place.ws_url], place.token(user, subscribe=["doc:*"], presence=["doc:*"]))
        for user, place in (("ann", one), ("bob", two))
    ]
    try:
        await _roll(way, server, stage, (one, two), new, visitors)
    finally:
        for visitor in visitors:
            await visitor.go()
        await _leave(stage)


async def _roll(
    way: str,
    server: RedisServer,
    stage: Stage,
    places: tuple[Place, Place],
    new: Path | None,
    visitors: list[Visitor],
) -> None:
    one, two = places
    for watch in stage.watches:
        watch.start()
    for witness in stage.everyone:
        witness.come()
    for visitor in visitors:
        visitor.come()
    await stage.until(
        lambda: all(w.place(channel)[0] for w in stage.everyone for channel in CHANNELS), "subscriptions"
    )
    stage.flow.start()
    stage.hopper.hop()
    leases = 0
    await stage.until_published(SOME)
    if way == "back":
        await _restarted(server, stage)
    early = [stage.flow.stored(channel)[0] for channel in CHANNELS]
    await one.run(new)
    await stage.until_published(SOME)
    for place in places:
        await _lease(place, leases)
        leases += 1
    await _restarted(server, stage)
    # Back, it was the second fork: the release before remembers one, and would store it once more.
    for node in (0, 1) if way == "forth" else (1,):
        for told in early:
            answer = await stage.flow.repeat(node, told)
            assert (answer["status"], answer["offset"]) == (200, told.offset), answer
    await two.run(new)
    await stage.until_published(SOME)
    if way == "forth":
        await _restarted(server, stage)
        for told in early:
            answer = await stage.flow.repeat(0, told)
            assert (answer["status"], answer["offset"]) == (200, told.offset), answer
    over = time.monotonic()
    await stage.until(lambda: stage.caught_up(over) and stage.all_green(), "everything to be well again")
    await asyncio.wait_for(stage.flow.stop(), 30.0 * SCALE)
    await _settle(stage)
    await _judge(stage)
    await _check_presence(stage, one, visitors)
    await _check_leases(one, leases)


async def _restarted(server: RedisServer, stage: Stage) -> None:
    await server.stop()
    await server.start()
    await stage.until_published(SOME)


async def _judge(stage: Stage) -> None:
    verdicts = {}
    for channel in CHANNELS:
        ledger = Ledger.of([told for told in stage.flow.told.values() if told.channel == channel])
        for witness in stage.everyone:
            verdict = verdicts[witness.name, channel] = judge(witness.notes[channel], ledger, lossless=True)
            assert verdict.wrong == [], (witness.name, channel)
            assert verdict.losses == [], (witness.name, channel)
    assert await _at_rest(stage, verdicts) == []
    assert stage.flow.wrong == []


async def _check_presence(stage: Stage, place: Place, visitors: list[Visitor]) -> None:
    headers = {"Authorization": f"Bearer {place.api_key}"}
    async with httpx.AsyncClient(base_url=place.url, headers=headers, trust_env=False) as http:
        async with asyncio.timeout(60 * SCALE):
            stored: set[str] = set()
            while not all(found == {"ann", "bob"} for found in (stored, *(v.listed for v in visitors))):
                await asyncio.sleep(0.2)
                answer = (await http.get(f"/v1/channels/{ROOM}/presence")).json()
                stored = {member["user"] for member in answer.get("members", ())}


async def _lease(place: Place, number: int) -> None:
    headers = {"Authorization": f"Bearer {place.api_key}"}
    body = {"channel": LEASED, "event": "begun", "payload": None, "key": f"k{number}", "lease_ms": LEASE_MS}
    async with httpx.AsyncClient(base_url=place.url, headers=headers, trust_env=False) as http:
        assert (await http.post("/v1/publish", json=body)).status_code == 200


async def _check_leases(place: Place, count: int) -> None:
    """Each ran out, once, whichever release gave it and whichever looked."""
    headers = {"Authorization": f"Bearer {place.api_key}"}
    async with httpx.AsyncClient(base_url=place.url, headers=headers, trust_env=False) as http:
        async with asyncio.timeout(30 * SCALE):
            expired: list[str] = []
            while len(expired) < count:
                await asyncio.sleep(0.2)
                events = (await http.get(f"/v1/channels/{LEASED}/history")).json()["events"]
                expired = [event["key"] for event in events if event["type"] == "lease_expired"]
    assert sorted(expired) == [f"k{number}" for number in range(count)]
