"""Pulls that wait, in federations of more than two: facts are everywhere after some round trips, nobody asks much more
often than there is something to say, and a cut costs no more than a wait.

The interval is half a minute, so that whatever rests shows.
"""

from __future__ import annotations

from math import ceil

import pytest

from sim import run
from sim.observation.visibility import NEVER
from sim.scenario.reading import parse_scenario
from sim.simulation.simulation import Simulation
from tests.sim.small import fault, make_simulation, workload

S = 1_000_000_000
INTERVAL_S, WAIT_S = 30, 20
WIRE = '[network]\nlatency = { kind = "uniform", low = "10ms", high = "50ms" }'


def talk(rate: str) -> str:
    return workload("writers", rate=rate, start="40s", stop="170s", fresh=True, kinds=["number"])


def waiting(nodes: str, topology: str, *parts: str) -> Simulation:
    """A run of three minutes that is over."""
    simulation = make_simulation(
        WIRE, *parts, nodes=list(nodes), topology=topology, pull_interval=f"{INTERVAL_S}s", pull_wait=f"{WAIT_S}s",
        duration="180s",
    )  # fmt: skip
    simulation.run()
    assert simulation.violation is None
    assert simulation.converged_at is not None
    return simulation


def lags_s(simulation: Simulation, *readers: str) -> list[float]:
    """Of every copy away from its origin, sorted; those of some nodes only."""
    visibility = simulation.visibility
    found = [
        (visibility.first_seen[node][number] - fact.written_ns) / S
        for number, fact in enumerate(visibility.facts)
        for node in readers or simulation.plan.nodes
        if node != fact.origin and visibility.first_seen[node][number] != NEVER
    ]
    return sorted(found)


@pytest.mark.parametrize(
    ("nodes", "topology", "rate", "hops"),
    [("abc", "mesh", "20/m", 1), ("abcde", "mesh", "10/m", 1), ("abcdef", "ring", "4/m", 3)],
)
def test_a_fact_is_everywhere_within_round_trips_and_not_an_interval(
    nodes: str, topology: str, rate: str, hops: int
) -> None:
    lags = lags_s(waiting(nodes, topology, talk(rate)))
    assert len(lags) > 100
    assert lags[ceil(len(lags) * 0.99) - 1] < hops * 0.2
    assert lags[-1] < 1.0


def test_in_a_mesh_a_node_is_asked_again_for_what_it_has_to_say_and_not_for_what_others_said() -> None:
    simulation = waiting("abcde", "mesh", talk("10/m"))
    facts, links = len(simulation.visibility.facts), 5 * 4
    idle = links * (180 / WAIT_S + 1)
    needed = facts * 4 + idle
    assert simulation.requests < 1.5 * needed
    assert simulation.requests > facts * 4, "fewer questions than facts on their links: nothing was shown"


def test_a_link_that_loses_everything_costs_no_more_than_a_wait_and_only_once() -> None:
    cut = fault("loss", between=["a", "b"], share=1.0, at="60s", for_="100s")
    simulation = waiting("abcd", "mesh", talk("20/m"), cut)
    visibility = simulation.visibility
    late = [
        fact.written_ns / S
        for number, fact in enumerate(visibility.facts)
        for node in simulation.plan.nodes
        if visibility.first_seen[node][number] - fact.written_ns > S and node != fact.origin
    ]
    lags = lags_s(simulation)
    assert lags[-1] < WAIT_S + 2
    assert late, "the cut held nothing up, so nothing was shown"
    assert max(late) < 60 + 2 * WAIT_S + 10, "what is written later goes another way at once"


def test_a_peer_that_answers_at_once_and_always_with_the_same_is_asked_a_bounded_number_of_times() -> None:
    from stigmem.core import limits
    from stigmem.node.replication.backoff import PullBackoff
    from stigmem.node.settings import NodeSettings
    from tests.node.test_backoff import Middle

    backoff = PullBackoff(NodeSettings(seed=bytes(32)), Middle())
    asked = sum(backoff.may_repeat(tick * S // 20) for tick in range(20 * 60))  # twenty times a second for a minute
    assert asked <= limits.REPEATED_PAGES_BURST + 60 * limits.REPEATED_PAGES_PER_S + 1
    assert asked > limits.REPEATED_PAGES_BURST


def test_a_question_that_waits_longer_than_its_asker_lives_is_no_reading_from_the_beginning() -> None:
    """It was asked before a crash, without a place at the peer; the node that came back had stored one meanwhile."""
    scenario = parse_scenario("""
        [scenario]
        name = "crashes-while-waiting"
        duration = "60s"
        signatures = "stand-in"
        [federation]
        nodes = 6
        topology = "mesh"
        pull_interval = "2s"
        pull_wait = "10s"
        [network]
        latency = "20ms"
        loss = 0.05
        [[workload]]
        kind = "contradictions"
        rate = "10/m"
        [[fault]]
        kind = "random-crashes"
        name = "crashes"
        rate = "6/m"
        down = "1s"
        at = "15s"
        for = "30s"
        [[fault]]
        kind = "join"
        node = "node-06"
        at = "25s"
    """)
    result = run(scenario, seed=2)
    assert result.verdict == "pass", [check.detail for check in result.checks if check.ok is False]
    assert "crashes" in [each["name"] for each in result.run_json["catch_up"]]
    assert result.run_json["missing"] == 0
