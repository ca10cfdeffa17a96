"""What the tests themselves run with: printed for `make test-floors`, whose other packages are as old as can be."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMES = {"fastjsonschema", "hypothesis", "jsonschema", "openapi-spec-validator", "rich"}


def project() -> dict[str, object]:
    """The table ``[project]`` of pyproject.toml."""
    table: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def pinned(lock: str) -> dict[str, str]:
    """The versions of a lock file by name."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", (ROOT / lock).read_text(), re.M)
    return {name.lower().replace("_", "-"): version for name, version in found}


if __name__ == "__main__":
    for name, version in pinned("requirements-dev.lock").items():
        if name.startswith("pytest") or name in NAMES:
            print(f"{name}=={version}")
