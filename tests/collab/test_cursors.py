"""Ephemeral channels, publishing over sockets, and payload checks."""

import asyncio
from typing import Any

from .pair import Pair, fresh, http, slow


async def test_cursors_reach_others_and_not_oneself(pair: Pair) -> None:
    channel = fresh("cursor")
    async with pair.connect(pair.a, "ann") as ann, pair.connect(pair.b, "bob") as bob:
        for wire in (ann, bob):
            reply = await wire.ask(
                "subscribe", channel=channel, echo=False, since={"epoch": "x", "offset": 3}
            )
            assert reply == {"type": "hub.subscribed", "id": reply["id"], "channel": channel}
        reply = await ann.ask("publish", channel=channel, event="move", payload={"x": 1}, key="ann")
        assert set(reply) == {"type", "id", "channel", "event_id"}
        move = await bob.expect("move")
        assert (move["payload"], move["key"], move["from"]) == ({"x": 1}, "ann", "ann")
        assert "offset" not in move
        await bob.send("publish", channel=channel, event="move", payload={"x": 2}, key="bob")
        assert (await ann.expect("move"))["from"] == "bob"
        await bob.quiet()


async def test_cursors_are_merged_under_pressure_and_never_close_a_reader(pair: Pair) -> None:
    """What is queued for a slow reader is a cursor's last place; the last of each arrives."""
    channel = fresh("cursor")
    pad = "x" * 2000
    async with slow(pair.b, pair.token("slow")) as reader, http(pair.a) as client:
        await reader.ask("subscribe", channel=channel)
        for round in range(20):
            events = [
                {"channel": channel, "event": "move", "payload": [round, n, pad], "key": f"k{n % 5}"}
                for n in range(200)
            ]
            await client.post("/v1/batch", json={"events": events})
        last: dict[str, list[int]] = {}
        count = 0
        while len(last) < 5 or any(place != [19, 195 + int(key[1:])] for key, place in last.items()):
            event = await reader.receive()
            last[event["key"]] = event["payload"][:2]
            count += 1
        assert count < 4000, "there was pressure"


async def test_a_rate_of_each_connection(pair: Pair) -> None:
    channel = fresh("slowpub")
    async with pair.connect(pair.a, "ann") as ann, pair.connect(pair.b, "ann") as other:
        replies = [
            await ann.ask("publish", channel=channel, event="move", payload=n, key="k") for n in range(8)
        ]
        refused = [reply for reply in replies if reply["type"] == "hub.error"]
        assert [reply["type"] for reply in replies[:5]] == ["hub.published"] * 5
        assert refused
        for reply in refused:
            assert (reply["code"], reply["retry"], reply["channel"]) == ("rate_limited", True, channel)
            assert 0 < reply["retry_after_ms"] <= 250
        assert (await other.ask("publish", channel=channel, event="move", payload=0))[
            "type"
        ] == "hub.published"
        await asyncio.sleep(refused[-1]["retry_after_ms"] / 1000 + 0.05)
        assert (await ann.ask("publish", channel=channel, event="move", payload=9))["type"] == "hub.published"


async def test_nothing_overtakes_a_publication_that_was_refused_for_its_rate(pair: Pair) -> None:
    """100 at once are taken; what is on the wire behind the first that is refused, is refused too."""
    channel = fresh("doc")
    async with pair.connect(pair.a, "ann") as ann:
        for number in range(120):
            await ann.send("publish", id=number, channel=channel, event="e", payload=number)
            if number > 100:
                await asyncio.sleep(0.005)
        kinds = [(await ann.reply(number))["type"] for number in range(120)]
        taken = kinds.index("hub.error")
        assert taken >= 100
        assert set(kinds[:taken]) == {"hub.published"}
        assert set(kinds[taken:]) == {"hub.error"}


async def test_publishing_by_grant(pair: Pair) -> None:
    mine, others = fresh("doc"), fresh("doc")
    async with pair.connect(pair.a, "ann", publish=[mine, "job:*"]) as ann:
        assert (await ann.ask("publish", channel=mine, event="e", payload=1))["type"] == "hub.published"
        for channel, word in ((others, "no grant"), (fresh("job"), "only services")):
            refused = await ann.ask("publish", channel=channel, event="e", payload=1)
            assert (refused["code"], refused["retry"]) == ("forbidden", False)
            assert word in refused["reason"]
        big = await ann.ask("publish", channel=mine, event="e", payload="x" * 60_000)
        assert big["type"] == "hub.published"
    async with http(pair.a, pair.token("ann", publish=[mine])) as client:
        body: dict[str, Any] = {"channel": mine, "event": "e", "payload": "x" * 65_536}
        answer = await client.post("/v1/publish", json=body)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        body = {"channel": mine, "event": "e", "payload": 1, "key": "k", "lease_ms": 1000}
        answer = await client.post("/v1/publish", json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_a_schema_of_the_namespace(pair: Pair) -> None:
    channel = fresh("form")
    async with pair.connect(pair.a, "ann") as ann:
        assert (await ann.ask("publish", channel=channel, event="s", payload={"x": 1, "y": 2}))["offset"] == 1
        for payload, place in (
            ({"x": -1, "y": 2}, "data.x"),
            ({"y": 2}, "x"),
            ({"x": 1, "y": 2, "z": 3}, "z"),
            ("secret", "data"),
            (None, "data"),
        ):
            refused = await ann.ask("publish", channel=channel, event="s", payload=payload)
            assert refused["code"] == "bad_message", payload
            assert place in refused["reason"]
            assert "secret" not in refused["reason"]
        assert (await ann.ask("publish", channel=channel, event="s", payload={"x": 1, "y": 2}))["offset"] == 2
    async with http(pair.b) as client:
        answer = await client.post("/v1/publish", json={"channel": channel, "event": "s", "payload": 3})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_message")
