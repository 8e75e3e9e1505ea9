"""People who introduce nodes to each other: links, scopes of their own, and keys of nodes that nobody peers with."""

from __future__ import annotations

import pytest

from sim.simulation.simulation import Simulation
from tests.sim.small_runs import S, approve, at, fault, make_simulation, packets, result_of, run, workload

PUBLIC = workload("writers", rate="10/m", scope="public")
COMPANY = workload("writers", rate="10/m", scope="company")


def federation(*parts: str, keys: str, **changes: str) -> Simulation:
    """A simulation whose federation table has more keys."""
    return make_simulation(*parts, pull_limit=f"100\n{keys}", **changes)


@pytest.mark.parametrize("trouble", [(), (fault("wipe", at="30s", node="c"),), (fault("join", at="20s", node="a"),)])
def test_pinned_keys_of_named_nodes_reach_those_who_are_no_neighbours(trouble: tuple[str, ...]) -> None:
    simulation = federation(PUBLIC, *trouble, keys='node_ids = "named"', topology="line")
    simulation.run()
    approve(simulation)
    assert "origin_unresolvable" not in simulation.rejections or trouble
    node = simulation.machines["c"].node
    assert node is not None
    assert {origin: row.how for origin, row in node.state.origins.items()}["stigmem://a.sim"] == "pinned"


def test_a_node_that_left_is_still_known_by_its_key() -> None:
    simulation = federation(PUBLIC, fault("leave", at="30s", node="a"), keys='node_ids = "named"', topology="line")
    simulation.run()
    approve(simulation)


def test_a_link_may_grant_more_than_the_federation_does() -> None:
    link = '[[link]]\nbetween = ["a", "b"]\nscopes = ["company", "public"]'
    simulation = federation(PUBLIC, COMPANY, link, keys='scopes = ["company"]')
    simulation.run()
    approve(simulation)
    seen = zip(simulation.visibility.facts, simulation.visibility.first_seen["b"], strict=True)
    held = {(fact.scope, fact.origin) for fact, time in seen if time >= 0}
    assert held == {("public", "a"), ("public", "b"), ("company", "a"), ("company", "b"), ("company", "c")}


def test_who_never_became_peers_is_named() -> None:
    slow = '[[link]]\nbetween = ["a", "b"]\nlatency = "6s"'
    simulation = make_simulation(PUBLIC, slow, settle="30s")
    simulation.run()
    assert simulation.handshakes.unlinked() == [("a", "b"), ("b", "a")]
    said = result_of(simulation, "convergence")
    assert said.ok is False
    assert said.detail == (
        "a never became a peer of b, and 1 more: its registrations ended so: 5 timeout; a round trip on this link "
        "takes up to 12s, and discovery_timeout is 5s"
    )


def test_a_link_that_is_slower_than_five_seconds_can_join_with_more_patience() -> None:
    slow = '[[link]]\nbetween = ["a", "b"]\nlatency = "17.5s"'
    keys = 'pull_timeout = "60s"\ndiscovery_timeout = "60s"'
    simulation = federation(PUBLIC, slow, keys=keys, settle="5m", duration="4m")
    simulation.run()
    approve(simulation)
    assert simulation.handshakes.unlinked() == []


def test_operators_of_a_node_that_is_absent_knock_less_and_less() -> None:
    simulation = make_simulation(PUBLIC, fault("join", at="20m", node="c"), duration="25m", pull_interval="60s")
    simulation.run()
    approve(simulation)
    tried = [at for at, source, target, _ in packets(simulation) if source == "a" and target == "c" and at < 1_200 * S]
    assert 10 < len(tried) < 20  # every two minutes in the end, where one every five seconds would be 240


def test_operators_knock_again_at_once_when_a_node_boots() -> None:
    simulation = make_simulation(PUBLIC, fault("join", at="20m", node="c"), duration="25m", pull_interval="60s")
    linked = at(simulation, 1_210, simulation.handshakes.all_linked)
    simulation.run()
    assert linked == [True]


def test_handshakes_outlast_a_pause_and_a_full_disk() -> None:
    trouble = [fault("pause", at="0s", for_="20s", node="a"), fault("disk-full", at="0s", for_="30s", node="b")]
    run(PUBLIC, *trouble)
