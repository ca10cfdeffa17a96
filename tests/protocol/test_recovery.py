"""What a reader at a position gets: judged against a model that knows every event."""

from hypothesis import given
from hypothesis import strategies as st

from hub.protocol.position import Position, Top
from hub.protocol.recovery import Cause, Gap, Resume, judge

SMALL = st.integers(0, 12)


@st.composite
def tops(draw: st.DrawFn) -> Top:
    offset = draw(SMALL)
    first = draw(st.integers(1, offset + 1))
    forks = draw(st.lists(st.integers(0, offset), max_size=3).map(lambda each: sorted(each, reverse=True)))
    ancestors = (Position(f"before {number}", fork) for number, fork in enumerate(forks))
    return Top("now", offset, first, tuple(ancestors))


@given(
    tops(), st.sampled_from(["now", "before 0", "before 1", "before 2", "other"]), st.integers(0, 14), SMALL
)
def test_a_verdict_is_what_the_store_can_keep(top: Top, epoch: str, offset: int, limit: int) -> None:
    verdict = judge(Position(epoch, offset), top, limit)
    known = epoch == "now" or any(epoch == each.epoch and offset <= each.offset for each in top.ancestors)
    stored = set(range(top.first, top.offset + 1))
    missed = set(range(offset + 1, top.offset + 1))
    if isinstance(verdict, Resume):
        assert known
        assert offset <= top.offset
        assert missed <= stored
        assert (verdict.after, verdict.missed) == (offset, len(missed))
        assert verdict.missed <= limit
        return
    assert verdict.end == top.offset
    if verdict.cause is Cause.EPOCH:
        assert not known or offset > top.offset
        assert verdict.start == 1
    else:
        assert known
        assert verdict.start == offset + 1
        assert missed
        if verdict.cause is Cause.TRIMMED:
            assert not missed <= stored
        else:
            assert missed <= stored
            assert len(missed) > limit


def test_who_has_seen_everything_misses_nothing_whatever_is_stored() -> None:
    assert judge(Position("now", 9), Top("now", 9, 10), 0) == Resume(9, 0)
    assert judge(Position("now", 0), Top("now", 0, 1), 0) == Resume(0, 0)


def test_a_fork_keeps_what_was_before_it() -> None:
    top = Top("now", 9, 1, (Position("before", 5), Position("long before", 3)))
    assert judge(Position("before", 5), top, 100) == Resume(5, 4)
    assert judge(Position("before", 6), top, 100) == Gap(1, 9, Cause.EPOCH)
    assert judge(Position("long before", 3), top, 100) == Resume(3, 6)
    assert judge(Position("long before", 4), top, 100) == Gap(1, 9, Cause.EPOCH)
    assert Gap(1, 9, Cause.EPOCH).fields() == {"from": 1, "to": 9, "cause": "epoch"}
