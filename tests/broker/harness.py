"""What the contract suite needs of a broker under test: its namespaces, its time, and a way to lose its data.

A broker joins the suite by a `Harness` in `conftest.HARNESSES`. One whose clock can't be handed in sleeps in
`advance`, and so chooses a short `unit`; every time-to-live of the suite is a multiple of it.
"""

import asyncio
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

from hub.broker.base import Broker, Inbox, Member, Published
from hub.broker.memory.broker import MemoryBroker
from hub.broker.sqlite.broker import SqliteBroker
from hub.namespaces import Mode, Namespace, Namespaces
from hub.protocol.errors import HubError
from hub.protocol.event import Event, Publication, Version
from hub.protocol.position import Top

HISTORY_SIZE = 10
SNAPSHOT_KEYS = 4
MEMBERS_LIMIT = 3
DEAD_LETTERS_LIMIT = 5
DEADLINE_S = 10.0


def namespaces(unit: float) -> Namespaces:
    """The suite's namespaces: `log`, `state`, `cursor` live long, `short` and `fleet` a few units."""
    return Namespaces(
        {
            "log": Namespace(mode=Mode.LOG, history_size=HISTORY_SIZE, inbox=True, presence=True),
            "state": Namespace(mode=Mode.STATE, snapshot_keys=SNAPSHOT_KEYS),
            "cursor": Namespace(mode=Mode.EPHEMERAL),
            "short": Namespace(mode=Mode.LOG, history_ttl=2 * unit, meta_ttl=4 * unit, inbox=True),
            "fleet": Namespace(
                mode=Mode.STATE,
                snapshot_keys=1,
                history_ttl=9 * unit,
                meta_ttl=9 * unit,
                snapshot_ttl=1 * unit,
                snapshot_idle_ttl=3 * unit,
            ),
        }
    )


async def tops(broker: Broker, channels: Sequence[str]) -> list[Top]:
    """As `Broker.tops`, of channels that can all be asked."""
    found = await broker.tops(channels)
    assert all(isinstance(top, Top) for top in found), found
    return [top for top in found if isinstance(top, Top)]


class Recorder:
    """A `Listener` that keeps all that it is told, and can be waited on."""

    def __init__(self) -> None:
        self.announced: list[tuple[str, Event]] = []
        self.presence: list[tuple[str, str, Member]] = []
        self.acks: list[tuple[str, str, Inbox]] = []
        self.lost: list[str] = []
        self.erased: list[str] = []
        self.commands: list[bytes] = []
        self._told = asyncio.Event()

    def on_event(self, epoch: str, event: Event) -> None:
        self.announced.append((epoch, event))
        self._told.set()

    def on_presence(self, channel: str, change: str, member: Member) -> None:
        self.presence.append((channel, change, member))
        self._told.set()

    def on_ack(self, channel: str, user: str, inbox: Inbox) -> None:
        self.acks.append((channel, user, inbox))
        self._told.set()

    def on_lost(self, channels: Collection[str]) -> None:
        self.lost.extend(channels)
        self._told.set()

    def on_erased(self, channel: str) -> None:
        self.erased.append(channel)
        self._told.set()

    def on_command(self, data: bytes) -> None:
        self.commands.append(data)
        self._told.set()

    def events(self, channel: str) -> list[Event]:
        """The events announced on `channel`."""
        return [event for _, event in self.announced if event.channel == channel]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what must come."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self._told.clear()
                await self._told.wait()

    async def heard(self, channel: str, count: int) -> list[Event]:
        """The `count` events of a channel, and not one more by then."""
        await self.until(lambda: len(self.events(channel)) >= count)
        events = self.events(channel)
        assert len(events) == count
        return events


class Harness(Protocol):
    """A started broker under test. `fake_time`: `advance` costs nothing, however far."""

    broker: Broker
    heard: Recorder
    unit: float
    fake_time: bool

    def now(self) -> float:
        """Unix seconds, about."""

    async def advance(self, units: float) -> None:
        """Let `units` pass, and what is due by then begin to happen."""

    async def lose(self) -> None:
        """Lose everything that is stored, as a flush does."""

    async def close(self) -> None:
        """Close the broker, and what was started for it."""


class Clock:
    """Unix seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1_763_690_000.0

    def __call__(self) -> float:
        return self.now


class MemoryHarness:
    """`MemoryBroker` on a clock of its own."""

    unit = 60.0
    fake_time = True

    def __init__(self) -> None:
        self.clock = Clock()
        self.heard = Recorder()
        self.memory = MemoryBroker(
            namespaces(self.unit),
            self.clock,
            members_limit=MEMBERS_LIMIT,
            dead_letters_limit=DEAD_LETTERS_LIMIT,
        )
        self.broker: Broker = self.memory

    @classmethod
    async def start(cls) -> "MemoryHarness":
        harness = cls()
        await harness.memory.start(harness.heard)
        return harness

    def now(self) -> float:
        return self.clock.now

    async def advance(self, units: float) -> None:
        self.clock.now += units * self.unit
        self.memory.tick()

    async def lose(self) -> None:
        for stream in list(self.memory._streams.values()):
            self.memory._forget(stream)

    async def close(self) -> None:
        await self.memory.close()


class SqliteHarness:
    """`SqliteBroker` in a folder of its own, on a clock of its own."""

    unit = 60.0
    fake_time = True

    def __init__(self) -> None:
        self.clock = Clock()
        self.heard = Recorder()
        self._folder = tempfile.TemporaryDirectory(prefix="hub-sqlite-")
        self.path = Path(self._folder.name) / "hub.db"
        self.sqlite = self.make()
        self.broker: Broker = self.sqlite

    def make(self, options: str = "") -> SqliteBroker:
        """A broker on the file."""
        return SqliteBroker(
            f"sqlite://{self.path}{options}",
            namespaces(self.unit),
            self.clock,
            members_limit=MEMBERS_LIMIT,
            dead_letters_limit=DEAD_LETTERS_LIMIT,
        )

    @classmethod
    async def start(cls) -> "SqliteHarness":
        harness = cls()
        await harness.sqlite.start(harness.heard)
        return harness

    def now(self) -> float:
        return self.clock.now

    async def advance(self, units: float) -> None:
        self.clock.now += units * self.unit
        self.sqlite.tick()
        await self.sqlite.settled()

    async def lose(self) -> None:
        for stream in list(self.sqlite._streams.values()):
            self.sqlite._forget(stream)

    async def again(self) -> SqliteBroker:
        """End in order, and start anew."""
        await self.sqlite.close()
        self.heard = Recorder()
        self.broker = self.sqlite = self.make()
        await self.sqlite.start(self.heard)
        return self.sqlite

    async def close(self) -> None:
        await self.sqlite.close()
        self._folder.cleanup()


def publication(channel: str, payload: bytes = b"{}", **fields: Any) -> Publication:
    """A publication with what a test does not care about filled in; `version` as the wire writes it."""
    version = fields.pop("version", None)
    if version is not None:
        attempt, number = version if isinstance(version, tuple) else (0, version)
        fields["version"] = Version(attempt, number)
    return Publication(
        channel, fields.pop("type", "note"), payload, publisher=fields.pop("publisher", "svc"), **fields
    )


async def attempt(
    broker: Broker, channel: str, payload: bytes = b"{}", **fields: Any
) -> Published | HubError:
    """What one publication gives."""
    [result] = await broker.publish([publication(channel, payload, **fields)])
    return result


async def publish(broker: Broker, channel: str, payload: bytes = b"{}", **fields: Any) -> Published:
    """One publication that must not be refused."""
    result = await attempt(broker, channel, payload, **fields)
    assert isinstance(result, Published), result
    return result
