"""Files that can't be used, and disks that take nothing."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.broker.base import Published
from hub.broker.sqlite.broker import SqliteBroker, Unusable, parse
from hub.protocol.codes import ErrorCode, Outcome
from hub.protocol.errors import HubError

from ..harness import Clock, Recorder, SqliteHarness, attempt, namespaces, publication, publish


@pytest.fixture
async def harness() -> AsyncIterator[SqliteHarness]:
    harness = await SqliteHarness.start()
    yield harness
    await harness.close()


async def refused(path: Path) -> str:
    broker = SqliteBroker(f"sqlite://{path}", namespaces(60.0), Clock())
    with pytest.raises(Unusable) as caught:
        await broker.start(Recorder())
    await broker.close()
    return str(caught.value)


async def test_a_directory(tmp_path: Path) -> None:
    assert "directory" in await refused(tmp_path)
    assert "no directory" in await refused(tmp_path / "none" / "hub.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"hello", b"#!/bin/sh\n" * 100, b"\x00" * 5000])
async def test_a_file_of_another_program(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "hub.db"
    path.write_bytes(content)
    assert "another program" in await refused(path)
    assert path.read_bytes() == content
    assert len(list(tmp_path.iterdir())) == 1


async def test_a_database_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE events (x)")
    db.close()
    before = path.read_bytes()
    assert "another program" in await refused(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("version", "told"), [(9, "newer"), (1, "move it away")], ids=["newer", "no-release-had-it"]
)
async def test_a_format_that_is_not_read(harness: SqliteHarness, version: int, told: str) -> None:
    await harness.sqlite.close()
    db = sqlite3.connect(harness.path)
    db.execute(f"PRAGMA user_version={version}")
    db.close()
    assert told in await refused(harness.path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_file_that_is_read_only(harness: SqliteHarness) -> None:
    await harness.sqlite.close()
    harness.path.chmod(0o400)
    assert "can't be written" in await refused(harness.path)


async def test_a_second_process(harness: SqliteHarness) -> None:
    assert str(os.getpid()) in await refused(harness.path)
    script = (
        "import asyncio, sys\n"
        "from hub.broker.sqlite.broker import SqliteBroker, Unusable\n"
        "from hub.namespaces import Namespaces\n"
        "try: asyncio.run(SqliteBroker(sys.argv[1], Namespaces.shipped()).start(None))\n"
        "except Unusable as error: print(error)\n"
    )
    command = [sys.executable, "-c", script, f"sqlite://{harness.path}"]
    said = (await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)).stdout
    assert f"in use by process {os.getpid()}" in said
    await publish(harness.broker, "log:a")  # nobody else notices


@pytest.mark.parametrize("keep", [50, 4096, 9000])
async def test_a_truncated_file_is_put_aside(
    harness: SqliteHarness, keep: int, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(200):
        await publish(harness.broker, "state:a", b'"%s"' % (b"x" * 500), key=str(number % 4))
    before = (await harness.broker.read("state:a", 0, 1)).top
    await harness.sqlite.close()
    os.truncate(harness.path, keep)
    harness.broker = harness.sqlite = harness.make()
    await harness.sqlite.start(Recorder())
    assert "damaged" in caplog.text
    assert harness.sqlite.counts()["damaged_files"] == 1
    top = (await harness.broker.read("state:a", 0, 1)).top
    assert (top.offset, top.epoch == before.epoch) == (0, False)
    assert len(list(harness.path.parent.glob("hub.db.damaged-*"))) >= 1
    await publish(harness.broker, "state:a")


async def test_rows_that_cant_be_read_are_damage_too(harness: SqliteHarness) -> None:
    await publish(harness.broker, "log:a")
    await harness.sqlite.close()
    db = sqlite3.connect(harness.path)
    db.execute("UPDATE events SET body = x'c1'")
    db.commit()
    db.close()
    harness.broker = harness.sqlite = harness.make()
    await harness.sqlite.start(Recorder())
    assert harness.sqlite.counts()["damaged_files"] == 1
    assert (await harness.broker.read("log:a", 0, 1)).top.offset == 0


async def test_an_emptied_file_is_told(harness: SqliteHarness, caplog: pytest.LogCaptureFixture) -> None:
    await publish(harness.broker, "log:a")
    await harness.sqlite.close()
    os.truncate(harness.path, 0)
    harness.broker = harness.sqlite = harness.make()
    await harness.sqlite.start(Recorder())
    assert "begins anew" in caplog.text


def fill_disk(harness: SqliteHarness, *, full: bool) -> None:
    """A bound on pages is to SQLite what a full disk is."""
    file = harness.sqlite._file
    assert file is not None
    pages = file.db.execute("PRAGMA page_count").fetchone()[0]
    file.db.execute(f"PRAGMA max_page_count={pages if full else 10**6}")


async def test_a_full_disk_is_unavailable_and_heals(harness: SqliteHarness) -> None:
    broker, heard = harness.broker, harness.heard
    for channel in ("log:a", "log:b", "cursor:a"):
        await broker.listen(channel)
    await publish(broker, "log:a", b"1")
    await publish(broker, "log:b", b"1")
    fill_disk(harness, full=True)
    big = b'"%s"' % (b"x" * 50_000)
    failed = await attempt(broker, "log:a", big, event_id="e")
    assert isinstance(failed, HubError)
    assert (failed.code, failed.outcome) == (ErrorCode.UNAVAILABLE, Outcome.UNKNOWN)
    assert len(heard.events("log:a")) == 1  # nobody hears of what may never be
    with pytest.raises(HubError):
        await broker.read("log:a", 0, 10)
    assert (await broker.read("log:b", 0, 10)).top.offset == 1
    other, ephemeral, unknown = await broker.publish(
        [publication("log:b"), publication("cursor:a"), publication("nope:a")]
    )
    assert isinstance(other, HubError)
    assert (other.code, other.outcome) == (ErrorCode.UNAVAILABLE, Outcome.NOT_DONE)
    assert other.retry_after_ms
    assert isinstance(ephemeral, Published)
    assert isinstance(unknown, HubError)
    assert unknown.code is ErrorCode.UNKNOWN_NAMESPACE
    for refusal in (
        broker.delete("log:b"),
        broker.ack("log:b", "ann", (await broker.read("log:b", 0, 1)).top.position),
    ):
        with pytest.raises(HubError):
            await refusal
    [shard] = broker.health()
    assert not shard.usable
    assert shard.why
    fill_disk(harness, full=False)
    await heard.until(lambda: len(heard.events("log:a")) == 2)
    assert broker.health()[0].usable
    again = await publish(broker, "log:a", big, event_id="e")
    assert again.duplicate
    assert (await publish(broker, "log:b")).position is not None
    restarted = await harness.again()
    assert [len(event.payload) for event in (await restarted.read("log:a", 0, 9)).events] == [1, len(big)]


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:",
        "sqlite://",
        "sqlite:///",
        "sqlite://host/x.db",
        "sqlite:///x?synchronous=off",
        "sqlite:///x?a=b",
    ],
)
def test_urls_that_name_no_file(url: str) -> None:
    with pytest.raises(ValueError, match=r"sqlite|synchronous"):
        parse(url)


def test_urls() -> None:
    assert parse("sqlite:///var/lib/a%20b.db") == (Path("/var/lib/a b.db"), "normal")
    assert parse("sqlite:///hub.db?synchronous=full") == (Path("/hub.db"), "full")


async def test_a_long_log_is_checkpointed_aside(harness: SqliteHarness) -> None:
    log = harness.path.with_name("hub.db-wal")
    big = b'"%s"' % (b"x" * 60_000)
    for _ in range(400):
        await publish(harness.broker, "log:a", big)
    async with asyncio.timeout(30.0):
        while harness.sqlite._file is not None and harness.sqlite._file._checkpoint is not None:
            await asyncio.sleep(0.01)
    assert log.stat().st_size < 400 * 60_000 / 2
