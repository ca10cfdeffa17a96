"""The publisher against a real HTTP server with scripted answers."""

# ruff: noqa: SIM117  the hub and the publisher are two steps of a test, not one line

import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from hub.publisher import (
    ErrorCode,
    HubError,
    NotConnected,
    NotPublished,
    Published,
    Publisher,
    QueueFull,
    SyncPublisher,
    TokenRefused,
    TryAgain,
    UnknownOutcome,
)

from .clock import Clock
from .http_hub import HttpHub, problem, stored


async def test_an_event_arrives_with_all_its_fields() -> None:
    async with HttpHub() as hub, Publisher(hub.url, api_key="key-1") as publisher:
        options: dict[str, Any] = {"key": "42", "version": [1, 2], "event_id": "mine", "lease_ms": 5000}
        published = await publisher.publish("job:42", "job_status", {"a": 1}, final=True, **options)
    assert published == Published("job:42", "mine", "k", 1)
    fields = {"channel": "job:42", "event": "job_status", "payload": {"a": 1}, "final": True, **options}
    assert hub.batches == [[fields]]
    assert hub.bearers == ["key-1"]


async def test_events_leave_in_batches_of_a_thousand_in_order() -> None:
    async with HttpHub() as hub, Publisher(hub.url, api_key="k") as publisher:
        for n in range(2500):
            publisher.publish_nowait("job:1", "x", n)
        await publisher.flush()
    assert [len(batch) for batch in hub.batches] == [1000, 1000, 500]
    assert [event["payload"] for batch in hub.batches for event in batch] == list(range(2500))
    assert len({event["event_id"] for batch in hub.batches for event in batch}) == 2500


async def test_large_events_make_smaller_batches() -> None:
    async with HttpHub() as hub, Publisher(hub.url, api_key="k") as publisher:
        for _ in range(5):
            publisher.publish_nowait("job:1", "x", "x" * 400_000)
        await publisher.flush()
    assert [len(batch) for batch in hub.batches] == [2, 2, 1]


async def test_the_block_ends_when_all_is_sent() -> None:
    async with HttpHub() as hub:
        async with Publisher(hub.url, api_key="k", linger=5) as publisher:
            sent = publisher.publish_nowait("job:1", "x", 1)
        assert (await sent).offset == 1
        with pytest.raises(NotConnected):
            publisher.publish_nowait("job:1", "x", 2)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_busy_hub_is_asked_again_with_the_same_ids_when_it_says(status: int) -> None:
    clock = Clock()
    async with HttpHub(problem(status, "busy", Retry_After="3")) as hub:
        async with Publisher(hub.url, api_key="k", linger=0, timing=clock.timing) as publisher:
            await publisher.publish("job:1", "x", 1)
    first, second = hub.batches
    assert first == second
    wait = 0.05 if status == 500 else 3.05
    assert clock.slept == [pytest.approx(wait)]


async def test_a_body_that_is_no_answer_is_asked_again() -> None:
    answers = [lambda _e: Response("<html>"), lambda _e: JSONResponse({"results": []})]
    async with HttpHub(*answers) as hub:
        async with Publisher(hub.url, api_key="k", timing=Clock().timing) as publisher:
            assert (await publisher.publish("job:1", "x", 1)).offset == 1
    assert len(hub.batches) == 3


async def test_an_error_in_one_leaves_the_others_and_one_for_now_is_repeated() -> None:
    def mixed(events: list[dict[str, Any]]) -> Response:
        good = {"channel": "job:1", "epoch": "k", "offset": 1, "event_id": events[0]["event_id"]}
        later = {"code": "rate_limited", "reason": "slow", "retry": True, "retry_after_ms": 100}
        bad = {"code": "forbidden", "reason": "no grant", "retry": False, "channel": "job:9"}
        stale = {**good, "event_id": events[3]["event_id"], "stale": True}
        return JSONResponse({"results": [good, later, bad, stale]})

    clock = Clock()
    async with HttpHub(mixed) as hub:
        async with Publisher(hub.url, api_key="k", timing=clock.timing) as publisher:
            futures = [publisher.publish_nowait("job:1", "x", n) for n in range(4)]
            results = await asyncio.gather(*futures, return_exceptions=True)
    assert isinstance(results[2], HubError)
    assert results[2].code is ErrorCode.FORBIDDEN
    assert [getattr(r, "offset", None) for r in results] == [1, 1, None, 1]
    assert getattr(results[3], "stale", False)
    assert [event["payload"] for event in hub.batches[1]] == [1]


async def test_a_request_that_is_refused_as_a_whole_fails_all_its_events() -> None:
    async with HttpHub(problem(413, "too large", "too_large")) as hub:
        async with Publisher(hub.url, api_key="k") as publisher:
            with pytest.raises(HubError, match="too large") as error:
                await publisher.publish("job:1", "x", 1)
    assert error.value.code is ErrorCode.TOO_LARGE


async def test_no_hub_is_given_up_in_time_with_a_clear_error() -> None:
    async with HttpHub() as hub:
        url = hub.url
    clock = Clock(1.0)
    async with Publisher(url, api_key="k", deadline=10, timing=clock.timing) as publisher:
        with pytest.raises(NotPublished, match="ConnectError") as error:
            await publisher.publish("job:1", "x", 1, event_id="mine")
    assert error.value.event_id == "mine"
    assert [round(s, 3) for s in clock.slept if s > 0.01] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2]


async def test_no_answer_in_time_is_an_unknown_outcome() -> None:
    never = asyncio.Event()
    async with HttpHub(gate=never.wait) as hub:  # type: ignore[arg-type]
        clock = Clock()
        options = {"timeout": 0.1, "deadline": 0.2}
        async with Publisher(hub.url, api_key="k", timing=clock.timing, **options) as publisher:  # type: ignore[arg-type]
            with pytest.raises(UnknownOutcome):
                await publisher.publish("job:1", "x", 1)
        never.set()


async def test_a_refused_token_is_renewed_once_and_then_an_error() -> None:
    tokens = iter(["t1", "t2", "t3", "t4"])
    refusal = problem(401, "expired", "token_expired")
    async with HttpHub(refusal, stored, refusal, refusal) as hub:
        async with Publisher(hub.url, token=lambda: next(tokens)) as publisher:
            await publisher.publish("job:1", "x", 1)
            with pytest.raises(TokenRefused, match="expired"):
                await publisher.publish("job:1", "x", 2)
    assert hub.bearers == ["t1", "t2", "t2", "t3"]


async def test_a_refused_api_key_is_an_error_at_once() -> None:
    async with HttpHub(problem(401, "unknown key", "token_invalid")) as hub:
        async with Publisher(hub.url, api_key="secret") as publisher:
            with pytest.raises(TokenRefused, match="unknown key") as error:
                await publisher.publish("job:1", "x", 1)
    assert "secret" not in str(error.value)


class Held:
    """A delivery that waits until it is told."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.sent: list[Sequence[dict[str, Any]]] = []

    async def send(self, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        self.sent.append(events)
        await self.go.wait()
        if len(self.sent) == 1:
            raise TryAgain("first time", sent=False)
        return [{"channel": e["channel"], "event_id": e["event_id"]} for e in events]

    async def close(self) -> None:
        self.go.clear()


async def test_the_queue_is_bounded_and_a_waiting_caller_gets_room() -> None:
    held = Held()
    async with Publisher("any:", delivery=held, queue=2, linger=0, timing=Clock().timing) as publisher:
        first = publisher.publish_nowait("job:1", "x", 0)
        while not held.sent:
            await asyncio.sleep(0)
        publisher.publish_nowait("job:1", "x", 1)
        given_up = publisher.publish_nowait("job:1", "x", 2)
        with pytest.raises(QueueFull):
            publisher.publish_nowait("job:1", "x", 3)
        waiting = asyncio.create_task(publisher.publish("job:1", "x", 4))
        await asyncio.sleep(0)
        given_up.cancel()
        held.go.set()
        await asyncio.gather(first, waiting)
    numbers = [[e["event_id"] for e in b] for b in held.sent]
    assert numbers[0] == numbers[1][:1]
    assert len({id for batch in numbers for id in batch}) == 3


async def test_bad_arguments_are_told_at_once() -> None:
    with pytest.raises(ValueError, match="deadline"):
        Publisher("http://h", api_key="k", deadline=300)
    with pytest.raises(ValueError, match="http://"):
        await Publisher("ftp://h", api_key="k").start()
    with pytest.raises(ValueError, match="api_key or a token"):
        await Publisher("http://h").start()
    async with Publisher("any:", delivery=Held()) as publisher:
        with pytest.raises(HubError, match="colon"):
            publisher.publish_nowait("nochannel", "x", 1)
        with pytest.raises(HubError, match="not a value of JSON"):
            publisher.publish_nowait("job:1", "x", object())


async def test_what_cannot_be_sent_does_not_stop_the_batch_that_it_would_be_in() -> None:
    half = "\ud83d"
    async with HttpHub() as hub, Publisher(hub.url, api_key="k") as publisher:
        good = publisher.publish_nowait("job:1", "x", 1)
        wrong: list[dict[str, Any]] = [{"key": half}, {"event_id": half}]
        for fields in wrong:
            with pytest.raises(HubError) as error:
                publisher.publish_nowait("job:1", "x", 2, **fields)
            assert (error.value.code, error.value.outcome) == (ErrorCode.BAD_MESSAGE, "not_done")
        for channel, event, payload in (
            ("job:1", half, 1),
            (f"job:{half}", "x", 1),
            ("job:1", "x", {half: half}),
        ):
            with pytest.raises(HubError):
                publisher.publish_nowait(channel, event, payload)
        assert (await good).offset == 1


async def test_a_failure_that_nobody_awaits_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with HttpHub(problem(403, "no grant", "forbidden")) as hub:
        async with Publisher(hub.url, api_key="k") as publisher:
            publisher.publish_nowait("job:1", "x", 1)
            with caplog.at_level(logging.WARNING, "hub.publisher"):
                await publisher.flush()
    assert "no grant" in caplog.text


async def test_the_sync_publisher_works_from_any_thread() -> None:
    async with HttpHub() as hub:

        def work() -> tuple[Published, Published]:
            with SyncPublisher(hub.url, api_key="k") as publisher:
                return publisher.publish("job:1", "x", 1), publisher.publish_nowait("job:1", "x", 2).result(
                    10
                )

        one, two = await asyncio.to_thread(work)
    assert (one.offset, two.offset) == (1, 1)
    assert len(hub.batches) == 2


async def test_the_sync_publisher_tells_what_is_wrong() -> None:
    def work() -> None:
        with pytest.raises(ValueError, match="api_key or a token"):
            SyncPublisher("http://h").publish("job:1", "x", 1)

    await asyncio.to_thread(work)


FORK = """
import os, sys
from hub.publisher import SyncPublisher

publisher = SyncPublisher(sys.argv[1], api_key="k")
publisher.publish("job:1", "x", "parent")
child = os.fork()
if child == 0:
    publisher.publish("job:1", "x", "child")
    publisher.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
publisher.publish("job:1", "x", "parent again")
publisher.close()
"""


async def test_the_sync_publisher_works_in_forked_children() -> None:
    async with HttpHub() as hub:
        command = (sys.executable, "-W", "ignore", "-c", FORK, hub.url)
        process = await asyncio.create_subprocess_exec(*command, cwd=Path(__file__).parents[2])
        assert await process.wait() == 0
    assert [batch[0]["payload"] for batch in hub.batches] == ["parent", "child", "parent again"]


async def test_an_app_without_a_hub_under_this_path_is_told_as_such() -> None:
    async with HttpHub() as hub, Publisher(f"{hub.url}/elsewhere", api_key="k") as publisher:
        with pytest.raises(
            HubError, match=r"HTTP 404 from http://\S+/elsewhere/v1/batch, and not by a hub"
        ) as caught:
            await publisher.publish("job:1", "x", 1)
        assert caught.value.outcome == "not_done"


async def test_what_is_logged_of_an_outage_is_for_a_person(caplog: pytest.LogCaptureFixture) -> None:
    async with Publisher("http://127.0.0.1:1", api_key="a-secret-key", deadline=0.5) as publisher:
        futures = [publisher.publish_nowait("job:1", "x", n) for n in range(3)]
        await asyncio.wait(futures)
    lines = [
        record.getMessage() for record in caplog.records if "wait, the next attempt" in record.getMessage()
    ]
    assert lines
    for line in lines:
        assert line.startswith(
            "the hub at http://127.0.0.1:1 can't be reached (ConnectError); 3 events wait, "
        )
    assert "a-secret-key" not in caplog.text
