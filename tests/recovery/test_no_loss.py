"""The promise: whatever is cut, dropped, delayed, reordered, away, forked, wiped or trimmed, every client gets
every event once and in order, or is told exactly which ones it does not get.
"""

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.cluster.worker_ipc import NoWorkerIpc
from hub.namespaces import Namespace
from hub.node import Node
from hub.protocol.event import Publication
from hub.settings import Settings

from ..support import virtual
from ..support.backplane import Backplane
from ..support.node_client import Client
from ..support.stories import stories

CHANNELS = ("doc:1", "job:1")
RATES = (None, None, None, 2.0)

Op = tuple[Any, ...]


def operations(*, faults: bool) -> st.SearchStrategy[list[Op]]:
    client = st.integers(0, 2 * len(RATES) - 1)
    channel = st.sampled_from(CHANNELS)
    ops = [
        st.tuples(st.just("publish"), channel, st.integers(1, 40), st.integers(1, 3)),
        st.tuples(st.just("publish"), channel, st.integers(1, 3), st.just(2)),
        st.tuples(st.just("connect"), client),
        st.tuples(st.just("cut"), client),
        st.tuples(st.just("pause"), client),
        st.tuples(st.just("read"), client),
        st.tuples(st.just("again"), client),
        st.tuples(st.just("wait"), st.sampled_from([0.0, 0.01, 0.2, 3.0, 12.0])),
    ]
    if faults:
        ops += [
            st.tuples(st.just("drop"), st.integers(1, 5)),
            st.tuples(st.just("delay"), st.sampled_from([0.0, 0.5, 5.0])),
            st.tuples(st.just("down"), st.booleans()),
            st.tuples(st.just("lose_link")),
            st.tuples(st.just("reorder")),
            st.tuples(st.just("fork"), channel, st.integers(0, 5)),
            st.tuples(st.just("wipe"), channel),
            st.tuples(st.just("trim"), channel, st.integers(0, 10)),
        ]
    return st.lists(st.one_of(ops), min_size=3, max_size=40)


def make_node(backplane: Backplane, config: Settings) -> Node:
    return Node(config, backplane, None, "secret", id="n_test", worker_ipc=NoWorkerIpc())  # type: ignore[arg-type]


CONFIG = Settings(
    namespaces={
        "doc": Namespace.model_validate({"mode": "log", "history_size": 60}),
        "job": Namespace.model_validate({"mode": "state", "history_size": 60}),
    },
    frame_bytes=4096,
    outbox_bytes=32768,
    position_check=5.0,
    channel_linger=1.0,
    recovery_limit=50,
    command_rate=1e6,
    command_burst=1_000_000,
    jwt_secret="x" * 32,
)


async def play(ops: list[Op], seed: int) -> None:
    random.seed(seed)
    backplane = Backplane(CONFIG.table)
    node = make_node(backplane, CONFIG)
    await node.start()
    clients = [Client(node, backplane, channel, rate) for channel in CHANNELS for rate in RATES]
    try:
        for op in ops:
            await perform(op, backplane, clients)
            for client in clients:
                client.take()
        await settle(backplane, clients)
        for client in clients:
            check_end(client, backplane)
        kept = [event.size for channel in node.channels.open_channels() for event in channel.tail or ()]
        assert node.channels.tail_bytes == sum(kept), "the count that the budget goes by"
        for client in clients:
            client.cut()
        await asyncio.sleep(CONFIG.channel_linger + 3)
        assert (len(node.channels), node.channels.tail_bytes) == (0, 0)
    finally:
        for client in clients:
            client.cut()
        await node.stop()


async def perform(op: Op, backplane: Backplane, clients: list[Client]) -> None:
    match op:
        case ("publish", channel, count, keys):
            for _ in range(count):
                number = len(backplane.truth)
                key = f"k{number % keys}"
                payload = b'"%s"' % (str(number).encode() * random.choice((1, 1, 40)))
                final = random.random() < 0.1
                await backplane.publish([Publication(channel, "tick", payload, "svc", key=key, final=final)])
        case ("connect", number):
            clients[number].connect()
        case ("cut", number):
            clients[number].cut()
        case ("pause", number):
            clients[number].socket.reading = False
        case ("read", number):
            clients[number].socket.read_on()
        case ("again", number):
            if not clients[number].waiting:
                clients[number].subscribe()
        case ("wait", seconds):
            await asyncio.sleep(seconds)
        case ("drop", count):
            backplane.dropping = count
        case ("delay", seconds):
            backplane.delay_s = seconds
        case ("down", down):
            backplane.down = down
        case (("lose_link" | "reorder") as fault,):
            getattr(backplane, fault)()
        case ("fork" | "trim" as fault, channel, count):
            getattr(backplane, fault)(channel, count)
        case ("wipe", channel):
            backplane.wipe(channel)
        case _:
            raise AssertionError(op)
    await asyncio.sleep(0)


async def settle(backplane: Backplane, clients: list[Client]) -> None:
    """All faults end, all clients come back, and time passes."""
    backplane.heal()
    for _ in range(4):
        for client in clients:
            client.socket.read_on()
        await asyncio.sleep(30)
        for client in clients:
            client.take()
            if client.socket.closed is not None or not client.connected:
                client.connect()
            elif client.refused:
                client.subscribe()
    await asyncio.sleep(30)


def check_end(client: Client, backplane: Backplane) -> None:
    """It stands where the channel stands, and knows of each key what is stored."""
    client.take()
    story = "\n".join(map(str, client.log[-40:]))
    stored = backplane.stored(client.channel)
    assert client.waiting == 0, story
    assert client.position == (stored.epoch, stored.offset), story
    if client.state:
        assert client.keys == {key: event.offset for key, event in stored.keys.items()}, story


@stories(150)
@given(operations(faults=False), st.integers(0, 2**32))
def test_without_faults_of_the_broker_nothing_is_missing(ops: list[Op], seed: int) -> None:
    virtual.run(play(ops, seed))


@stories(300)
@given(operations(faults=True), st.integers(0, 2**32))
def test_whatever_happens_nothing_is_lost_untold(ops: list[Op], seed: int) -> None:
    virtual.run(play(ops, seed))


@pytest.mark.parametrize("seed", range(20))
def test_long_stories(seed: int) -> None:
    """Longer than what hypothesis tries, from a plain generator."""
    chance = random.Random(seed)
    ops: list[Op] = []
    for _ in range(300):
        channel = chance.choice(CHANNELS)
        client = chance.randrange(8)
        ops.append(
            chance.choice(
                [
                    ("publish", channel, chance.randint(1, 60), chance.randint(1, 3)),
                    ("publish", channel, 1, 1),
                    ("connect", client),
                    ("again", client),
                    ("cut", client),
                    ("pause", client),
                    ("read", client),
                    ("wait", chance.choice([0.01, 0.1, 1.0, 5.0])),
                    ("drop", chance.randint(1, 3)),
                    ("reorder",),
                    chance.choice(
                        [("lose_link",), ("delay", 0.3), ("delay", 0.0), ("down", True), ("down", False)]
                    ),
                    chance.choice(
                        [("fork", channel, 3), ("wipe", channel), ("trim", channel, 5), ("wait", 0.5)]
                    ),
                ]
            )
        )
    virtual.run(play(ops, seed))


def test_what_is_no_longer_stored_leaves_the_memory_of_the_node() -> None:
    """A channel that is listened to for days must not keep what its history has let go of."""

    async def story() -> None:
        backplane = Backplane(CONFIG.table)
        node = make_node(backplane, CONFIG)
        await node.start()
        client = Client(node, backplane, "doc:1", None)
        client.connect()
        await asyncio.sleep(1)
        for number in range(20):
            await backplane.publish([Publication("doc:1", "tick", b"%d" % number, "svc")])
        await asyncio.sleep(1)
        (channel,) = node.channels.open_channels()
        assert [event.offset for event in channel.tail or ()] == list(range(1, 21))
        for keep in (5, 0):
            backplane.trim("doc:1", keep)
            await asyncio.sleep(2 * CONFIG.position_check)
            kept = channel.tail or ()
            assert [event.offset for event in kept] == list(range(21 - keep, 21))
            assert node.channels.tail_bytes == sum(event.size for event in kept)
        client.take()
        assert client.position == (channel.epoch, 20)
        client.cut()
        await node.stop()

    virtual.run(story())


@pytest.mark.parametrize("others", [0, 100])
def test_a_silent_loss_is_found_within_the_interval_and_a_third(others: int) -> None:
    """However the check stands when a channel is opened, and however many there are."""

    async def story() -> None:
        config = CONFIG.model_copy(update={"position_check": 30.0})
        backplane = Backplane(config.table)
        node = make_node(backplane, config)
        await node.start()
        held = [await node.channels.acquire(f"doc:other{number}") for number in range(others)]
        longest = 0.0
        for number in range(12):
            client = Client(node, backplane, f"doc:{number}", None)
            client.connect()
            await asyncio.sleep(1)
            backplane.dropping = 1
            await backplane.publish([Publication(client.channel, "tick", b"1", "svc")])
            lost_at = asyncio.get_running_loop().time()
            while client.next < 2:
                await asyncio.sleep(0.1)
                client.take()
            longest = max(longest, asyncio.get_running_loop().time() - lost_at)
            await asyncio.sleep(random.uniform(0, 30))
            client.cut()
        assert longest <= 1.3 * config.position_check
        for channel in held:
            node.channels.release(channel)
        await asyncio.sleep(2 * config.position_check)
        assert not node._position_check._line
        assert not node._position_check._known
        await node.stop()

    virtual.run(story())


def test_a_slow_reader_below_a_fork_goes_on_in_the_middle_of_its_replay() -> None:
    """The node is beyond the fork, and starts anew; who still replays below it misses nothing."""

    async def story() -> None:
        backplane = Backplane(CONFIG.table)
        node = make_node(backplane, CONFIG)
        await node.start()
        quick, slow = (Client(node, backplane, "doc:1", None) for _ in range(2))
        quick.connect()
        slow.connect()
        await asyncio.sleep(1)
        slow.cut()
        for number in range(50):
            await backplane.publish([Publication("doc:1", "tick", b'"%s"' % (b"%d" % number * 1500), "svc")])
        await asyncio.sleep(1)
        slow.connect()
        slow.socket.reading = False  # it gets what its socket takes, and no more
        await asyncio.sleep(1)
        backplane.fork("doc:1", 5)
        for number in range(10):
            await backplane.publish([Publication("doc:1", "tick", b"%d" % number, "svc")])
        await asyncio.sleep(5)
        slow.socket.read_on()
        await asyncio.sleep(5)
        for client in (quick, slow):
            client.take()
            assert client.position == ("e2", 55)
        told = [m.get("gap") for m in slow.log if isinstance(m, dict) and m["type"] == "hub.resubscribe"]
        assert told == [None], "only the epoch's name changed"
        offsets = [m["offset"] for m in slow.log if isinstance(m, dict) and m["type"] == "tick"]
        assert offsets == list(range(1, 56))
        for client in (quick, slow):
            client.cut()
        await node.stop()

    virtual.run(story())
