"""Each fault under a flow of events: none twice, none out of order, no loss untold, publishers told the truth."""

from pathlib import Path

import pytest

from .faults import FAULTS, Fault
from .run import run


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.inflict.__name__)
async def test_fault(fault: Fault, tmp_path: Path) -> None:
    outcome = await run(fault, tmp_path)
    assert outcome.problems() == []
    assert outcome.healed_s < 15.0
