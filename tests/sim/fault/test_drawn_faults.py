"""Faults that draw when and whom they strike: churn, random partitions, swizzle."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from sim.diagnostics.errors import Misfit
from sim.fault import Fault
from sim.fault.churn import Churn
from sim.fault.swizzle import Swizzle
from sim.scenario.planning import make_plan
from sim.scenario.reading import parse_scenario
from sim.simulation.simulation import Simulation
from sim.units import Duration
from tests.sim.small_runs import PROBES, WRITES, S, events, fault, run, scenario_text


def dropped(simulation: Simulation) -> list[tuple[int, frozenset[str]]]:
    return [(at, frozenset((source, target))) for at, _, source, target, *_ in events(simulation, "dropped")]


def off_times(simulation: Simulation) -> dict[str, list[tuple[int, int]]]:
    """Node -> from when to when it was off."""
    found: dict[str, list[tuple[int, int]]] = {}
    begun: dict[str, int] = {}
    for name in simulation.plan.nodes:
        both = [*events(simulation, "crash"), *events(simulation, "booted")]
        for at_ns, kind, node, *_ in sorted(event for event in both if event[2] == name):
            if kind == "crash":
                begun[node] = at_ns
            elif node in begun:
                found.setdefault(node, []).append((begun.pop(node), at_ns))
    return found


def test_churn_takes_nodes_away_for_lengths_that_are_drawn_and_leaves_so_many_as_stay() -> None:
    simulation = run(WRITES, fault("churn", at="5s", for_="50s", rate="20/m", away="8s", stay=2), nodes=("a", "b", "c"))
    off = off_times(simulation)
    spans = sorted(span for spans in off.values() for span in spans)
    assert len(off) > 1, "more than one node goes"
    assert len({end - begin for begin, end in spans}) == len(spans) > 3
    assert all(first[1] <= second[0] for first, second in pairwise(spans)), "two of three stay"


def test_who_comes_back_from_churn_with_an_empty_disk_is_told() -> None:
    simulation = run(WRITES, fault("churn", at="10s", for_="40s", rate="10/m", away="3s", empty=1.0))
    assert len(events(simulation, "wiped")) == len(events(simulation, "crash")) > 0


def test_random_partitions_cut_again_and_again_along_other_lines_and_heal() -> None:
    simulation = run(
        PROBES, fault("random-partitions", at="5s", for_="50s", cut="4s", calm="4s"), nodes=("a", "b", "c", "d")
    )
    rules = dict.fromkeys(event[-1] for event in events(simulation, "dropped"))
    lines = {
        rule: frozenset(frozenset(event[2:4]) for event in events(simulation, "dropped") if event[-1] == rule)
        for rule in rules
    }
    assert len(rules) > 2
    assert len(set(lines.values())) > 1
    assert all(5 * S <= at <= 55 * S for at, _ in dropped(simulation))


def test_one_way_random_partitions_lose_nothing_on_the_way_back() -> None:
    simulation = run(
        PROBES, fault("random-partitions", at="5s", for_="20s", cut="1h", calm="1ms", least="0s", one_way=1.0),
        nodes=("a", "b"),
    )  # fmt: skip
    assert len(dict.fromkeys(tuple(event[2:4]) for event in events(simulation, "dropped"))) == 1


@pytest.mark.parametrize("hold", [False, True])
def test_a_swizzle_cuts_link_after_link_and_heals_them_in_another_order(hold: bool) -> None:
    nodes = ("a", "b", "c", "d")
    simulation = run(PROBES, fault("swizzle", at="6s", for_="48s", hold=hold), nodes=nodes)
    stopped = events(simulation, "held" if hold else "dropped")
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for at_ns, _, _, _, *details in stopped:
        rule = details[-1]
        first.setdefault(rule, at_ns)
        last[rule] = at_ns
    assert len(first) == 6
    assert sorted(first, key=first.__getitem__) != sorted(last, key=last.__getitem__)
    assert max(first.values()) - min(first.values()) > 12 * S, "not all at once"


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (Swizzle(at=Duration(0)), "how long it takes"),
        (Churn(at=Duration(0), stay=3), "none would ever go"),
    ],
)
def test_what_would_do_nothing_is_foreseen(made: Fault, sentence: str) -> None:
    with pytest.raises(Misfit, match=sentence):
        made.check(make_plan(parse_scenario(scenario_text(WRITES)), Path()).federation)
