"""The plugins that the settings name: found, imported and looked at; what is wrong is said in words."""

import pkgutil
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Any

from ..bridge.more_kinds import add_kinds
from .plugin import API, Plugin

GROUP = "hub.plugins"
"""The entry points that installed packages have for it."""


class BadPlugin(ValueError):
    """A plugin can't be used, and `str` says why."""


def load(names: Sequence[str]) -> list[Plugin]:
    """Each of them: ``package.module:name``, or the name of an entry point. Its kinds of bridges are known from
    now on.

    Raises:
        ValueError: a line for each that can't be used.
    """
    found: list[Plugin] = []
    wrong: list[str] = []
    for name in names:
        try:
            plugin = _load(name)
            add_kinds(name, plugin.bridges())
            found.append(plugin)
        except BadPlugin as error:
            wrong.append(f"HUB_PLUGINS: {error}")
        except Exception as error:  # whatever foreign code does when it is asked
            wrong.append(f"HUB_PLUGINS: {name}: {type(error).__name__}: {error}")
    if wrong:
        raise ValueError("\n".join(wrong))
    return found


def brings_keys(names: Sequence[str]) -> bool:
    """Whether any of them has keys for tokens; where they can't be used, that is said elsewhere."""
    try:
        return any(type(each).keys is not Plugin.keys for each in load(names))
    except ValueError:
        return False


def _load(name: str) -> Plugin:
    try:
        found = _found(name)
        plugin = found() if isinstance(found, type) else found
    except BadPlugin:
        raise
    except (Exception, SystemExit) as error:
        raise BadPlugin(f"{name} can't be imported: {type(error).__name__}: {error}") from None
    if not isinstance(plugin, Plugin):
        raise BadPlugin(f"{name} is no plugin: it is a {type(plugin).__name__}, not a hub.plugins.Plugin")
    if plugin.api != API:
        said = f"for version {plugin.api}" if plugin.api else "for no version (api)"
        raise BadPlugin(f"{name} is written {said} of plugins; this hub has version {API}")
    return plugin


def _found(name: str) -> Any:
    if ":" in name or "." in name:
        return pkgutil.resolve_name(name)
    installed = entry_points(group=GROUP)
    chosen = [each for each in installed if each.name == name]
    if not chosen:
        names = ", ".join(sorted({each.name for each in installed})) or "none"
        raise BadPlugin(f"{name} is not installed: no package has it under {GROUP}; there: {names}")
    if len({each.value for each in chosen}) > 1:
        raise BadPlugin(f"{name} is the name of plugins of several packages: name one as package.module:name")
    return chosen[0].load()
