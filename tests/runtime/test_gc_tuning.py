"""The collector looks at the young, never at what stays, and at all of it at long last."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from hub.runtime import gc_tuning
from hub.runtime.gc_tuning import GcTuner


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()
    gc.collect()


class Knot:
    """A cycle of one."""

    def __init__(self) -> None:
        self.itself = self


def test_what_stays_is_not_looked_at_again() -> None:
    made = GcTuner()
    kept = [Knot() for _ in range(1000)]
    made.tick()
    assert len(gc.get_objects()) < 1000, "frozen ones are not the collector's any more"
    assert gc.get_freeze_count() > 2000
    gone = weakref.ref(kept[0])
    kept[0].itself = None  # type: ignore[assignment]
    kept.clear()
    assert gone() is None, "what has no cycle goes by its count of references"


def test_a_young_cycle_goes_and_an_old_one_at_long_last(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("hub.runtime.gc_tuning.time.monotonic", lambda: now)
    made = GcTuner()
    knot = Knot()
    old = weakref.ref(knot)
    made.tick()
    del knot
    young = weakref.ref(Knot())
    kept = [[] for _ in range(gc_tuning.YOUNG + 1000)]  # type: ignore[var-annotated]
    assert young() is None
    assert old() is not None
    now += gc_tuning.FULL_S * 1.3
    made.tick()
    assert old() is None
    del kept
