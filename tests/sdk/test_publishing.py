"""Publications over a socket: in order, once, bounded, and their outcome told."""

# ruff: noqa: SIM117  the hub, the client and the subscription are three steps of a test, not one line

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hub.client import (
    Client,
    ErrorCode,
    HubError,
    NotConnected,
    Outcome,
    QueueFull,
    UnknownOutcome,
)

from .clock import Clock
from .fake import FakeHub, Peer, cut
from .steps import until, welcome


async def test_publications_are_repeated_with_their_id_in_order_after_a_cut() -> None:
    async def first(peer: Peer) -> None:
        await peer.welcome()
        sent = [await peer.expect("publish") for _ in range(3)]
        await peer.say("hub.published", id=sent[0]["id"], channel="doc:1", epoch="k", offset=1)
        await cut(peer)

    async def second(peer: Peer) -> None:
        await peer.welcome()
        for offset in (2, 3):
            sent = await peer.expect("publish")
            assert sent["event_id"] == f"e{offset}"
            answer = {"channel": "doc:1", "epoch": "k", "offset": offset, "event_id": sent["event_id"]}
            await peer.say("hub.published", id=sent["id"], **answer)

    async with FakeHub(first, second) as hub, Client(hub.url, "t", timing=Clock().timing) as client:
        published = await asyncio.gather(
            *(client.publish("doc:1", "edit", {"n": n}, event_id=f"e{n}", key="a") for n in (1, 2, 3))
        )
    assert [(p.event_id, p.offset) for p in published] == [("e1", 1), ("e2", 2), ("e3", 3)]


async def test_a_publication_is_waited_for_while_the_old_connection_owes_answers() -> None:
    owed = asyncio.Event()

    async def first(peer: Peer) -> None:
        await peer.welcome()
        sent = await peer.expect("publish")
        await peer.say("hub.drain", reconnect={"min_ms": 0, "max_ms": 0}, deadline_ms=1000)
        await owed.wait()
        await peer.say("hub.published", id=sent["id"], channel="doc:1", epoch="k", offset=1)
        await peer.gone()

    async def second(peer: Peer) -> None:
        await peer.welcome()
        await connected.wait()
        assert peer.received == []
        owed.set()
        sent = await peer.expect("publish")
        assert sent["payload"] == 2
        await peer.say("hub.published", id=sent["id"], channel="doc:1", epoch="k", offset=2)

    connected, seen = asyncio.Event(), list[Any]()
    async with FakeHub(first, second) as hub:
        client = Client(hub.url, "t", timing=Clock().timing, on_status=seen.append)
        async with client:
            one = asyncio.create_task(client.publish("doc:1", "edit", 1))
            await until(seen, lambda: [s.state for s in seen].count("connected") == 2)
            two = asyncio.create_task(client.publish("doc:1", "edit", 2))
            await asyncio.sleep(0)
            connected.set()
            assert [(await one).offset, (await two).offset] == [1, 2]


async def test_publish_errors_are_typed() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome(limits={"message_bytes": 2000})
        sent = await peer.expect("publish")
        await peer.say(
            "hub.error", id=sent["id"], code="forbidden", reason="no", channel="doc:1", retry=False
        )
        sent = await peer.expect("publish")
        await peer.say("hub.error", id=sent["id"], code="rate_limited", reason="slow", retry_after_ms=1)
        again = await peer.expect("publish")
        assert again["event_id"] == sent["event_id"]
        await peer.say("hub.published", id=again["id"], channel="doc:1", epoch="k", offset=3, stale=True)

    async with FakeHub(script) as hub, Client(hub.url, "t") as client:
        with pytest.raises(HubError) as error:
            await client.publish("doc:1", "edit", 1)
        assert error.value.code is ErrorCode.FORBIDDEN
        assert (await client.publish("doc:1", "edit", 1)).stale
        with pytest.raises(HubError) as error:
            await client.publish("doc:1", "edit", "x" * 3000)
        assert error.value.code is ErrorCode.TOO_LARGE
        with pytest.raises(HubError, match="not a value of JSON"):
            await client.publish("doc:1", "edit", object())


HALF = "\U0001f600".encode("utf-16-le", "surrogatepass")[:2].decode("utf-16-le", "surrogatepass")
ASK: dict[str, Callable[[Client], Awaitable[object]]] = {
    "payload": lambda c: c.publish("doc:1", "edit", {"text": [HALF]}),
    "payload's name": lambda c: c.publish("doc:1", "edit", {HALF: 1}),
    "event": lambda c: c.publish("doc:1", HALF, 1),
    "key": lambda c: c.publish("doc:1", "edit", 1, key=HALF),
    "event id": lambda c: c.publish("doc:1", "edit", 1, event_id=HALF),
    "channel": lambda c: c.publish(f"doc:{HALF}", "edit", 1),
    "cursor": lambda c: asyncio.sleep(0, c.publish_nowait("doc:1", "edit", HALF)),
    "history": lambda c: c.history(f"doc:{HALF}"),
    "state": lambda c: c.set_presence("doc:1", HALF),
    "subscription": lambda c: c.subscribe(f"doc:{HALF}").start(),
    "member's name": lambda c: c.subscribe("doc:1", presence={"as": HALF}).start(),
}


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
@pytest.mark.parametrize("where", ASK)
async def test_half_a_surrogate_pair_is_refused_at_once(where: str, encoding: Any) -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        ping = await peer.expect("ping")  # nothing else came
        await peer.say("hub.pong", id=ping["id"], time=5)

    async with FakeHub(script) as hub, Client(hub.url, "t", encoding=encoding) as client:
        with pytest.raises(HubError) as error:
            await ASK[where](client)
        assert (error.value.code, error.value.outcome) == (ErrorCode.BAD_MESSAGE, Outcome.NOT_DONE)
        assert await client.ping() == 5


COMPLAINT = {"code": "bad_message", "reason": "nested too deep", "retry": False}


async def test_a_complaint_without_an_id_settles_the_command_that_it_can_only_belong_to() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.expect("publish")
        await peer.say("hub.error", **COMPLAINT)
        await peer.expect("history")
        await peer.say("hub.error", **COMPLAINT)

    told: list[HubError] = []
    async with FakeHub(script) as hub, Client(hub.url, "t", on_error=told.append) as client:
        for ask in (client.publish("doc:1", "edit", 1), client.history("doc:1")):
            with pytest.raises(HubError, match="nested too deep"):
                await ask
    assert told == []


async def test_a_complaint_that_may_belong_to_several_settles_none() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        first = await peer.expect("publish")
        await peer.expect("publish")
        await peer.say("hub.error", **COMPLAINT)
        await peer.say("hub.published", id=first["id"], channel="doc:1", epoch="k", offset=1)
        await peer.expect("publish")  # a cursor, which may be what was wrong
        await peer.say("hub.error", **COMPLAINT)
        ping = await peer.expect("ping")
        await peer.say("hub.pong", id=ping["id"], time=5)  # so the cursor was read
        await peer.say("hub.error", **COMPLAINT)

    told: list[HubError] = []
    async with FakeHub(script) as hub, Client(hub.url, "t", on_error=told.append) as client:
        one, two = (asyncio.ensure_future(client.publish("doc:1", "edit", n)) for n in (1, 2))
        assert (await one).offset == 1
        assert client.publish_nowait("doc:1", "cursor", 3)
        while len(told) < 2:
            await asyncio.sleep(0.005)
        assert not two.done()
        assert await client.ping() == 5
        with pytest.raises(HubError, match="nested too deep"):
            await two
    assert len(told) == 2


@pytest.mark.parametrize(
    ("said", "meant"), [("not_done", "not_done"), ("unknown", "unknown"), (None, "unknown")]
)
async def test_unavailable_means_two_things_and_the_hub_says_which(said: str | None, meant: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        sent = await peer.expect("publish")
        await peer.say("hub.error", id=sent["id"], code="unavailable", reason="away", outcome=said)

    async with FakeHub(script) as hub, Client(hub.url, "t") as client:
        with pytest.raises(HubError) as error:
            await client.publish("doc:1", "edit", 1)
    assert (error.value.code, error.value.outcome) == (ErrorCode.UNAVAILABLE, meant)


async def test_an_unanswered_publication_ends_as_unknown() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.expect("publish")

    async with FakeHub(script) as hub, Client(hub.url, "t", unknown_after=0.05) as client:
        with pytest.raises(UnknownOutcome) as unknown:
            await client.publish("doc:1", "edit", 1, event_id="mine")
        assert unknown.value.event_id == "mine"


async def test_the_queue_is_bounded_and_may_be_refused() -> None:
    async def first(peer: Peer) -> None:
        await peer.welcome()
        await cut(peer)

    hold, seen = asyncio.Event(), list[Any]()

    async def token() -> str:
        if seen and any(status.state == "waiting" for status in seen):
            await hold.wait()
        return "t"

    async with FakeHub(first, welcome) as hub:
        async with Client(hub.url, token, queue=1, on_status=seen.append, timing=Clock().timing) as client:
            await until(seen, lambda: client.welcome is None)
            waiting = asyncio.create_task(client.publish("doc:1", "edit", 1))
            await asyncio.sleep(0)
            with pytest.raises(QueueFull):
                await client.publish("doc:1", "edit", 2)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            client._refuse = True
            with pytest.raises(NotConnected):
                await client.publish("doc:1", "edit", 3)
            assert not client.publish_nowait("doc:1", "edit", 3)
            hold.set()
            await client._link_up()
            assert client.publish_nowait("cursor:1", "move", 1, key="ann")
            sent = await hub.peers[1].expect("publish")
            assert "id" not in sent


async def test_closing_ends_iterations_and_tells_publishers() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.subscribed(epoch="k", offset=0)
        await peer.expect("publish")

    async with FakeHub(script) as hub:
        client = Client(hub.url, "t")
        await client.start()
        job = client.subscribe("job:1")
        await job.start()
        sent = asyncio.create_task(client.publish("doc:1", "edit", 1))
        while len(hub.peers[0].received) < 2:
            await asyncio.sleep(0.005)
        await client.close()
        assert [item async for item in job] == []
        with pytest.raises(UnknownOutcome):
            await sent
        with pytest.raises(NotConnected):
            await client.publish("doc:1", "edit", 1)
