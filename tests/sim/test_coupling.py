"""One change changes only what it reaches: runs with and without a fault, and everything else compared.

A line of six nodes whose facts go to neighbours only, on disks that take no time, so that nothing but the two ends of a
link is within the reach of what happens on it.
"""

from __future__ import annotations

from typing import Any

import pytest

from sim.simulation.simulation import Simulation
from tests.sim.small import fault, make_simulation, workload

LINE = ["a", "b", "c", "d", "e", "f"]
TALK = workload("writers", rate="20/m", scope="company", fresh=True)
WIRE = '[network]\nlatency = { kind = "lognormal", median = "40ms", p99 = "180ms" }\nloss = 0.05\n[disk]\nsync = "0s"'
LOSS = fault("loss", between=["a", "b"], share=0.5, at="10s", for_="30s")
Events = list[tuple[Any, ...]]


def line(*parts: str, nodes: list[str] = LINE) -> Simulation:
    """A run of the line that is over; `told` holds what crossed the wire, was lost there, and was committed."""
    simulation = make_simulation(TALK, WIRE, *parts, nodes=nodes, topology="line")
    trace, told = simulation.trace, []
    packet, event = trace.packet, trace.event

    def on_packet(source: str, target: str, kind: str, data: bytes, delay_ns: int) -> None:
        told.append((simulation.world.now, source, target, kind, data, delay_ns))
        packet(source, target, kind, data, delay_ns)

    def on_event(kind: str, *details: Any) -> None:
        if kind == "dropped":
            told.append((simulation.world.now, *details))
        event(kind, *details)

    vars(trace).update(packet=on_packet, event=on_event)
    simulation.run()
    assert simulation.violation is None
    assert simulation.converged_at is not None
    vars(simulation)["told"] = told
    return simulation


def wire(simulation: Simulation, *untouched: str) -> Events:
    """What was sent and lost between these nodes while faults went on."""
    told: Events = vars(simulation)["told"]
    return [each for each in told if each[0] < simulation.duration and each[1] in untouched and each[2] in untouched]


def copies(simulation: Simulation, *nodes: str) -> list[tuple[str, str, int, tuple[int, ...]]]:
    """Facts of some nodes with the times at which these nodes saw them."""
    visibility = simulation.visibility
    return [
        (fact.id, fact.origin, fact.written_ns, tuple(visibility.first_seen[node][number] for node in nodes))
        for number, fact in enumerate(visibility.facts)
        if fact.origin in nodes and fact.written_ns < simulation.duration
    ]


@pytest.fixture(scope="module")
def without() -> Simulation:
    return line()


def test_a_loss_on_one_link_leaves_every_packet_of_the_other_links_as_it_was_to_the_byte(without: Simulation) -> None:
    with_loss = line(LOSS)
    far = ("c", "d", "e", "f")
    assert wire(with_loss, *far) == wire(without, *far)
    assert copies(with_loss, *far) == copies(without, *far)
    assert len(wire(without, *far)) > 200
    assert len(copies(without, *far)) > 50
    near = ("a", "b")
    assert copies(with_loss, *near) != copies(without, *near), "the loss did nothing, so nothing was shown"


def test_a_node_more_at_the_end_of_the_line_leaves_every_packet_of_those_far_from_it_as_it_was_to_the_byte(
    without: Simulation,
) -> None:
    with_one_more = line(nodes=[*LINE, "g"])
    far = ("a", "b", "c", "d")
    assert wire(with_one_more, *far) == wire(without, *far)
    assert copies(with_one_more, *far) == copies(without, *far)
    assert len(wire(without, *far)) > 200
    assert len(wire(with_one_more, "f", "g")) > 20, "the new node said nothing, so nothing was shown"


def test_who_pulls_a_node_that_lost_messages_does_so_at_the_same_moments_with_the_same_delays(
    without: Simulation,
) -> None:
    with_loss = line(LOSS)
    # What is said differs: the cursor of b counts what a brought.
    said = [[each[:4] + each[5:] for each in wire(run, "b", "c")] for run in (with_loss, without)]
    assert said[0] == said[1]
    assert len(said[0]) > 100


def test_a_fault_that_does_nothing_and_stands_first_moves_no_draw_of_those_after_it() -> None:
    crashes = fault("random-crashes", rate="6/m", down="4s", at="5s", for_="40s")
    idle = fault("slow", between=["a", "b"], by="1ns", at="50s", for_="1s")
    strikes = []
    for faults in ((crashes,), (idle, crashes)):
        simulation = make_simulation(TALK, *faults, nodes=LINE, topology="line")
        struck: Events = []
        told = simulation.relay.stopped

        def stopped(machine: Any, how: str, fate: str, struck: Events = struck, told: Any = told) -> None:
            struck.append((machine.world.now, machine.name, how, fate))
            told(machine, how, fate)

        vars(simulation.relay)["stopped"] = stopped
        simulation.run()
        strikes.append(struck)
    assert strikes[0] == strikes[1]
    assert len(strikes[0]) >= 3


def test_a_workload_that_stands_first_moves_nothing_that_another_one_writes() -> None:
    def written(*parts: str) -> list[tuple[str, str]]:
        simulation = make_simulation(*parts, nodes=LINE, topology="line")
        simulation.run()
        return [(fact.origin, fact.relation) for fact in simulation.visibility.facts if "number" in fact.relation]

    talk = workload("writers", rate="10/m", kinds=["number"], fresh=True)
    other = workload("writers", rate="10/m", kinds=["string"], scope="company")
    assert written(other, talk) == written(talk)
    named = workload("writers", name="talk", rate="10/m", kinds=["number"], fresh=True)
    assert written(named) == written(workload("storm", pairs=1, every="20s"), named)


def test_the_same_fault_struck_harder_or_later_draws_the_same_and_a_name_of_its_own_draws_otherwise() -> None:
    def purposes(*faults: str) -> list[str]:
        return [each.purpose() for each in make_simulation(TALK, *faults, nodes=LINE).scenario.fault]

    again = fault("loss", between=["a", "b"], share=0.1, at="30s", for_="2s")
    assert purposes(LOSS, again) == ["loss a b", "loss a b"]
    assert purposes(fault("loss", name="storm", between=["a", "b"], at="30s")) == ["storm"]
