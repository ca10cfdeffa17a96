"""Who is here: across nodes, through cuts, returns, tabs and crowds."""

import asyncio
import contextlib
import json
import random
import time
from typing import Any

from ..support.pace import SCALE
from ..support.server import RunningHub
from ..support.wire import Message, Wire
from .conftest import GRACE_S
from .pair import Pair, fresh, get, slow, until

CHANGES = ("hub.join", "hub.leave", "hub.update")


def name(member: Message) -> str:
    return f"{member['user']}/{member.get('as') or member.get('connection')}"


class Room:
    """The members as a client keeps them, and every change that it was told of."""

    def __init__(self, wire: Wire, reply: Message) -> None:
        assert reply["type"] == "hub.subscribed", reply
        self.wire = wire
        self.members = {name(member): member for member in reply["members"]}
        self.told: list[tuple[str, str]] = []
        self.frames = 0

    def take(self, message: Message) -> None:
        self.frames += 1
        kind = message["type"]
        if kind == "hub.presence":
            self.members = {}
        for member in message["members"]:
            self.told.append((kind.removeprefix("hub."), name(member)))
            if kind == "hub.leave":
                self.members.pop(name(member), None)
            else:
                self.members[name(member)] = member

    def turn(self, name: str) -> int | None:
        """The first word of a member's state."""
        state = self.members.get(name, {}).get("state")
        return state[0] if state else None

    async def until(self, *names: str, within: float = 8.0) -> "Room":
        """Until exactly these are here."""
        async with asyncio.timeout(within * SCALE):
            while set(self.members) != set(names):
                self.take(await self.wire.receive(within))
        return self

    async def quiet(self, seconds: float = 0.5) -> None:
        """No change comes for so long."""
        try:
            self.take(await self.wire.receive(seconds))
        except TimeoutError:
            return
        raise AssertionError(f"nothing was expected: {self.told[-3:]}")


async def enter(wire: Wire, channel: str, presence: Any = True, **more: Any) -> Room:
    return Room(wire, await wire.ask("subscribe", channel=channel, presence=presence, **more))


async def test_they_join_change_and_leave(pair: Pair) -> None:
    channel = fresh("doc")
    async with pair.connect(pair.a, "ann", info={"name": "Ann"}) as ann:
        room = await enter(ann, channel, {"as": "tab-1"})
        assert room.members == {"ann/tab-1": {"user": "ann", "as": "tab-1", "info": {"name": "Ann"}}}
        async with pair.connect(pair.b, "bob") as bob:
            other = await enter(bob, channel)
            bob_name = f"bob/{bob.id}"
            assert set(other.members) == {"ann/tab-1", bob_name}
            await room.until("ann/tab-1", bob_name)
            assert room.members[bob_name] == {"user": "bob", "connection": bob.id}
            state = {"colour": "#c00", "selection": [3, 9]}
            reply = await ann.ask("set_presence", channel=channel, state=state)
            assert (reply["type"], reply["state"]) == ("hub.presence_set", state)
            told = await bob.expect("hub.update")
            assert told["members"] == [{**room.members["ann/tab-1"], "state": state}]
            listed = await bob.ask("presence", channel=channel)
            assert [name(member) for member in listed["members"]] == ["ann/tab-1", bob_name]
            grouped = await bob.ask("presence", channel=channel, group="user")
            assert grouped["members"][0] == {"user": "ann", "members": 1, "info": {"name": "Ann"}}
            over_http = await get(pair.b, f"/v1/channels/{channel}/presence")
            assert over_http["members"] == listed["members"]
            # One's own join is not sent: the first that comes to bob is a change of ann's, and that was it.
            assert ("join", bob_name) not in other.told
        await room.until("ann/tab-1")
        assert [change for change in room.told if change[1] == bob_name] == [
            ("join", bob_name),
            ("leave", bob_name),
        ]


async def test_a_state_that_is_set_at_once_reaches_oneself_too(pair: Pair) -> None:
    """It is told to the others with the join; one's own join is not sent, and the state is all the same."""
    channel = fresh("doc")
    async with pair.connect(pair.a, "ann") as ann, pair.connect(pair.b, "bob") as bob:
        room = await enter(ann, channel, {"as": "a"})
        other = await enter(bob, channel, {"as": "b"})
        await bob.ask("set_presence", channel=channel, state={"name": "Bob"})
        for each in (room, other):
            while each.members.get("bob/b", {}).get("state") != {"name": "Bob"}:
                each.take(await each.wire.receive())
        assert ("join", "bob/b") not in other.told


async def test_a_normal_close_and_an_unsubscribe_leave_at_once(pair: Pair) -> None:
    channel = fresh("doc")
    async with pair.connect(pair.a, "ann") as ann:
        room = await enter(ann, channel, {"as": "a"})
        async with pair.connect(pair.b, "bob") as bob:
            await enter(bob, channel, {"as": "b"})
            await room.until("ann/a", "bob/b")
            await bob.ask("unsubscribe", channel=channel)
            await room.until("ann/a", within=GRACE_S * 0.9)
            await enter(bob, channel, {"as": "b"})
            await room.until("ann/a", "bob/b")
        await room.until("ann/a", within=GRACE_S * 0.9)


async def test_a_cut_leaves_after_the_grace_and_not_before(pair: Pair) -> None:
    channel = fresh("doc")
    async with pair.connect(pair.a, "ann") as ann:
        room = await enter(ann, channel, {"as": "a"})
        async with pair.connect(pair.b, "bob") as bob:
            await enter(bob, channel, {"as": "b"})
            await room.until("ann/a", "bob/b")
            loop = asyncio.get_running_loop()
            bob.abort()
            begun = loop.time()
            await room.until("ann/a", within=GRACE_S + 4)
            assert loop.time() - begun > GRACE_S * 0.9


async def test_a_return_shows_nothing(pair: Pair) -> None:
    """To the same node and to the other, with a name and without, and its state stands."""
    cases = [(node, presence) for node in pair.nodes for presence in (True, {"as": "tab"})]
    await asyncio.gather(*(returns(pair, node, presence) for node, presence in cases))


async def returns(pair: Pair, node: RunningHub, presence: Any) -> None:
    channel = fresh("doc")
    async with pair.connect(pair.b, "ann") as ann:
        room = await enter(ann, channel, {"as": "a"})
        async with pair.connect(pair.a, "bob") as bob:
            there = await enter(bob, channel, presence)
            bob_name = next(each for each in there.members if each != "ann/a")
            await bob.ask("set_presence", channel=channel, state="typing")
            await room.until("ann/a", bob_name)
            if "state" not in room.members[bob_name]:
                room.take(await ann.expect("hub.update"))
            bob.abort()
            resume = [("resume", bob.welcome["resume"])]
            async with pair.connect(node, "bob", query=resume) as again:
                back = await enter(again, channel, presence)
                assert set(back.members) == {"ann/a", bob_name}
                assert back.members[bob_name]["state"] == "typing"
                await room.quiet(GRACE_S + (0.3 if pair.a is pair.b else 1.2))
                changed = await again.ask("set_presence", channel=channel, state="back")
                assert changed["type"] == "hub.presence_set", "the newest connection speaks for the member"
        await room.until("ann/a")
        assert room.told.count(("leave", bob_name)) == 1


async def test_two_tabs_of_one_name(pair: Pair) -> None:
    """The newest owns the member: the older one's leave does nothing, and it may not change the state."""
    channel = fresh("doc")
    async with pair.connect(pair.a, "ann") as ann:
        room = await enter(ann, channel, {"as": "a"})
        async with pair.connect(pair.b, "bob") as newer:
            async with pair.connect(pair.a, "bob") as older:
                await enter(older, channel, {"as": "tab"})
                await enter(newer, channel, {"as": "tab"})
                refused = await older.ask("set_presence", channel=channel, state=1)
                assert (refused["type"], refused["code"]) == ("hub.error", "conflict")
                await newer.ask("set_presence", channel=channel, state=2)
                while room.members.get("bob/tab", {}).get("state") != 2:
                    room.take(await ann.receive())
            await room.quiet(0.5)
            assert set(room.members) == {"ann/a", "bob/tab"}
        await room.until("ann/a")


async def test_subscribing_again_under_another_name(pair: Pair) -> None:
    channel = fresh("doc")
    async with pair.connect(pair.a, "ann") as ann, pair.connect(pair.b, "bob") as bob:
        room = await enter(ann, channel, {"as": "a"})
        await enter(bob, channel, {"as": "one"})
        await room.until("ann/a", "bob/one")
        await enter(bob, channel, {"as": "two"})
        await room.until("ann/a", "bob/two")
        await bob.ask("subscribe", channel=channel)
        await room.until("ann/a")


class Batches:
    """How many frames a room may have got by now: so many a second that its changes are told in, from two nodes."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def most(self) -> float:
        return 20 + 2 * 5 * (time.monotonic() - self._begun)


async def test_a_crowd_costs_few_frames(pair: Pair) -> None:
    """200 joins, and each newcomer hears of the others too; then all are gone."""
    channel = fresh("doc")
    async with pair.connect(pair.a, "ann") as ann:
        room = await enter(ann, channel, {"as": "a"})
        members = [f"user{number}/tab" for number in range(200)]

        async def come(number: int) -> Room:
            node = pair.nodes[number % 2]
            async with pair.connect(node, f"user{number}") as wire:
                there = await enter(wire, channel, {"as": "tab"})
                await there.until("ann/a", *members, within=20)
                await everybody.wait()
                return there

        everybody = asyncio.Barrier(201)
        batches = Batches()
        crowd = [asyncio.create_task(come(number)) for number in range(200)]
        await room.until("ann/a", *members, within=20)
        frames = room.frames
        assert frames <= batches.most(), "batched, at five frames a second at most"
        await everybody.wait()
        rooms = await asyncio.gather(*crowd)
        for number, there in enumerate(rooms):
            assert ("join", f"user{number}/tab") not in there.told
        left = Batches()
        await room.until("ann/a", within=20)
        assert room.frames - frames <= left.most()


async def test_random_joins_and_cuts_end_right(pair: Pair) -> None:
    """Whoever watches ends with the list that the hub has, whatever order things came in."""
    channel = fresh("doc")
    chance = random.Random(7)

    async def visit(number: int) -> None:
        resume: list[tuple[str, str]] = []
        for _ in range(4):
            async with pair.connect(chance.choice(pair.nodes), f"user{number}", query=resume) as wire:
                await enter(wire, channel, {"as": f"tab{chance.randrange(2)}"})
                if chance.random() < 0.5:
                    await wire.ask("set_presence", channel=channel, state=chance.random())
                await asyncio.sleep(chance.uniform(0, 0.15))
                resume = [("resume", wire.welcome["resume"])] if chance.random() < 0.7 else []
                if chance.random() < 0.5:
                    wire.abort()

    async with pair.connect(pair.a, "ann") as ann, pair.connect(pair.b, "bob") as bob:
        rooms = [await enter(ann, channel, {"as": "a"}), await enter(bob, channel, {"as": "b"})]
        await asyncio.gather(*(visit(number) for number in range(12)))

        async def empty() -> bool:
            members = (await get(pair.a, f"/v1/channels/{channel}/presence"))["members"]
            return {name(member) for member in members} == {"ann/a", "bob/b"}

        await until(empty, "all have left", within=GRACE_S + 6)
        for room in rooms:
            await room.until("ann/a", "bob/b")


async def test_a_list_longer_than_a_frame(pair: Pair) -> None:
    """It comes as a list and joins; no frame is longer than the hub said."""
    channel = fresh("doc")
    names = [f"user{number}/tab" for number in range(40)]
    async with contextlib.AsyncExitStack() as stack:
        for number in range(40):
            crowd = pair.connect(pair.nodes[number % 2], f"user{number}", info="i" * 4000)
            await enter(await stack.enter_async_context(crowd), channel, {"as": "tab"})
        wire = await stack.enter_async_context(pair.connect(pair.b, "late"))
        most = wire.welcome["limits"]["frame_bytes"]
        reply = await wire.ask("subscribe", channel=channel, presence={"as": "l"})
        assert len(json.dumps(reply)) <= most
        room = Room(wire, reply)
        assert "late/l" in room.members
        while len(room.members) < 41:
            message = await wire.receive()
            assert len(json.dumps(message, separators=(",", ":"))) <= most
            room.take(message)
        assert set(room.members) == {"late/l", *names}
        refused = await wire.ask("presence", channel=channel)
        assert (refused["type"], refused["code"]) == ("hub.error", "too_large")
        listed = (await get(pair.a, f"/v1/channels/{channel}/presence"))["members"]
        assert {name(member) for member in listed} == {"late/l", *names}


async def test_a_watcher_that_does_not_read_falls_behind_and_ends_right(pair: Pair) -> None:
    """Far more changes than its outbox may hold: it is not closed, and gets a fresh list in their place."""
    channel = fresh("doc")
    rounds = 12
    async with contextlib.AsyncExitStack() as stack:
        reader = await stack.enter_async_context(slow(pair.b, pair.token("slow")))
        room = await enter(reader, channel, {"as": "s"})
        healthy = await stack.enter_async_context(pair.connect(pair.b, "ann"))
        seen = await enter(healthy, channel, {"as": "a"})
        crowd = []
        for number in range(40):
            entering = pair.connect(pair.nodes[number % 2], f"user{number}", info="i" * 4000)
            crowd.append(await stack.enter_async_context(entering))
            await enter(crowd[-1], channel, {"as": "tab"})
        names = {f"user{number}/tab" for number in range(40)}
        for turn in range(rounds):
            for wire in crowd:
                await wire.ask("set_presence", channel=channel, state=[turn, "s" * 3000])
            # Each round is a batch of its own: 280 KB of changes to each watcher.
            async with asyncio.timeout(10 * SCALE):
                while {seen.turn(name) for name in names} != {turn}:
                    seen.take(await healthy.receive())
        for wire in crowd[:20]:
            await wire.websocket.close()
        gone = {f"user{number}/tab" for number in range(20)}
        await seen.until("slow/s", "ann/a", *(names - gone))
        async with asyncio.timeout(20 * SCALE):
            while set(room.members) != {"slow/s", "ann/a", *(names - gone)} or (
                {room.turn(name) for name in names - gone} != {rounds - 1}
            ):
                room.take(await reader.receive())
        assert ("presence", "slow/s") in room.told, "a fresh list"
        changes = sum(change == "update" for change, _ in room.told)
        assert changes < sum(change == "update" for change, _ in seen.told) / 2
