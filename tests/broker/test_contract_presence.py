"""The contract of every broker: who is in a channel."""

import asyncio
from dataclasses import replace

import pytest

from hub.broker.base import Broker, Member
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError

from .harness import MEMBERS_LIMIT, Harness, Recorder

CHANNEL = "log:room"
ANN = Member("ann", "tab-1", named=True, owner="c_1", info='{"name":"Änn"}'.encode())
BOB = Member("bob", "c_2", named=False, owner="c_2")


async def changes(heard: Recorder, count: int) -> list[tuple[str, Member]]:
    """The `count` changes announced, and not one more by then."""
    await heard.until(lambda: len(heard.presence) >= count)
    assert len(heard.presence) == count
    assert {channel for channel, _, _ in heard.presence} <= {CHANNEL}
    return [(change, member) for _, change, member in heard.presence]


async def settle(broker: Broker, heard: Recorder, count: int) -> list[tuple[str, Member]]:
    """As `changes`, after one more that is sure to come: so nothing is still under way."""
    await broker.presence.enter(CHANNEL, last := Member("zoe", "last", named=True, owner="c_9"))
    seen = await changes(heard, count + 1)
    assert seen[-1] == ("join", last)
    return seen[:-1]


class TestEntering:
    async def test_members_are_listed_in_the_order_of_entering(self, broker: Broker, heard: Recorder) -> None:
        await broker.listen(CHANNEL)
        assert await broker.presence.members(CHANNEL) == []
        await broker.presence.enter(CHANNEL, BOB)
        await broker.presence.enter(CHANNEL, ANN)
        assert await broker.presence.members(CHANNEL) == [BOB, ANN]
        assert await changes(heard, 2) == [("join", BOB), ("join", ANN)]

    async def test_a_user_may_be_there_twice(self, broker: Broker) -> None:
        second = replace(ANN, name="tab-2", owner="c_3")
        await broker.presence.enter(CHANNEL, ANN)
        await broker.presence.enter(CHANNEL, second)
        assert await broker.presence.members(CHANNEL) == [ANN, second]

    async def test_user_and_name_do_not_run_together(self, broker: Broker) -> None:
        one = Member("a", "b:c|d", named=True, owner="c_1")
        other = Member("a:b", "c|d", named=True, owner="c_2")
        await broker.presence.enter(CHANNEL, one)
        await broker.presence.enter(CHANNEL, other)
        assert await broker.presence.members(CHANNEL) == [one, other]

    async def test_channels_are_apart(self, broker: Broker, heard: Recorder) -> None:
        await broker.listen(CHANNEL)
        await broker.presence.enter("log:elsewhere", ANN)
        assert await broker.presence.members(CHANNEL) == []
        assert await settle(broker, heard, 0) == []

    async def test_one_too_many_is_refused_and_a_returning_one_is_not(
        self, broker: Broker, heard: Recorder
    ) -> None:
        await broker.listen(CHANNEL)
        crowd = [Member("ann", str(i), named=True, owner=f"c_{i}") for i in range(MEMBERS_LIMIT)]
        for member in crowd:
            await broker.presence.enter(CHANNEL, member)
        with pytest.raises(HubError) as refused:
            await broker.presence.enter(CHANNEL, BOB)
        assert refused.value.code is ErrorCode.LIMIT
        assert refused.value.retry_after_ms is not None
        assert refused.value.retry_after_ms > 0
        await broker.presence.enter(CHANNEL, replace(crowd[0], owner="c_new"))
        await broker.presence.leave(CHANNEL, "ann", "1", "c_1", 0)
        await broker.presence.enter(CHANNEL, BOB)
        await changes(heard, MEMBERS_LIMIT + 2)


class TestReturning:
    async def test_the_same_again_is_not_announced_and_keeps_its_place(
        self, broker: Broker, heard: Recorder
    ) -> None:
        await broker.listen(CHANNEL)
        await broker.presence.enter(CHANNEL, ANN)
        await broker.presence.enter(CHANNEL, BOB)
        returned = replace(ANN, owner="c_3")
        await broker.presence.enter(CHANNEL, returned)
        assert await broker.presence.members(CHANNEL) == [returned, BOB]
        assert await settle(broker, heard, 2) == [("join", ANN), ("join", BOB)]

    async def test_other_info_is_an_update(self, broker: Broker, heard: Recorder) -> None:
        await broker.listen(CHANNEL)
        await broker.presence.enter(CHANNEL, ANN)
        changed = replace(ANN, info=b'{"name":"Anna"}')
        await broker.presence.enter(CHANNEL, changed)
        assert await changes(heard, 2) == [("join", ANN), ("update", changed)]

    async def test_a_state_is_kept_unless_there_is_another(self, broker: Broker, heard: Recorder) -> None:
        await broker.listen(CHANNEL)
        red = replace(ANN, state=b'{"colour":"red"}')
        await broker.presence.enter(CHANNEL, red)
        await broker.presence.enter(CHANNEL, replace(ANN, owner="c_3"))
        assert await broker.presence.members(CHANNEL) == [replace(red, owner="c_3")]
        blue = replace(ANN, owner="c_4", state=b'{"colour":"blue"}')
        await broker.presence.enter(CHANNEL, blue)
        assert await broker.presence.members(CHANNEL) == [blue]
        assert await settle(broker, heard, 2) == [("join", red), ("update", blue)]


class TestState:
    async def test_the_owner_sets_it(self, broker: Broker, heard: Recorder) -> None:
        await broker.listen(CHANNEL)
        await broker.presence.enter(CHANNEL, ANN)
        await broker.presence.set_state(CHANNEL, "ann", "tab-1", "c_1", b"[1]")
        assert await broker.presence.members(CHANNEL) == [replace(ANN, state=b"[1]")]
        assert await changes(heard, 2) == [("join", ANN), ("update", replace(ANN, state=b"[1]"))]

    @pytest.mark.parametrize(
        ("user", "name", "owner"),
        [("ann", "tab-1", "c_2"), ("ann", "tab-2", "c_1"), ("bob", "tab-1", "c_1")],
    )
    async def test_nobody_else_does(
        self, broker: Broker, heard: Recorder, user: str, name: str, owner: str
    ) -> None:
        await broker.listen(CHANNEL)
        await broker.presence.enter(CHANNEL, ANN)
        with pytest.raises(HubError) as refused:
            await broker.presence.set_state(CHANNEL, user, name, owner, b"[1]")
        assert refused.value.code is ErrorCode.CONFLICT
        assert await broker.presence.members(CHANNEL) == [ANN]
        assert await settle(broker, heard, 1) == [("join", ANN)]

    async def test_nor_does_the_owner_before_the_newest(self, broker: Broker) -> None:
        await broker.presence.enter(CHANNEL, ANN)
        await broker.presence.enter(CHANNEL, replace(ANN, owner="c_3"))
        with pytest.raises(HubError):
            await broker.presence.set_state(CHANNEL, "ann", "tab-1", "c_1", b"[1]")
        await broker.presence.set_state(CHANNEL, "ann", "tab-1", "c_3", b"[1]")


class TestLeaving:
    async def test_at_once(self, broker: Broker, heard: Recorder) -> None:
        await broker.listen(CHANNEL)
        await broker.presence.enter(CHANNEL, ANN)
        await broker.presence.leave(CHANNEL, "ann", "tab-1", "c_1", 0)
        assert await broker.presence.members(CHANNEL) == []
        assert await changes(heard, 2) == [("join", ANN), ("leave", ANN)]

    async def test_after_the_grace(self, harness: Harness, broker: Broker, heard: Recorder) -> None:
        await broker.listen(CHANNEL)
        await broker.presence.enter(CHANNEL, ANN)
        await broker.presence.leave(CHANNEL, "ann", "tab-1", "c_1", harness.unit)
        assert await broker.presence.members(CHANNEL) == [ANN]
        await harness.advance(1.25)
        assert await changes(heard, 2) == [("join", ANN), ("leave", ANN)]
        assert await broker.presence.members(CHANNEL) == []

    async def test_returning_in_time_cancels_it(
        self, harness: Harness, broker: Broker, heard: Recorder
    ) -> None:
        await broker.listen(CHANNEL)
        await broker.presence.enter(CHANNEL, ANN)
        await broker.presence.leave(CHANNEL, "ann", "tab-1", "c_1", harness.unit)
        await broker.presence.enter(CHANNEL, replace(ANN, owner="c_3"))
        await harness.advance(2)
        assert await broker.presence.members(CHANNEL) == [replace(ANN, owner="c_3")]
        assert await settle(broker, heard, 1) == [("join", ANN)]

    @pytest.mark.parametrize("grace", [0.0, 0.5])
    async def test_a_leave_by_anyone_but_the_owner_does_nothing(
        self, harness: Harness, broker: Broker, heard: Recorder, grace: float
    ) -> None:
        await broker.listen(CHANNEL)
        await broker.presence.enter(CHANNEL, ANN)
        await broker.presence.enter(CHANNEL, returned := replace(ANN, owner="c_3"))
        grace_s = grace * harness.unit
        await broker.presence.leave(CHANNEL, "ann", "tab-1", "c_1", grace_s)
        await broker.presence.leave(CHANNEL, "ann", "tab-2", "c_3", grace_s)
        await broker.presence.leave("log:elsewhere", "ann", "tab-1", "c_3", grace_s)
        await harness.advance(1)
        assert await broker.presence.members(CHANNEL) == [returned]
        assert await settle(broker, heard, 1) == [("join", ANN)]

    async def test_whoever_left_and_comes_again_joins(self, broker: Broker, heard: Recorder) -> None:
        await broker.listen(CHANNEL)
        await broker.presence.enter(CHANNEL, replace(ANN, state=b"[1]"))
        await broker.presence.enter(CHANNEL, BOB)
        await broker.presence.leave(CHANNEL, "ann", "tab-1", "c_1", 0)
        await broker.presence.enter(CHANNEL, ANN)
        assert await broker.presence.members(CHANNEL) == [BOB, ANN]
        assert [change for change, _ in await changes(heard, 4)] == ["join", "join", "leave", "join"]

    async def test_the_leave_carries_the_last_state(self, broker: Broker, heard: Recorder) -> None:
        await broker.listen(CHANNEL)
        await broker.presence.enter(CHANNEL, ANN)
        await broker.presence.set_state(CHANNEL, "ann", "tab-1", "c_1", b"[1]")
        await broker.presence.leave(CHANNEL, "ann", "tab-1", "c_1", 0)
        assert (await changes(heard, 3))[-1] == ("leave", replace(ANN, state=b"[1]"))

    async def test_many_at_once_end_right(self, broker: Broker) -> None:
        async def visit(owner: int) -> None:
            await broker.presence.enter(CHANNEL, replace(ANN, owner=f"c_{owner}"))
            await broker.presence.leave(CHANNEL, "ann", "tab-1", f"c_{owner}", 0)

        await broker.presence.enter(CHANNEL, BOB)
        await asyncio.gather(*(visit(owner) for owner in range(20)))
        assert await broker.presence.members(CHANNEL) == [BOB]


async def test_a_user_can_not_be_written_to_look_like_another(broker: Broker) -> None:
    """A store may frame the two by U+0000: a user ``boss\\0evil`` would be the user ``boss``."""
    for user, name in (("boss\0evil", "tab"), ("boss", "evil\0tab")):
        with pytest.raises(HubError) as refused:
            await broker.presence.enter("doc:1", Member(user, name, True, "c_1", None))
        assert refused.value.code is ErrorCode.BAD_MESSAGE
