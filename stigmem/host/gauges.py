"""Gauges read off a node when somebody scrapes.

A view of the node's state and nothing else: what is counted as it happens is in `stigmem.host.observe`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from stigmem.node.node import Node

__all__ = ["TENANT", "StateCollector"]

TENANT: Final = "default"
"""The one tenant there is; a label that existing dashboards expect."""


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
        yield GaugeMetricFamily("stigmem_mailbox_messages", "Messages waiting for the writer", len(node.mailbox))
        yield GaugeMetricFamily("stigmem_pulls_held", "Pulls that wait for news here", len(node.long_polls))
        yield CounterMetricFamily("stigmem_commits", "Journal commits", node.writer.commits)
        yield CounterMetricFamily("stigmem_bugs", "Answers lost to a bug", len(node.bugs))
        yield from self._peers()

    def _peers(self) -> Iterator[Metric]:
        node = self._node
        lag = GaugeMetricFamily(
            "stigmem_replication_lag_seconds", "Since when a peer is known to have more", labels=["peer_id"]
        )
        taken = CounterMetricFamily("stigmem_federation_taken", "Facts taken from a peer in all", labels=["peer_id"])
        now_ns = node.context.clock.monotonic_ns()
        for peer_id, behind_ns in node.lag.by_peer_ns(now_ns).items():
            lag.add_metric([peer_id], behind_ns / 1e9)
            cursor = node.state.cursors.get(peer_id)
            taken.add_metric([peer_id], cursor.taken if cursor is not None else 0)
        yield lag
        yield taken
