"""The tables of codes: what a client does is the same in both clients."""

from typing import Any

import pytest

from hub.protocol.codes import CloseCode, ErrorCode, Outcome, then
from hub.protocol.errors import HubError

from ..support.golden import table


@pytest.mark.parametrize("row", table("close_codes"), ids=lambda row: str(row["code"]))
def test_the_range_of_a_close_code_says_what_is_done(row: dict[str, Any]) -> None:
    assert then(row["code"]) == row["then"]


def test_every_close_code_of_the_hub_is_in_the_golden_table() -> None:
    assert {int(code) for code in CloseCode} <= {row["code"] for row in table("close_codes")}


@pytest.mark.parametrize("code", ErrorCode)
def test_an_error_says_whether_it_was_done(code: ErrorCode) -> None:
    """Only what failed half-way is not sure of it."""
    fields = HubError(code, "why").fields()
    assert fields["outcome"] == ("unknown" if code is ErrorCode.INTERNAL else "not_done")
    assert HubError(code, "why", outcome=Outcome.UNKNOWN).fields()["outcome"] == "unknown"
