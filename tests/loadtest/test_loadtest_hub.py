"""The load test against the real hub: a guard on what a delivery costs, and small storms."""

from __future__ import annotations

import shutil

import pytest
from rich.console import Console
from rich.progress import Progress

from loadtest import storm
from loadtest.bench import Options
from loadtest.results import FAULTS, Result
from loadtest.runner import in_turn, prepare_hub, run_once
from loadtest.targets import Hub

needs_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")


def measured(scenario: str, names: list[str], options: Options, rounds: int = 1) -> list[Result]:
    prepare = prepare_hub(broker="memory://", workers=1, settings={})
    with Progress(console=Console(quiet=True)) as progress:
        return in_turn(scenario, names, rounds, options, progress, prepare)


def without_faults(result: Result) -> bool:
    return not any(result.figures.get(name, 0) for name in FAULTS)


def test_a_delivery_costs_less_than_in_the_plain_loop() -> None:
    """Measured it is 0.6 to 0.7 of it; a regression that matters is over 1, a busy machine is not."""
    hub, plain = measured("fan-out", ["hub", "starlette"], Options(clients=500, events=20, rate=20), rounds=2)
    assert without_faults(hub)
    assert hub.figures["deliveries"] == 20 * 500
    assert hub.figures["cpu_us_per_delivery"] < plain.figures["cpu_us_per_delivery"]


def test_a_batch_costs_a_fraction_of_single_events() -> None:
    (result,) = measured("fan-out", ["hub"], Options(clients=300, events=5, rate=20, batch=50))
    assert without_faults(result)
    assert result.figures["cpu_us_per_delivery"] < 2.0


def test_an_idle_connection_is_small() -> None:
    (result,) = measured("idle", ["hub"], Options(clients=1000, channels=3, seconds=0.5))
    assert without_faults(result)
    assert result.figures["kb_per_connection"] < 12.0


def test_the_portable_lane_can_be_measured_beside() -> None:
    fast, portable = measured("fan-out", ["hub", "portable"], Options(clients=100, events=20, rate=20))
    for result in (fast, portable):
        assert without_faults(result)
        assert result.figures["deliveries"] == 20 * 100


def test_everybody_who_returns_gets_all_that_was_missed() -> None:
    (result,) = measured("resume", ["hub"], Options(clients=300))
    assert without_faults(result)
    assert result.figures["deliveries"] == 300 * 21


def test_who_does_not_read_costs_the_others_nothing() -> None:
    (result,) = measured("slow-consumers", ["hub"], Options(clients=30, slow=10, events=60))
    assert without_faults(result)
    assert result.figures["deliveries"] == 30 * 60 * 10
    assert result.figures["slow_still_in"] == 0


@pytest.mark.parametrize(("secret", "token"), [("right-secret-of-enough-bytes-for-hs256", "other")])
def test_a_refused_token_is_told_with_its_reason(secret: str, token: str) -> None:
    class Liar(Hub):
        def token(self, slot: int) -> str:
            return super().token(slot)[:-4] + token

    from loadtest.fleet import ClientFailed
    from loadtest.machine import free_port

    with Progress(console=Console(quiet=True)) as progress, pytest.raises(ClientFailed, match="HTTP 401"):
        run_once("connect", Liar(free_port(), secret=secret), Options(clients=5), progress)


@needs_redis
@pytest.mark.parametrize("case", storm.CASES)
def test_a_small_storm_passes_without_loss(case: str) -> None:
    settings = {"HUB_DRAIN_NOTICE": "1", "HUB_DRAIN_SECONDS": "4"}
    result = storm.run(
        storm.Storm(case, clients=500, herd=200, quiet=1.0, settings=settings), Console(quiet=True), None
    )
    figures = result.figures
    assert without_faults(result), figures
    assert figures["inside"] == figures["clients"]
    assert figures["gaps"] == 0
    # Half a minute beyond what the case allows would mean that somebody was forgotten.
    assert figures["all_back_s"] < 30.0
    if case == "drain":
        assert figures["longest_away_s"] < 1.0
    if case == "kill":
        assert figures["reads_per_channel"] <= 3.0
