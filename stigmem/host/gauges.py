"""Gauges read off a node when somebody scrapes.

A view of the node's state and nothing else: what is counted as it happens is in `stigmem.host.observe`.
"""

from __future__ import annotations

import platform
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

import stigmem
from stigmem.host import schema
from stigmem.node.node import Node

__all__ = ["TENANT", "UNKNOWN", "NodeCollector", "ProcessCollector", "StateCollector"]

TENANT: Final = "default"
"""The one tenant there is; a label that existing dashboards expect."""

UNKNOWN: Final = "unknown"
"""In place of the id of a node that is no peer (any more): a stranger must not make up values for labels."""
_BY: Final = ["node"]


class NodeCollector(Collector):
    """How a node fares, whatever it holds."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def collect(self) -> Iterator[Metric]:
        node = self._node
        yield GaugeMetricFamily("stigmem_mailbox_messages", "Messages waiting for the writer", len(node.mailbox))
        yield CounterMetricFamily("stigmem_bugs", "Answers lost to a bug", len(node.bugs))
        yield GaugeMetricFamily(
            "stigmem_clock_in_doubt", "1 while the wall clock has jumped ahead and nothing is written",
            node.clock.doubt is not None,
        )  # fmt: skip


class StateCollector(Collector):
    """What a node holds and how far it is."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def collect(self) -> Iterator[Metric]:
        node = self._node
        ledger = node.state.ledger
        yield GaugeMetricFamily("stigmem_facts", "Facts held", len(ledger))
        yield GaugeMetricFamily("stigmem_conflicts_open", "Open conflicts", len(ledger.contested))
        opened = CounterMetricFamily("stigmem_contradiction", "Conflicts opened", labels=["tenant"])
        opened.add_metric([TENANT], ledger.conflicts_opened)
        yield opened
        pending = len(node.state.quarantine.pending(node.context.clock.wall_ns() // 1_000))
        yield GaugeMetricFamily("stigmem_quarantine_pending", "Facts of peers that wait for a moderator", pending)
        yield GaugeMetricFamily("stigmem_pulls_held", "Pulls that wait for news here", len(node.long_polls))
        yield CounterMetricFamily("stigmem_commits", "Journal commits", node.writer.commits)
        now_ms = node.clock.wall_ns() // 1_000_000
        yield GaugeMetricFamily(
            "stigmem_own_stamps_ahead_seconds", "By how much own stamps are ahead of what peers accept, else 0",
            node.state.stamps_ahead_ms(now_ms) / 1e3,
        )  # fmt: skip
        yield from self._peers()

    def _peers(self) -> Iterator[Metric]:
        """Each peer under the id of its node, the one name that a peer has in all metrics."""
        node = self._node
        lag = GaugeMetricFamily(
            "stigmem_replication_lag_seconds", "Since when a peer is known to have more", labels=_BY
        )
        taken = CounterMetricFamily("stigmem_federation_taken", "Facts taken from a peer in all", labels=_BY)
        contact = GaugeMetricFamily(
            "stigmem_peer_last_contact_timestamp_seconds", "When a peer last answered or asked", labels=_BY
        )
        success = GaugeMetricFamily(
            "stigmem_pull_last_success_timestamp_seconds", "When a page of a peer was last good", labels=_BY
        )
        failures = CounterMetricFamily(
            "stigmem_pull_failures", "Pulls that brought no page, by reason", labels=[*_BY, "reason"]
        )
        waiting = GaugeMetricFamily(
            "stigmem_facts_waiting", "Facts ahead of this clock, which become visible when they are due", labels=_BY
        )
        over = GaugeMetricFamily(
            "stigmem_intake_over_quota",
            "1 while what a peer has beyond a quota waits there",
            labels=[*_BY, "dimension"],
        )
        waits = Counter(peer_id for peer_id, _ in node.state.deferred)
        clock = node.context.clock
        now_ns = clock.monotonic_ns()
        since_1970_s = (clock.wall_ns() - now_ns) / 1e9
        for peer_id, behind_ns in node.lag.by_peer_ns(now_ns).items():
            progress, row = node.lag.of(peer_id), node.state.peers.get(peer_id)
            if progress is None or row is None:
                continue
            name = [row.node_id]
            cursor = node.state.cursors.get(peer_id)
            lag.add_metric(name, behind_ns / 1e9)
            taken.add_metric(name, cursor.taken if cursor is not None else 0)
            waiting.add_metric(name, waits[peer_id])
            if progress.contact_ns is not None:
                contact.add_metric(name, since_1970_s + progress.contact_ns / 1e9)
            if progress.page_ns is not None:
                success.add_metric(name, since_1970_s + progress.page_ns / 1e9)
            for reason, count in progress.failures.items():
                failures.add_metric([*name, reason], count)
            for each in node.state.intake.waiting(row.node_id, clock.wall_ns() // 1_000):
                over.add_metric([*name, f"{each.whose}_{each.dimension}"], 1)
        yield from (lag, taken, contact, success, failures, waiting, over)


class ProcessCollector(Collector):
    """What is known of the process around a node; each is asked for when somebody scrapes."""

    def __init__(
        self,
        *,
        certificate_ends: Callable[[], datetime | None],
        audit_log_broken: Callable[[], bool],
        log_lines_dropped: Callable[[], int],
    ) -> None:
        self._certificate_ends = certificate_ends
        self._audit_log_broken = audit_log_broken
        self._log_lines_dropped = log_lines_dropped

    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily(
            "stigmem_build_info", "Versions, with the value 1", labels=["version", "python", "sqlite", "schema"]
        )
        build.add_metric(
            [stigmem.__version__, platform.python_version(), sqlite3.sqlite_version, str(schema.VERSION)], 1
        )
        yield build
        yield GaugeMetricFamily(
            "stigmem_audit_log_broken", "1 when the walk after the start found a row altered", self._audit_log_broken()
        )
        yield CounterMetricFamily(
            "stigmem_log_lines_dropped", "Log lines that could not be written", self._log_lines_dropped()
        )
        ends = self._certificate_ends()
        if ends is not None:
            days = (ends - datetime.now(UTC)).total_seconds() / 86_400
            yield GaugeMetricFamily("stigmem_certificate_days_left", "Days until this node's certificate ends", days)
