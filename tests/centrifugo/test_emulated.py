"""Which commands are repeated, and what waits while nothing is read."""

from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.app import Hub
from hub.centrifugo.dialect import LINES, CentrifugoDialect
from hub.centrifugo.emulated import REMEMBERED, EmulatedConnection, Outcome, SeenIds
from hub.centrifugo.names import HubNames
from hub.centrifugo.streams.emulation import check_rate
from hub.connections.user_rates import UserRates
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError
from hub.testing import HubTestClient, _Wire


class Lines(_Wire):
    """What is written has no frames."""

    def write(self, data: bytes) -> None:
        self.messages += map(orjson.loads, data.splitlines())


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


def test_a_users_frames_have_a_rate() -> None:
    settings = SimpleNamespace(user_command_rate=1.0, user_command_burst=2)
    node: Any = SimpleNamespace(settings=settings, user_rates=UserRates(), now=lambda: 0.0)
    for _ in range(2):
        check_rate(node, "ann")
    with pytest.raises(HubError) as refused:
        check_rate(node, "ann")
    assert refused.value.code is ErrorCode.RATE_LIMITED
    check_rate(node, "bob")


def test_what_waits_while_nothing_is_read_is_bounded() -> None:
    with HubTestClient(Hub(jwt_secret="s" * 32, message_bytes=1024)) as client:

        async def story() -> None:
            node, dialect = client._node, CentrifugoDialect(LINES, HubNames())
            connection = EmulatedConnection(node, Lines(), dialect, "test", executes=node)
            connection._pause(1)
            frame = b'{"id":2,"ping":{}}'.ljust(500)
            assert [connection.deliver(frame, True) for _ in range(2)] == [Outcome.TAKEN] * 2
            assert connection.deliver(frame, True) is Outcome.BUSY
            assert connection.deliver(frame, False) is Outcome.GONE  # in the other of the two forms
            connection._resume(1)
            assert connection.closed  # read now: it begins without connect
            assert connection.deliver(frame, True) is Outcome.GONE

        client._run(story())
