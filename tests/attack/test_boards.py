"""Many dashboards on one board: on both brokers, with fewer of them than `make attack` has."""

import asyncio
from pathlib import Path

from ..broker.redis.servers import RedisServer
from .boards import Outcome, open_board, stage

CLIENTS, KEYS = 60, 2000
MORE_BYTES = 24 << 20  # what each of these took by itself was 8 MB


def check(outcome: Outcome) -> None:
    assert (outcome.complete, outcome.right) == (CLIENTS, True), outcome
    assert outcome.peak - outcome.quiet < MORE_BYTES, outcome


def test_all_get_the_whole_board_and_hold_one_together() -> None:
    with stage(CLIENTS) as hub:
        check(open_board(hub, CLIENTS, KEYS))


async def test_over_redis_too(tmp_path: Path) -> None:
    async with RedisServer(tmp_path / "redis") as redis:
        check(await asyncio.to_thread(_over, redis.url))


def _over(url: str) -> Outcome:
    with stage(CLIENTS, broker=url) as hub:
        return open_board(hub, CLIENTS, KEYS)
