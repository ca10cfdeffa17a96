"""The wheel, built, and used by somebody who has nothing else: the demo in an empty folder, the client alone."""

import email
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pytest

from ..support.pace import SCALE
from .tools import ROOT, project

NEW_PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what git has, so that nothing of a work tree slips in, nor stays out."""
    source = tmp_path_factory.mktemp("source")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if name.startswith(("hub/", "client_js/dist/")) or "/" not in name:
            to = source / name
            to.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_symlink():
                to.symlink_to(os.readlink(ROOT / name))
            elif (ROOT / name).exists():
                to.write_bytes((ROOT / name).read_bytes())
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        *NEW_PIP,
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(folder),
        str(source),
    ]
    subprocess.run(command, check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_it_holds_all_that_runs_and_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        said = email.message_from_bytes(archive.read(metadata))
        bundle = archive.read("hub/http/static/hub.js")
    assert bundle == (ROOT / "client_js" / "dist" / "hub.js").read_bytes()
    for name in (
        "hub/py.typed",
        "hub/demo/static/dashboard.html",
        "hub/http/static/shared.js",
        "hub/console/static/app.js",
    ):
        assert name in names
    assert any(re.fullmatch(r"hub/broker/redis/lua/\w+\.lua", name) for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if not name.startswith(("hub/", "notification_hub-"))]
    assert said["License-Expression"] == "MIT"
    assert said["Description-Content-Type"] == "text/markdown"
    assert "Typing :: Typed" in said.get_all("Classifier", [])
    base = [line for line in said.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert len(base) == len(project()["dependencies"]) == 4  # type: ignore[arg-type]


def run_away(installed: Path, folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(folder)}


def test_the_demo_runs_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    environment = {**run_away(installed, tmp_path), "HUB_PORT": "0"}
    demo = subprocess.Popen(
        [sys.executable, "-c", DEMO], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert demo.stdout is not None
        assert demo.stdout.readline().strip() == str(installed / "hub" / "__init__.py")
        address = next(found[0] for line in demo.stdout if (found := re.search(r"http://\S+", line)))
        with httpx.Client(base_url=address, timeout=10 * SCALE) as http:
            assert "<title>" in http.get("/").text
            script = http.get("/hub.js")
            assert script.headers["content-type"].startswith("text/javascript")
            assert http.get("/client/hub.js").content == script.content
            again = http.get("/hub.js", headers={"If-None-Match": script.headers["etag"]})
            assert again.status_code == 304
            for name in ("shared.js", "msgpack.js", "stream.js", "channeltoken.js", "job-board.js"):
                assert http.get(f"/{name}").status_code == 200
    finally:
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=20 * SCALE)


DEMO = "import hub, sys; print(hub.__file__, flush=True); from hub.demo.app import main; sys.exit(main())"

BLOCKED = """
import importlib.metadata as metadata, json, re, sys
present = {each.name.lower().replace("_", "-") for each in metadata.distributions()}
allowed, queue = {"notification-hub"}, json.loads(sys.argv[1])
while queue:
    name = re.split("[^A-Za-z0-9_.-]", queue.pop())[0].lower().replace("_", "-")
    if name in present - allowed:
        allowed.add(name)
        queue += [line for line in metadata.requires(name) or () if "extra ==" not in line]
tops = metadata.packages_distributions()
class Block:
    def find_spec(self, name, path=None, target=None):
        owners = {owner.lower().replace("_", "-") for owner in tops.get(name.partition(".")[0], ())}
        if owners and not owners & allowed:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
"""


def test_the_clients_need_four_packages_and_the_command_says_what_it_misses(
    installed: Path, tmp_path: Path
) -> None:
    """As if nothing was installed but the four and what they need."""
    dependencies = json.dumps(project()["dependencies"])

    def run(code: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", BLOCKED + code, dependencies]
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=run_away(installed, tmp_path),
            capture_output=True,
            text=True,
            check=False,
        )

    done = run("import hub.client, hub.publisher; print(hub.__file__)")
    assert (done.stdout.strip(), done.stderr) == (str(installed / "hub" / "__init__.py"), "")
    for verb in (["serve"], ["token", "--user", "ann"], ["check"]):
        done = run(f"import hub.cli; sys.exit(hub.cli.main({verb!r}))")
        assert done.returncode == 1
        assert "pip install 'notification-hub[server]'" in done.stderr
        assert "Traceback" not in done.stderr
