"""The three states of a circuit breaker."""

from hub.runtime.breaker import BreakerState, CircuitBreaker


def half() -> float:
    return 0.5


def opened() -> CircuitBreaker:
    breaker = CircuitBreaker(3, 10.0, 2, half)
    for _ in range(3):
        assert breaker.enter(0.0) == 0.0
        breaker.failed(0.0)
    return breaker


def test_it_opens_after_failures_in_a_row_only() -> None:
    breaker = CircuitBreaker(3, 10.0, 2, half)
    for _ in range(10):
        breaker.enter(0.0)
        breaker.failed(0.0)
        breaker.enter(0.0)
        breaker.failed(0.0)
        breaker.enter(0.0)
        breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED


def test_open_it_refuses_at_once_and_says_for_how_long() -> None:
    breaker = opened()
    assert breaker.state is BreakerState.OPEN
    assert breaker.enter(4.0) == 6.0


def test_half_open_it_takes_one_trial_at_a_time_and_closes_after_good_ones() -> None:
    breaker = opened()
    assert breaker.enter(10.0) == 0.0
    assert breaker.enter(10.0) > 0
    breaker.succeeded()
    assert breaker.state is BreakerState.HALF_OPEN
    assert breaker.enter(10.0) == 0.0
    breaker.succeeded()
    closed: BreakerState = breaker.state
    assert closed is BreakerState.CLOSED


def test_a_bad_trial_opens_it_again() -> None:
    breaker = opened()
    assert breaker.enter(10.0) == 0.0
    breaker.failed(10.0)
    assert breaker.enter(11.0) == 9.0


def test_a_trial_that_was_given_up_makes_room_for_another() -> None:
    breaker = opened()
    assert breaker.enter(10.0) == 0.0
    breaker.gave_up()
    assert breaker.enter(10.0) == 0.0
