"""The rows of events in the file are those of the history and of each key's latest event, whatever was done; and a
start brings back all of them, and nothing else."""

from pathlib import Path
from random import Random

import pytest

from hub.broker.base import Page
from hub.broker.sqlite.broker import SqliteBroker
from hub.broker.sqlite.journal import StoredStream
from hub.namespaces import Mode, Namespace, Namespaces

from ..harness import Clock, Recorder, publication

# A short history under keys that stay longer, so that the latest events of keys are cut from it.
RULES = Namespaces(
    {
        "log": Namespace(mode=Mode.LOG, history_size=5, history_ttl=211, meta_ttl=403),
        "state": Namespace(
            mode=Mode.STATE,
            history_size=5,
            history_ttl=101,
            meta_ttl=401,
            snapshot_ttl=17,
            snapshot_idle_ttl=307,
            snapshot_keys=12,
        ),
    }
)
CHANNELS = ["log:a", "log:b", "state:a", "state:b"]


async def act(broker: SqliteBroker, clock: Clock, dice: Random) -> None:
    """Something that a hub does."""
    channel = dice.choice(CHANNELS)
    chance = dice.random()
    if chance < 0.7:
        count = dice.choice((1, 1, 3, 30))
        await broker.publish(
            [
                publication(
                    channel,
                    b"%d" % dice.randrange(10**6),
                    key=dice.choice((None, *"abcdefgh")),
                    final=dice.random() < 0.1,
                    lease_ms=dice.choice((None, None, 30_000)) if channel[0] == "s" else None,
                )
                for _ in range(count)
            ]
        )
    elif chance < 0.85:
        clock.now += dice.choice((1, 20, 120))
        broker.tick()
    elif chance < 0.95 and channel[0] == "s":
        await broker.delete_key(channel, dice.choice("abcdefgh"))
    elif chance > 0.97:
        await broker.delete(channel)
    await broker.settled()


def wanted(broker: SqliteBroker) -> list[tuple[int, int]]:
    """Channel and offset of each event that is kept."""
    found: set[tuple[int, int]] = set()
    for stream in broker._streams.values():
        assert isinstance(stream, StoredStream)
        found |= {(stream.number, event.offset) for event in stream.events}
        found |= {(stream.number, held.event.offset) for held in stream.keys.values()}
    return sorted(found)


def written(broker: SqliteBroker) -> list[tuple[int, int]]:
    assert broker._file is not None
    return sorted(broker._file.db.execute("SELECT channel, position FROM events").fetchall())


async def all_of(broker: SqliteBroker) -> list[Page]:
    pages = [await broker.read(channel, 0, 1000) for channel in CHANNELS]
    return pages + [await broker.snapshot(channel) for channel in CHANNELS if channel[0] == "s"]


@pytest.mark.parametrize("seed", range(6))
async def test_events_that_are_kept_have_a_row_and_others_none(seed: int, tmp_path: Path) -> None:
    dice, clock = Random(seed), Clock()
    for _ in range(5):
        broker = SqliteBroker(f"sqlite://{tmp_path}/hub.db", RULES, clock)
        await broker.start(Recorder())
        assert written(broker) == wanted(broker)
        for _ in range(40):
            await act(broker, clock, dice)
            assert written(broker) == wanted(broker)
        before = await all_of(broker)
        due = {name: stream.history_alarm.due for name, stream in broker._streams.items()}
        life = {name: stream.life_alarm.due for name, stream in broker._streams.items()}
        await broker.close()
        again = SqliteBroker(f"sqlite://{tmp_path}/hub.db", RULES, clock)
        await again.start(Recorder())
        assert await all_of(again) == before
        for name, stream in again._streams.items():
            assert stream.history_alarm.due == pytest.approx(due[name], abs=0.002)
            assert stream.life_alarm.due == pytest.approx(life[name], rel=0, abs=401 / 8 + 0.002)
        assert again.counts()["damaged_files"] == again.counts()["forks"] == 0
        await again.close()
