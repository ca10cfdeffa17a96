"""Who goes on sending over a limit: told so, then not listened to, then closed."""

from hub.connections.overrun import FORGET_S, PAUSE_S, PAUSES, Overrun, Verdict


def flood(overrun: Overrun, now: float, count: int) -> list[Verdict]:
    return [overrun.judge(now) for _ in range(count)]


def test_an_accident_is_answered_and_no_more() -> None:
    overrun = Overrun(100.0, 400, 0.0)
    assert set(flood(overrun, 0.0, 400)) == {Verdict.ANSWER}
    assert set(flood(overrun, 40.0, 400)) == {Verdict.ANSWER}


def test_who_keeps_on_is_paused_and_then_closed() -> None:
    overrun = Overrun(100.0, 400, 0.0)
    now, found = 0.0, []
    while Verdict.CLOSE not in found:
        found += flood(overrun, now, 1000)
        now += PAUSE_S
    assert found.count(Verdict.PAUSE) == PAUSES
    assert now == PAUSES + 1


def test_what_was_on_its_way_is_no_second_offence() -> None:
    overrun = Overrun(100.0, 400, 0.0)
    assert flood(overrun, 0.0, 10_000).count(Verdict.PAUSE) == 1
    assert flood(overrun, PAUSE_S / 2, 10_000).count(Verdict.PAUSE) == 0


def test_a_row_is_forgotten() -> None:
    overrun = Overrun(100.0, 400, 0.0)
    for hour in range(3 * PAUSES):
        verdicts = flood(overrun, hour * (FORGET_S + 1), 2000)
        assert Verdict.CLOSE not in verdicts
        assert Verdict.PAUSE in verdicts
