"""Events to an endpoint: at least once, in order, whatever the endpoint does; the same over memory and Redis."""

import asyncio
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from hub.broker.base import Member
from hub.broker.redis import intents
from hub.broker.redis.publishing import RedisPublishing
from hub.protocol.event import Publication
from hub.protocol.position import Top
from hub.webhooks import courier, endpoint
from hub.webhooks.endpoint import Standing

from ..broker.redis.harness import QUICK
from ..broker.redis.servers import RedisServer
from ..support import backend as support
from ..support.backend import Backend, Request
from .stage import node, numbers, publish, table, taken, until


async def test_events_come_signed_in_order_and_say_where_they_are_from(redis_url: str | None) -> None:
    async with Backend(taken) as server, node(redis_url, table(server.url)) as one:
        await publish(one, "log:1", *range(1, 26))
        await publish(one, "state:1", 100, key="k")
        await publish(one, "short:1", 999)  # no channel of this endpoint
        await until(lambda: len(server.seen) >= 26)
        await asyncio.sleep(0.05)
        for request in server.seen:
            request.check_signature()
        of_log = [each for each in server.seen if each.json["channel"] == "log:1"]
        assert numbers(of_log) == list(range(1, 26))
        assert len({each.headers["webhook-id"] for each in server.seen}) == 26
        (keyed,) = [each.json for each in server.seen if each.json["channel"] == "state:1"]
        assert keyed["type"] == "event"
        assert keyed["event"]["key"] == "k"
        assert keyed["event"]["offset"] == 1
        assert keyed["id"] == f"state:1/{keyed['event']['epoch']}:1"
        assert one.endpoint().delivered == 26


def hurry(monkeypatch: pytest.MonkeyPatch, pause_s: float, tries: int) -> None:
    """So many tries more, after so long each; and the look at what waits, which no try of the real schedule comes
    before, is as quick."""
    monkeypatch.setattr(courier, "SCHEDULE_S", (pause_s,) * tries)
    monkeypatch.setattr(courier, "_LOOK_AGAIN_S", pause_s)


async def test_what_fails_is_tried_again_in_order_and_under_the_same_id(
    redis_url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch, 0.05, 5)
    failures = iter([500, 302, 0, 429, 404])  # a reset among them

    async def moody(request: Request) -> support.Answer | None:
        status = next(failures, 200)
        return None if status == 0 else (status, {"retry-after": "0"}, b"")

    async with Backend(moody) as server, node(redis_url, table(server.url)) as one:
        one.endpoint().breaker._failures = 100
        await publish(one, "log:1", 1, 2, 3)
        await until(lambda: len(server.seen) >= 8)
        assert numbers(server.seen) == [1, 1, 1, 1, 1, 1, 2, 3]
        assert len({each.headers["webhook-id"] for each in server.seen[:6]}) == 1


async def test_in_batches(redis_url: str | None) -> None:
    async with Backend(taken) as server, node(redis_url, table(server.url, batch=10)) as one:
        await publish(one, "log:1", *range(1, 26))
        await until(lambda: sum(len(each.json) for each in server.seen) >= 25)
        found = [event["event"]["payload"] for each in server.seen for event in each.json]
        assert found == list(range(1, 26))
        assert len(server.seen) < 25


async def test_after_the_last_try_it_is_a_dead_letter_and_the_others_go_on(
    redis_url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch, 0.02, 2)

    async def refuses_two(request: Request) -> support.Answer:
        return (400 if request.json["event"]["payload"] == 2 else 200), {}, b""

    async with Backend(refuses_two) as server, node(redis_url, table(server.url)) as one:
        await publish(one, "log:1", 1, 2, 3)
        await until(lambda: numbers(server.seen)[-1:] == [3])
        assert numbers(server.seen) == [1, 2, 2, 2, 3]
        ((_, letter),) = await one.broker.dead_letters.page(0, 10)
        kept = orjson.loads(letter)
        assert (kept["tries"], kept["reason"]) == (3, "HTTP 400")
        assert kept["webhook"] == {"endpoint": "one", "channel": "log:1"}
        assert one.endpoint().dead == 1


async def test_a_dead_endpoint_delays_no_other(redis_url: str | None) -> None:
    async def never(_: Request) -> None:
        await asyncio.sleep(3600)

    async with Backend(never) as dead, Backend(taken) as well:
        tables = (table(dead.url, name="dead", timeout=0.2), table(well.url, name="well"))
        async with node(redis_url, *tables) as one:
            for number in range(100):
                await publish(one, f"log:{number}", number)
            await until(lambda: len(well.seen) == 100)
            assert one.endpoint("well").failed == 0
            await until(lambda: one.endpoint("dead").failed >= 5)
            assert one.endpoint("dead").delivered == 0


async def test_gone_is_disabled_and_enabled_by_hand(
    redis_url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses = iter([410])

    async def gone(_: Request) -> support.Answer:
        return next(statuses, 200), {}, b""

    monkeypatch.setattr(courier, "WHILE_DISABLED_S", 0.1)
    hurry(monkeypatch, 0.02, 1)
    async with Backend(gone) as server, node(redis_url, table(server.url)) as one:
        await publish(one, "log:1", 1)
        await until(lambda: one.endpoint().standing.disabled is not None)
        await publish(one, "log:1", 2)
        await asyncio.sleep(0.3)
        assert len(server.seen) == 1, "nothing is sent to it"
        one.endpoint().standing = Standing()
        await one.courier.learn()
        assert one.endpoint().standing.disabled == "it answered 410 Gone", "every node knows"
        await one.courier.enable(one.endpoint())
        await until(lambda: len(server.seen) == 3)
        assert numbers(server.seen) == [1, 1, 2]


async def test_a_day_of_failure_disables_it(redis_url: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "DISABLE_AFTER_S", 0.2)
    hurry(monkeypatch, 0.05, 50)

    async def broken(_: Request) -> support.Answer:
        return 400, {}, b""

    async with Backend(broken) as server, node(redis_url, table(server.url)) as one:
        await publish(one, "log:1", 1)
        await until(lambda: one.endpoint().standing.disabled is not None)
        assert "a day" in (one.endpoint().standing.disabled or "")
        assert await one.broker.dead_letters.count() == 0, "what waits stays"


async def test_the_oldest_give_way_where_too_many_wait(
    redis_url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "WHILE_DISABLED_S", 0.1)
    async with Backend(taken) as well, Backend(taken) as server:
        told = table(well.url, name="told", channels=[], events=["webhook.overflow"])
        async with node(redis_url, table(server.url), told, webhook_waiting=3) as one:
            await one.courier.disable(one.endpoint(), "by hand", by="test")
            await publish(one, "log:1", *range(1, 6))
            await until(lambda: one.endpoint().overflowed == 2)
            letters = [orjson.loads(letter) for _, letter in await one.broker.dead_letters.page(0, 10)]
            assert {letter["reason"] for letter in letters} == {"too many wait for this endpoint"}
            await until(lambda: well.seen)
            overflow = well.seen[0].json
            assert (overflow["endpoint"], overflow["of"], overflow["count"]) == ("one", "log:1", 2)
            await one.courier.enable(one.endpoint())
            await until(lambda: len(server.seen) == 3)
            assert numbers(server.seen) == [3, 4, 5]


async def test_a_node_that_dies_after_it_has_stored_is_no_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node that stores never sends: another one finds what waits, by the due-list."""
    monkeypatch.setattr(intents, "_FIRST_LOOK_S", 0.1)
    async with RedisServer(tmp_path / "redis") as redis, Backend(taken) as server:
        async with node(redis.url, table(server.url), number=1) as first:
            monkeypatch.setattr(first.courier, "_begin", lambda endpoint, channel: None)
            await publish(first, "log:1", *range(1, 8))
            await publish(first, "state:1", 9, key="k")
        assert not server.seen
        async with node(redis.url, table(server.url), number=2):
            await until(lambda: len(server.seen) >= 8)
            assert numbers([each for each in server.seen if each.json["channel"] == "log:1"]) == [
                *range(1, 8)
            ]


async def test_a_channel_that_is_deleted_leaves_what_was_promised(
    redis_url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was stored before is told, under the epoch that it had; what comes after, behind it."""
    monkeypatch.setattr(courier, "WHILE_DISABLED_S", 0.1)
    async with Backend(taken) as server, node(redis_url, table(server.url)) as one:
        await one.courier.disable(one.endpoint(), "by hand", by="test")
        for channel in ("log:1", "log:2"):
            await publish(one, channel, 1, 2)
        await publish(one, "state:1", 3, key="k")
        before = (await one.broker.tops(["log:1"]))[0]
        assert isinstance(before, Top)
        await one.broker.delete("log:1")
        await one.broker.delete_key("state:1", "k")
        assert (await one.broker.read("log:1", None, 10)).events == []
        await publish(one, "log:1", 4)
        await one.courier.enable(one.endpoint())
        await until(lambda: len(server.seen) >= 6)
        told = [each.json["event"] for each in server.seen if each.json["channel"] == "log:1"]
        assert [each["payload"] for each in told] == [1, 2, 4]
        assert [each["epoch"] == before.epoch for each in told] == [True, True, False]
        assert numbers([each for each in server.seen if each.json["channel"] == "log:2"]) == [1, 2]
        assert [
            each.json["event"]["payload"] for each in server.seen if each.json["channel"] == "state:1"
        ] == [3]
        await asyncio.sleep(0.1)
        assert len(server.seen) == 6


async def test_who_publishes_past_the_nodes_is_heard_too(tmp_path: Path) -> None:
    async with (
        RedisServer(tmp_path / "redis") as redis,
        Backend(taken) as server,
        node(redis.url, table(server.url)),
    ):
        backend = RedisPublishing(redis.url, tuning=QUICK)
        await backend.start()
        try:
            await backend.publish([Publication("log:1", "n", b"%d" % each, "svc") for each in (1, 2)])
            await backend.publish([Publication("short:1", "n", b"9", "svc")])
        finally:
            await backend.close()
        await until(lambda: len(server.seen) >= 2)
        assert numbers(server.seen) == [1, 2]


async def test_two_nodes_share_the_work_and_keep_the_order(tmp_path: Path) -> None:
    async with RedisServer(tmp_path / "redis") as redis, Backend(taken) as server:
        given = table(server.url)
        async with node(redis.url, given, number=1) as one, node(redis.url, given, number=2) as two:
            for number in range(1, 31):
                await publish(one if number % 2 else two, "log:1", number)
            await until(lambda: len(server.seen) >= 30)
            assert numbers(server.seen) == [*range(1, 31)]


async def test_presence_and_happenings(redis_url: str | None) -> None:
    events = ["presence.joined", "presence.left", "connection.opened", "token.revoked"]
    async with Backend(taken) as server, node(redis_url, table(server.url, events=events)) as one:
        await publish(one, "log:1", 1)  # events are not asked for
        member = Member("ann", "tab", True, "c_1", b'{"name":"Ann"}')
        await one.broker.presence.enter("log:1", member)
        await one.broker.presence.set_state("log:1", "ann", "tab", "c_1", b'{"at":1}')
        await one.broker.presence.leave("log:1", "ann", "tab", "c_1", 0.0)
        one.webhooks.revoked("sub:ann", 7.0)
        await until(lambda: len(server.seen) >= 3)
        await asyncio.sleep(0.1)
        found = {request.json["type"]: request.json for request in server.seen}
        assert set(found) == {"presence.joined", "presence.left", "token.revoked"}
        assert found["presence.joined"]["member"] == {"user": "ann", "as": "tab", "info": {"name": "Ann"}}
        assert found["token.revoked"]["entry"] == "sub:ann"


async def test_cloudevents_after_a_handshake(redis_url: str | None) -> None:
    async def consents(request: Request) -> support.Answer:
        if request.method == "OPTIONS":
            return 200, {"webhook-allowed-origin": request.headers["webhook-request-origin"]}, b""
        return 200, {}, b""

    given = {"format": "cloudevents", "origin": "hub.example"}
    async with Backend(consents) as server, node(redis_url, table(server.url, **given)) as one:
        await publish(one, "log:1", 7)
        await until(lambda: len(server.seen) == 2)
        event = server.seen[1]
        assert event.headers["content-type"] == "application/cloudevents+json"
        assert event.json["specversion"] == "1.0"
        assert (event.json["type"], event.json["source"], event.json["data"]) == ("n", "hub.example/log:1", 7)
        assert event.json["id"] == event.headers["webhook-id"]


async def test_without_consent_nothing_is_sent() -> None:
    async with (
        Backend(taken) as server,
        node(None, table(server.url, format="cloudevents")) as one,
    ):
        await publish(one, "log:1", 7)
        await until(lambda: one.endpoint().failed)
        assert {request.method for request in server.seen} == {"OPTIONS"}
        assert "consent" in one.endpoint().last_failure


async def test_many_a_second_and_how_much_a_dead_one_costs() -> None:
    """Not a measurement, but orders of magnitude."""
    async with Backend(taken) as server, node(None, table(server.url)) as one:
        began = time.monotonic()
        for channel in range(20):
            await publish(one, f"log:{channel}", *range(10))
        await until(lambda: len(server.seen) == 200)
        assert time.monotonic() - began < 20
        assert server.at_once <= endpoint.AT_ONCE


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"channels": []}, "channels is missing"),
        ({"name": "No Name"}, "name"),
        ({"secret": "whsec_AAAA"}, "too short"),
        ({"url": "file:///etc/passwd"}, "url"),
        ({"events": ["nothing"]}, "events"),
        ({"batch": 0}, "batch"),
    ],
)
def test_bad_settings(given: dict[str, Any], why: str) -> None:
    from hub.settings import Settings
    from hub.webhooks.settings import read

    with pytest.raises(ValueError, match=r"webhooks\[0\]") as wrong:
        read(Settings(webhooks=[{**table("http://127.0.0.1/x"), **given}]))
    assert why in str(wrong.value)
