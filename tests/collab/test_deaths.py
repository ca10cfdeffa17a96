"""What two nodes over one Redis owe when one of them is killed, or hears nothing for a moment."""

import asyncio
import signal
import subprocess
from collections.abc import Iterator

import pytest

from ..support.pace import SCALE
from ..support.wire import connect
from .conftest import hubs, redis_server
from .pair import Pair, fresh, get, publish, until
from .test_presence import Room, enter


class Two(Pair):
    """Two nodes of a test's own, and their Redis."""

    redis_port: str

    def cut_announcements(self) -> None:
        """Redis closes the connections on which the nodes listen."""
        killed = subprocess.run(
            ["redis-cli", "-p", self.redis_port, "client", "kill", "type", "pubsub"], capture_output=True
        )
        assert int(killed.stdout) >= 2, killed


@pytest.fixture
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with (
        redis_server(tmp_path_factory.mktemp("deaths")) as url,
        hubs(2, broker=url, presence_grace=4) as (a, b),
    ):
        made = Two(a, b)
        made.redis_port = url.rpartition(":")[2]
        yield made


async def test_a_node_is_killed(two: Two) -> None:
    """Its members leave within 30 s, but who came back to the other node never left; a lease that it gave runs
    out, once.
    """
    rooms = [fresh("doc"), fresh("doc")]
    jobs = fresh("job")
    async with two.connect(two.b, "ann") as ann, two.connect(two.b, "viewer") as viewer:
        watched = [await enter(ann, rooms[0], {"as": "a"})]
        await viewer.ask("subscribe", channel=jobs)
        doomed = [two.connect(two.a, f"user{number}") for number in range(3)]
        wires = [await each.__aenter__() for each in doomed]
        for wire in wires:
            for room in rooms:
                await enter(wire, room, {"as": "tab"})
        users = [f"user{number}/tab" for number in range(3)]
        await watched[0].until("ann/a", *users)
        await publish(two.a, jobs, payload="runs", key="j", lease_ms=2000)
        await publish(two.a, jobs, payload="runs", key="saved", lease_ms=2000)
        await viewer.expect("tick")
        await viewer.expect("tick")
        begun = asyncio.get_running_loop().time()
        await asyncio.to_thread(two.a.stop, signal.SIGKILL)
        await publish(two.b, jobs, payload="done", key="saved", final=True)
        await viewer.expect("tick")
        resume = [("resume", wires[0].welcome["resume"])]
        async with connect(two.b.ws_url, two.token("user0"), query=resume) as back:
            for room in rooms:
                assert "user0/tab" in (await enter(back, room, {"as": "tab"})).members
            expired = await viewer.expect("lease_expired", within=15)
            assert (expired["key"], expired["payload"]["last"]["payload"]) == ("j", "runs")
            await watched[0].until("ann/a", "user0/tab", within=30)
            assert asyncio.get_running_loop().time() - begun < 30 * SCALE
            assert ("leave", "user0/tab") not in watched[0].told

            async def gone() -> bool:
                return len((await get(two.b, f"/v1/channels/{rooms[1]}/presence"))["members"]) == 1

            await until(gone, "also where nobody watched")
            await viewer.quiet(0.3)  # the lease ran out long ago, and only once
        for each in doomed:
            await each.__aexit__(None, None, None)


async def test_after_a_gap_between_nodes_there_is_a_fresh_list(two: Two) -> None:
    """Joins and leaves while nobody listened leave no ghost and nobody out."""
    channel = fresh("doc")
    async with two.connect(two.a, "ann") as ann:
        room = await enter(ann, channel, {"as": "a"})
        async with two.connect(two.b, "bob") as bob:
            await enter(bob, channel, {"as": "b"})
            await room.until("ann/a", "bob/b")
            two.cut_announcements()
            await bob.ask("unsubscribe", channel=channel)
            async with two.connect(two.b, "eve") as eve:
                await enter(eve, channel, {"as": "e"})
                await room.until("ann/a", "eve/e")
                while not room.frames or not fresh_list(room):
                    room.take(await ann.receive())
                assert set(room.members) == {"ann/a", "eve/e"}


def fresh_list(room: Room) -> bool:
    """Whether there was one: only a list names oneself."""
    return any(name == "ann/a" for _, name in room.told)
