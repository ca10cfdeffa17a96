"""``hub publish``, ``hub subscribe`` and ``hub inspect`` at a running hub."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hub.cli import remote
from hub.cli.failure import Failure
from hub.settings import Settings

from ..support.pace import SCALE
from ..support.server import API_KEY, JWT_SECRET, RunningHub, _script, free_port
from ..support.wire import connect
from .command import clean_environment, hub


def test_publishing_prints_the_hubs_answer(running: RunningHub, tmp_path: Path) -> None:
    first = hub(
        *("publish", "job:p1", "job_status", '{"state":"running"}', "--key", "p1", "--url", running.url),
        folder=tmp_path,
        api_key=API_KEY,
    )
    assert (first.status, json.loads(first.out)["offset"]) == (0, 1)
    second = hub(
        *("publish", "job:p1", "job_status", "-", "--key", "p1", "--final"),
        folder=tmp_path,
        stdin='{"state":"succeeded"}\n',
        url=running.url,
        api_keys=json.dumps({"svc": API_KEY}),
    )
    assert json.loads(second.out)["offset"] == 2
    history = running.http().get("/v1/channels/job:p1/history").json()["events"]
    assert [(each["key"], each.get("final"), each["payload"]["state"]) for each in history] == [
        ("p1", None, "running"),
        ("p1", True, "succeeded"),
    ]


@pytest.mark.parametrize(
    ("args", "settings", "words"),
    [
        (("job:x", "x", "{"), {"api_key": API_KEY}, "not published: invalid JSON"),
        (("nope:x", "x", "1"), {"api_key": API_KEY}, "not published: no namespace nope here"),
        (
            ("job:x", "x", "1"),
            {"api_key": "wrong-key-0123456789"},
            "not published: the hub refused the token",
        ),
        (("job:x", "x", "1"), {}, "hub: who asks? set HUB_API_KEY"),
        (("job:x", "x", "1", "--url", "ftp://x"), {}, "hub: the hub's address begins with"),
    ],
)
def test_what_cannot_be_published_is_one_line(
    args: tuple[str, ...], settings: dict[str, str], words: str, running: RunningHub, tmp_path: Path
) -> None:
    result = hub("publish", *args, folder=tmp_path, **{"url": running.url, **settings})
    assert (result.status, result.out) == (1, "")
    (line,) = result.err.splitlines()
    assert line.startswith(words)
    assert "wrong-key" not in line


def test_subscribing_prints_events_and_resumes_by_position(running: RunningHub, tmp_path: Path) -> None:
    answer = running.publish("job:s1", payload=1, key="a")
    running.publish("job:s1", payload=2, key="a")
    process = subprocess.Popen(
        [_script(), "subscribe", "job:s1", "--since", f"{answer['epoch']}:{answer['offset']}"],
        cwd=tmp_path,
        env=clean_environment(url=running.url, jwt_secret=JWT_SECRET),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["payload"] == 2
    running.publish("job:s1", payload=3, key="a")
    assert json.loads(process.stdout.readline())["offset"] == 3
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20 * SCALE)
    assert process.returncode == 130
    assert f"job:s1 is at {answer['epoch']}:3" in err
    assert "Traceback" not in err


def test_subscribing_without_a_right_ends_with_the_reason(running: RunningHub, tmp_path: Path) -> None:
    token = running.token("ann")
    result = hub("subscribe", "job:s2", folder=tmp_path, url=running.url, token=token)
    assert result.status == 1
    assert "stopped: no grant of this token allows subscribe on job:s2" in result.err
    nobody = hub("subscribe", "job:s2", folder=tmp_path, url=running.url)
    assert nobody.err == "hub: who asks? set HUB_TOKEN, or HUB_JWT_SECRET as the hub has it\n"


async def test_inspecting_shows_why_it_did_not_come(running: RunningHub, tmp_path: Path) -> None:
    running.publish("job:i1", payload=1, key="a")
    token = running.token("ida", subscribe=["job:i1"])
    async with connect(running.ws_url, token) as wire:
        place = await wire.ask("subscribe", channel="job:i1")
        assert (await wire.ask("subscribe", channel="job:i2"))["code"] == "forbidden"
        given: dict[str, Any] = {"folder": tmp_path, "url": running.url, "api_key": API_KEY}
        by_user = hub("inspect", "--user", "ida", **given)
        assert by_user.status == 0
        lines = by_user.out.splitlines()
        assert lines[0] == "1 connection with user ida"
        assert lines[2].startswith(f"{wire.id}  user ida  from 127.0.0.1  by json  on n_")
        assert "  outbox empty" in lines
        assert "  last error: forbidden: no grant of this token allows subscribe on job:i2" in lines
        assert lines[-1] == f"  job:i1  at {place['epoch']}:1, live"
        by_channel = hub("inspect", "--channel", "job:i1", **given)
        assert by_channel.out.startswith(
            f"job:i1: mode state at {place['epoch']}:1, 1 subscriptions\n1 connection"
        )
        assert hub("inspect", "--connection", wire.id, **given).out.startswith("1 connection with connection")
        nobody = hub("inspect", "--user", "nobody", **given)
        assert (nobody.status, nobody.out) == (1, "no connections with user nobody\n")


def test_inspecting_says_why_it_cannot(running: RunningHub, tmp_path: Path) -> None:
    user = hub("inspect", folder=tmp_path, url=running.url, token=running.token("ann"))
    assert user.err.startswith("hub: the hub refused (HTTP 403): only a service may do this")
    away = hub("inspect", folder=tmp_path, url=f"http://127.0.0.1:{free_port()}", api_key=API_KEY)
    assert away.status == 1
    assert away.err.startswith("hub: no answer from http://127.0.0.1:")


def test_a_reader_that_has_enough_is_no_error(running: RunningHub, tmp_path: Path) -> None:
    """``hub subscribe … | head -1``."""
    running.publish("job:b1", payload=1, key="a")
    process = subprocess.Popen(
        ["bash", "-c", f"{_script()} inspect --channel job:b1 | true; exit ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        env=clean_environment(url=running.url, api_key=API_KEY),
        stderr=subprocess.PIPE,
        text=True,
    )
    _, err = process.communicate(timeout=20 * SCALE)
    assert "BrokenPipe" not in err
    assert process.returncode in (0, 1)


@pytest.mark.parametrize(
    ("given", "base", "socket"),
    [
        ("http://hub:8000", "http://hub:8000", "ws://hub:8000/ws"),
        ("https://hub/", "https://hub", "wss://hub/ws"),
        ("wss://hub/live", "https://hub", "wss://hub/live"),
        ("http://hub:8000/ws", "http://hub:8000", "ws://hub:8000/ws"),
        ("https://host/hub", "https://host/hub", "wss://host/hub/ws"),
        ("https://host/hub/ws/", "https://host/hub", "wss://host/hub/ws"),
        ("wss://host/hub/ws", "https://host/hub", "wss://host/hub/ws"),
    ],
)
def test_addresses(
    given: str, base: str, socket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (remote.base_url(given), remote.socket_url(given)) == (base, socket)


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:8000"), ("::", "http://[::1]:8000"), ("10.0.0.5", "http://10.0.0.5:8000")],
)
def test_where_a_hub_is_found_that_listens_anywhere(host: str, url: str) -> None:
    assert remote.local_url(Settings(host=host)) == url


@pytest.mark.parametrize("address", ["http://", "hub:8000", "ftp://hub"])
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(Failure):
        remote.base_url(address)


def test_help_needs_nothing_of_the_server(tmp_path: Path) -> None:
    code = "import sys\nfrom hub.cli import main\ntry: main(['-h'])\nfinally: assert 'hub.app' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    for verb in ("serve", "token", "publish", "subscribe", "check", "explain-token", "inspect"):
        assert verb in done.stdout
