"""Liveness, readiness, metrics."""

import asyncio
import contextlib
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import InvalidStatus

from ..broker.redis.servers import RedisServer
from ..support.pace import SCALE
from ..support.server import RunningHub, running_hub
from ..support.wire import connect
from .test_publish import refused


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """The values of an exposition by name and labels; the label `worker` is left out."""
    return {
        (
            sample.name,
            tuple(sorted((name, value) for name, value in sample.labels.items() if name != "worker")),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_alive_and_ready(hub: RunningHub) -> None:
    http = hub.http(None)
    assert http.get("/livez").json() == {"live": True}
    ready = http.get("/readyz")
    assert ready.status_code == 200
    body = ready.json()
    assert (body["ready"], body["reasons"]) == (True, [])
    assert body["node"].startswith("n_")
    (shard,) = body["shards"]
    assert (shard["name"], shard["usable"], shard["deaf_s"]) == ("memory", True, 0)


async def test_what_is_counted() -> None:
    with running_hub() as hub:
        http = hub.http()
        token = hub.token("ann", subscribe=["job:*"])
        async with connect(hub.ws_url, token, place="query") as wire:
            await wire.ask("subscribe", channel="job:1")
            await wire.ask("subscribe", channel="nope:1")
            hub.publish("job:1")
            await wire.expect("tick")
            http.post("/v1/publish", json={})
            http.get("/v1/channels/job:secret-name")
            http.get("/no/such/path")
            with pytest.raises(InvalidStatus):
                async with connect(hub.ws_url, hub.secret("not-a-token"), place="query"):
                    pass
            ticket = hub.secret(http.post("/v1/tickets").json()["ticket"])
            answer = http.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=")
        found = samples(answer.text)
        for name, labels, value in (
            ("hub_workers", (), 1),
            ("hub_connections", (), 1),
            ("hub_channels", (), 1),
            ("hub_ready", (), 1),
            ("hub_draining", (), 0),
            ("hub_connections_opened_total", (), 1),
            ("hub_published_total", (), 1),
            ("hub_delivered_total", (), 1),
            ("hub_commands_total", (("type", "subscribe"),), 2),
            ("hub_errors_total", (("code", "unknown_namespace"),), 1),
            ("hub_refused_total", (("code", "token_invalid"),), 1),
            ("hub_http_requests_total", (("route", "/v1/publish"), ("status", "200")), 1),
            ("hub_http_requests_total", (("route", "/v1/publish"), ("status", "400")), 1),
            ("hub_http_requests_total", (("route", "/v1/channels/{channel}"), ("status", "200")), 1),
            ("hub_http_requests_total", (("route", "none"), ("status", "404")), 1),
            ("hub_shard_usable", (("shard", "memory"),), 1),
        ):
            assert found.get((name, labels)) == value, (name, labels)
        assert found["process_resident_memory_bytes", ()] > 10_000_000
        for secret in (token, ticket, hub.api_key, "not-a-token", "secret-name", "job:1"):
            assert secret not in answer.text
        # A hub's names: what it counts ends in _total, and units are base units.
        assert {name for name, _ in found if not name.startswith(("hub_", "process_"))} == set()
        counted = samples(http.get("/metrics").text)["hub_closed_total", (("reason", "normal"),)]
        assert counted == 1


def test_metrics_for_services_only() -> None:
    with running_hub(metrics_public=False) as hub:
        refused(hub.http(None).get("/metrics"), 401, "unauthenticated")
        refused(hub.http(hub.token("ann")).get("/metrics"), 403, "forbidden")
        assert hub.http().get("/metrics").status_code == 200


async def test_all_workers_of_a_port_speak(tmp_path: Path) -> None:
    async with RedisServer(tmp_path / "redis") as redis:
        with running_hub("--workers", "2", broker=redis.url, drain_seconds=1) as hub:
            text = await _metrics_of_two(hub)
            for worker in "01":
                assert f'hub_ready{{worker="{worker}"}} 1.0' in text
            assert text.count("# TYPE hub_ready gauge") == 1
            assert hub.http().post("/v1/drain").status_code == 202
            async with asyncio.timeout(5 * SCALE):
                with contextlib.suppress(httpx.TransportError):  # with nobody there, it may be gone already
                    while hub.http().get("/readyz").status_code == 200:
                        await asyncio.sleep(0.02)


async def _metrics_of_two(hub: RunningHub) -> str:
    """The metrics, as soon as both workers answer."""
    http = hub.http()
    async with asyncio.timeout(20 * SCALE):
        while "hub_workers 2.0" not in (text := http.get("/metrics").text):
            await asyncio.sleep(0.05)
    return text
