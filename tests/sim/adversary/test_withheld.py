"""What peers hold back, show out of order, or say otherwise to each: everybody who may know it knows the same in the
end."""

from __future__ import annotations

from typing import Any

import pytest

from sim.adversary.resurrector import Shown
from sim.scenario.reading import BadScenario
from sim.simulation.simulation import Simulation
from stigmem.core.errors import Rejection
from stigmem.core.fact import Fact
from stigmem.node.replication import page_ingest
from tests.sim.hostile import SECOND, Reader, adversary, assert_unharmed, failures, make_simulation, run_simulation


def told(simulation: Simulation, entity: str) -> dict[str, dict[str, str]]:
    """Node -> public facts about an entity by id, with their texts."""
    return {
        name: {
            fact.id: fact.text
            for fact in machine.node.state.ledger.log  # type: ignore[union-attr]
            if fact.entity.startswith(entity) and fact.scope == "public"
        }
        for name, machine in simulation.machines.items()
    }


# --- gapper ---


def test_facts_that_come_after_their_neighbours_reach_everybody() -> None:
    readers: list[Reader] = []
    simulation = run_simulation(adversary("gapper", wait="15s"), before=lambda sim: readers.append(Reader(sim)))
    assert_unharmed(simulation, readers[0])
    north, south, west = told(simulation, "stigmem://sim.example/gap").values()
    assert north == south == west
    numbers = [text.partition(" ")[0] for text in north.values()]
    assert numbers.count("0") > 2  # what was left out
    assert numbers.count("1") > 2  # what was not


def test_a_node_that_takes_nothing_older_than_what_it_has_read_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    honest, latest = page_ingest.admit, {"stamp": 0}

    def admit(candidate: Any, ledger: Any, link: Any, policy: Any, now_ms: int) -> Fact | None:
        fact: Fact = candidate.fact
        if fact.entity.endswith("/gap") and fact.origin == link.sender:
            if fact.stamp < latest["stamp"] and ledger.held(fact.origin, fact.id) is None:
                raise Rejection("malformed_fact", "the cursor has passed this stamp")
            latest["stamp"] = max(latest["stamp"], fact.stamp)
        return honest(candidate, ledger, link, policy, now_ms)

    monkeypatch.setattr(page_ingest, "admit", admit)
    found = failures(run_simulation(adversary("gapper", wait="15s"), signatures="stand-in"))
    assert list(found) == ["bad-facts-alone"]
    assert "lost a good fact" in found["bad-facts-alone"]


# --- withholder ---


def test_who_is_starved_learns_from_the_fed() -> None:
    table = adversary("withholder", peers=["north", "south", "west"], starved=["west"])
    readers: list[Reader] = []
    simulation = run_simulation(table, before=lambda sim: readers.append(Reader(sim)))
    assert_unharmed(simulation, readers[0], receipts=0)
    receipts = simulation.adversaries["mallory"].obligations.receipts
    assert receipts["north"] > 5
    assert "west" not in receipts
    rumours = [
        {fact.id for fact in machine.node.state.ledger.log if fact.text.startswith("not so")}  # type: ignore[union-attr]
        for machine in simulation.machines.values()
    ]
    assert rumours[0] == rumours[1] == rumours[2]
    assert len(rumours[0]) > 20


def test_who_is_to_be_starved_must_be_a_victim() -> None:
    with pytest.raises(BadScenario, match="'west' is no victim"):
        make_simulation(adversary("withholder", peers=["north"], starved=["west"]))


# --- equivocator ---


def test_who_says_different_things_to_each_is_heard_alike_by_all() -> None:
    simulation = run_simulation(adversary("equivocator", peers=["north", "south", "west"]))
    assert_unharmed(simulation)
    north, south, west = told(simulation, "stigmem://sim.example/oath").values()
    assert north == south == west
    assert {text.split(" as ")[1].split()[0] for text in north.values()} == {"north", "south", "west"}
    last = [ids & north.keys() for ids in standing(simulation)]
    assert last[0] == last[1] == last[2]
    slots = len({text.split()[0] for text in north.values()})
    assert len(last[0]) == slots == 2, "of each author one word stands, the same everywhere"


def test_a_node_that_believes_whatever_an_author_said_first_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = page_ingest.admit

    def admit(candidate: Any, ledger: Any, link: Any, policy: Any, now_ms: int) -> Fact | None:
        fact: Fact = candidate.fact
        if any(known.origin == fact.origin and known.text != fact.text for known in ledger.facts_of(fact.slot)):
            raise Rejection("malformed_fact", "its author said something else before")
        return honest(candidate, ledger, link, policy, now_ms)

    monkeypatch.setattr(page_ingest, "admit", admit)
    table = adversary("equivocator", peers=["north", "south", "west"])
    found = failures(run_simulation(table, signatures="stand-in", rate="1/m"))
    assert found.keys() - {"convergence"} == {"bad-facts-alone"}
    assert "lost a good fact" in found["bad-facts-alone"]


# --- resurrector ---

RETRACTIONS = '[[workload]]\nkind = "retractions"\nrate = "30/m"\n'


def standing(simulation: Simulation) -> list[set[str]]:
    """For each node, which public facts stand on it. What a hostile peer said last may still be under way."""
    ledgers = [machine.node.state.ledger for machine in simulation.machines.values()]  # type: ignore[union-attr]
    return [{fact.id for fact in ledger.log if fact.scope == "public" and ledger.live(fact)} for ledger in ledgers]


@pytest.mark.parametrize("wiped", [False, True], ids=["nobody-forgets", "one-forgets"])
def test_what_its_author_has_taken_back_stays_taken_back_however_often_it_is_shown(*, wiped: bool) -> None:
    wipe = '[[fault]]\nkind = "wipe"\nnode = "west"\nat = "60s"\ndown = "2s"\n' if wiped else ""
    table = adversary("resurrector", peers=["north", "west"])
    simulation = run_simulation(table, RETRACTIONS, wipe, duration="2m")
    assert failures(simulation) == {}
    peer = simulation.adversaries["mallory"]
    assert len(peer.memory(Shown, "west")) > 20
    honest = {machine.node.node_id for machine in simulation.machines.values()}  # type: ignore[union-attr]
    ledger = simulation.machines["north"].node.state.ledger  # type: ignore[union-attr]
    ours = {fact.id for fact in ledger.log if fact.origin in honest}
    north, south, west = (ids & ours for ids in standing(simulation))
    assert north == south == west
    assert not north & set(peer.memory(Shown, "north"))


def test_a_node_that_believes_again_what_it_is_shown_again_is_caught() -> None:
    def believe(simulation: Simulation) -> None:
        def patch(_: object) -> None:
            ledger = simulation.machines["north"].node.state.ledger  # type: ignore[union-attr]
            honest, shown = ledger.ended_by, simulation.adversaries["mallory"].memory(Shown, "north")
            ledger.ended_by = lambda fact: None if fact.id in shown else honest(fact)  # type: ignore[method-assign]
            live = ledger.live
            ledger.live = lambda fact: fact.id in shown or live(fact)  # type: ignore[method-assign]

        simulation.world.at(50 * SECOND, patch)

    found = failures(run_simulation(adversary("resurrector"), RETRACTIONS, before=believe, signatures="stand-in"))
    assert list(found) == ["hostile-requests"]
    assert "stands again, which its author has taken back" in found["hostile-requests"]
