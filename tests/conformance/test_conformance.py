"""Both of our clients, and the example in Go, against every scenario; and a wrong client, which must be seen."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .__main__ import SCENARIOS, drive, scenarios

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


async def test_the_python_client() -> None:
    assert await drive([sys.executable, "-m", "tests.conformance.drive_python"], scenarios(), ROOT) == 0


async def test_the_javascript_client() -> None:
    node = shutil.which("node")
    assert node is not None
    chosen = [(name, each) for name, each in scenarios() if each.get("needs") != "status"]  # as a browser
    assert await drive([node, str(HERE / "drive_js.mjs")], chosen, ROOT) == 0


@pytest.mark.sources
async def test_the_example_in_go(tmp_path: Path) -> None:
    go = shutil.which("go")
    assert go is not None, "make test-sources installs it"
    source = ROOT / "docs" / "examples" / "go"
    subprocess.run([go, "build", "-o", str(tmp_path / "client"), "."], cwd=source, check=True)
    subprocess.run([go, "vet", "."], cwd=source, check=True)
    assert await drive([str(tmp_path / "client")], scenarios()) == 0


WRONG = """
import json, time
print(json.dumps({"event": {"offset": 1, "payload": 1}}), flush=True)
time.sleep(60)
"""


async def test_a_client_that_is_wrong_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.conformance.player.PATIENCE_S", 0.5)
    assert await drive([sys.executable, "-c", WRONG], scenarios(["01"])) == 1
    assert "FAILED 01-live: step 1" in capsys.readouterr().out


def test_every_scenario_says_what_it_is_about() -> None:
    for path in SCENARIOS.glob("*.json"):
        scenario = json.loads(path.read_text())
        assert set(scenario) - {"needs"} == {"says", "channel", "steps", "hands_over"}
        assert scenario["says"].endswith((".", "1000; what both deliver is taken once."))
