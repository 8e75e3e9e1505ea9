"""Digests: equal when they should be, different when anything that counts differs."""

from __future__ import annotations

import msgspec

from sim.simulation.digest import knowledge_digest, knowledge_lines, knowledge_of, ledgers, state_digest
from sim.simulation.simulation import Simulation
from stigmem.core.fact import Fact
from stigmem.core.ledger import Ledger
from tests.builders import T0_MS, fact, resolution, retraction
from tests.sim.small import make_simulation, workload

NOW_US = (T0_MS + 1_000) * 1_000
TALK = workload("contradictions", rate="30/m", entities=5)


def ledger_of(*facts: Fact) -> Ledger:
    """A ledger that received these facts in this order."""
    ledger = Ledger()
    for number, each in enumerate(facts, start=1):
        ledger.add(msgspec.structs.replace(each, seq=number))
    return ledger


def standings(*facts: Fact, at_us: int = NOW_US) -> list[str]:
    """How each fact stands, by its text."""
    lines = [line.decode() for line in knowledge_lines(ledger_of(*facts), at_us)]
    return [f"{line.split(',')[5]} {line.split()[-1]}" for line in lines if line.startswith('["fact"')]


def digest(*facts: Fact) -> str:
    """The knowledge digest of one node."""
    return knowledge_digest({"north": ledger_of(*facts)}, NOW_US)


# --- knowledge ---


def test_knowledge_does_not_depend_on_the_order_of_arrival() -> None:
    facts = [fact(1, "ok"), fact(2, "broken", source="agent:b"), retraction(3)]
    assert digest(*facts) == digest(*reversed(facts))


def test_knowledge_does_not_depend_on_stamps_ids_and_node_ids() -> None:
    one = [fact(1, "ok"), fact(2, "broken", origin="stigmem:node:b", source="agent:b")]
    other = [fact(11, "ok", at=500), fact(12, "broken", at=700, origin="stigmem:node:z", source="agent:b")]
    assert digest(*one) == digest(*other)


def test_knowledge_depends_on_every_part_of_what_is_said() -> None:
    plain = fact(1, "ok")
    others = [
        fact(1, "not ok"), fact(1, "ok", kind="text"), fact(1, "ok", source="agent:b"), fact(1, "ok", confidence=0.5),
        fact(1, "ok", valid_until="2040-01-01T00:00:00Z"), fact(1, "ok", slot=("e", "r", "company")),
    ]  # fmt: skip
    found = [digest(each) for each in (plain, *others)]
    assert len(set(found)) == len(found)


def test_knowledge_counts_how_often_something_is_said() -> None:
    assert digest(fact(1, "ok")) != digest(fact(1, "ok"), fact(2, "ok"))


def test_knowledge_depends_on_which_node_holds_it() -> None:
    held, empty = ledger_of(fact(1)), ledger_of()
    assert knowledge_digest({"a": held, "b": empty}, NOW_US) != knowledge_digest({"a": empty, "b": held}, NOW_US)


def test_knowledge_does_not_depend_on_the_order_in_which_nodes_are_given() -> None:
    nodes = {"a": ledger_of(fact(1)), "b": ledger_of()}
    assert knowledge_digest(nodes, NOW_US) == knowledge_digest(dict(reversed(nodes.items())), NOW_US)


def test_each_fact_says_how_it_stands() -> None:
    kept, lost = fact(1, "kept"), fact(2, "lost", source="agent:b", origin="stigmem:node:b")
    assert standings(kept, lost, resolution(3, kept, lost)) == ['"kept" live', '"lost" overruled']
    assert standings(fact(1, "gone"), retraction(2)) == ['"gone" retracted', '"retracted" retraction']
    assert standings(fact(1, "held", quarantine="instruction")) == ['"held" quarantined']


def test_expiry_is_judged_at_the_instant_given() -> None:
    brief = fact(1, "brief", valid_until="2030-01-01T00:00:00Z")
    before, after = 1_893_455_999_000_000, 1_893_456_000_000_000
    assert standings(brief, at_us=before) == ['"brief" live']
    assert standings(brief, at_us=after) == ['"brief" expired']


def test_an_open_conflict_is_part_of_knowledge() -> None:
    lines = knowledge_lines(ledger_of(fact(1, "ok"), fact(2, "broken", source="agent:b")), NOW_US)
    (conflict,) = [line for line in lines if line.startswith(b'["conflict"')]
    assert b'"unresolved"' in conflict
    assert b'"ok"' in conflict
    assert b'"broken"' in conflict


def test_a_resolution_is_told_without_ids() -> None:
    a, b = fact(1, "ok"), fact(2, "broken", source="agent:b", origin="stigmem:node:b")
    c, d = fact(21, "ok", at=5), fact(22, "broken", at=6, source="agent:b", origin="stigmem:node:y")
    first = knowledge_lines(ledger_of(a, b, resolution(3, a, b)), NOW_US)
    second = knowledge_lines(ledger_of(c, d, resolution(23, c, d)), NOW_US)
    assert first == second
    assert any(line.startswith(b'["resolution"') for line in first)
    assert not any(a.id.encode() in line for line in first)


def test_the_winner_of_a_resolution_counts() -> None:
    a, b = fact(1, "ok"), fact(2, "broken", source="agent:b", origin="stigmem:node:b")
    assert digest(a, b, resolution(3, a, b)) != digest(a, b, resolution(3, b, a))


# --- simulations ---


def ran(*parts: str, **changes: str) -> Simulation:
    simulation = make_simulation(TALK, *parts, **changes)
    simulation.run()
    assert simulation.converged_at is not None
    return simulation


def test_two_runs_of_one_plan_have_equal_digests() -> None:
    one, other = ran(), ran()
    assert state_digest(one.machines) == state_digest(other.machines)
    assert knowledge_of(one.machines, one.world.now) == knowledge_of(other.machines, other.world.now)


def test_a_wrong_clock_changes_the_state_but_not_what_is_known() -> None:
    true, wrong = ran(), ran('[[clock]]\nnode = "b"\noffset = "-3s"')
    assert state_digest(true.machines) != state_digest(wrong.machines)
    assert knowledge_of(true.machines, true.world.now) == knowledge_of(wrong.machines, wrong.world.now)


def test_other_latencies_change_the_state_but_not_what_is_known() -> None:
    near, far = ran(), ran('[network]\nlatency = "350ms"')
    assert state_digest(near.machines) != state_digest(far.machines)
    assert knowledge_of(near.machines, near.world.now) == knowledge_of(far.machines, far.world.now)


def test_the_state_counts_what_is_no_fact() -> None:
    simulation = ran()
    before = state_digest(simulation.machines)
    node = simulation.machines["a"].node
    assert node is not None
    node.state.cursors.popitem()
    assert state_digest(simulation.machines) != before


def test_a_machine_that_is_off_has_a_state_and_no_knowledge() -> None:
    simulation = ran()
    before = state_digest(simulation.machines)
    simulation.machines["b"].node = None
    assert list(ledgers(simulation.machines)) == ["a", "c"]
    assert state_digest(simulation.machines) != before
