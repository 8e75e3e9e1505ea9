"""The door of the library: Ctrl-C in a run whose time hardly passes, and what is no scenario."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from sim import run
from sim.runner import Interrupted, run_plan
from sim.scenario.planning import make_plan
from sim.scenario.reading import parse_scenario
from tests.sim.small import make_simulation, small_text, workload


@pytest.mark.parametrize("pairs", [200, 100_000], ids=["many events", "one event of many writes"])
def test_ctrl_c_is_heard_where_a_simulated_second_takes_minutes(pairs: int) -> None:
    pressed: list[float] = []

    def press() -> None:
        pressed.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    scenario = parse_scenario(small_text(workload("storm", pairs=pairs, every="1ms"), duration="10m"))
    timer = threading.Timer(1.5, press)
    timer.start()
    result = run_plan(make_plan(scenario, Path()), judge_interrupted=True)
    timer.join()
    assert (result.verdict, result.interrupted) == ("inconclusive", True)
    assert result.ended_ns < 1_000_000_000
    assert time.perf_counter() - pressed[0] < 15  # the judgement of what there is included


def test_a_simulation_that_does_not_run_is_not_interrupted() -> None:
    simulation = make_simulation(workload("probe", period="3s"))
    simulation.run()
    simulation.interruption.ask(Interrupted())
    assert simulation.converged_at is not None


@pytest.mark.parametrize("what", [3, None, b"scenarios/split-brain.toml", {"scenario": {}}])
def test_what_is_no_scenario_is_refused_with_a_sentence(what: object) -> None:
    with pytest.raises(TypeError, match=r"run takes the path of a scenario file or a Scenario, and was given "):
        run(what)  # type: ignore[arg-type]
