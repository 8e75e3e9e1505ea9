"""Checkers hold a node against the definition with its own operator's policy, and compare nodes of one policy only."""

from __future__ import annotations

import pytest

from sim.check.base import CheckResult
from sim.simulation.simulation import Simulation
from stigmem.core.ledger import Ledger
from tests.sim.small_runs import S, approve, make_simulation, workload

ENTITY, RELATION = "stigmem://sim.example/shop", "shop:price"
SCHEMA = "stigmem://sim.example/relation/shop:price"


def shop(*schemas: str) -> Simulation:
    """Three nodes whose agents give one price each; some of them then say that there may be many prices."""
    simulation = make_simulation(workload("probe", period="10s"))
    clients = simulation.clients
    for name in "abc":
        simulation.world.at(10 * S, lambda _, name=name: clients.write(name, ENTITY, RELATION, name))  # type: ignore[misc]
    for name in schemas:
        simulation.world.at(
            20 * S,
            lambda _, name=name: clients.write(  # type: ignore[misc]
                name, SCHEMA, "rel:schema", '{"cardinality":"many"}', kind="text", source=f"agent:{name}"
            ),
        )
    return simulation


def judged(simulation: Simulation) -> CheckResult:
    simulation.run()
    results = {result.name: result for result in approve(simulation)}
    return results["conflict-agreement"]


def digests(simulation: Simulation) -> list[str]:
    return [simulation.observed.nodes[name].policy_digest() for name in "abc"]


def test_a_schema_of_one_node_ends_a_conflict_there_and_that_node_is_compared_with_none() -> None:
    simulation = shop("b")
    told = judged(simulation)
    assert len(set(digests(simulation))) == 2
    counts = [len(simulation.observed.nodes[name].ledger.contested) for name in "abc"]
    assert counts == [1, 0, 1]
    assert "0 to 1 open" in told.detail
    assert "go by one policy, which b do not" in told.detail


def test_nodes_of_one_policy_are_all_compared() -> None:
    simulation = shop()
    told = judged(simulation)
    assert len(set(digests(simulation))) == 1
    assert told.detail.endswith("the same everywhere")


def test_a_ledger_that_does_not_go_by_the_schema_in_force_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ledger, "reinterpret", lambda ledger, relation: None)
    simulation = shop("b")
    simulation.run()
    wrong = {result.name: result.detail for result in simulation.relay.results() if result.ok is False}
    assert "the ledger and the definition differ on whether" in wrong["conflict-agreement"]
