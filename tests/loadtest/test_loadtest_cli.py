from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from loadtest import cli, exits, machine
from loadtest.feed import Feed
from loadtest.machine import free_port

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_target_that_is_down_is_said_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadtest.server._START_SECONDS", 0.2)
    code = cli.main(["fan-out", "--url", f"ws://127.0.0.1:{free_port()}"])
    assert code == exits.UNFIT
    assert "does not accept connections" in capsys.readouterr().out


def test_too_few_descriptors_are_said_so(capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.main(["fan-out", "--clients", "100000000", "--target", "starlette"])
    assert code == exits.UNFIT
    assert "file descriptors" in capsys.readouterr().out


def test_a_scenario_that_peers_cannot_do_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["soak", "--peers"]) == exits.UNFIT
    assert "comparable" in capsys.readouterr().out


def test_a_run_prints_the_table_and_writes_the_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "figures.json"
    code = cli.main(
        [
            "fan-out",
            "--target",
            "starlette",
            "--clients",
            "20",
            "--events",
            "5",
            "--rate",
            "50",
            "--json",
            str(figures),
        ]
    )
    assert code == exits.OK, capsys.readouterr().out
    (result,) = json.loads(figures.read_text())["results"]
    assert result["figures"]["deliveries"] == 100
    assert result["figures"]["lost"] == 0
    assert result["figures"]["cpu_us_per_delivery"] > 0


def test_ctrl_c_prints_what_was_measured_so_far(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, published = Feed.emit, []

    def emit(feed: Feed, channel: int, count: int = 1) -> None:
        published.append(channel)
        if len(published) == 8:
            raise KeyboardInterrupt
        publish(feed, channel, count)

    monkeypatch.setattr(Feed, "emit", emit)
    figures = tmp_path / "figures.json"
    code = cli.main(
        ["fan-out", "--target", "starlette", "--clients", "20", "--rate", "50", "--json", str(figures)]
    )
    assert code == exits.INTERRUPTED
    assert "interrupted" in capsys.readouterr().out
    (result,) = json.loads(figures.read_text())["results"]
    assert result["interrupted"]
    assert result["figures"]["deliveries"] == 6 * 20


def test_cores_stay_apart_after_the_load_has_pinned_itself() -> None:
    before = os.sched_getaffinity(0)
    server, load = machine.cores()
    try:
        os.sched_setaffinity(0, load)
        assert machine.cores() == (server, load)
        assert len(before) == 1 or not server & load
    finally:
        os.sched_setaffinity(0, before)
