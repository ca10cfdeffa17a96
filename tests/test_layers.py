"""Imports go down only. This test reads all imports of `hub` and holds the table of the layers.

What is imported only for annotations (``if TYPE_CHECKING``) does not count: it never runs.
"""

import ast
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "hub"

LAYERS: dict[str, tuple[str, ...]] = {
    "demo": ("hub.demo", "hub.demo_*"),
    "cli": ("hub.cli", "hub.cli.*", "hub.__main__"),
    "server": ("hub.server", "hub.workers", "hub.acceptor", "hub.collector"),
    "app": ("hub.app",),  # the composition root
    "api": ("hub.api", "hub.api.*"),
    "transport": ("hub.transport", "hub.transport.*"),
    "verbs": ("hub.gate", "hub.handlers", "hub.welcome", "hub.subscribing", "hub.drain", "hub.exposition"),
    "node": ("hub.*",),  # every module beside the packages that is not named elsewhere
    "sdk": ("hub.client", "hub.publisher", "hub.sdk", "hub.sdk.*"),
    "brokers": ("hub.broker.memory", "hub.broker.memory_*", "hub.broker.redis", "hub.broker.redis_*"),
    "auth": ("hub.auth", "hub.auth.*"),
    "broker.base": ("hub.broker", "hub.broker.base"),
    "settings": ("hub.settings", "hub.namespaces", "hub.problem"),
    "protocol": ("hub.protocol", "hub.protocol.*"),
    "hub": ("hub",),  # the version, and nothing else
}
"""From the top down: a module may import its own layer and those below."""

STANDS_ASIDE = {
    # A service's process has the SDK and no node.
    "sdk": {"sdk", "brokers", "broker.base", "settings", "protocol", "hub"},
    # Who stores events knows nothing of who is connected.
    "brokers": {"brokers", "broker.base", "settings", "protocol", "hub"},
    "node": {"node", "auth", "broker.base", "settings", "protocol", "hub"},
    "verbs": {"verbs", "node", "auth", "broker.base", "settings", "protocol", "hub"},
}
"""Layers that may not import all that lies below them."""

PICKS_IMPLEMENTATIONS = {"hub.app"}

FOREIGN: dict[str, set[str]] = {
    "starlette": {"demo", "server", "app", "api", "transport"},
    "uvicorn": {"demo", "server", "transport"},
    "websockets": {"transport", "sdk"},
    "httpx": {"cli", "sdk", "auth"},
    "hiredis": {"brokers"},
    "redis": {"brokers"},
    "jwt": {"cli", "auth"},
    "prometheus_client": {"api", "verbs"},
}
"""Where packages may be imported that would tie a layer to the world outside."""

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
    """What a module imports when it runs, also inside functions; full names."""
    path = modules()[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in running(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            # ``from . import codes`` imports a module, ``from .codes import then`` a name out of one.
            found |= {name if (name := f"{base}.{each.name}") in modules() else base for each in node.names}
    return frozenset(found)


def running(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a tree without what stands under ``if TYPE_CHECKING``."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield from running(other)
        else:
            yield from running(child)


def own(module: str) -> set[str]:
    """The modules of `hub` that a module imports, itself left out."""
    return {name for name in imports(module) if name.partition(".")[0] == "hub"} - {module}


@cache
def layer(module: str) -> str:
    for name, patterns in LAYERS.items():
        if name != "node" and any(fnmatch(module, pattern) for pattern in patterns):
            return name
    assert module.count(".") == 1, f"{module} is in no layer: give it a line in LAYERS"
    return "node"


@pytest.mark.parametrize("module", modules())
def test_imports_go_down_only(module: str) -> None:
    order = list(LAYERS)
    here = layer(module)
    allowed = STANDS_ASIDE.get(here, set(order[order.index(here) :]))
    upward = {name for name in own(module) if layer(name) not in allowed}
    assert not upward, f"{module} ({here}) imports {sorted(upward)}"


def test_there_is_no_cycle() -> None:
    tuple(TopologicalSorter({module: own(module) for module in modules()}).static_order())


def test_only_the_composition_root_picks_implementations() -> None:
    """The SDK may publish straight into Redis; nobody else knows which broker there is."""
    for module in modules():
        if layer(module) not in ("brokers", "sdk") and module not in PICKS_IMPLEMENTATIONS:
            picked = {name for name in own(module) if layer(name) == "brokers"}
            assert not picked, f"{module} imports {sorted(picked)}"


def test_packages_stay_where_they_belong() -> None:
    for module in modules():
        for name in imports(module):
            package = name.partition(".")[0]
            if package in FOREIGN:
                assert layer(module) in FOREIGN[package], f"{module} ({layer(module)}) imports {name}"


def test_the_protocol_does_no_io() -> None:
    allowed = (set(sys.stdlib_module_names) - IMPURE) | {"hub", "orjson", "msgpack"}
    for module in modules():
        if layer(module) == "protocol":
            foreign = {name for name in imports(module) if name.partition(".")[0] not in allowed}
            assert not foreign, f"{module} imports {sorted(foreign)}"
            outside = {name for name in own(module) if layer(name) != "protocol"}
            assert not outside, f"{module} imports {sorted(outside)}"
