from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from loadtest.feed import Feed
from loadtest.fleet import ClientFailed, Fleet
from loadtest.publishing import Publisher
from loadtest.targets.starlette import StarletteLoop
from tests.loadtest.tiny_server import TinyServer

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENTS = 5


@contextmanager
def fed(server: TinyServer) -> Iterator[tuple[Fleet, Feed]]:
    target = StarletteLoop(server.port, secret="s" * 32)
    fleet = Fleet(target, sources=("127.0.0.1", "127.0.1.1"))
    try:
        plan: list[tuple[int, tuple[int, ...]]] = [(slot, (1,)) for slot in range(CLIENTS)]
        fleet.connect_all(plan, deadline=10)
        publisher = Publisher(target)
        fleet.attach(publisher)
        feed = Feed(fleet, publisher)
        feed.listeners(plan)
        yield fleet, feed
    finally:
        fleet.close_all()


def emit(fleet: Fleet, feed: Feed, times: int) -> None:
    """Publish one by one, so that the tiny server sees one request in each read."""
    for _ in range(times):
        due = feed._publisher.answered + 1
        feed.emit(1)
        assert fleet.poll_until(lambda due=due: feed._publisher.answered >= due, 10)  # type: ignore[misc]


@pytest.mark.parametrize("pieces", [0, 7])
def test_a_faithful_server_is_found_faithful_however_its_bytes_are_cut(pieces: int) -> None:
    with TinyServer(pieces=pieces) as server, fed(server) as (fleet, feed):
        emit(fleet, feed, 9)
        assert feed.settle(10)
        assert (fleet.count.delivered, fleet.count.doubled, fleet.count.out_of_order) == (9 * CLIENTS, 0, 0)
        assert feed.lost() == 0
        assert fleet.latencies.total == 9 * CLIENTS
        assert 0 < fleet.latencies.percentile(50) < 10_000


def test_a_lost_event_is_seen() -> None:
    with TinyServer(group=3, defect=lambda sent: [sent[0], sent[2]]) as server, fed(server) as (fleet, feed):
        emit(fleet, feed, 3)
        assert fleet.poll_until(lambda: fleet.count.delivered == 2 * CLIENTS, 10)
        assert feed.lost() == CLIENTS
        assert not feed.settle(0.1)


def test_a_lost_last_event_is_seen() -> None:
    with TinyServer(group=3, defect=lambda sent: sent[:2]) as server, fed(server) as (fleet, feed):
        emit(fleet, feed, 3)
        assert fleet.poll_until(lambda: fleet.count.delivered == 2 * CLIENTS, 10)
        assert feed.lost() == CLIENTS


def test_a_doubled_event_is_seen() -> None:
    with (
        TinyServer(group=2, defect=lambda sent: [sent[0], sent[1], sent[1]]) as server,
        fed(server) as (fleet, feed),
    ):
        emit(fleet, feed, 2)
        assert fleet.poll_until(lambda: fleet.count.doubled == CLIENTS, 10)
        assert (fleet.count.delivered, feed.lost()) == (2 * CLIENTS, 0)


def test_a_reordered_event_is_seen() -> None:
    with TinyServer(group=2, defect=lambda sent: sent[::-1]) as server, fed(server) as (fleet, feed):
        emit(fleet, feed, 2)
        assert fleet.poll_until(lambda: fleet.count.out_of_order == CLIENTS, 10)
        assert (fleet.count.delivered, feed.lost()) == (2 * CLIENTS, 0)


def test_a_refused_client_is_told_with_the_servers_words() -> None:
    refusal = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 9\r\n\r\nbad token"
    with TinyServer(upgrade=refusal) as server:
        fleet = Fleet(StarletteLoop(server.port, secret="s" * 32))
        with pytest.raises(ClientFailed, match="HTTP 401: bad token"):
            fleet.connect_all([(0, (1,))], deadline=10)
        fleet.close_all()
