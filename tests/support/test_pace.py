"""Deadlines follow the machine."""

import asyncio
import time
from pathlib import Path

import pytest

from .pace import MOST, Pace, patience


@pytest.mark.parametrize(
    ("line", "factor"),
    [
        ("0.10 0.10 0.10 1/300 4242", 1.0),
        ("0.10 0.10 0.10 8/300 4242", 6.0),  # eight want two cores now
        ("8.00 0.10 0.10 1/300 4242", 6.0),  # they did in the last minute, and may again
        ("900.0 0.10 0.10 1/300 4242", MOST),
    ],
)
def test_who_waits_for_a_core_stretches_deadlines(tmp_path: Path, line: str, factor: float) -> None:
    source = tmp_path / "loadavg"
    source.write_text(line)
    assert 2.0 * Pace(1.0, source, cores=2) == pytest.approx(2.0 * factor)


def test_the_environment_sets_a_floor(tmp_path: Path) -> None:
    source = tmp_path / "loadavg"
    source.write_text("0.0 0.0 0.0 1/300 4242")
    assert float(Pace(3.0, source, cores=2)) == 3.0
    assert float(Pace(3.0, tmp_path / "none", cores=2)) == 3.0


async def test_patience_ends_and_is_stretched_by_what_happens_on_the_way(tmp_path: Path) -> None:
    source = tmp_path / "loadavg"
    source.write_text("0.0 0.0 0.0 8/300 4242")  # six times as slow
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        async with patience(0.05, Pace(1.0, source, cores=2)):
            await asyncio.sleep(60)
    assert time.monotonic() - begun > 0.25


async def test_patience_lets_through_what_is_in_time() -> None:
    async with patience(60):
        await asyncio.sleep(0)
