"""A user's notifications: what is unread is derived, so it can't drift."""

from typing import Any

import pytest

from .pair import Pair, batch, fresh, get, publish

USERS = iter(range(1000))


async def inbox(pair: Pair, count: int) -> tuple[str, str, str]:
    """A user with `count` notifications; the user, the channel, its epoch."""
    user = f"reader{next(USERS)}"
    channel = f"user:{user}"
    await batch(pair.a, [{"channel": channel, "event": "note", "payload": n} for n in range(count)])
    return user, channel, (await get(pair.a, f"/v1/channels/{channel}"))["epoch"]


async def test_unread_is_the_same_everywhere(pair: Pair) -> None:
    user, channel, epoch = await inbox(pair, 5)
    token = pair.token(user)
    async with pair.connect(pair.a, user) as phone, pair.connect(pair.b, user, channels=[channel]) as desk:
        announced = await desk.expect("hub.subscribed")
        assert (announced["unread"], announced["offset"]) == (5, 5)
        assert (await phone.ask("subscribe", channel=channel))["unread"] == 5
        reply = await phone.ask("ack", channel=channel, epoch=epoch, offset=3)
        expected = {"type": "hub.acked", "channel": channel, "epoch": epoch, "offset": 3, "unread": 2}
        assert reply == {**expected, "id": reply["id"]}
        assert await desk.expect("hub.acked") == expected
        await phone.quiet()  # its own it got as the reply
        assert (await get(pair.b, f"/v1/channels/{channel}", token))["unread"] == 2
        assert (await get(pair.a, f"/v1/channels/{channel}", token))["unread"] == 2
        lower = await desk.ask("ack", channel=channel, epoch=epoch, offset=1)
        assert (lower["offset"], lower["unread"]) == (3, 2), "a lower one changes nothing"
        await phone.quiet()
        await publish(pair.a, channel, "note", 6)
        assert (await desk.expect("note"))["offset"] == 6
        assert (await phone.expect("note"))["offset"] == 6
        assert (await desk.ask("ack", channel=channel, epoch=epoch, offset=6))["unread"] == 0
        assert (await phone.expect("hub.acked"))["unread"] == 0
        assert (await phone.ask("subscribe", channel=channel))["unread"] == 0


async def test_what_is_refused_changes_nothing(pair: Pair) -> None:
    user, channel, epoch = await inbox(pair, 4)
    async with pair.connect(pair.a, user) as one, pair.connect(pair.b, user) as two:
        for wire in (one, two):
            await wire.ask("subscribe", channel=channel)
        await one.ask("ack", channel=channel, epoch=epoch, offset=1)
        await two.expect("hub.acked")
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"epoch": epoch, "offset": 5}, "conflict"),
            ({"epoch": "other", "offset": 2}, "conflict"),
            ({"epoch": epoch, "offset": -1}, "bad_message"),
            ({"epoch": epoch, "offset": "2"}, "bad_message"),
            ({"epoch": epoch, "offset": 2.5}, "bad_message"),
            ({"epoch": epoch}, "bad_message"),
            ({"epoch": 7, "offset": 2}, "bad_message"),
        ]
        for fields, code in wrong:
            refused = await one.ask("ack", channel=channel, **fields)
            assert (refused["type"], refused["code"]) == ("hub.error", code), fields
        async with pair.connect(pair.b, "stranger") as stranger:
            refused = await stranger.ask("ack", channel=channel, epoch=epoch, offset=4)
            assert refused["code"] == "forbidden"
        async with pair.connect(pair.b, "stranger", subscribe=[]) as stranger:
            refused = await stranger.ask("ack", channel=channel, epoch=epoch, offset=4)
            assert refused["code"] == "forbidden"
        await two.quiet()
        assert (await get(pair.b, f"/v1/channels/{channel}", pair.token(user)))["unread"] == 3


@pytest.mark.parametrize("channel", ["doc:no-inbox", "job:no-inbox"])
async def test_elsewhere_there_is_no_cursor(pair: Pair, channel: str) -> None:
    async with pair.connect(pair.a, "ann") as ann:
        refused = await ann.ask("ack", channel=channel, epoch="e", offset=0)
        assert refused["code"] == "bad_channel"


async def test_each_reader_of_a_shared_inbox_has_a_cursor(pair: Pair) -> None:
    channel = fresh("mail")
    await batch(pair.a, [{"channel": channel, "event": "note", "payload": n} for n in range(3)])
    async with pair.connect(pair.a, "ann") as ann, pair.connect(pair.b, "bob") as bob:
        place = await ann.ask("subscribe", channel=channel)
        await bob.ask("subscribe", channel=channel)
        assert (await ann.ask("ack", channel=channel, epoch=place["epoch"], offset=3))["unread"] == 0
        await bob.quiet()
        assert (await bob.ask("subscribe", channel=channel))["unread"] == 3
