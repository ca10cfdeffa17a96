"""Plugins: the example as a package that is installed, in a hub and a bridge; and those that can't be used."""

import asyncio
import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from hub.app import Hub
from hub.assembly import BadSettings
from hub.bridge import more_kinds
from hub.plugins import Plugin
from hub.plugins.loading import brings_keys, load
from hub.plugins.running import Plugins

from ..support.markdown import ROOT
from ..support.pace import SCALE
from ..support.server import RunningHub, _script, running_hub
from ..support.wire import connect

SECRET = "the-secret-of-the-example-plugin-0123456789"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example, put there by pip; the tree it is built in is a copy."""
    source, target = tmp_path_factory.mktemp("source") / "plugin", tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs" / "examples" / "plugin", source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    done = subprocess.run(
        [*pip, "--no-deps", "--no-build-isolation", "--target", str(target), str(source)],
        capture_output=True,
        text=True,
        timeout=120 * SCALE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(scope="module")
def hub(installed: Path) -> Iterator[RunningHub]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(installed))
        patch.setenv("EXAMPLE_SECRET", SECRET)
        bridge = {"kind": "ticks", "name": "clock", "options": {"every": 0.02}}
        maps = {"channel": "job:clock", "event": "tick"}
        with running_hub(
            "--bridges", plugins=["example"], jwt_secret=None, bridges=[{**bridge, **maps}]
        ) as hub:
            hub.secret(SECRET)
            yield hub
            assert hub.stop() == 0
            assert "the example has started" in hub.log()
            assert "the example has stopped after 10 calls" in hub.log()


def token() -> str:
    claims = {"sub": "ann", "exp": time.time() + 600, "hub": {"subscribe": ["job:*"]}}
    return jwt.encode(claims, SECRET, "HS256")


async def test_the_example_brings_keys_a_handler_a_kind_of_bridges_and_its_health(hub: RunningHub) -> None:
    async with connect(hub.ws_url, token()) as ann:
        await ann.ask("subscribe", channel="job:clock")
        first = (await ann.expect("tick"))["payload"]["tick"]
        assert (await ann.expect("tick"))["payload"] == {"tick": first + 1}
        for _ in range(9):
            result = await ann.ask("call", method="shout", payload="well done")
            assert result["payload"] == "WELL DONE"
        assert hub.http().get("/readyz").status_code == 200
        await ann.ask("call", method="shout", payload="once more")
        tired = hub.http().get("/readyz")
        assert tired.status_code == 503
        assert tired.json()["reasons"] == ["the plugin Example: it is tired"]


WRONG = [
    ("nowhere.to_be_found:Plugin", "nowhere.to_be_found:Plugin can't be imported: ModuleNotFoundError"),
    ("nobody", "nobody is not installed: no package has it under hub.plugins"),
    ("math:pi", "math:pi is no plugin: it is a float, not a hub.plugins.Plugin"),
    ("tests.plugins.test_plugins:Old", "is written for version 99 of plugins; this hub has version 1"),
    ("hub.plugins:Plugin", "is written for no version (api) of plugins"),
    ("tests.plugins.test_plugins:exits", "can't be imported: SystemExit"),
    ("tests.plugins.test_plugins:Thief", "the kind kafka of bridges is the hub's"),
]


class Old(Plugin):
    api = 99


class Thief(Plugin):
    api = 1

    def bridges(self):  # type: ignore[no-untyped-def]
        return {"kafka": None}


class exits:
    def __init__(self) -> None:
        raise SystemExit(3)


@pytest.mark.parametrize(("name", "why"), WRONG)
def test_what_can_not_be_used_is_said(name: str, why: str) -> None:
    with pytest.raises(ValueError, match="HUB_PLUGINS: ") as wrong:
        load([name])
    assert why in str(wrong.value)
    assert not brings_keys([name])


@pytest.mark.parametrize("verb", ["check", "serve"])
def test_the_commands_say_it(verb: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [_script(), verb],
        cwd=tmp_path,
        env={"PATH": "/usr/bin", "HUB_PLUGINS": '["nobody","no.such:thing"]', "HUB_JWT_SECRET": "s" * 32},
        capture_output=True,
        text=True,
        timeout=60 * SCALE,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "HUB_PLUGINS: nobody is not installed" in said
    assert "HUB_PLUGINS: no.such:thing can't be imported: ModuleNotFoundError: No module named 'no'" in said
    assert "Traceback" not in said


def test_a_bridge_of_a_plugin_s_kind_is_known_to_hub_bridge(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "hub.toml").write_text(
        'plugins = ["example"]\n[[bridges]]\nname = "clock"\nkind = "ticks"\n'
        'channel = "job:clock"\nevent = "tick"\n'
    )
    (tmp_path / "sample.json").write_text('{"tick": 1}')
    for plugins, status, said in (({}, 0, "clock: {"), ({"HUB_PLUGINS": "[]"}, 1, "there is no kind ticks")):
        done = subprocess.run(
            [_script(), "bridge", "--sample", "sample.json"],
            cwd=tmp_path,
            env={"PATH": "/usr/bin", "PYTHONPATH": str(installed), "EXAMPLE_SECRET": SECRET, **plugins},
            capture_output=True,
            text=True,
            timeout=60 * SCALE,
            check=False,
        )
        assert done.returncode == status, done.stderr
        assert said in done.stdout + done.stderr


class Moody(Plugin):
    """Says what is done to it."""

    api = 1
    said: list[str] = []  # noqa: RUF012  # one for all of them, as the hub makes them itself

    def __init__(self, name: str = "moody", fails: bool = False) -> None:
        self.name, self.fails = name, fails

    async def start(self, hub: object) -> None:
        if self.fails:
            raise RuntimeError("no disk")
        self.said.append(f"start {self.name}")

    async def stop(self) -> None:
        self.said.append(f"stop {self.name}")
        raise RuntimeError("it is never content")

    def health(self) -> str | None:
        raise RuntimeError("who asks?")


@pytest.fixture(autouse=True)
def nothing_said() -> Iterator[None]:
    Moody.said = []
    yield
    more_kinds.KINDS.pop("kafka", None)


async def test_what_was_started_is_stopped_in_the_other_order(caplog: pytest.LogCaptureFixture) -> None:
    plugins = Plugins([Moody("one"), Moody("two"), Moody("three", fails=True)])
    with pytest.raises(ValueError, match="HUB_PLUGINS: Moody did not start: no disk"):
        await plugins.start(Hub(jwt_secret="s" * 32))
    assert plugins.health() == ["the plugin Moody: it can't say how it is: RuntimeError"] * 2
    with caplog.at_level(logging.ERROR):
        await plugins.stop()
    assert Moody.said == ["start one", "start two", "stop two", "stop one"]
    assert plugins.health() == []


class Hangs(Plugin):
    api = 1

    async def start(self, hub: object) -> None:
        await asyncio.sleep(3600)


async def test_one_that_hangs_keeps_the_hub_from_serving_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hub.plugins.running.START_S", 0.05)
    hub = Hub(jwt_secret="s" * 32, plugins=[f"{__name__}:Moody", f"{__name__}:Hangs"])
    with pytest.raises(BadSettings, match=r"Hangs did not start within 0\.05 s"):
        async with hub.lifespan():
            pass
    assert Moody.said == ["start moody", "stop moody"]
    assert hub.node is None
