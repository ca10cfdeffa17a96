"""Traces by OpenTelemetry's SDK, over OTLP/HTTP; its own OTEL_* variables say where to and as whom.

HTTP server span ─▶ `send job` (PRODUCER) ─ meta.traceparent ─▶ on each node one `process job` (CONSUMER), linked.
Before it a bridge's `process orders` (CONSUMER, linked to the producers) and a question to a proxy (CLIENT); behind
it a webhook's request (CLIENT).

The decision whether a trace is sampled is taken here and first, by the parent's flags or by chance, so that what is
not sampled touches no library. What comes in sampled is bounded too: anybody can set a flag.
"""

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

import orjson
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)

from .. import __version__
from ..protocol.event import Event, Publication
from ..runtime.bucket import TokenBucket
from . import base

SPANS_A_SECOND = 200.0
BURST = 1000.0
QUEUE = 8192  # spans that wait for the receiver
CLOSE_S = 2.0
LINKS = 32  # of one span
_KINDS = {base.Kind.CLIENT: SpanKind.CLIENT, base.Kind.CONSUMER: SpanKind.CONSUMER}

_Answer = TypeVar("_Answer")


class OtelTracer:
    """`base.Tracer`. `ratio` of the traces that begin here are sampled."""

    def __init__(
        self,
        node: str,
        ratio: float,
        chance: Callable[[], float] = random.random,
        now: Callable[[], float] = time.monotonic,
        service: str = "notification-hub",
    ) -> None:
        resource = Resource.create({"service.version": __version__, "service.instance.id": node})
        if str(resource.attributes["service.name"]).startswith(
            "unknown_service"
        ):  # else OTEL_SERVICE_NAME says it
            resource = resource.merge(Resource({"service.name": service}))
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), max_queue_size=QUEUE))
        self._tracer = self._provider.get_tracer("hub", __version__)
        self._node = node
        self._ratio = ratio
        self._chance = chance
        self._now = now
        self._bucket = TokenBucket(SPANS_A_SECOND, BURST, now())

    async def request(
        self, route: str, method: str, traceparent: str | None, work: Callable[[], Awaitable[_Answer]]
    ) -> _Answer:
        """As `base.Tracer.request`."""
        before = base.parent(traceparent)
        if not self._sampled(before, base.decided(traceparent)):
            return await work()
        # A task of its own: what is current in it is current in nothing else, also where a coroutine's first step
        # was taken elsewhere (`runtime.first_step`).
        return await asyncio.create_task(self._request(route, method, before, work))

    async def _request(
        self,
        route: str,
        method: str,
        before: tuple[int, int] | None,
        work: Callable[[], Awaitable[_Answer]],
    ) -> _Answer:
        attributes = {"http.request.method": method, "http.route": route, "url.scheme": "http"}
        context = trace.set_span_in_context(_remote(before)) if before is not None else None
        with self._span(f"{method} {route}", SpanKind.SERVER, attributes, context=context) as span:
            answer = await work()
            status: int = getattr(answer, "status_code", 0)
            span.set_attribute("http.response.status_code", status)
            if status >= 500:
                _failed(span, str(status))
            return answer

    async def send(
        self, publications: Sequence[Publication], work: Callable[[], Awaitable[list[_Answer]]]
    ) -> list[_Answer]:
        """As `base.Tracer.send`."""
        around = trace.get_current_span().get_span_context().is_valid
        named = [base.found(each.meta) for each in publications if each.meta is not None]
        links = _parents(named)
        if not around and not self._sampled(links[0] if links else None, any(map(base.decided, named))):
            return await work()
        parent = links[0] if links and not around else None
        return await asyncio.create_task(self._send(publications, work, parent, links))

    async def _send(
        self,
        publications: Sequence[Publication],
        work: Callable[[], Awaitable[list[_Answer]]],
        parent: tuple[int, int] | None,
        links: Sequence[tuple[int, int]],
    ) -> list[_Answer]:
        spaces = {each.channel.partition(":")[0] for each in publications}
        attributes: dict[str, Any] = _messaging("send", spaces)
        attributes["messaging.batch.message_count"] = len(publications)
        if len(publications) == 1:
            attributes["messaging.destination.name"] = publications[0].channel
        context = None if parent is None else trace.set_span_in_context(_remote(parent))
        with self._span(_name("send", spaces), SpanKind.PRODUCER, attributes, context, links) as span:
            mine = _written(span.get_span_context())
            for each in publications:
                each.meta = _with(each.meta, mine)
            answers = await work()
            if failed := sum(isinstance(answer, Exception) for answer in answers):
                span.set_attribute("hub.refused", failed)
            return answers

    async def follow(self, step: base.Step, work: Callable[[str | None], Awaitable[_Answer]]) -> _Answer:
        """As `base.Follower.follow`."""
        links = _parents(step.behind)
        around = step.within and trace.get_current_span().get_span_context().is_valid
        if links or around:
            wanted = self._may()
        else:
            wanted = step.begins and self._sampled(None, any(map(base.decided, step.behind)))
        if not wanted:
            return await work(None)
        return await asyncio.create_task(self._follow(step, links, work))

    async def _follow(
        self,
        step: base.Step,
        links: Sequence[tuple[int, int]],
        work: Callable[[str | None], Awaitable[_Answer]],
    ) -> _Answer:
        context = None  # what is under way
        # Without `within` that does not count: a task that somebody's publication began goes on after it.
        if not (step.within and trace.get_current_span().get_span_context().is_valid):
            context = trace.set_span_in_context(_remote(links[0]) if links else trace.INVALID_SPAN)
        kind = _KINDS[step.kind]
        with self._span(step.name, kind, dict(step.attributes), context, links) as span:
            answer = await work(_written(span.get_span_context()))
            status = getattr(answer, "status", None)
            if isinstance(status, int):
                span.set_attribute("http.response.status_code", status)
                if status >= 400:
                    _failed(span, str(status))
            return answer

    def current(self) -> str | None:
        """The ``traceparent`` of what is under way."""
        context = trace.get_current_span().get_span_context()
        return _written(context) if context.is_valid else None

    def handed_on(self, bursts: Sequence[tuple[base.Fanned, Sequence[Any]]], now: float) -> None:
        """As `base.Tracer.handed_on`."""
        for channel, events in bursts:
            for event in base.traced(events):
                before = base.parent(base.found(event.meta))
                if before is not None and self._may():
                    self._process(channel, event, before, now)

    async def close(self) -> None:
        """As `base.Tracer.close`. A receiver that hangs keeps a thread, and nobody waits for that."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waited so long
                loop.call_soon_threadsafe(done.set)

        threading.Thread(target=shut_down, name="hub-otel-close", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), CLOSE_S)

    def _process(self, channel: base.Fanned, event: Event, before: tuple[int, int], now: float) -> None:
        space = channel.name.partition(":")[0]
        attributes = {
            **_messaging("process", {space}),
            "messaging.destination.name": channel.name,
            "messaging.message.id": event.id,
            "messaging.message.body.size": len(event.payload),
            "hub.receivers": channel.subscribers,
            "hub.queue_age_ms": max(0, int(now * 1000) - event.time),
            "hub.node": self._node,
        }
        links = [Link(_remote(before).get_span_context())]
        span = self._tracer.start_span(
            f"process {space}",
            context=trace.set_span_in_context(trace.INVALID_SPAN),
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=links,
            start_time=event.time * 1_000_000,
        )
        span.end(int(max(now, event.time / 1000) * 1_000_000_000))

    def _sampled(self, before: tuple[int, int] | None, decided: bool) -> bool:
        if before is None and (decided or self._chance() >= self._ratio):
            return False
        return self._may()

    def _may(self) -> bool:
        return not self._bucket.take(self._now())

    @contextlib.contextmanager
    def _span(
        self,
        name: str,
        kind: SpanKind,
        attributes: dict[str, Any],
        context: Any = None,
        links: Sequence[tuple[int, int]] = (),
    ) -> Iterator[Span]:
        with self._tracer.start_as_current_span(
            name,
            context=context,
            kind=kind,
            attributes=attributes,
            links=[Link(_remote(each).get_span_context()) for each in links],
            record_exception=False,  # its text may quote what a client sent
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except Exception as error:
                _failed(span, type(error).__name__)
                raise


def _parents(texts: Sequence[str | None]) -> list[tuple[int, int]]:
    """The first traces among them that are sampled, each once."""
    found = dict.fromkeys(parent for text in texts if (parent := base.parent(text)) is not None)
    return list(found)[:LINKS]


def _failed(span: Span, how: str) -> None:
    span.set_attribute("error.type", how)
    span.set_status(Status(StatusCode.ERROR))


def _remote(before: tuple[int, int]) -> NonRecordingSpan:
    trace_id, span_id = before
    return NonRecordingSpan(
        SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    )


def _written(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"


def _with(meta: bytes | None, traceparent: str) -> bytes:
    """`meta` with this trace, unless its publisher names one."""
    if meta is None:
        return orjson.dumps({"traceparent": traceparent})
    if b'"traceparent"' in meta:
        return meta
    return orjson.dumps({**orjson.loads(meta), "traceparent": traceparent})


def _name(operation: str, spaces: set[str]) -> str:
    return f"{operation} {next(iter(spaces))}" if len(spaces) == 1 else operation


def _messaging(operation: str, spaces: set[str]) -> dict[str, Any]:
    """OpenTelemetry's conventions for messaging; destinations by namespace, so that they are few."""
    fields = base.messaging(operation)
    if len(spaces) == 1:
        fields["messaging.destination.template"] = f"{next(iter(spaces))}:*"
    return fields
