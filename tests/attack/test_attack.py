"""The harness itself: that it notices what it is there for, by a short flood."""

from .__main__ import line
from .flood import Flood, Sent
from .floods import FLOODS
from .stage import Row, run
from .witness import Seen


def test_a_short_flood() -> None:
    """Bounds of time are not asked of a busy machine here: `make attack` does."""
    (pings,) = (flood for flood in FLOODS if flood.name == "pings")
    row = run(pings, seconds=2.0, settle=0.5)
    assert row.alive
    assert row.sent.bytes > 1000
    assert row.sent.cut > 0, "who floods is cut"
    assert row.seen.received == row.seen.published > 0
    assert row.seen.livez
    assert "memory" not in row.faults()
    assert line(row).startswith("| pings | B1 |")


def test_what_is_out_of_bounds_is_said() -> None:
    flood = Flood("x", "B", b"x")
    bad = Row(flood, Sent(), Seen([1.0], [1.0], 0, 2, 1), 100 << 20, 200 << 20, 200 << 20, False)
    assert bad.faults() == ["died", "p99", "events lost", "livez", "memory", "memory stays"]
    good = Row(flood, Sent(), Seen([0.001], [0.001], 0, 1, 1), 100 << 20, 110 << 20, 100 << 20, True)
    assert good.faults() == []
