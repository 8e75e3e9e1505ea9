"""Logs and metrics of a process: one event, its sinks.

structlog for people and machines, prometheus_client for scrapes, fed by commits, requests and the node's state.
No secret, token or fact value goes into either.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from stigmem.core.audit import AuditRow
from stigmem.core.errors import Refusal
from stigmem.core.fact import Fact
from stigmem.core.records import Record
from stigmem.core.wire import Response
from stigmem.host.journal import SqliteJournal
from stigmem.node.node import ROUTER, Node

__all__ = ["ObservedJournal", "Observer", "configure_logs"]

_TENANT: Final = "default"
_METRICS_TYPE: Final = {"content-type": "text/plain; version=0.0.4; charset=utf-8"}


def configure_logs(style: Literal["console", "json"], level: str) -> None:
    """Send log lines to standard error, as JSON or for eyes."""
    numeric = logging.getLevelNamesMapping()[level.upper()]
    renderer: Any = (
        structlog.processors.JSONRenderer(serializer=lambda event, **_: msgspec.json.encode(event).decode())
        if style == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([structlog.processors.format_exc_info] if style == "json" else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


class Observer:
    """Counts and logs what one node does."""

    def __init__(self) -> None:
        self.log = structlog.get_logger()
        self._registry = CollectorRegistry()
        self._latency = Histogram(
            "stigmem_request_latency_seconds",
            "Time from request to answer",
            ["route", "method", "status_code"],
            registry=self._registry,
        )
        self._writes = Counter(
            "stigmem_fact_write", "Facts asserted here", ["principal", "tenant"], registry=self._registry
        )
        self._reads = Counter("stigmem_fact_read", "Fact reads", ["principal", "tenant"], registry=self._registry)
        self._audit = Counter("stigmem_audit_event", "Audit rows", ["event_type", "tenant"], registry=self._registry)
        self._quota = Counter(
            "stigmem_quota_breach", "Refusals for rate", ["principal", "tenant", "dimension"], registry=self._registry
        )
        self._ingress = Counter(
            "stigmem_federation_ingress", "Facts taken from peers", ["peer_id", "status"], registry=self._registry
        )
        self._anomalies = Counter(
            "stigmem_peer_hlc_anomaly", "Stamps out of bounds", ["peer_id", "direction"], registry=self._registry
        )
        self._registered = False

    def committed(self, records: Sequence[Record]) -> None:
        """A batch became durable."""
        for record in records:
            if isinstance(record, AuditRow):
                self._row(record)
            elif isinstance(record, Fact) and record.received_from is not None:
                self._ingress.labels(record.received_from, "accepted").inc()

    def _row(self, row: AuditRow) -> None:
        self._audit.labels(row.event, _TENANT).inc()
        if row.event == "fact_write":
            self._writes.labels(row.subject, _TENANT).inc()
            return
        detail = msgspec.json.decode(row.detail)
        if row.event == "quota_breach":
            self._quota.labels(row.subject, _TENANT, detail.get("dimension", "")).inc()
        elif row.event == "peer_hlc_anomaly":
            self._anomalies.labels(row.subject, detail.get("direction", "")).inc()
        if row.fact_id is not None and "reason" in detail:
            self._ingress.labels(row.subject, detail["reason"]).inc()
        if row.event not in ("page_accepted",):
            self.log.info(row.event, subject=row.subject, fact_id=row.fact_id, **_safe(detail))

    def request(self, method: str, path: str, status: int, seconds: float) -> None:
        """A request was answered."""
        try:
            route = ROUTER.find(method, path)[0].path
        except Refusal:
            route = "other"
        self._latency.labels(route, method, str(status)).observe(seconds)
        if status >= 500:
            self.log.warning("answered with a server error", method=method, path=path, status=status)
        else:
            self.log.debug("request", method=method, path=path, status=status, ms=round(seconds * 1000, 3))

    def fault(self, fault: Exception) -> None:
        """A handler met a bug."""
        self.log.error("a bug in a handler cost one answer", exc_info=fault)

    def metrics(self, node: Node) -> Response:
        """The scrape."""
        if not self._registered:
            self._registry.register(_State(node))
            self._registered = True
        return Response(200, _METRICS_TYPE, generate_latest(self._registry))


def _safe(detail: dict[str, Any]) -> dict[str, Any]:
    return {("what_" + key if key in ("event", "level", "subject", "fact_id") else key): v for key, v in detail.items()}


class _State(Collector):
    """Gauges read off the node when somebody scrapes."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def collect(self) -> Iterator[Metric]:
        state, node = self._node.state, self._node
        yield GaugeMetricFamily("stigmem_facts", "Facts held", len(state.ledger))
        yield GaugeMetricFamily("stigmem_conflicts_open", "Open conflicts", len(state.ledger.contested))
        opened = CounterMetricFamily("stigmem_contradiction", "Conflicts opened", labels=["tenant"])
        opened.add_metric([_TENANT], state.ledger.conflicts_opened)
        yield opened
        yield GaugeMetricFamily("stigmem_mailbox_messages", "Messages waiting for the writer", len(node.mailbox))
        yield CounterMetricFamily("stigmem_commits", "Journal commits", node.writer.commits)
        lag = GaugeMetricFamily(
            "stigmem_replication_lag_seconds", "Since when a peer is known to have more", labels=["peer_id"]
        )
        now_ns = node.context.clock.monotonic_ns()
        for peer_id, puller in node.pullers.items():
            since = puller.behind_since_ns
            lag.add_metric([peer_id], 0.0 if since is None else (now_ns - since) / 1e9)
        yield lag


class ObservedJournal:
    """A journal whose commits are told to an observer."""

    def __init__(self, journal: SqliteJournal, observer: Observer) -> None:
        self._journal = journal
        self._observer = observer
        self.load = journal.load
        self.audit = journal.audit

    async def commit(self, records: Sequence[Record]) -> None:
        """Make a batch durable as a whole; raises JournalFull."""
        await self._journal.commit(records)
        self._observer.committed(records)
