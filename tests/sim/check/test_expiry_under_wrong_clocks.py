"""Nodes whose clocks differ see a fact expire at different moments; that is no disagreement, and hides none."""

from __future__ import annotations

import pytest

from sim.check.conflict_diff import compare
from tests.sim.small_runs import make_simulation, run

CLOCKS = """
[[clock]]
node = "b"
offset = "200s"

[[clock]]
node = "c"
offset = "-120s"
drift_ppm = 300
"""
EXPIRING = """
[[workload]]
kind = "contradictions"
rate = "2/s"

[[workload]]
kind = "expiring"
rate = "1/s"
"""


@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_nodes_with_wrong_clocks_and_expiring_facts_converge(seed: str) -> None:
    simulation = run(CLOCKS, EXPIRING, seed=seed)
    assert simulation.converged_at is not None


def test_a_node_that_lost_a_conflict_is_odd_whatever_the_clocks_show() -> None:
    simulation = make_simulation(CLOCKS, EXPIRING)
    simulation.run()
    node = simulation.machines["b"].node
    assert node is not None
    ledgers = [machine.node.state.ledger for machine in simulation.machines.values() if machine.node is not None]
    ledgers[0].advance(ledgers[0].horizon_us + 1)
    assert compare(simulation.observed, thorough=False).odd == []
    key = next(key for key in node.state.ledger.contested if key[2] == "public")
    lost = node.state.ledger.facts_of(key)[0]
    node.state.ledger._slots[key].facts.remove(lost)
    del node.state.ledger.contested[key]
    assert compare(simulation.observed, thorough=False).odd == [key]
