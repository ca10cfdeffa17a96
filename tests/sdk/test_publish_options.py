"""What a publication may bear, by the Python SDK against the real hub."""

import logging
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hub.client import Client, HubError, Published
from hub.publisher import Publisher
from hub.sdk import warnings

from .real import KEY, RealHub, token

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def hub() -> AsyncIterator[RealHub]:
    async with RealHub() as hub:
        yield hub


async def test_meta_and_source_of_a_publisher(hub: RealHub) -> None:
    place = {"name": "orders/3", "position": [1, 17]}
    async with Publisher(hub.http, api_key=KEY) as publisher, Client(hub.ws, token=token()) as client:
        first = await publisher.publish("job:7", "paid", 1.0, meta={"traceparent": "00-1"}, source=place)
        again = await publisher.publish("job:7", "paid", 1.0, source=place, event_id_ttl_ms=86_400_000)
        assert (first.duplicate, again.duplicate, again.offset) == (False, True, first.offset)
        [event] = (await client.history("job:7")).events
        assert event.meta == {"traceparent": "00-1"}


async def test_meta_and_a_batch_of_a_client(hub: RealHub) -> None:
    async with Client(hub.ws, token=token()) as client:
        await client.publish("doc:options", "note", 1, meta={"cause": "x"})
        good = {"channel": "doc:options", "event": "note", "payload": 2}
        answers = await client.batch(
            [good, {**good, "event": "hub.no"}, {**good, "payload": 3}], ordered=True
        )
        assert [isinstance(answer, Published) and answer.offset for answer in answers] == [2, False, 3]
        assert isinstance(answers[1], HubError)
        events = (await client.history("doc:options")).events
        assert [(event.payload, event.meta) for event in events] == [
            (1, {"cause": "x"}),
            (2, None),
            (3, None),
        ]


async def test_a_warning_is_logged_once(
    hub: RealHub, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warnings, "_said", set())
    event = {"channel": "doc:warn", "event": "note", "payload": 1, "kye": "k"}
    with caplog.at_level(logging.WARNING, "hub.publisher"):
        async with Client(hub.ws, token=token()) as client:
            await client.batch([event, event])
            await client.batch([event])
    assert caplog.text.count('unknown field "kye"') == 1
