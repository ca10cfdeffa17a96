"""What the file keeps: over an orderly end, and over one in the midst."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.broker.base import Broker, Published
from hub.broker.sqlite.mark import Mark
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError
from hub.protocol.event import Source, Version
from hub.protocol.position import Position

from ..harness import Recorder, SqliteHarness, attempt, publish


@pytest.fixture
async def harness() -> AsyncIterator[SqliteHarness]:
    harness = await SqliteHarness.start()
    yield harness
    await harness.close()


async def everything(broker: Broker) -> dict[str, object]:
    """All that can be asked of the channels that `fill` fills."""
    found: dict[str, object] = {}
    for channel in ("log:a", "state:a", "fleet:a"):
        found[channel] = await broker.read(channel, 0, 1000)
    for channel in ("state:a", "fleet:a"):
        found[channel + " keys"] = await broker.snapshot(channel)
    found["inbox"] = await broker.inbox("log:a", "ann")
    found["revoked"] = await broker.registry.revocations()
    found["signed"] = await broker.registry.kept_revocations()
    found["letters"] = await broker.dead_letters.page(0, 10)
    return found


async def fill(harness: SqliteHarness, broker: Broker) -> None:
    for number in range(30):  # more than the history holds
        await publish(broker, "log:a", b'{"n":%d}' % number, meta=b'{"a":"b"}', sender="ann", origin="c_1")
    for key, version in (("a", 3), ("b", None), ("a", 4)):
        await publish(broker, "state:a", b"1.50", key=key, version=version, final=version == 4)
    await publish(broker, "fleet:a", key="z", lease_ms=int(harness.unit * 1000))
    position = (await broker.read("log:a", 0, 1)).top.position
    await broker.ack("log:a", "ann", Position(position.epoch, 25))
    await broker.registry.put_ticket("digest", b"claims", harness.unit)
    await broker.registry.revoke("sub:ann", harness.now() + 100)
    await broker.registry.keep_revocation("signed", harness.now() + 100)
    await broker.dead_letters.put("one", b"\x00bytes", 5)
    await broker.dead_letters.put("two", b"bytes", 6)
    await broker.dead_letters.drop("one")


async def test_an_orderly_end_keeps_all(harness: SqliteHarness) -> None:
    await fill(harness, harness.broker)
    before = await everything(harness.broker)
    again = await harness.again()
    assert await everything(again) == before
    assert await again.registry.take_ticket("digest") == b"claims"
    once_more = await harness.again()
    assert await once_more.registry.take_ticket("digest") is None
    assert again.counts()["forks"] == once_more.counts()["forks"] == 0


async def test_what_was_promised_holds_after_it(harness: SqliteHarness) -> None:
    broker: Broker = harness.broker
    source = Source("kafka", Version(2, 7))
    first = await publish(broker, "log:a", b'{"a":1,"b":2}', event_id="e", source=source)
    ids = [("usual", None), ("own", 600_000)]
    for name, ttl in ids:
        await publish(broker, "log:a", b"1", event_id=name, event_id_ttl_ms=ttl)
    await publish(broker, "state:a", key="k", version=(1, 5), final=True)
    broker = await harness.again()
    assert (await publish(broker, "log:a", b'{"b":2,"a":1}', event_id="e")).duplicate
    assert (await publish(broker, "log:a", b'{"a":9}', source=source)).duplicate
    wrong = await attempt(broker, "log:a", b'{"a":2}', event_id="e")
    assert isinstance(wrong, HubError)
    assert wrong.code is ErrorCode.CONFLICT
    assert (await publish(broker, "state:a", key="k", version=(1, 6))).stale
    assert (await publish(broker, "log:a")).position == Position(first.position.epoch, 4)  # type: ignore[union-attr]
    await harness.advance(6)  # 360 s
    assert not (await publish(broker, "log:a", b"1", event_id="usual")).duplicate
    assert (await publish(broker, "log:a", b"1", event_id="own")).duplicate


async def test_what_ends_while_it_is_down_has_ended(harness: SqliteHarness) -> None:
    broker: Broker = harness.broker
    await publish(broker, "fleet:a", b'"x"', key="z", lease_ms=int(harness.unit * 1000))
    await publish(broker, "short:a")
    short = (await broker.read("short:a", 0, 1)).top
    harness.clock.now += 1.5 * harness.unit
    broker = await harness.again()
    assert [event.type for event in (await broker.read("fleet:a", 0, 9)).events] == ["note", "lease_expired"]
    assert (await broker.read("short:a", 0, 9)).top == short
    harness.clock.now += 1.0 * harness.unit  # its history is over, its numbering is not
    broker = await harness.again()
    page = await broker.read("short:a", 0, 9)
    assert (page.top.position, list(page.events)) == (short.position, [])
    harness.clock.now += 3.5 * harness.unit
    broker = await harness.again()
    assert (await broker.read("short:a", 0, 9)).top.epoch != short.epoch


async def test_what_was_deleted_does_not_come_back(harness: SqliteHarness) -> None:
    broker: Broker = harness.broker
    old = await publish(broker, "log:a", b'"secret of ann"', event_id="e")
    await publish(broker, "state:a", b'"secret of bob"', key="bob")
    await publish(broker, "state:a", key="other")
    fresh = await broker.delete("log:a")
    await broker.delete_key("state:a", "bob")
    broker = await harness.again()
    page = await broker.read("log:a", 0, 10)
    assert (page.top.position, list(page.events)) == (fresh, [])
    assert page.top.ancestors == (Position(old.position.epoch, -1),)  # type: ignore[union-attr]
    assert [event.key for event in (await broker.snapshot("state:a")).events] == ["other"]
    await harness.sqlite.close()
    assert b"secret" not in harness.path.read_bytes()


CRASHING = """
import asyncio, os, signal, sys
from pathlib import Path
from hub.broker.sqlite.broker import SqliteBroker
from tests.broker.harness import Clock, Recorder, namespaces, publication

async def main():
    broker = SqliteBroker(sys.argv[1], namespaces(60.0), Clock())
    await broker.start(Recorder())
    number = 0
    while True:
        number += 1
        [one] = await broker.publish([publication("log:a", b"%d" % number, event_id=str(number))])
        print(one.position, flush=True)

asyncio.run(main())
"""


async def test_a_kill_keeps_what_was_answered() -> None:
    harness = SqliteHarness()
    answered: list[str] = []
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", CRASHING, f"sqlite://{harness.path}"],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[3],
        )
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(40)]
        os.kill(child.pid, signal.SIGKILL)
        lines += child.stdout.readlines()
        child.wait()
        child.stdout.close()
        answered += [line.decode().strip() for line in lines if line.endswith(b"\n")]
    await harness.sqlite.start(harness.heard)
    top = (await harness.broker.read("log:a", None, 1)).top
    assert harness.broker.counts()["forks"] == 0
    epoch = top.epoch
    # Each run goes on where the one before was: its answers are distinct, in order, and of one epoch.
    offsets = [int(text.rpartition(":")[2]) for text in answered]
    assert {text.rpartition(":")[0] for text in answered} == {epoch}
    # A run's first ids were published by the run before: they are answered with the positions of then.
    assert max(offsets) <= top.offset
    assert top.offset - max(offsets) <= 1
    await harness.close()


@pytest.mark.parametrize(
    ("mark", "why"),
    [
        (None, "mark"),
        (b"rubbish", "mark"),
        ({"inode": 1}, "another file"),
        ({"commits": 10**6}, "missing"),
        ({"boot": "before", "state": "normal"}, "machine"),
        ({"boot": "before", "state": "full"}, ""),
        ({"boot": "before", "state": "clean"}, ""),
        ({"commits": 0, "state": "normal"}, ""),
    ],
)
async def test_a_file_that_may_be_behind_forks(
    harness: SqliteHarness, mark: object, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    await fill(harness, harness.broker)
    before = (await harness.broker.read("log:a", 0, 10)).top
    await harness.sqlite.close()
    name = harness.path.with_name("hub.db-mark")
    found = Mark.parse(name.read_bytes())
    assert found is not None
    assert found.state == "clean"
    if mark is None:
        name.unlink()
    elif isinstance(mark, bytes):
        name.write_bytes(mark)
    else:
        fields = {
            "pid": 1,
            "inode": found.inode,
            "boot": found.boot,
            "commits": found.commits,
            "state": "normal",
        }
        name.write_text(" ".join(str({**fields, **mark}[field]) for field in fields))  # type: ignore[dict-item]
    harness.broker = harness.sqlite = harness.make()
    await harness.sqlite.start(harness.heard)
    top = (await harness.broker.read("log:a", 0, 10)).top
    assert (top.offset, top.first) == (before.offset, before.first)
    if why:
        assert why in caplog.text
        assert top.epoch != before.epoch
        assert top.ancestors == (before.position,)
        # Positions at or below go on, cursors and snapshots too.
        assert (await harness.broker.inbox("log:a", "ann")).cursor == Position(top.epoch, 25)
        assert len((await harness.broker.snapshot("state:a")).events) == 2
        again = await harness.again()
        assert (await again.read("log:a", 0, 10)).top == top
    else:
        assert top == before
        assert "fork" not in caplog.text


async def test_a_copy_put_back_gives_no_offset_twice(harness: SqliteHarness) -> None:
    await publish(harness.broker, "log:a", b"1")
    await harness.sqlite.close()
    backup = harness.path.read_bytes()
    harness.broker = harness.sqlite = harness.make()
    await harness.sqlite.start(Recorder())
    lost = await publish(harness.broker, "log:a", b"2")
    await harness.sqlite.close()
    harness.path.write_bytes(backup)
    harness.broker = harness.sqlite = harness.make()
    await harness.sqlite.start(Recorder())
    again = await publish(harness.broker, "log:a", b"3")
    assert isinstance(again, Published)
    assert lost.position is not None
    assert again.position is not None
    assert (again.position.offset, lost.position.offset) == (2, 2)
    assert again.position.epoch != lost.position.epoch
