"""A plugin that brings one of each: a handler, a source of keys, a kind of bridges."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence

from hub.auth.keys import Keys, StaticKeys
from hub.bridge.records import Batch, Record
from hub.bridge.settings import BridgeSettings
from hub.bridge.source import Revoked, Source
from hub.handlers import CallRequest
from hub.handlers.in_process import InProcess
from hub.handlers.registry import Registers
from hub.plugins import Plugin
from hub.settings import Settings

log = logging.getLogger("example")


class Example(Plugin):
    """`calls` of the method ``shout`` are counted; after ten of them it is tired, and the node gets no traffic."""

    api = 1

    def __init__(self) -> None:
        self.calls = 0

    def handlers(self, hub: Registers) -> None:
        """One call."""
        hub.on_call("shout")(self.shout)

    def keys(self, settings: Settings) -> Sequence[Keys]:
        """Tokens signed with another secret than the hub's own."""
        return [StaticKeys(secret=os.environ["EXAMPLE_SECRET"])]

    def bridges(self) -> Mapping[str, Callable[[BridgeSettings], Source]]:
        """``kind = "ticks"``, ``options = { every = 1.0 }``."""
        return {"ticks": Ticks}

    async def start(self, hub: InProcess) -> None:
        """Publications may begin here."""
        log.info("the example has started")

    async def stop(self) -> None:
        """Whatever was begun ends here."""
        log.info("the example has stopped after %d calls", self.calls)

    def health(self) -> str | None:
        """For ``/readyz``."""
        return "it is tired" if self.calls >= 10 else None

    async def shout(self, request: CallRequest) -> str:
        """Back in capitals."""
        self.calls += 1
        return str(request.payload).upper()


class Ticks:
    """A `Source` that counts: ``{"tick": 1}``, ``{"tick": 2}``, …"""

    def __init__(self, settings: BridgeSettings) -> None:
        self._every = float(settings.options.get("every", 1.0))
        self._life, self._count = int(time.time()), 0  # a position is above all of the life before

    async def probe(self) -> str:
        return f"a tick every {self._every:g} s"

    async def start(self, revoked: Revoked) -> None: ...

    async def next(self) -> Batch:
        await asyncio.sleep(self._every)
        self._count += 1
        return Batch("ticks", [Record(b'{"tick":%d}' % self._count, (self._life, self._count))])

    async def settle(self, batch: Batch) -> None: ...

    async def reject(self, record: Record, code: str, reason: str) -> None: ...

    def hold(self, partition: str) -> None: ...

    def release(self, partition: str) -> None: ...

    async def lag(self) -> Mapping[str, int]:
        return {}

    async def close(self) -> None: ...
