"""Faults (spec/simulation.md, 6): each really happens, is survived, and leaves nothing behind when it ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from sim.diagnostics.errors import Misfit
from sim.fault import FAULTS, Fault
from sim.fault.partition import Partition
from sim.scenario.planning import make_plan
from sim.scenario.reading import parse_scenario
from sim.simulation.simulation import Simulation
from sim.units import Duration
from tests.sim.small_runs import (
    PROBES,
    WRITES,
    S,
    approve,
    events,
    fault,
    lags_s,
    make_simulation,
    offset_s,
    packets,
    run,
    scenario_text,
)  # fmt: skip


def begin_and_end(simulation: Simulation) -> tuple[float, float]:
    (begun,), (ended,) = events(simulation, "fault begins"), events(simulation, "fault ends")
    return begun[0] / S, ended[0] / S


def dropped(simulation: Simulation, kind: str = "dropped") -> list[tuple[float, str, str]]:
    return [(at / S, source, target) for at, _, source, target, *_ in events(simulation, kind)]


def freed(simulation: Simulation, second: int) -> list[tuple[str, str]]:
    """Who sent whom what was let go at the very instant at which a fault ended, a packet each."""
    return sorted((source, target) for at, source, target, _ in packets(simulation) if at == second * S)


# --- on the wire ---

PAIRS = {(x, y) for x in "abc" for y in "abc" if x != y}


@pytest.mark.parametrize(
    ("members", "cut"),
    [
        ({"shape": "halves"}, PAIRS - {("b", "c"), ("c", "b")}),
        ({"shape": "one", "node": "b"}, PAIRS - {("a", "c"), ("c", "a")}),
        ({"shape": "bridge", "node": "a"}, {("b", "c"), ("c", "b")}),
        ({"groups": [["c"]]}, PAIRS - {("a", "b"), ("b", "a")}),
        ({"groups": [["b"], ["a"]], "one_way": True}, {("b", "a"), ("b", "c"), ("a", "c")}),
    ],
)
def test_a_partition_cuts_what_it_says_for_as_long_as_it_says_and_heals(
    members: dict[str, object], cut: set[tuple[str, str]]
) -> None:
    simulation = run(PROBES, fault("partition", at="10s", for_="35s", **members))
    assert {(source, target) for _, source, target in dropped(simulation)} == cut
    assert all(10 <= second <= 45 for second, _, _ in dropped(simulation))
    assert begin_and_end(simulation) == (10, 45)
    assert max(lags_s(simulation, "a") + lags_s(simulation, "b") + lags_s(simulation, "c")) > (
        10 if len(cut) > 2 else 2
    )


def test_a_partition_that_holds_delivers_when_it_heals_what_was_sent_meanwhile() -> None:
    simulation = run(PROBES, fault("partition", at="10s", for_="6s", shape="one", node="a", hold=True))
    held = dropped(simulation, "held")
    assert held
    assert dropped(simulation) == []
    assert all({source, target} & {"a"} for _, source, target in held)
    assert freed(simulation, 16) == sorted(pair[1:] for pair in held)


@pytest.mark.parametrize("count", range(4, 14))
def test_on_a_ring_of_majorities_every_node_sees_a_majority_and_no_two_see_the_same(count: int) -> None:
    names = tuple(f"n{number}" for number in range(count))
    cut = Partition(at=Duration(0), shape="majority-ring")._apart(names)
    sees = [frozenset(other for other in names if (name, other) not in cut) for name in names]
    assert cut
    assert all(len(seen) > count / 2 for seen in sees)
    assert len(frozenset(sees)) == count
    assert all((b, a) in cut for a, b in cut)


def test_a_federation_on_a_ring_of_majorities_still_converges_by_relaying() -> None:
    simulation = run(PROBES, fault("partition", at="5s", shape="majority-ring"), nodes=tuple("abcde"))
    during = [lag for node in "abcde" for lag in lags_s(simulation, node)]
    assert dropped(simulation)
    assert max(during) < 30


def test_without_for_a_fault_lasts_until_the_faults_end() -> None:
    simulation = run(PROBES, fault("partition", at="10s", shape="halves"))
    assert begin_and_end(simulation) == (10, 60)
    assert simulation.fault_schedule.fault_intervals == [("cut", (), 10 * S, 60 * S, None)]


def test_a_clog_holds_one_link_and_lets_everything_through_at_its_end() -> None:
    simulation = run(PROBES, fault("clog", at="10s", for_="8s", between=["a", "b"]))
    held = dropped(simulation, "held")
    assert {frozenset(pair[1:]) for pair in held} == {frozenset("ab")}
    assert dropped(simulation) == []
    assert freed(simulation, 18) == sorted(pair[1:] for pair in held)


def test_a_one_way_clog_of_a_node_holds_only_what_it_sends() -> None:
    simulation = run(PROBES, fault("clog", at="10s", for_="8s", node="a", one_way=True))
    assert {source for _, source, _ in dropped(simulation, "held")} == {"a"}


def test_a_flapping_link_loses_in_its_down_times_only() -> None:
    simulation = run(PROBES, fault("flap", at="10s", for_="40s", links=[["a", "b"]], down="5s", up="5s"))
    assert dropped(simulation)
    assert all((second - 10) % 10 < 5 for second, _, _ in dropped(simulation))
    assert {frozenset(pair[1:]) for pair in dropped(simulation)} == {frozenset("ab")}


@pytest.mark.parametrize("members", [{"by": "3s"}, {"by": "3s", "p99": "4s"}])
def test_a_slow_node_sees_everything_later_and_only_it(members: dict[str, object]) -> None:
    slow, quick = run(PROBES, fault("slow", at="5s", node="a", **members)), run(PROBES)
    assert median(lags_s(slow, "a")) > median(lags_s(quick, "a")) + 3
    from_c = [
        seen - fact.written_ns
        for fact, seen in zip(slow.visibility.facts, slow.visibility.first_seen["b"], strict=True)
        if fact.origin == "c"
    ]
    assert median(from_c) / S < 3


def test_a_share_of_packets_is_lost_at_random_and_only_where_it_is_said() -> None:
    simulation = run(PROBES, fault("loss", at="5s", share=0.5, between=["a", "b"]))
    assert {frozenset(pair[1:]) for pair in dropped(simulation)} == {frozenset("ab")}
    passed = [sent for sent, *pair, _ in packets(simulation) if set(pair) == set("ab") and 5 * S < sent < 60 * S]
    assert 0.3 < len(dropped(simulation)) / (len(dropped(simulation)) + len(passed)) < 0.7


def test_duplicated_requests_are_answered_once_and_refused_the_second_time() -> None:
    simulation = run(PROBES, fault("duplicate", at="10s", for_="30s", share=0.5))
    assert simulation.rejections["nonce_already_seen"] > 5
    assert run(PROBES).rejections == {}


def test_reordering_makes_packets_late_and_nothing_else() -> None:
    simulation = run(PROBES, fault("reorder", at="5s", share=0.5, by="4s"))
    assert max(lags_s(simulation, "a")) > max(lags_s(run(PROBES), "a")) + 1
    assert dropped(simulation) == []


def test_corrupt_bytes_are_survived_and_what_they_hit_comes_again() -> None:
    simulation = run(WRITES, fault("corrupt", at="0s", share=0.05), settle="6m")
    assert sum(simulation.rejections.values()) > 0


def test_little_bandwidth_queues_packets_on_the_links_it_is_for() -> None:
    simulation = run(PROBES, fault("bandwidth", at="5s", to="4kbit/s", between=["a", "b"]), nodes=("a", "b"))
    assert max(lags_s(simulation, "a")) > 4
    assert dropped(simulation) == []


# --- all of them ---


def test_everything_at_once_is_survived() -> None:
    simulation = run(
        WRITES,
        fault("random-crashes", at="5s", rate="20/m", down="2s"),
        fault("loss", at="0s", share=0.1),
        fault("duplicate", at="0s", share=0.1),
        fault("reorder", at="0s", share=0.2, by="2s"),
        fault("partition", at="20s", for_="15s", shape="halves", hold=True),
        fault("pause", at="10s", for_="10s", node="b"),
        fault("clock-strobe", at="0s", by="4s", period="3s", node="c"),
        fault("disk-slow", at="15s", for_="20s", times=500),
        fault("disk-full", at="30s", for_="5s", node="a"),
        fault("wipe", at="45s", node="c", down="3s"),
    )
    assert len(events(simulation, "fault begins")) == 10
    assert len(simulation.fault_schedule.fault_intervals) == 10


def test_when_the_faults_end_the_wire_the_clocks_and_the_disks_are_as_before() -> None:
    lasting = [
        kind
        for kind in FAULTS
        if not kind.momentary and kind.__struct_config__.tag not in ("restart", "restore-backup", "wipe")
    ]
    needed: dict[str, dict[str, object]] = {
        "partition": {"shape": "halves"}, "slow": {"by": "1s"}, "bandwidth": {"to": "64kbit/s"},
        "clock-strobe": {"by": "1s"}, "clock-slew": {"ppm": 1_000}, "clock-drift": {"ppm": 1_000},
        "crash-at-commit": {"node": "a", "commit": 10}, "crash": {"node": "b"}, "pause": {"node": "c"},
        "swizzle": {"for_": "20s"}, "revoke": {"node": "a", "peer": "b"},
        "wrong-fingerprint": {"node": "b", "peer": "c"},
    }  # fmt: skip
    kinds = [str(kind.__struct_config__.tag) for kind in lasting]
    simulation = make_simulation(
        WRITES, *(fault(kind, at="30s", **needed.get(kind, {})) for kind in kinds), settle="6m"
    )
    standing = list(simulation.network.rules)
    simulation.run()
    approve(simulation)
    assert simulation.network.rules == standing
    assert [offset_s(simulation, name) for name in "abc"] == [0, 0, 0]
    assert [machine.disk.sync_ns for machine in simulation.machines.values()] == [500_000] * 3
    assert len(events(simulation, "fault ends")) == len(kinds)


# --- what does not fit ---


def check(table: str, **changes: Any) -> None:
    """Check one fault against the small federation."""
    text = scenario_text(**changes)
    plan = make_plan(parse_scenario(text), Path())
    (found,) = parse_scenario(text + "\n" + table).fault
    assert isinstance(found, Fault)
    found.check(plan.federation)


@pytest.mark.parametrize(
    ("table", "key", "said"),
    [
        (fault("partition", at="1s"), "groups", "give either groups or a shape"),
        (fault("partition", at="1s", shape="halves", groups=[["a"]]), "groups", "give either groups or a shape"),
        (fault("partition", at="1s", shape="one"), "node", "needs a node"),
        (fault("partition", at="1s", shape="halves", node="a"), "node", "no other takes one"),
        (fault("partition", at="1s", groups=[["a", "b"], ["a"]]), "groups", "'a' stands in two groups"),
        (fault("partition", at="1s", groups=[["a", "b", "c"]]), "groups", "cuts nothing"),
        (fault("partition", at="1s", shape="majority-ring"), "shape", "cuts nothing"),
        (fault("loss", at="1s", node="a", between=["a", "b"]), "between", "give one of them"),
        (fault("loss", at="1s", one_way=True), "one_way", "give node, between or links"),
        (fault("slow", at="1s", by="1s", p99="500ms"), "p99", "longer than the median of 1s"),
        (fault("clock-step", at="1s", by="0s"), "by", "changes nothing"),
        (fault("clock-strobe", at="1s", by="0s"), "by", "changes nothing"),
        (fault("restart", at="1s", for_="5s"), "for", "write down instead of for"),
        (fault("wipe", at="1s", node="a", for_="5s"), "for", "write down instead of for"),
        (fault("join", at="1s", node="a", for_="5s"), "for", "'leave'"),
        (fault("leave", at="1s", node="a", for_="5s"), "for", "'crash'"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_with_its_key(table: str, key: str, said: str) -> None:
    with pytest.raises(Misfit, match=said) as caught:
        check(table)
    assert caught.value.key == key


def test_a_fault_of_a_link_that_does_not_exist_is_refused() -> None:
    with pytest.raises(Misfit, match="are not linked") as caught:
        check(fault("clog", at="1s", between=["a", "c"]), topology="line")
    assert caught.value.key == "between"


def test_a_partition_between_nodes_that_were_never_linked_is_refused() -> None:
    with pytest.raises(Misfit, match="cuts nothing"):
        check(fault("partition", at="1s", groups=[["a"], ["c"], ["b"]], one_way=False), nodes=("a",))


def test_a_departure_that_tears_the_federation_apart_is_refused_unless_that_is_expected() -> None:
    table = fault("leave", at="1s", node="b")
    with pytest.raises(Misfit, match="not connected any more"):
        make_simulation_with(table, topology="line")
    make_simulation_with(table, topology="line", converges="false")
    make_simulation_with(fault("leave", at="1s", node="a"), topology="line")


def make_simulation_with(table: str, **changes: Any) -> None:
    text = scenario_text(table, **changes)
    scenario = parse_scenario(text)
    plan = make_plan(parse_scenario(scenario_text(**changes)), Path())
    for found in scenario.fault:
        found.check(replace(plan, scenario=scenario).federation)
