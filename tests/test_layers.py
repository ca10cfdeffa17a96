"""Imports go down only: the folders of `hub` are its layers, and this is their order.

Every import counts, those for annotations too (``if TYPE_CHECKING``): what a module names, it depends on.
"""

import ast
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "hub"

FLOORS = (
    "demo",
    "cli",
    "testing",
    "server",
    "app",
    "startup",
    "assembly",
    "node",
    "plugins",
    "handlers",
    "proxies",
    "webhooks",
    "intake",
    "centrifugo.api",
    "centrifugo.streams",
    "console",
    "http",
    "transport",
    "observe",
    "centrifugo",
    "commands",
    "cluster",
    "presence",
    "recovery",
    "connections",
    "delivery",
    "bridge.kinds",
    "bridge",
    "sdk",
    "broker.redis",
    "broker.redis.client",
    "broker.sqlite",
    "broker.memory",
    "auth",
    "broker",
    "outgoing",
    "tracing",
    "discovery",
    "tls",
    "settings",
    "namespaces",
    "runtime",
    "protocol",
    "",
)
"""From the top down: a module may import its own floor and those below. ``""`` is the version, nothing else."""

ROOMS_OF = {"__main__": "cli", "client": "sdk", "publisher": "sdk", "celery": "sdk"}
"""Modules at the root that belong to a folder: its face, or its entry point."""

GROUND = {"namespaces", "runtime", "protocol", ""}
STANDS_ASIDE = {
    # A bridge talks to a hub over HTTP: it has no part of one.
    "bridge": {"bridge", "sdk", "tracing", *GROUND},
    "bridge.kinds": {"bridge.kinds", "bridge", "runtime"},
    # A service's process has the SDK and no node.
    "sdk": {"sdk", "broker.redis", "broker", *GROUND},
    # Who stores events knows nothing of who is connected.
    "broker.redis": {"broker.redis", "broker.redis.client", "broker", *GROUND},
    "broker.redis.client": {"broker.redis.client", "broker", *GROUND},
    "broker.memory": {"broker.memory", "broker", *GROUND},
    "broker.sqlite": {"broker.sqlite", "broker.memory", "broker", *GROUND},
    "delivery": {"delivery", *GROUND},
    "presence": {"presence", "delivery", "broker", *GROUND},
    "recovery": {"recovery", "delivery", "broker", *GROUND},
    "runtime": {"runtime"},
    "tls": {"tls"},
    "tracing": {"tracing", *GROUND},
}
"""Floors that may not import all that lies below them."""

IMPLEMENTATIONS = {"broker.redis", "broker.redis.client", "broker.memory", "broker.sqlite"}
PICK_IMPLEMENTATIONS = {"app", "assembly", "sdk", *IMPLEMENTATIONS}

FOREIGN: dict[str, set[str]] = {
    "starlette": {
        "bridge",
        "console",
        "demo",
        "server",
        "app",
        "startup",
        "webhooks",
        "intake",
        "centrifugo.api",
        "centrifugo.streams",
        "http",
        "transport",
    },
    "uvicorn": {"cli", "demo", "server", "transport"},
    "websockets": {"transport", "sdk"},
    "httpx": {"bridge", "cli", "proxies", "webhooks", "outgoing", "discovery", "sdk", "auth"},
    "hiredis": IMPLEMENTATIONS,
    "redis": {"bridge.kinds", *IMPLEMENTATIONS},
    "jwt": {"cli", "auth"},
    "celery": {"sdk"},
    "prometheus_client": {"bridge", "http"},
    "opentelemetry": {"tracing"},
}
"""Where packages may be imported that would tie a floor to the world outside."""

# A clock, a loop, a source of chance, a socket: `protocol` gets all of them handed in.
IMPURE = {"asyncio", "logging", "os", "random", "secrets", "select", "socket", "ssl", "threading", "time"}


@cache
def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


@cache
def imports(module: str) -> frozenset[str]:
    """What a module imports, wherever it does so; full names."""
    path = modules()[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            # ``from . import codes`` imports a module, ``from .codes import then`` a name out of one.
            found |= {name if (name := f"{base}.{each.name}") in modules() else base for each in node.names}
    return frozenset(found)


def own(module: str) -> set[str]:
    """The modules of `hub` that a module imports, itself left out."""
    return {name for name in imports(module) if name.partition(".")[0] == "hub"} - {module}


@cache
def floor(module: str) -> str:
    """The deepest folder, or module at the root, that stands among the floors."""
    name = module.removeprefix("hub").removeprefix(".")
    while name and name not in FLOORS:
        if name in ROOMS_OF:
            return ROOMS_OF[name]
        name = name.rpartition(".")[0]
    assert name or module == "hub", f"{module} is on no floor: give it a line in FLOORS"
    return name


@pytest.mark.parametrize("module", modules())
def test_imports_go_down_only(module: str) -> None:
    here = floor(module)
    allowed = STANDS_ASIDE.get(here, set(FLOORS[FLOORS.index(here) :]))
    upward = {name for name in own(module) if floor(name) not in allowed}
    assert not upward, f"{module} ({here}) imports {sorted(upward)}"


def test_there_is_no_cycle() -> None:
    tuple(TopologicalSorter({module: own(module) for module in modules()}).static_order())


def test_every_folder_says_what_lives_there() -> None:
    for module, path in modules().items():
        if path.name == "__init__.py" and module != "hub":
            text = ast.get_docstring(ast.parse(path.read_text())) or ""
            assert "May import:" in text, f"{module} does not say what it may import"


def test_only_the_composition_root_picks_implementations() -> None:
    """The SDK may publish straight into Redis; nobody else knows which broker there is."""
    for module in modules():
        if floor(module) not in PICK_IMPLEMENTATIONS:
            picked = {name for name in own(module) if floor(name) in IMPLEMENTATIONS}
            assert not picked, f"{module} imports {sorted(picked)}"


def test_packages_stay_where_they_belong() -> None:
    for module in modules():
        for name in imports(module):
            package = name.partition(".")[0]
            if package in FOREIGN:
                assert floor(module) in FOREIGN[package], f"{module} ({floor(module)}) imports {name}"


def test_the_protocol_does_no_io() -> None:
    allowed = (set(sys.stdlib_module_names) - IMPURE) | {"hub", "orjson", "msgpack", "msgspec"}
    for module in modules():
        if floor(module) == "protocol":
            foreign = {name for name in imports(module) if name.partition(".")[0] not in allowed}
            assert not foreign, f"{module} imports {sorted(foreign)}"
            outside = {name for name in own(module) if floor(name) != "protocol"}
            assert not outside, f"{module} imports {sorted(outside)}"
