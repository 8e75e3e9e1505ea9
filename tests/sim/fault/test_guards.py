"""Faults hold guards (sim/fault/base.py): who enters and leaves them, in which order, and how they overlap."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from sim.fault.base import Fault, all_of
from sim.fault.clocks import ClockStep
from sim.fault.crash import Crash
from sim.fault.loss import Loss
from sim.ports import FaultEnv
from sim.scenario.planning import make_plan
from sim.scenario.reading import parse_scenario
from sim.simulation.simulation import Simulation
from sim.units import Duration
from tests.sim.small import small_text, workload
from tests.sim.small_runs import S, at, is_up, offset_s


class Noted(Fault, tag="noted", kw_only=True):
    """A fault of no scenario file, which notes when it is entered and left."""

    label_: str
    notes: list[tuple[str, str, int]]

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        self.notes.append((self.label_, "entered", env.now_ns // S))
        yield
        self.notes.append((self.label_, "left", env.now_ns // S))


def simulation_with(*faults: Fault) -> Simulation:
    scenario = parse_scenario(small_text(workload("probe", period="3s")))
    return Simulation(make_plan(msgspec.structs.replace(scenario, fault=list(faults)), Path()))


def seconds(count: int) -> Duration:
    return Duration(count * S)


def test_several_guards_are_left_in_the_order_in_which_they_were_entered() -> None:
    told: list[str] = []

    @contextmanager
    def guard(name: str) -> Iterator[None]:
        told.append(f"+{name}")
        yield
        told.append(f"-{name}")

    with all_of(guard(name) for name in "abc"):
        assert told == ["+a", "+b", "+c"]
    assert told == ["+a", "+b", "+c", "-a", "-b", "-c"]


def test_guards_are_left_also_when_what_is_inside_breaks() -> None:
    left: list[str] = []

    @contextmanager
    def guard(name: str) -> Iterator[None]:
        try:
            yield
        finally:
            left.append(name)

    with pytest.raises(RuntimeError, match="inside"), all_of(guard(name) for name in "ab"):
        raise RuntimeError("inside")
    assert left == ["a", "b"]


def test_a_fault_is_left_after_its_span_and_those_that_last_to_the_end_in_the_order_of_their_beginning() -> None:
    notes: list[tuple[str, str, int]] = []
    simulation = simulation_with(
        Noted(at=seconds(20), label_="second", notes=notes),
        Noted(at=seconds(10), label_="first", notes=notes),
        Noted(at=seconds(12), lasts=seconds(3), label_="short", notes=notes),
    )
    simulation.run()
    assert notes == [
        ("first", "entered", 10),
        ("short", "entered", 12),
        ("short", "left", 15),
        ("second", "entered", 20),
        ("first", "left", 60),
        ("second", "left", 60),
    ]


def test_one_value_may_stand_twice_in_a_scenario_and_be_used_by_two_runs() -> None:
    loss = Loss(at=seconds(10), lasts=seconds(10), share=0.5)
    for _ in range(2):
        simulation = simulation_with(loss, loss)
        rules = simulation.network.rules
        counts = [at(simulation, when, lambda rules=rules: len(rules)) for when in (9, 15, 21)]  # type: ignore[misc]
        simulation.run()
        assert counts == [[1], [3], [1]]
        assert len(simulation.fault_schedule.fault_intervals) == 2


def test_a_machine_that_two_faults_keep_off_comes_back_when_both_have_let_go() -> None:
    simulation = simulation_with(
        Crash(at=seconds(10), lasts=seconds(20), node="a"), Crash(at=seconds(15), lasts=seconds(5), node=None)
    )
    seen = [at(simulation, when, is_up(simulation, "a")) for when in (12, 22, 29, 31)]
    other = at(simulation, 22, is_up(simulation, "b"))
    simulation.run()
    assert seen == [[False], [False], [False], [True]]
    assert other == [True]


def test_what_a_fault_of_an_instant_did_stays_done_after_the_run_too() -> None:
    simulation = simulation_with(ClockStep(at=seconds(10), by=seconds(4), node="a"))
    simulation.run()
    assert offset_s(simulation, "a") == 4
    simulation.fault_schedule.end_all()  # nothing is left to end
    gc.collect()
    assert offset_s(simulation, "a") == 4
