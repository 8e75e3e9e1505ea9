"""Recovery within a bound after a fault, and lag that is told: each broken on purpose, and legal runs that are none."""

from __future__ import annotations

import re
from typing import Any

import pytest

from stigmem.core.wire import Response
from stigmem.node.api.federation import FederationApi
from stigmem.node.replication.backoff import PullBackoff
from stigmem.node.replication.lag import LagMonitor
from tests.sim.hostile import SECOND, failures, run_simulation
from tests.sim.small_runs import result_of

Patch = pytest.MonkeyPatch
CUT = '[[fault]]\nkind = "partition"\nname = "cut"\nshape = "halves"\nat = "20s"\nfor = "2m"\n'
LONG: dict[str, Any] = {"duration": "6m", "signatures": "stand-in"}


def test_a_federation_that_is_right_recovers_from_a_cut_in_time() -> None:
    simulation = run_simulation(CUT, **LONG)
    assert failures(simulation) == {}
    said = result_of(simulation, "recovery")
    assert said.detail.startswith("1 of 1 faults")


def test_a_node_that_rests_too_long_after_a_cut_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(PullBackoff, "_backoff_ns", lambda *_: 300 * SECOND)
    found = failures(run_simulation(CUT, settle="10m", **LONG))
    assert re.search(r"after cut ended at 2m20s; \S+ are enough", found["recovery"])


def test_a_fault_that_others_follow_or_that_a_bad_wire_goes_with_is_not_judged() -> None:
    crash = '[[fault]]\nkind = "crash"\nnode = "south"\nat = "2m30s"\nfor = "10s"\n'
    assert result_of(run_simulation(CUT, crash, **LONG), "recovery").detail.startswith("1 of 2 faults")
    assert result_of(run_simulation(CUT, network="loss = 0.02", **LONG), "recovery").vacuous


def behind(monkeypatch: Patch, since_s: float) -> None:
    """Nodes that count a lag of so many seconds, whatever they read."""
    monkeypatch.setattr(LagMonitor, "_lags", lambda self, now_ns: [int(since_s * 1_000)] * max(2, len(self._peers)))


def test_nodes_that_turn_each_other_away_every_other_time_keep_the_rules(monkeypatch: Patch) -> None:
    behind(monkeypatch, 301)
    simulation = run_simulation(signatures="stand-in", settle="10m")
    assert "lag-labels" not in failures(simulation)
    checker = next(checker for checker in simulation.checkers if checker.name == "lag-labels")
    assert checker.refused > 3  # type: ignore[attr-defined]
    assert checker.labelled > 3  # type: ignore[attr-defined]


def test_who_is_turned_away_for_lag_twice_in_a_row_is_told_of(monkeypatch: Patch) -> None:
    behind(monkeypatch, 301)
    honest = LagMonitor.refuse_if_stale

    def refuse(self: LagMonitor, txn: Any, peer_id: str) -> None:
        self._turned_away.pop(peer_id, None)
        honest(self, txn, peer_id)

    monkeypatch.setattr(LagMonitor, "refuse_if_stale", refuse)
    found = failures(run_simulation(signatures="stand-in", settle="15m"))
    assert "away for its lag twice in a row" in found["lag-labels"]


def test_a_lag_below_the_warning_is_no_label(monkeypatch: Patch) -> None:
    behind(monkeypatch, 30)
    honest = FederationApi.answer_pull

    def answer(self: FederationApi, *args: Any, **keys: Any) -> Any:
        found = honest(self, *args, **keys)
        return Response(found.status, {**found.headers, "x-stigmem-replication-lag": "30000"}, found.body)

    monkeypatch.setattr(FederationApi, "answer_pull", answer)
    found = failures(run_simulation(signatures="stand-in"))
    assert "labels a page with a lag of '30000' ms" in found["lag-labels"]
