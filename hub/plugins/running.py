"""The plugins of one node, while it serves."""

import asyncio
import logging
from collections.abc import Sequence

from ..handlers.in_process import InProcess
from .plugin import Plugin

log = logging.getLogger("hub.plugins")

START_S, STOP_S = 10.0, 5.0


class Plugins:
    """Starts them in their order, and stops in the other those that were started."""

    def __init__(self, plugins: Sequence[Plugin]) -> None:
        self._waiting = list(plugins)
        self._running: list[Plugin] = []

    async def start(self, hub: InProcess) -> None:
        """Each within its time.

        Raises:
            ValueError: one did not, and why.
        """
        for plugin in self._waiting:
            try:
                async with asyncio.timeout(START_S):
                    await plugin.start(hub)
            except TimeoutError:
                raise ValueError(f"HUB_PLUGINS: {_name(plugin)} did not start within {START_S:g} s") from None
            except Exception as error:
                log.exception("the plugin %s did not start", _name(plugin))
                raise ValueError(f"HUB_PLUGINS: {_name(plugin)} did not start: {error}") from error
            self._running.append(plugin)

    async def stop(self) -> None:
        """None of them keeps the node from ending."""
        while self._running:
            plugin = self._running.pop()
            try:
                async with asyncio.timeout(STOP_S):
                    await plugin.stop()
            except Exception:
                log.exception("the plugin %s did not stop in order", _name(plugin))

    def health(self) -> list[str]:
        """What is not well, in words."""
        return [f"the plugin {_name(each)}: {why}" for each in self._running if (why := _health(each))]


def _health(plugin: Plugin) -> str | None:
    try:
        return plugin.health()
    except Exception as error:  # one that can't say how it is is not well
        return f"it can't say how it is: {type(error).__name__}"


def _name(plugin: Plugin) -> str:
    return type(plugin).__qualname__
