"""In which order streams of one bridge are read."""

from itertools import islice

from hub.bridge.kinds.redis_stream import _turns

from .test_mapping import settings


def order(reads: int, **changes: object) -> list[str]:
    chosen = settings(kind="redis_stream", url="redis://x", streams=["high", "low"], **changes)
    return [next(iter(turn)) for turn in islice(_turns(chosen), reads)]


def test_the_first_stream_is_always_looked_at_first() -> None:
    assert order(5) == ["high"] * 5


def test_weights_share_the_reads_and_nobody_starves() -> None:
    assert order(8, weights=[3, 1]) == ["high", "high", "high", "low"] * 2


def test_a_turn_names_every_stream_so_that_none_waits_for_an_empty_one() -> None:
    chosen = settings(kind="redis_stream", url="redis://x", streams=["a", "b", "c"], weights=[1, 1, 2])
    assert all(sorted(turn) == ["a", "b", "c"] for turn in islice(_turns(chosen), 8))
