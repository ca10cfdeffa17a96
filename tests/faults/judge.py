"""Was the truth told? What a witness saw of a channel, against what the publishers were told."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from .flow import Told
from .items import Again, Gap, Hole, Item, Seen, Start

BACKPLANE = "backplane"


@dataclass(frozen=True, slots=True)
class Loss:
    """A gap that stays: told to somebody who stood at `epoch`, `at`, and goes on in `new_epoch`."""

    epoch: str
    at: int
    new_epoch: str
    gap: Gap


@dataclass(slots=True)
class Ledger:
    """The publishers' record of one channel. `epochs` in the order in which they were given out."""

    told: dict[int, Told]
    epochs: list[str] = field(default_factory=list)
    tops: dict[str, int] = field(default_factory=dict)
    doubtful: int = 0
    kept: set[int] | None = None  # the numbers that are stored in the end, where all that is stored was read

    @classmethod
    def of(cls, told: Sequence[Told]) -> "Ledger":
        ledger = cls({each.number: each for each in told})
        for each in sorted(told, key=lambda each: each.answered_at):
            if each.epoch:
                if each.epoch not in ledger.epochs:
                    ledger.epochs.append(each.epoch)
                ledger.tops[each.epoch] = max(ledger.tops.get(each.epoch, 0), each.offset)
        ledger.doubtful = sum(each.doubtful for each in told)
        return ledger

    def rank(self, epoch: str) -> int:
        """Where an epoch stands among those that publishers were told; unknown ones after the last."""
        return self.epochs.index(epoch) if epoch in self.epochs else len(self.epochs)


@dataclass(slots=True)
class Verdict:
    """Of one witness and channel. `lost`: stored, not seen, and told of. `wrong`: what breaks a promise."""

    wrong: list[str] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    lost: int = 0
    view: dict[str, int] = field(default_factory=dict)
    last_told: float = 0.0


def judge(notes: Sequence[Item], ledger: Ledger, lossless: bool) -> Verdict:
    """Compare. `lossless`: the fault destroyed nothing, so the numbering goes on."""
    walk = _Walk(ledger, lossless)
    for item in notes:
        walk.take(item)
    walk.end()
    return walk.verdict


class _Walk:
    """Along a witness's notes, with the position that a client computes from them."""

    def __init__(self, ledger: Ledger, lossless: bool) -> None:
        self.verdict = Verdict()
        self._ledger = ledger
        self._lossless = lossless
        self._epoch = ""
        self._at = -1
        self._began: tuple[str, int] | None = None
        self._seen: dict[int, tuple[str, int]] = {}
        self._merged: list[tuple[str, int, int]] = []  # conflated: epoch, first, last
        self._renamed: list[tuple[str, int, str]] = []  # forks that it was below: epoch, at, new epoch

    def take(self, item: Item) -> None:
        if isinstance(item, Seen):
            self._event(item)
        elif isinstance(item, Start):
            self._start(item)
        elif isinstance(item, Again):
            self._again(item)
        else:
            self._hole(item)

    def _wrong(self, why: str) -> None:
        self.verdict.wrong.append(why)

    # In order, and none twice

    def _event(self, event: Seen) -> None:
        expected = self._at + 1 + event.conflated
        if event.offset != expected:
            self._wrong(f"offset {event.offset} came where {expected} was next, in {self._epoch}")
        if event.conflated:
            self._merged.append((self._epoch, event.offset - event.conflated, event.offset - 1))
        self._at = event.offset
        before = self._seen.get(event.number)
        if before is not None and (self._lossless or before[0] == self._epoch):
            self._wrong(f"number {event.number} came twice: at {before}, {(self._epoch, event.offset)}")
        self._seen[event.number] = (self._epoch, event.offset)
        self._true(event)
        if event.key is not None:
            self.verdict.view[event.key] = event.number

    def _true(self, event: Seen) -> None:
        told = self._ledger.told.get(event.number)
        if told is None:
            self._wrong(f"number {event.number} came and was never published")
        elif told.refused:
            self._wrong(f"number {event.number} was refused ({told.reasons[-1]}) and came")
        elif told.epoch and told.tries == 1 and not self._same(told, event):
            told_as = (told.epoch, told.offset)
            self._wrong(
                f"{event.number} came as {(self._epoch, event.offset)}, its publisher heard {told_as}"
            )

    def _same(self, told: Told, event: Seen) -> bool:
        """A fork renames the numbering: what came before it keeps its offset."""
        return told.offset == event.offset and (
            told.epoch == self._epoch or self._ledger.rank(told.epoch) < self._ledger.rank(self._epoch)
        )

    # Beginnings and losses

    def _start(self, start: Start) -> None:
        self.verdict.last_told = start.at
        if self._began is None:
            self._began = (start.epoch, start.offset)
            if start.resumed or start.gap is not None:
                self._wrong(f"the first subscribe was answered as a resumed one: {start}")
            self._at = start.offset
        elif start.gap is not None:
            self._lose(start.gap, start.epoch, start.offset)
        elif not start.resumed or start.offset - start.missed != self._at:
            self._wrong(f"it went on at {start.offset - start.missed}, not at {self._at}: {start}")
        elif start.epoch != self._epoch:
            self._renamed.append((self._epoch, self._at, start.epoch))
        self._epoch = start.epoch
        self._replace(start.snapshot)

    def _again(self, again: Again) -> None:
        self.verdict.last_told = again.at
        if again.gap is not None:
            self._lose(again.gap, again.epoch, again.offset)
        elif again.offset != self._at:
            self._wrong(f"only the epoch's name was to change, but {self._at} became {again.offset}")
        elif again.epoch != self._epoch:
            self._renamed.append((self._epoch, self._at, again.epoch))
        self._epoch = again.epoch
        self._replace(again.snapshot)

    def _hole(self, hole: Hole) -> None:
        self.verdict.last_told = hole.at
        if hole.gap.first != self._at + 1:
            self._wrong(f"a hole was told from {hole.gap.first}, the next is {self._at + 1}")
        if not hole.filled:
            self._lose(hole.gap, self._epoch, hole.gap.last)

    def _lose(self, gap: Gap, epoch: str, offset: int) -> None:
        """A gap's range: from the next offset (of a new numbering: from 1) to where it goes on."""
        first = 1 if gap.cause == "epoch" else self._at + 1
        if (gap.first, gap.last) != (first, offset):
            self._wrong(f"{gap} was told at {(self._epoch, self._at)}, going on at {(epoch, offset)}")
        given = self._ledger.tops.get(epoch, 0) + self._ledger.doubtful
        if gap.last > given and (self._ledger.kept is None or epoch in self._ledger.tops):
            self._wrong(f"{gap} names more than the {given} that publishers were told in {epoch}")
        self.verdict.losses.append(Loss(self._epoch, self._at, epoch, gap))
        self._at = offset

    def _replace(self, snapshot: tuple[Seen, ...] | None) -> None:
        if snapshot is not None:
            self.verdict.view = {event.key: event.number for event in snapshot if event.key is not None}
            for event in snapshot:
                self._true_of_snapshot(event)

    def _true_of_snapshot(self, event: Seen) -> None:
        told = self._ledger.told.get(event.number)
        if told is None or told.refused:
            self._wrong(f"number {event.number} is in a snapshot, and was refused or never published")

    # Nothing lost in silence

    def end(self) -> None:
        for number, told in self._ledger.told.items():
            if told.epoch and number not in self._seen and self._due(told):
                if not self._covered(told):
                    where = (told.epoch, told.offset)
                    self._wrong(f"number {number}, stored as {where}, did not come, and nobody said so")
                self.verdict.lost += 1

    def _due(self, told: Told) -> bool:
        """Whether it was stored after this witness had begun."""
        assert self._began is not None, "it never subscribed"
        epoch, offset = self._began
        if told.epoch == epoch:
            return told.offset > offset
        return self._ledger.rank(told.epoch) > self._ledger.rank(epoch)

    def _covered(self, told: Told) -> bool:
        for epoch, first, last in self._merged:
            if epoch == told.epoch and first <= told.offset <= last:
                return True
        return any(self._named(loss, told) for loss in self.verdict.losses) or self._taken_back(told)

    def _taken_back(self, told: Told) -> bool:
        """A fork took it back while this witness was below it: its position stayed good, so it was not told."""
        if self._lossless or self._ledger.kept is None or told.number in self._ledger.kept:
            return False
        rank = self._ledger.rank
        return any(
            rank(epoch) <= rank(told.epoch) < rank(new) and (told.epoch != epoch or told.offset > at)
            for epoch, at, new in self._renamed
        )

    def _named(self, loss: Loss, told: Told) -> bool:
        """Whether a gap says that this one does not come. A gap by epoch also says: of the numbering that you
        were in, nothing after your position, and of those in between, nothing."""
        rank = self._ledger.rank
        if told.epoch == loss.new_epoch:
            return loss.gap.first <= told.offset <= loss.gap.last
        if loss.gap.cause != "epoch":
            return told.epoch == loss.epoch and loss.gap.first <= told.offset <= loss.gap.last
        if told.epoch == loss.epoch:
            return told.offset > loss.at
        return rank(loss.epoch) < rank(told.epoch) < rank(loss.new_epoch)
