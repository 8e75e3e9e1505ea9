"""Logs and metrics of a process: what happened, told to people and to machines.

structlog for lines, prometheus_client for scrapes (names of http-api 3.2), fed by commits, requests and the node's
state. No secret, token or fact value goes into either.

A scrape has two extents. How this process fares is for whoever reaches the port; what the node holds, who writes and
which peers it has follow from facts, and are for who may read all of them.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.registry import Collector

from stigmem.core.audit import EVENTS, AuditRow
from stigmem.core.errors import Refusal, StigmemError
from stigmem.core.fact import Fact
from stigmem.core.records import Record
from stigmem.core.wire import Request, Response
from stigmem.host.control import OPERATOR
from stigmem.host.gauges import TENANT, UNKNOWN
from stigmem.host.log_limiter import LogLimiter
from stigmem.node.callers import ANONYMOUS, Caller, PeerCaller
from stigmem.node.events import NodeEvents
from stigmem.node.node import ROUTER
from stigmem.node.state import NodeState

__all__ = ["Observer"]

_METRICS_TYPE: Final = {"content-type": "text/plain; version=0.0.4; charset=utf-8"}
_EVENT_MEMBERS: Final = ("event", "key", "level", "bug", "subject", "fact_id", "timestamp")
_OPERATORS: Final = frozenset(
    (
        "peer_approved",
        "peer_deleted",
        "peer_revoked",
        "cursor_imported",
        "clock_doubted",
        "clock_doubt_ended",
        "facts_voided",
    )
)
"""Events that only somebody with a right of the operator's can cause, and those of the clock: each is told. All others
are told once a minute and kind; the audit log has every one."""
_PAGES: Final = frozenset(("/readyz", "/metrics", "/docs", "/openapi.json"))
"""Routes of this process and not of the node."""
_METHODS: Final = frozenset(("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"))
_WITHOUT_KEY: Final = frozenset((ANONYMOUS.entity_uri, OPERATOR.entity_uri, "system:import"))
_QUIET: Final = frozenset(("page_accepted",))
"""Events of the ordinary course, which are counted and not told."""


class Observer(NodeEvents):
    """Counts and logs what one node does, as the node tells it."""

    def __init__(self) -> None:
        super().__init__()
        self.log = structlog.get_logger()
        self.limiter = LogLimiter(self.log)
        """For whatever a stranger or a peer can bring about."""
        registry = self._registry = CollectorRegistry()
        """What follows from facts."""
        self._process = CollectorRegistry()
        """How this process fares."""
        self._latency = Histogram(
            "stigmem_request_latency_seconds", "Time from request to answer", ["route", "method", "status_code"],
            registry=self._process,
        )  # fmt: skip
        who = ["principal", "tenant"]
        self._writes = Counter("stigmem_fact_write", "Facts asserted here", who, registry=registry)
        self._reads = Counter("stigmem_fact_read", "Answered reads of facts", who, registry=registry)
        self._audit = Counter("stigmem_audit_event", "Audit rows", ["event_type", "tenant"], registry=registry)
        for event in sorted(EVENTS):  # who alerts on an increase must see the zero before the first one
            self._audit.labels(event, TENANT)
        self._quota = Counter("stigmem_quota_breach", "Refusals for rate", [*who, "dimension"], registry=registry)
        link = ["node", "status"]
        self._ingress = Counter("stigmem_federation_ingress", "Facts taken from peers", link, registry=registry)
        self._egress = Counter("stigmem_federation_egress", "Facts given to peers", link, registry=registry)
        self._anomalies = Counter(
            "stigmem_peer_hlc_anomaly", "Stamps out of bounds", ["node", "direction"], registry=registry
        )
        self._committed_at = Gauge(
            "stigmem_commit_last_success_timestamp_seconds", "When the journal last took a batch", registry=registry
        )
        self._state: NodeState | None = None
        self._series: dict[tuple[str, str, int], Histogram] = {}
        self._debug = structlog.is_configured() and self.log.is_enabled_for(logging.DEBUG)

    # --- what happened ---

    def committed(self, records: Sequence[Record]) -> None:
        """A batch became durable."""
        self._committed_at.set_to_current_time()
        writes: dict[str, int] = {}  # counted first: a batch has many by one kind of caller
        for record in records:
            if isinstance(record, AuditRow):
                if record.event == "fact_write":
                    who = _kind(record.subject)
                    writes[who] = writes.get(who, 0) + 1
                else:
                    self._row(record)
            elif isinstance(record, Fact) and record.received_from is not None:
                self._ingress.labels(record.received_from, "accepted").inc()
        for principal, count in writes.items():
            self._writes.labels(principal, TENANT).inc(count)
            self._audit.labels("fact_write", TENANT).inc(count)

    def _row(self, row: AuditRow) -> None:
        self._audit.labels(row.event, TENANT).inc()
        detail = msgspec.json.decode(row.detail)
        if row.event == "quota_breach":
            self._quota.labels(_kind(row.subject), TENANT, detail.get("dimension", "")).inc()
        elif row.event == "peer_hlc_anomaly":
            self._anomalies.labels(self._node_of(row.subject), detail.get("direction", "")).inc()
        if row.fact_id is not None and "reason" in detail:
            self._ingress.labels(self._node_of(row.subject), detail["reason"]).inc()
        if row.event not in _QUIET:
            self._tell(row, detail)

    def _node_of(self, peer_id: str) -> str:
        """The id of a peer's node: the one name under which a peer stands in all metrics."""
        row = None if self._state is None else self._state.peers.get(peer_id)
        return UNKNOWN if row is None else row.node_id

    def _tell(self, row: AuditRow, detail: dict[str, Any]) -> None:
        told = {(f"what_{name}" if name in _EVENT_MEMBERS else name): value for name, value in detail.items()}
        told["subject"] = row.subject
        if row.fact_id is not None:
            told["fact_id"] = row.fact_id
        if row.event in _OPERATORS:
            self.log.info(row.event, **told)
            return
        reason = detail.get("reason")
        self.limiter.tell(row.event, key=reason if isinstance(reason, str) else "", **told)

    def request(self, method: str, path: str, status: int, seconds: float) -> None:
        """A request was answered."""
        # Only names that we made: a stranger must not invent label values.
        if path in _PAGES:
            route = path
        else:
            try:
                route = ROUTER.find("GET" if method == "HEAD" else method, path)[0].path
            except Refusal:
                route = "other"
        if method not in _METHODS:
            method = "other"
        series = self._series.get((route, method, status))
        if series is None:
            series = self._series[route, method, status] = self._latency.labels(route, method, str(status))
        series.observe(seconds)
        if status >= 500 and status != 503:
            self.limiter.tell(
                "answered with a server error", key=f"{method} {route} {status}", level="warning", method=method,
                route=route, status=status,
            )  # fmt: skip
        elif self._debug:
            self.log.debug("request", method=method, route=route, status=status, ms=round(seconds * 1000, 3))

    def served(self, request: Request, caller: Caller, response: Response, facts: int) -> None:
        """The node answers a request: count what the answer gives away."""
        if request.method != "GET" or response.status != 200:
            return
        if isinstance(caller, PeerCaller):
            if facts:
                self._egress.labels(caller.row.node_id, "served").inc(facts)
            return
        path = request.target.partition("?")[0]
        if path == "/v1/facts" or path.startswith("/v1/facts/"):
            self._reads.labels(_kind(caller.entity_uri) if caller.key_id else ANONYMOUS.entity_uri, TENANT).inc()

    def bug(self, error: Exception) -> None:
        """The node met a bug of its own."""
        super().bug(error)
        self.tell_bug(error)

    def tell_bug(self, bug: Exception) -> None:
        """A bug of ours, of the node or of what is around it, cost one answer or connection."""
        frames = traceback.extract_tb(bug.__traceback__)
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "nowhere"
        name = type(bug).__name__
        self.limiter.tell(
            "a bug cost one answer", key=f"{name} {where}", level="error", bug=bug, error=f"{name}: {bug}"[:500],
            where=where,
        )  # fmt: skip

    def meaning_failed(self, error: StigmemError) -> None:
        """A question was answered by words alone."""
        self.limiter.tell("recall by words alone", key=error.code, level="warning", reason=error.message[:500])

    def refused(self, kind: str) -> None:
        """A caller was refused, or sent away, before its request was one."""
        self.limiter.tell("refused on the wire", key=kind, reason=kind)

    # --- what is ---

    def watch(self, state: NodeState, *collectors: Collector, process: Sequence[Collector] = ()) -> None:
        """Begin to serve metrics: with the state that names of peers come from, and what is read when somebody asks;
        `process`: what anybody is told of that."""
        self._state = state
        for collector in collectors:
            self._registry.register(collector)
        for collector in process:
            self._process.register(collector)

    def metrics(self, *, whole: bool) -> Response:
        """The scrape: `whole`, or only how the process fares."""
        text = generate_latest(self._process)
        return Response(200, _METRICS_TYPE, text + generate_latest(self._registry) if whole else text)


def _kind(entity_uri: str) -> str:
    """Who it was, as metrics tell it to anybody: the name of nobody who holds a key, and few values for ever."""
    return entity_uri if entity_uri in _WITHOUT_KEY else "key"
