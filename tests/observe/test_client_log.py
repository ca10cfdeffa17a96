"""A line for each thing that happens, of a flood a few; and nobody writes lines of their own into it."""

import logging

import pytest

from hub.connections.observer import Ending, Stranger
from hub.observe.client_log import A_MINUTE, KINDS_MOST, ClientLog, LineLimit
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError

from .test_recorder import connection

EVIL = "eve\n2026-01-01 00:00:00 CRITICAL hub: all is lost\x1b[2J\u202e"


def test_names_origins_and_reasons_stay_in_their_line(caplog: pytest.LogCaptureFixture) -> None:
    log = ClientLog(lambda: 5.0)
    evil = connection(EVIL, 1)
    evil.subscriptions = {f"job:{EVIL}": None}
    with caplog.at_level(logging.INFO, "hub.clients"):
        log.admitted(evil)
        log.ended(evil, Ending(1006, EVIL, by_hub=False))
        log.refused(evil, HubError(ErrorCode.FORBIDDEN, EVIL, channel=f"job:{EVIL}"))
        log.turned_away(Stranger("10.0.0.1", EVIL, f"https://{EVIL}"), HubError(ErrorCode.FORBIDDEN, EVIL))
        log.gap(f"job:{EVIL}", 1, 2, filled=True)
    assert len(caplog.records) == 6
    for record in caplog.records:
        text = record.getMessage()
        assert text.isprintable(), text
        assert "eve?2026" in text
        assert len(text) < 1_000


def test_a_flood_is_a_few_lines_and_a_count(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    log = ClientLog(lambda: now)
    error = HubError(ErrorCode.TOKEN_INVALID, "it is none")
    with caplog.at_level(logging.INFO, "hub.clients"):
        for _ in range(10_000):
            log.turned_away(Stranger("10.0.0.1"), error)
        assert len(caplog.records) == A_MINUTE
        log.turned_away(Stranger("10.0.0.2"), error)
        assert len(caplog.records) == A_MINUTE + 1, "of another address it is told"
        now = 61.0
        log.turned_away(Stranger("10.0.0.1"), error)
    assert (
        caplog.records[-1].getMessage().endswith(f"({10_000 - A_MINUTE} more like it in the minute before)")
    )


def test_the_limit_itself_is_bounded() -> None:
    limit = LineLimit(lambda: 0.0)
    for number in range(3 * KINDS_MOST):
        limit.take("refused", str(number))
    assert len(limit._seen) == KINDS_MOST
