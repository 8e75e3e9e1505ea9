"""Operators who revoke a peer, or compare a wrong fingerprint: nothing crosses meanwhile, and everything afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.diagnostics.errors import Misfit
from sim.fault.operators import OperatorFault, Revoke, WrongFingerprint
from sim.scenario.planning import make_plan
from sim.scenario.reading import parse_scenario
from sim.simulation.simulation import Simulation
from sim.units import Duration
from stigmem.core.declaration import ACTIVE, PENDING, REVOKED
from tests.sim.small_runs import WRITES, S, at, fault, make_simulation, run, scenario_text

TWO = ("a", "b")


def came_s(simulation: Simulation, node: str) -> list[float]:
    """When facts of the other node came to a node."""
    pairs = zip(simulation.visibility.facts, simulation.visibility.first_seen[node], strict=True)
    return [seen / S for fact, seen in pairs if seen >= 0 and fact.origin != node]


def status_at(simulation: Simulation, peer: str, at_node: str) -> str:
    node, host = simulation.machines[peer].node, simulation.machines[at_node].node
    assert node is not None
    assert host is not None
    row = host.state.peer_of(node.node_id)
    return "" if row is None else row.status


@pytest.mark.parametrize("kind", ["revoke", "wrong-fingerprint"])
def test_no_fact_crosses_while_an_operator_does_not_approve_of_a_peer_and_all_do_afterwards(kind: str) -> None:
    simulation = run(WRITES, fault(kind, at="20s", for_="15s", node="a", peer="b"), nodes=TWO)
    came = {name: came_s(simulation, name) for name in TWO}
    for times in came.values():
        assert [second for second in times if second < 20]
        assert [second for second in times if 21 < second < 35] == []
        assert [second for second in times if second > 35]


def test_a_peer_stays_pending_and_every_attempt_is_audited_while_its_fingerprint_is_a_wrong_one() -> None:
    simulation = make_simulation(
        WRITES, fault("wrong-fingerprint", at="20s", for_="30s", node="a", peer="b"), nodes=TWO
    )
    seen = at(simulation, 49, lambda: (status_at(simulation, "b", "a"), status_at(simulation, "a", "b")))
    simulation.run()
    assert seen == [(PENDING, ACTIVE)]
    assert simulation.relay.audit_events["peer_approval_failed"] > 1
    assert status_at(simulation, "b", "a") == ACTIVE


def test_an_operator_whose_node_is_off_revokes_when_it_is_back_and_the_last_of_several_lets_go() -> None:
    simulation = make_simulation(
        WRITES,
        fault("crash", at="18s", for_="6s", node="a"),
        fault("revoke", at="20s", for_="20s", node="a", peer="b"),
        fault("revoke", at="30s", for_="20s", node="a", peer="b"),
        nodes=TWO,
    )
    seen = [at(simulation, second, lambda: status_at(simulation, "b", "a")) for second in (26, 45, 56)]
    simulation.run()
    assert [status for (status,) in seen] == [REVOKED, REVOKED, ACTIVE]


def test_a_public_fact_comes_by_way_of_others_while_one_link_is_revoked() -> None:
    simulation = run(WRITES, fault("revoke", at="20s", for_="20s", node="a", peer="b"))
    b_at_a = [
        seen / S
        for known, seen in zip(simulation.visibility.facts, simulation.visibility.first_seen["a"], strict=True)
        if known.origin == "b" and known.scope == "public"
    ]
    assert [second for second in b_at_a if 22 < second < 38]


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (Revoke(at=Duration(0), node="a", peer="a"), "no peer of its own"),
        (WrongFingerprint(at=Duration(0), node="a", peer="c"), "not linked"),
    ],
)
def test_what_an_operator_cannot_take_back_is_foreseen(made: OperatorFault, sentence: str) -> None:
    text = scenario_text(WRITES, nodes=("a", "b", "c"), topology="line")
    with pytest.raises(Misfit, match=sentence):
        made.check(make_plan(parse_scenario(text), Path()).federation)
