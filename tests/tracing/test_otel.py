"""Traces over two nodes, at a receiver that speaks OTLP; off, nothing of it is there."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from hub.protocol.event import Publication
from hub.tracing import base
from hub.tracing.otel import OtelTracer

from ..broker.redis.servers import RedisServer
from ..support.pace import SCALE
from ..support.server import API_KEY, running_hub
from ..support.wire import connect
from .receiver import Receiver, attributes

TRACE = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = f"00-{TRACE}-b7ad6b7169203331-01"
UNSAMPLED = f"00-{TRACE}-b7ad6b7169203331-00"


def named(spans: list[Span], name: str) -> list[Span]:
    return [span for span in spans if span.name == name]


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with RedisServer(tmp_path / "redis") as server:
        yield server


async def test_a_publication_over_two_nodes(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        given: dict[str, Any] = {"broker": redis.url, "otel": True, "otel_ratio": 0}
        with running_hub(**given) as first, running_hub(**given) as second:
            async with (
                connect(first.ws_url, first.token("ann", subscribe=["job:*"])) as ann,
                connect(second.ws_url, second.token("bob", subscribe=["job:*"])) as bob,
            ):
                for wire in (ann, bob):
                    await wire.ask("subscribe", channel="job:1")
                for header in (SAMPLED, UNSAMPLED, "00-rubbish-01"):
                    await publish(first.url, header)
                event = await bob.expect("job_status")
                await asyncio.to_thread(receiver.until, lambda spans: len(named(spans, "process job")) == 2)
        spans = [span for span, _ in receiver.spans]
    (server,), (send,) = named(spans, "POST /v1/publish"), named(spans, "send job")
    processed = named(spans, "process job")
    assert len(spans) == 4, (
        "one each for the request and the publication, one for each node; none of the unsampled"
    )
    assert {span.trace_id.hex() for span in (server, send)} == {TRACE}
    assert server.parent_span_id.hex() == "b7ad6b7169203331"
    assert (server.kind, send.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_PRODUCER)
    assert send.parent_span_id == server.span_id
    assert attributes(server)["http.response.status_code"] == 200
    assert attributes(send)["messaging.destination.template"] == "job:*"
    assert event["meta"]["traceparent"] == f"00-{TRACE}-{send.span_id.hex()}-01", (
        "the client may go on from there"
    )
    for span in processed:
        assert span.kind == Span.SPAN_KIND_CONSUMER
        assert [link.span_id for link in span.links] == [send.span_id]
        assert attributes(span)["hub.receivers"] == 1
        assert attributes(span)["messaging.message.id"] == event["id"]
        assert attributes(span)["hub.queue_age_ms"] >= 0
    nodes = {about["service.instance.id"] for span, about in receiver.spans if span.name == "process job"}
    assert len(nodes) == 2
    assert {about["service.name"] for _, about in receiver.spans} == {"notification-hub"}


async def publish(url: str, traceparent: str, **fields: Any) -> None:
    headers = {"Authorization": f"Bearer {API_KEY}", "traceparent": traceparent}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30 * SCALE) as http:
        body = {"channel": "job:1", "event": "job_status", "payload": 1, **fields}
        assert (await http.post("/v1/publish", json=body)).status_code == 200


async def test_a_receiver_that_hangs_is_nobodys_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver(hangs=True) as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        with running_hub(otel=True, otel_ratio=1) as hub:
            async with connect(hub.ws_url, hub.token("ann", subscribe=["job:*"])) as wire:
                await wire.ask("subscribe", channel="job:1")
                async with asyncio.timeout(60 * SCALE):
                    while not receiver.requests:
                        await publish(hub.url, SAMPLED)
                    for number in range(50):
                        await publish(hub.url, SAMPLED, key=str(number))
                        await wire.expect("job_status")
            began = time.monotonic()
            hub.stop()
            assert time.monotonic() - began < 15 * SCALE


def tracer(ratio: float = 0.0) -> OtelTracer:
    return OtelTracer("n_1", ratio, chance=lambda: 0.5)


async def test_what_is_not_sampled_touches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made = tracer()
    monkeypatch.setattr(made, "_tracer", None)  # whoever asks it for a span fails
    publication = Publication("job:1", "tick", b"1", "svc", meta=b'{"traceparent":"%s"}' % UNSAMPLED.encode())

    async def store() -> list[int]:
        return [1]

    assert await made.send([publication], store) == [1]
    assert await made.request("/v1/publish", "POST", UNSAMPLED, store) == [1]
    assert await made.request("/v1/publish", "POST", None, store) == [1]
    await made.close()


async def test_floods_of_sampled_traces_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    made = OtelTracer("n_1", 1.0, now=lambda: 5.0)
    taken = sum(made._may() for _ in range(5000))
    assert taken == 1000
    await made.close()


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        UNSAMPLED,
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-b7ad6b7169203331-01",
        "x" * 10_000 + "1",
        SAMPLED + "1",
    ],
)
def test_what_is_no_sampled_parent(text: str | None) -> None:
    assert base.parent(text) is None


def test_a_sampled_parent() -> None:
    assert base.parent(SAMPLED) == (int(TRACE, 16), 0xB7AD6B7169203331)


def test_off_nothing_of_it_is_imported(tmp_path: Path) -> None:
    code = """
import asyncio, sys
import hub.bridge.process, hub.cli.bridge
from hub.app import Hub
from hub.settings import Settings

place = {"url": "http://127.0.0.1:9/x", "secret": "whsec_" + "k" * 32}
proxies = [{"event": "publish", "match": ["job:*"], **place}]
webhooks = [{"name": "one", "channels": ["job:*"], **place}]

async def run():
    given = {"proxies": proxies, "webhooks": webhooks, "webhook_allow": ["127.0.0.0/8"]}
    async with Hub(Settings(jwt_secret="x" * 32, **given)).lifespan():
        pass

assert hub.cli.bridge.tracer() is None

asyncio.run(run())
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
