"""One trace from a producer over a bridge, the hub and its proxy to a webhook, at a receiver that speaks OTLP."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from hub.bridge import traces
from hub.bridge.records import Record
from hub.tracing import base
from hub.tracing.otel import LINKS, OtelTracer

from ..bridge.test_mapping import settings
from ..broker.redis.servers import RedisServer
from ..sources.process import Process
from ..support.backend import SECRET, Backend, Request, says
from ..support.server import API_KEY, free_port, running_hub
from .receiver import Receiver, attributes
from .test_otel import SAMPLED, TRACE, UNSAMPLED, named

BRIDGE = """
[[bridges]]
name = "orders"
kind = "redis_stream"
url = "{url}"
streams = ["orders"]
channel = "job:{{data.id}}"
event = "job_status"
"""
ALL = {"process orders", "POST /v1/batch", "ask publish", "send job", "send billing"}


def children(spans: list[Span], parent: Span) -> list[str]:
    return sorted(span.name for span in spans if span.parent_span_id == parent.span_id)


def carried(request: Request) -> str:
    """The id of the span that a request came from."""
    trace, span = request.headers["traceparent"].split("-")[1:3]
    assert trace == TRACE
    return span


async def test_from_a_producer_to_a_webhook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "redis").mkdir()
    with Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        async with RedisServer(tmp_path / "redis") as redis, Backend(says({})) as backend:
            given: dict[str, Any] = {
                "otel": True,
                "otel_ratio": 0,
                "proxies": [{"event": "publish", "url": backend.url, "secret": SECRET, "match": ["job:*"]}],
                "webhooks": [
                    {"name": "billing", "url": backend.url, "secret": SECRET, "channels": ["job:*"]}
                ],
                "webhook_allow": ["127.0.0.0/8"],
            }
            with running_hub(**given) as hub:
                (tmp_path / "hub.toml").write_text(BRIDGE.format(url=redis.url))
                await redis.command("XADD", "orders", "1-1", "data", '{"id":7}', "traceparent", SAMPLED)
                await redis.command("XADD", "orders", "1-2", "data", '{"id":8}', "traceparent", UNSAMPLED)
                with bridge(tmp_path, hub.url):
                    spans = await asyncio.to_thread(
                        receiver.until, lambda spans: {span.name for span in spans} >= ALL
                    )
    (handed,), (server,) = named(spans, "process orders"), named(spans, "POST /v1/batch")
    (asked, *_), (send,), (told, *_) = (named(spans, n) for n in ("ask publish", "send job", "send billing"))
    assert {span.trace_id.hex() for span in (handed, server, asked, send, told)} == {TRACE}
    assert (handed.kind, asked.kind, told.kind) == (
        Span.SPAN_KIND_CONSUMER,
        Span.SPAN_KIND_CLIENT,
        Span.SPAN_KIND_CLIENT,
    )
    assert handed.parent_span_id.hex() == "b7ad6b7169203331"
    assert [link.span_id.hex() for link in handed.links] == ["b7ad6b7169203331"]
    about = attributes(handed)
    assert (about["messaging.system"], about["messaging.operation.name"]) == ("redis_stream", "process")
    assert (about["messaging.destination.name"], about["messaging.batch.message_count"]) == ("orders", 2)
    assert server.parent_span_id == handed.span_id
    assert set(children(spans, server)) == {"ask publish", "send job"}
    assert told.parent_span_id == send.span_id
    assert [link.span_id for link in told.links] == [send.span_id]
    assert (
        attributes(told).items()
        >= {
            "messaging.system": "notification_hub",
            "messaging.destination.name": "billing",
            "http.response.status_code": 200,
            "server.address": "127.0.0.1",
        }.items()
    )
    questions = [request for request in backend.seen if request.json.get("event") == "publish"]
    events = [request for request in backend.seen if request not in questions]
    assert asked.span_id.hex() in [carried(request) for request in questions]
    assert told.span_id.hex() in [carried(request) for request in events]
    for request in backend.seen:
        request.check_signature()
    assert "/path" not in str(spans), "it may be a secret"
    services = {about["service.name"] for span, about in receiver.spans if span.name == "process orders"}
    assert services == {"notification-hub-bridge"}


def bridge(folder: Path, url: str) -> Process:
    """`hub bridge`, with the settings of that folder."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("hub")), "bridge", "--url", url, "--port", str(port)]
    environment = {"HUB_API_KEY": API_KEY, "HUB_OTEL": "true", "HUB_OTEL_RATIO": "0"}
    return Process(command, folder, lambda: True, environment=environment)


def tracer(ratio: float = 0.0) -> OtelTracer:
    return OtelTracer("n_1", ratio, chance=lambda: 0.5)


def step(*behind: str | None, **more: Any) -> base.Step:
    return base.Step("send one", base.Kind.CLIENT, {}, behind, **more)


async def carried_on(found: str | None) -> str | None:
    return found


@pytest.mark.parametrize("behind", [(), (None,), (UNSAMPLED,), ("rubbish", None), (UNSAMPLED, None)])
async def test_what_is_not_sampled_is_asked_without_a_trace(
    behind: tuple[str | None, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tracer(ratio=1.0)
    monkeypatch.setattr(made, "_tracer", None)  # whoever asks it for a span fails
    assert await made.follow(step(*behind), carried_on) is None
    if UNSAMPLED in behind:
        assert await made.follow(step(*behind, begins=True), carried_on) is None, "somebody has decided"
    await made.close()


async def test_where_it_is_a_child_of_what_is_under_way_and_where_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A task that a publication has begun, as a courier's, goes on long after that."""
    with Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        made = tracer()

        async def within() -> list[str | None]:
            return [
                made.current(),
                await made.follow(step(), carried_on),
                await made.follow(step(within=True), carried_on),
                await made.follow(step(f"00-{'a' * 32}-{'b' * 16}-01"), carried_on),
            ]

        around, aside, inside, other = await made.request("/v1/publish", "POST", SAMPLED, within)
        assert (around or "").split("-")[1] == (inside or "").split("-")[1] == TRACE
        assert aside is None
        assert (other or "").split("-")[1] == "a" * 32
        assert made.current() is None
        await made.close()
        (child,) = [span for span, _ in receiver.spans if span.span_id.hex() == (inside or "").split("-")[2]]
        assert child.parent_span_id.hex() == (around or "").split("-")[2]


async def test_a_batch_of_many_traces_is_linked_to_the_first_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        made = tracer()
        many = [f"00-{number:032x}-{number:016x}-01" for number in range(1, 3 * LINKS)]
        assert await made.follow(step(*many, *many), carried_on) is not None
        await made.close()
    ((span, _),) = receiver.spans
    assert [int(link.span_id.hex(), 16) for link in span.links] == list(range(1, LINKS + 1))
    assert int(span.parent_span_id.hex(), 16) == 1


@pytest.mark.parametrize("work", ["follow", "request"])
async def test_no_text_of_an_error_is_in_a_span(work: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object) -> None:
        raise ValueError("the token is hush")

    with Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        made = tracer()
        trial: Callable[[], Awaitable[None]] = (
            (lambda: made.follow(step(SAMPLED), fails))
            if work == "follow"
            else (lambda: made.request("/v1/publish", "POST", SAMPLED, fails))
        )
        with pytest.raises(ValueError, match="hush"):
            await trial()
        await made.close()
    ((span, _),) = receiver.spans
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert attributes(span)["error.type"] == "ValueError"
    assert "hush" not in str(span)


def test_where_a_bridge_finds_the_trace_of_a_record() -> None:
    header = Record(b"1", (0, 1), headers={"traceparent": SAMPLED})
    event: dict[str, Any] = {"channel": "job:1", "event_id": "e_1"}
    mapped = {**event, "meta": {"traceparent": UNSAMPLED}}
    chosen = settings()
    found = traces.step(
        chosen, "orders/3", [(header, event), (header, mapped), (Record(b"1", (0, 2)), event)]
    )
    assert list(found.behind) == [SAMPLED, UNSAMPLED, None]
    assert "messaging.message.id" not in found.attributes
    alone = traces.step(chosen, "orders/3", [(header, event)])
    assert alone.attributes["messaging.message.id"] == "e_1"


def test_the_trace_in_meta_whatever_stands_there() -> None:
    assert base.found(None) is None
    assert base.found(b'{"a":"traceparent"}') is None
    assert base.found(orjson.dumps({"traceparent": SAMPLED})) == SAMPLED
