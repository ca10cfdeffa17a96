"""The contract of every broker: dead letters are kept once, in order, bounded."""

import pytest

from hub.broker.base import Broker
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError

from .harness import DEAD_LETTERS_LIMIT


async def test_a_letter_is_kept_once_with_its_bytes(broker: Broker) -> None:
    letters = broker.dead_letters
    body = bytes(range(256))
    assert await letters.put("a", body, 1000)
    assert not await letters.put("a", b"another", 2000)
    assert await letters.get("a") == body
    assert await letters.get("b") is None
    assert await letters.count() == 1


async def test_pages_begin_with_the_oldest(broker: Broker) -> None:
    letters = broker.dead_letters
    for number in range(DEAD_LETTERS_LIMIT):
        await letters.put(f"l{number}", b"%d" % number, 1000 + number)
    assert [id for id, _ in await letters.page(0, 2)] == ["l0", "l1"]
    assert list(await letters.page(2, 100)) == [
        (f"l{number}", b"%d" % number) for number in range(2, DEAD_LETTERS_LIMIT)
    ]
    assert list(await letters.page(100, 5)) == []


async def test_one_more_than_the_limit_is_refused_and_the_others_stand(broker: Broker) -> None:
    letters = broker.dead_letters
    for number in range(DEAD_LETTERS_LIMIT):
        await letters.put(f"l{number}", b"x", 1000)
    with pytest.raises(HubError) as caught:
        await letters.put("more", b"x", 1001)
    assert caught.value.code is ErrorCode.LIMIT
    assert caught.value.retry
    assert not await letters.put("l1", b"y", 1001), "a repetition of one that is kept is no more"
    assert await letters.drop("l1")
    assert not await letters.drop("l1")
    assert await letters.put("more", b"x", 1001)
