"""A node killed after it has stored, and one while it sends; ``python -m tests.webhooks`` kills a hundred."""

from pathlib import Path

import pytest

from hub.broker.redis import intents
from hub.webhooks import courier

from .rounds import Outcome, Rounds


async def test_what_a_killed_node_has_stored_is_told_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in ((courier, "MINE_S"), (courier, "_GO_ON_S"), (intents, "_FIRST_LOOK_S")):
        monkeypatch.setattr(module, name, getattr(module, name))  # as they were, afterwards
    outcome = await Rounds().run(tmp_path, 2)
    assert outcome.missing() == 0, outcome
    assert not outcome.disorder(), outcome
    assert outcome.rounds == 2


def test_a_loss_and_a_disorder_are_seen() -> None:
    outcome = Outcome()
    outcome.stored["state:1"] |= {1, 2, 3}
    outcome.told["state:1"] += [1, 1, 3]
    assert outcome.missing() == 1
    assert not outcome.disorder()
    outcome.told["state:1"].append(2)
    assert outcome.missing() == 0
    assert outcome.disorder() == ["state:1: 3 before 2"]
