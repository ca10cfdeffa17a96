"""A plugin whose handlers decide and change nothing: what is left is what asking costs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hub.plugins import API, Plugin

if TYPE_CHECKING:
    from hub.handlers import PublishRequest
    from hub.handlers.registry import Registers


class Deciding(Plugin):
    """`HUB_PLUGINS='["loadtest.deciding:Deciding"]'`."""

    api = API

    def handlers(self, hub: Registers) -> None:
        """One of each kind."""
        hub.on_publish("doc:async-*")(self.at_once)
        hub.on_publish("doc:waits-*")(self.waits)
        hub.on_publish("doc:plain-*")(self.plain)

    async def at_once(self, request: PublishRequest) -> None:
        """Async, and knows by itself."""
        assert request.event

    async def waits(self, request: PublishRequest) -> None:
        """Async, and waits once, as for a database that answers at once."""
        await asyncio.sleep(0)
        assert request.event

    def plain(self, request: PublishRequest) -> None:
        """A plain function, in a thread."""
        assert request.event
