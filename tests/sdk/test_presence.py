"""Presence and the read cursor of an inbox."""

# ruff: noqa: SIM117  the hub, the client and the subscription are three steps of a test, not one line

import asyncio
from typing import Any

from hub.client import (
    Client,
    Position,
)

from .clock import Clock
from .fake import FakeHub, Peer, cut


async def test_presence_changes_once_and_a_fresh_list_shows_no_flicker() -> None:
    ann, bob = {"user": "ann", "connection": "c1"}, {"user": "bob", "as": "tab"}
    done = asyncio.Event()

    async def first(peer: Peer) -> None:
        await peer.welcome()
        await peer.subscribed(epoch="k", offset=0, members=[ann])
        await peer.say("hub.join", channel="doc:1", members=[bob])
        state = await peer.expect("set_presence")
        assert state["state"] == {"colour": "red"}
        await peer.say("hub.presence_set", id=state["id"])
        await cut(peer)

    async def second(peer: Peer) -> None:
        await peer.welcome()
        members = [ann, {**bob, "state": 1}]
        await peer.subscribed(epoch="k", offset=0, recovered=True, members=members)
        assert (await peer.expect("set_presence"))["state"] == {"colour": "red"}
        await peer.say("hub.leave", channel="doc:1", members=[bob])
        await peer.say("hub.presence", channel="doc:1", members=[])
        done.set()

    changes: list[Any] = []
    async with FakeHub(first, second) as hub, Client(hub.url, "t", timing=Clock().timing) as client:
        async with client.subscribe("doc:1", presence=True, on_presence=changes.append) as doc:
            await doc.set_presence({"colour": "red"})
            while len(changes) < 5:
                await asyncio.sleep(0.005)
            assert doc.members == []
    told = [(change.kind, [member["user"] for member in change.members]) for change in changes]
    assert told == [
        ("join", ["ann"]),
        ("join", ["bob"]),
        ("update", ["bob"]),
        ("leave", ["bob"]),
        ("leave", ["ann"]),
    ]


async def test_ack_moves_the_cursor_and_other_devices_are_heard() -> None:
    acked = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.subscribed(epoch="k", offset=10, unread=3)
        await peer.event("user:ann", 11)
        ack = await peer.expect("ack")
        assert (ack["epoch"], ack["offset"]) == ("k", 9)
        await peer.say("hub.acked", id=ack["id"], channel="user:ann", epoch="k", offset=9, unread=2)
        await acked.wait()
        await peer.say("hub.acked", channel="user:ann", epoch="k", offset=11, unread=0)
        await peer.event("user:ann", 12)

    async with FakeHub(script) as hub, Client(hub.url, "t") as client:
        async with client.subscribe("user:ann") as inbox:
            items = aiter(inbox)
            await anext(items)
            assert inbox.unread == 4
            assert await inbox.ack(Position("k", 9)) == 2
            acked.set()
            await anext(items)
            assert inbox.unread == 1
