"""Was the truth told? What subscribers saw, against what publishers were told."""

from dataclasses import dataclass

from hub.client import Event, Gap
from hub.protocol.position import Position

from .world import Record, Subscriber


@dataclass
class Verdict:
    """Of one subscriber. `lost`: stored, and not seen; `untold`: of those, the ones that no gap covers."""

    lost: list[int]
    untold: list[int]
    wrong: list[str]
    gaps: list[Gap]


def judge(subscriber: Subscriber, record: Record) -> Verdict:
    """Compare."""
    wrong = [*_twice(subscriber), *_disordered(subscriber), *_lied(subscriber, record)]
    seen = {event.payload for event in subscriber.events}
    first = subscriber.events[0]
    lost = [n for n, position in record.stored.items() if n not in seen and not _before(position, first)]
    untold = [n for n in lost if not any(_covers(gap, record.stored[n]) for gap in subscriber.gaps)]
    return Verdict(lost, untold, wrong, subscriber.gaps)


def _before(position: Position, first: Event) -> bool:
    """Whether something was stored before the first event that was seen: before the subscription, that is."""
    return position.epoch == first.epoch and position.offset < (first.offset or 0)


def _covers(gap: Gap, position: Position) -> bool:
    """Whether a gap says that this position did not come. Of another epoch than the one before it, it says
    that nothing of the old numbering may be taken for granted, and what of the new one is skipped."""
    if position.epoch == gap.epoch:
        return gap.first <= position.offset <= gap.last
    return gap.cause == "epoch"


def _twice(subscriber: Subscriber) -> list[str]:
    seen: set[int] = set()
    wrong = []
    for event in subscriber.events:
        if event.payload in seen:
            wrong.append(f"{event.payload} came twice")
        seen.add(event.payload)
    return wrong


def _disordered(subscriber: Subscriber) -> list[str]:
    """Offsets go on by one; after a gap, from its end; in a new numbering, from wherever it says."""
    wrong = []
    before: Event | Gap | None = None
    for item in subscriber.items:
        if isinstance(item, Event) and before is not None:
            at = before.last if isinstance(before, Gap) else before.offset
            assert at is not None
            if item.offset != at + 1:
                wrong.append(f"offset {item.offset} of {item.epoch} came after {at} of {before.epoch}")
        before = item
    return wrong


def _lied(subscriber: Subscriber, record: Record) -> list[str]:
    """What was refused must not come."""
    return [f"{e.payload} was refused and came" for e in subscriber.events if e.payload in record.refused]
