"""One version, said in one place; and one set of exact packages, for developers, images and the documentation."""

import json
import re
from importlib.metadata import version

import pytest
from packaging.requirements import Requirement

from hub import __version__

from .tools import ROOT, pinned, project


def test_the_others_agree_on_the_version() -> None:
    assert version("notification-hub") == __version__, "installed anew? make clean, or pip install -e ."
    package = json.loads((ROOT / "client_js" / "package.json").read_text())
    lock = json.loads((ROOT / "client_js" / "package-lock.json").read_text())
    assert package["version"] == lock["version"] == lock["packages"][""]["version"] == __version__
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(
        rf"^## {re.escape(__version__)}\b|^The next version, {re.escape(__version__)}\.$", changes, re.M
    )


def required(*extras: str) -> list[Requirement]:
    table = project()
    optional: dict[str, list[str]] = table["optional-dependencies"]  # type: ignore[assignment]
    dependencies: list[str] = table["dependencies"]  # type: ignore[assignment]
    lines = [*dependencies, *(line for extra in extras for line in optional[extra])]
    return [Requirement(line) for line in lines if not line.startswith("notification-hub")]


@pytest.mark.parametrize(
    ("lock", "extras"),
    [
        ("requirements.lock", ["server"]),
        (
            "requirements-dev.lock",
            ["server", "schema", "bridge", "kafka", "rabbitmq", "nats", "postgres", "loadtest", "dev"],
        ),
    ],
)
def test_a_lock_file_holds_what_is_asked_for(lock: str, extras: list[str]) -> None:
    found = pinned(lock)
    for requirement in required(*extras):
        name = requirement.name.lower().replace("_", "-")
        assert name in found, f"{name} is missing in {lock}: make lock"
        assert requirement.specifier.contains(found[name]), f"{lock} has {name} {found[name]}: make lock"
    text = (ROOT / lock).read_text()
    pins = len(re.findall(r"^\S+==", text, re.M))
    assert pins == len(re.findall(r"^\S+==[^\n]*\\\n    --hash=sha256:", text, re.M)), "each by its hash"
    assert "://" not in text, "no host of a registry"


def test_both_lock_files_have_the_same_server() -> None:
    developers = pinned("requirements-dev.lock")
    image = pinned("requirements.lock")
    assert {name: developers.get(name) for name in image} == image


@pytest.mark.parametrize("path", ["Dockerfile", "compose.yaml"])
def test_images_are_named_exactly(path: str) -> None:
    text = (ROOT / path).read_text()
    names = re.findall(r"^(?:FROM| *image:) (\S+?:\S+)", text, re.M)
    assert names
    for name in names:
        assert re.search(r":\d+\.\d+\.\d+", name), f"{name} moves"
