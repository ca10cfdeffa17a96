"""A node's counters as Prometheus metrics, read when they are asked for, for all workers of its port."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from prometheus_client import ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from .. import __version__
from ..broker.base import Broker
from ..cluster.readiness import Readiness
from ..connections.admission import Admission
from ..connections.table import ConnectionTable
from ..protocol import codes
from ..recovery.table import ChannelTable
from ..runtime.counters import Counters
from ..runtime.floods import Floods
from ..runtime.flush import FlushScheduler
from ..runtime.histogram import Histograms
from ..runtime.tasks import Tasks

if TYPE_CHECKING:
    from ..tls.server import ServerTls

# From the start: of a counter that comes with its first event, `increase` shows nothing.
_NO_CLOSES = {codes.name(code): 0 for code in codes.CloseCode}
_NO_ERRORS = {code.value: 0 for code in codes.ErrorCode}


class Counted(Protocol):
    """The parts of a node that count."""

    id: str
    broker: Broker
    connections: ConnectionTable
    admission: Admission
    channels: ChannelTable
    readiness: Readiness
    tasks: Tasks
    counters: Counters
    flushes: FlushScheduler
    floods: Floods


class Missing(Protocol):
    """What counts lines that it could not write."""

    @property
    def missed(self) -> int:
        """So many."""


class NodeCollector(Collector):
    """What the node itself counts."""

    def __init__(self, node: Counted) -> None:
        self._node = node

    def collect(self) -> Iterable[Metric]:
        """All metrics of the node, at this moment."""
        yield from self._gauges()
        yield from self._counters()
        yield from self._durations()
        yield from self._shards()

    def _gauges(self) -> Iterable[Metric]:
        node = self._node
        http = node.admission.http_connections
        info = GaugeMetricFamily("hub_node_info", "The node's id and version", labels=["node", "version"])
        info.add_metric([node.id, __version__], 1)
        yield info
        for name, text, value in (
            ("connections", "Admitted connections", len(node.connections)),
            ("sockets", "Upgraded sockets, those without a token yet included", node.admission.sockets),
            ("doorstep", "Newcomers of whom nothing was read yet", len(node.admission.accept_queue)),
            ("http_connections", "TCP connections that are no WebSockets", len(http)),
            ("channels", "Channels that this node listens to", len(node.channels)),
            ("tasks", "Commands and replays under way", len(node.tasks)),
            ("tail_bytes", "Bytes of events kept for resuming clients", node.channels.tail_bytes),
            ("snapshot_bytes", "Bytes of snapshots on their way to clients", node.channels.snapshots.bytes),
            ("loop_lag_seconds", "How late the event loop came to its timer", node.counters.loop_lag_s),
            ("draining", "1 while the node departs", int(node.readiness.draining)),
            ("ready", "1 while /readyz is green", int(not node.readiness.reasons())),
        ):
            yield GaugeMetricFamily(f"hub_{name}", text, value=value)

    def _counters(self) -> Iterable[Metric]:
        metrics = self._node.counters
        http = self._node.admission.http_connections
        for name, text, value in (
            ("connections_opened", "Connections admitted", metrics.connections_opened),
            ("accept_pauses", "Times that no connection was accepted for a moment", metrics.accept_pauses),
            ("http_connections_evicted", "Those that made room for others", http.evicted),
            ("http_connections_refused", "Those over the limit of an address", http.refused),
            ("published", "Publications taken by this node", metrics.published),
            ("delivered", "Live events handed to connections", self._node.flushes.delivered),
            ("recovered", "Subscriptions resumed without a gap", metrics.recovered),
            ("unrecovered", "Subscriptions resumed with a gap", metrics.unrecovered),
            ("gaps", "Gaps between nodes", metrics.gaps),
            ("gap_events_refilled", "Events refilled from the store after a gap", metrics.refilled),
            ("gap_events_lost", "Events that no refill could bring back", metrics.lost),
            ("position_checks_failed", "Losses that only a position check found", metrics.checks_failed),
            ("snapshots_let_go", "Snapshots begun anew for slow readers", metrics.snapshots_let_go),
            (
                "snapshots_refused",
                "Subscriptions for whose snapshot there was no room",
                metrics.snapshots_refused,
            ),
            ("received_bytes", "Bytes of messages received", metrics.bytes_received),
        ):
            yield CounterMetricFamily(f"hub_{name}", text, value=value)
        for name, label, text, counter in (
            ("commands", "type", "Commands received", metrics.commands),
            ("closed", "reason", "Connections closed", {**_NO_CLOSES, **metrics.closed}),
            ("refused", "code", "Handshakes refused", {**_NO_ERRORS, **metrics.refused}),
            ("errors", "code", "Commands refused", {**_NO_ERRORS, **metrics.errors}),
            ("floods", "kind", "Connections stopped because they flooded", self._node.floods.counts),
            ("faults", "work", "Rounds of standing work that failed by a fault", metrics.faults),
            ("broker_incidents", "what", "What went wrong at the broker", self._node.broker.counts()),
        ):
            family = CounterMetricFamily(f"hub_{name}", text, labels=[label])
            for key, value in counter.items():
                family.add_metric([key], value)
            yield family

    def _durations(self) -> Iterable[Metric]:
        counters, flushes = self._node.counters, self._node.flushes
        for name, text, histogram in (
            ("broker_publish", "From asking the broker to publish until its answer", counters.publish_time),
            (
                "loop_delay",
                "How late the event loop came to its timer, ten times a second",
                counters.loop_delay,
            ),
            ("outbox_wait", "For how long sockets took nothing, whose clients did not read", flushes.waited),
        ):
            family = HistogramMetricFamily(f"hub_{name}_seconds", text)
            family.add_metric([], histogram.cumulative(), histogram.sum)
            yield family
        text = "From a publication to the write to the sockets of a node, of the oldest event of a burst"
        yield _labelled("hub_delivery_seconds", text, "namespace", flushes.written)

    def _shards(self) -> Iterable[Metric]:
        usable = GaugeMetricFamily("hub_shard_usable", "1 while the shard answers", labels=["shard"])
        deaf = GaugeMetricFamily("hub_shard_deaf_seconds", "Since the canary was heard", labels=["shard"])
        rtt = GaugeMetricFamily("hub_shard_rtt_seconds", "The canary's round trip", labels=["shard"])
        for shard in self._node.broker.health():
            usable.add_metric([shard.name], int(shard.usable))
            deaf.add_metric([shard.name], shard.deaf_s)
            rtt.add_metric([shard.name], shard.rtt_s)
        yield from (usable, deaf, rtt)


class HttpCollector(Collector):
    """HTTP requests by route (its template, never the path that was asked for) and status."""

    def __init__(self, served: Mapping[tuple[str, int], int], took: Histograms) -> None:
        self._served = served
        self._took = took

    def collect(self) -> Iterable[Metric]:
        """A counter and a histogram."""
        family = CounterMetricFamily(
            "hub_http_requests", "HTTP requests answered", labels=["route", "status"]
        )
        for (route, status), count in self._served.items():
            family.add_metric([route, str(status)], count)
        yield family
        yield _labelled("hub_http_request_seconds", "Until an HTTP answer began", "route", self._took)


class AuditCollector(Collector):
    """What the audit log could not write."""

    def __init__(self, audit: Missing) -> None:
        self._audit = audit

    def collect(self) -> Iterable[Metric]:
        """One counter."""
        yield CounterMetricFamily("hub_audit_missed", "Lines that were not out in time", self._audit.missed)


class TlsCollector(Collector):
    """The certificate of the hub's own port."""

    def __init__(self, tls: "ServerTls") -> None:
        self._tls = tls

    def collect(self) -> Iterable[Metric]:
        """When it ends, and whether its files can be used."""
        tls = self._tls
        for name, text, value in (
            (
                "certificate_expires_timestamp_seconds",
                "When the certificate ends, in Unix time",
                tls.certificate.ends,
            ),
            ("files_broken", "1 while the files can't be used as they are now", int(tls.problem is not None)),
        ):
            yield GaugeMetricFamily(f"hub_tls_{name}", text, value=value)
        for name, text, value in (
            ("reloads", "Changes of the files that were taken", tls.reloads),
            ("reload_failures", "Changes of the files that could not be used", tls.failures),
            ("handshakes_failed", "TLS handshakes that came to nothing", tls.failed_handshakes),
        ):
            yield CounterMetricFamily(f"hub_tls_{name}", text, value=value)


def _labelled(name: str, text: str, label: str, histograms: Histograms) -> Metric:
    family = HistogramMetricFamily(name, text, labels=[label])
    for value, histogram in histograms.of.items():
        family.add_metric([value], histogram.cumulative(), histogram.sum)
    return family


class Exposition:
    """The text of `/metrics`. Every sample bears the label `worker`, the worker's place at the port."""

    def __init__(
        self,
        node: Counted,
        served: Mapping[tuple[str, int], int],
        took: Histograms,
        audit: Missing | None = None,
        tls: "ServerTls | None" = None,
    ) -> None:
        self._node = node
        self._collectors: list[Collector] = [
            NodeCollector(node),
            HttpCollector(served, took),
            ProcessCollector(registry=None),
        ]
        if audit is not None:
            self._collectors.append(AuditCollector(audit))
        if tls is not None:
            self._collectors.append(TlsCollector(tls))

    def sample(self) -> dict[str, Any]:
        """This worker's metrics as values of JSON: what it answers to the other workers."""
        families = [
            (metric.name, metric.documentation, metric.type, _points(metric))
            for collector in self._collectors
            for metric in collector.collect()
        ]
        return {"worker": str(self._node.readiness.worker_ipc.index), "families": families}

    async def text(self) -> bytes:
        """All workers' metrics, in Prometheus' text format; `hub_workers` says how many they are."""
        answers = await self._node.readiness.worker_ipc.ask("metrics")
        return _text([self.sample(), *(answer for answer in answers if isinstance(answer, dict))])


def _points(metric: Metric) -> list[tuple[str, dict[str, str], str]]:
    """A metric's samples; numbers as text, because JSON knows no infinity."""
    return [(sample.name, sample.labels, repr(float(sample.value))) for sample in metric.samples]


def _text(samples: Sequence[dict[str, Any]]) -> bytes:
    workers = GaugeMetricFamily("hub_workers", "Workers whose metrics these are", len(samples))
    merged: dict[str, Metric] = {workers.name: workers}
    for worker in samples:
        for name, text, kind, points in worker["families"]:
            family = merged.setdefault(name, Metric(name, text, kind))
            for point, labels, value in points:
                family.add_sample(point, {**labels, "worker": worker["worker"]}, float(value))
    return generate_latest(_Merged(merged.values()))


class _Merged(Collector):
    """Metrics that are there already; all that `generate_latest` asks of a registry."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """The metrics."""
        return self._metrics
