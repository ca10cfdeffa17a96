"""Spans of a bridge: a batch on its way to the hub, behind the producers' traces and before those of the hub.

    producer ─ traceparent in a header or in `meta` ─▶ `process orders` (CONSUMER) ─▶ HTTP to the hub

It is linked to each of the producers' contexts.
"""

import ssl
from collections.abc import Iterable
from typing import Any

import httpx

from ..tracing.base import Follower, Kind, Step, messaging
from .records import Record
from .settings import BridgeSettings


def step(settings: BridgeSettings, partition: str, handed: Iterable[tuple[Record, dict[str, Any]]]) -> Step:
    """Publications, each with the record that it came from. Where no producer has decided, a trace may begin."""
    pairs = list(handed)
    attributes: dict[str, Any] = {
        **messaging("process", settings.kind),
        "messaging.destination.name": partition,
        "messaging.batch.message_count": len(pairs),
        "hub.bridge": settings.name,
    }
    if len(pairs) == 1 and (id := pairs[0][1].get("event_id")) is not None:
        attributes["messaging.message.id"] = id
    if settings.kind == "kafka":
        attributes["messaging.consumer.group.name"] = settings.group
    behind = [_traceparent(record, event) for record, event in pairs]
    return Step(f"process {settings.name}", Kind.CONSUMER, attributes, behind, begins=True)


def client(tracer: Follower, deadline: float, verify: ssl.SSLContext | bool) -> httpx.AsyncClient:
    """To a hub, with the ``traceparent`` of what is under way on each request."""

    async def carry_on(request: httpx.Request) -> None:
        if (traceparent := tracer.current()) is not None:
            request.headers["traceparent"] = traceparent

    return httpx.AsyncClient(
        timeout=deadline, follow_redirects=False, verify=verify, event_hooks={"request": [carry_on]}
    )


def _traceparent(record: Record, event: dict[str, Any]) -> str | None:
    """What the settings have taken into `meta` goes before the header."""
    found: str | None = event.get("meta", {}).get("traceparent")
    return found if found is not None else record.headers.get("traceparent")
