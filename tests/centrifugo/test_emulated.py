"""Which commands are repeated, and what waits while nothing is read."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.centrifugo.emulated import REMEMBERED, SeenIds
from hub.centrifugo.streams.emulation import check_rate
from hub.connections.user_rates import UserRates
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError


@given(st.lists(st.integers(1, 3 * REMEMBERED), max_size=60))
def test_an_id_is_new_once(ids: list[int]) -> None:
    seen, known, highest = SeenIds(), set[int](), 0
    for id in ids:
        expected = id not in known and id > highest - REMEMBERED
        assert seen.is_new(id) is expected
        known.add(id)
        highest = max(highest, id)


def test_a_huge_id_costs_nothing() -> None:
    seen = SeenIds()
    assert seen.is_new(1)
    assert seen.is_new(2**62)
    assert not seen.is_new(1)
    assert seen.is_new(2**62 - 1)


def test_a_session_has_the_rate_of_a_connection() -> None:
    settings = SimpleNamespace(command_rate=1.0, command_burst=2)
    node: Any = SimpleNamespace(settings=settings, user_rates=UserRates(), now=lambda: 0.0)
    for _ in range(2):
        check_rate(node, "c_1")
    with pytest.raises(HubError) as refused:
        check_rate(node, "c_1")
    assert refused.value.code is ErrorCode.RATE_LIMITED
    check_rate(node, "c_2")
