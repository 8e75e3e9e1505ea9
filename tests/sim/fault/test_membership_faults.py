"""Nodes that lose their disk, come late or go for good, and what the others still know of them."""

from __future__ import annotations

import pytest

from tests.sim.small_runs import WRITES, approve, at, events, fault, is_up, make_simulation, run, workload


def test_a_wiped_node_comes_back_with_its_public_past_and_is_introduced_again() -> None:
    simulation = make_simulation(WRITES, fault("wipe", at="40s", node="a", down="2s"))
    before = at(simulation, 39, lambda: len(simulation.machines["a"].node.state.ledger))  # type: ignore[union-attr]
    simulation.run()
    approve(simulation)
    ((_, _, name, destroyed),) = events(simulation, "wiped")
    node = simulation.machines["a"].node
    assert node is not None
    own = [fact for fact in node.state.ledger.log if fact.origin == node.node_id and fact.received_from is not None]
    assert name == "a"
    assert before[0] > 20
    assert destroyed > 0, "its local facts are gone with the disk"
    assert {fact.scope for fact in own} == {"public"}, "what peers held of it came back"
    assert simulation.handshakes.all_linked()


@pytest.mark.parametrize("seed", range(8))
def test_peers_miss_nothing_that_a_wiped_node_writes_at_once_after_it_is_back(seed: int) -> None:
    """Their cursors are numbers of a log that is gone; the new log soon has such numbers too."""
    simulation = run(
        workload("writers", rate="3/s", scopes={"public": 0.5, "company": 0.5}),
        fault("wipe", at="30s", node="a"),
        seed=str(seed),
    )
    assert simulation.visibility.missing == 0


def test_a_wipe_of_a_node_whose_clock_was_ahead_is_no_false_alarm() -> None:
    simulation = run(
        WRITES,
        fault("clock-step", at="10s", node="a", by="3s", for_="10s"),
        fault("wipe", at="20s", node="a"),
    )
    assert len(events(simulation, "wiped")) == 1


def test_a_node_that_joins_late_learns_everything_it_may() -> None:
    simulation = make_simulation(WRITES, fault("join", at="40s", node="c"))
    early = at(simulation, 39, is_up(simulation, "c"))
    simulation.run()
    approve(simulation)
    node = simulation.machines["c"].node
    assert early == [False]
    assert node is not None
    assert len(node.state.ledger) > len([fact for fact in simulation.visibility.facts if fact.origin == "c"])


def test_crashes_of_a_node_that_has_not_joined_do_not_bring_it_in_early() -> None:
    simulation = make_simulation(
        WRITES,
        fault("join", at="40s", node="c"),
        fault("random-crashes", at="5s", for_="30s", rate="1/s", down="1s"),
    )
    seen = at(simulation, 39, lambda: simulation.machines["c"].boots)
    simulation.run()
    approve(simulation)
    assert seen == [0]


def test_a_node_that_leaves_is_gone_and_the_others_agree_without_it() -> None:
    simulation = run(WRITES, fault("leave", at="40s", node="c"))
    assert simulation.gone == {"c": None}
    assert not simulation.machines["c"].up
    assert [event[2] for event in events(simulation, "leave")] == ["c"]
