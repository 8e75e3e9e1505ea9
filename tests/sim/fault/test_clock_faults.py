"""Faults of clocks: they show the wrong time for a while, the federation lives with it, and then the right one."""

from __future__ import annotations

import pytest

from sim.world.clocks import EPOCH_NS, NodeClock
from tests.sim.small_runs import PROBES, WRITES, S, approve, at, fault, make_simulation, offset_s, run, workload


@pytest.mark.parametrize(
    ("kind", "members", "least", "most"),
    [
        ("clock-step", {"by": "-3s"}, -3.0, -3.0),
        ("clock-freeze", {}, -10.0, -10.0),
        ("clock-strobe", {"by": "2s", "period": "20s"}, 2.0, 2.0),
        ("clock-slew", {"ppm": 100_000}, 1.0, 1.0),
        ("clock-drift", {"ppm": -200_000}, -2.0, -2.0),
    ],
)
@pytest.mark.parametrize("node", ["a", None])
def test_a_clock_fault_makes_the_clock_wrong_and_its_end_makes_it_right(
    kind: str, members: dict[str, object], least: float, most: float, node: str | None
) -> None:
    named = {} if node is None else {"node": node}
    simulation = make_simulation(WRITES, fault(kind, at="10s", for_="30s", **named, **members))
    during = at(simulation, 20, lambda: [offset_s(simulation, name) for name in "abc"])
    after = at(simulation, 41, lambda: [offset_s(simulation, name) for name in "abc"])
    simulation.run()
    approve(simulation)
    wrong = [name for name, offset in zip("abc", during[0], strict=True) if offset]
    assert wrong == (["a", "b", "c"] if node is None else [node])
    assert all(least <= during[0]["abc".index(name)] <= most for name in wrong)
    assert after == [[0.0, 0.0, 0.0]]


def test_a_step_without_for_stays() -> None:
    simulation = run(PROBES, fault("clock-step", at="10s", node="a", by="-4s"))
    assert offset_s(simulation, "a") == -4
    assert simulation.fault_schedule.fault_intervals == [("clock -4s", ("a",), 10 * S, 10 * S, None)]


def test_facts_of_a_clock_that_was_far_ahead_all_along_wait_until_they_are_due_and_are_not_lost() -> None:
    simulation = run(PROBES, '[[clock]]\nnode = "a"\noffset = "8m"', settle="9m")
    assert simulation.converged_at is not None
    assert simulation.converged_at > 3 * 60 * S
    assert simulation.rejections["hlc_skew"] > 0


def test_after_a_step_back_and_a_restart_no_stamp_is_issued_twice() -> None:
    simulation = run(
        workload("burst", start="20s", every="1s", nodes=["a"]),
        fault("clock-step", at="25s", node="a", by="-10m"),
        fault("restart", at="30s", node="a"),
        settle="12m",
    )
    assert simulation.submissions.refused == {0: 12}, "one burst met the restart"
    assert len(simulation.visibility.facts) == 12 * 39


def test_a_suspended_machine_writes_again_the_moment_it_wakes() -> None:
    simulation = run(PROBES, fault("suspend", at="15s", for_="20s", node="a"))
    assert simulation.submissions.refused == {}
    assert offset_s(simulation, "a") == 0


def test_a_virtual_machine_that_was_stopped_writes_again_when_its_peers_agree_on_the_time() -> None:
    """Its clock is right, and looks as if it had jumped by the ten minutes that the machine knows nothing of."""
    simulation = run(PROBES, fault("suspend", at="60s", for_="10m", node="a", machine="virtual"), duration="15m")
    assert 0 < simulation.submissions.refused.get(503, 0) <= 300, "what came while it was stopped comes at once"
    assert simulation.rejections.get("hlc_skew", 0) == 0
    assert sum(fact.written_ns > 670 * S for fact in simulation.visibility.facts if fact.origin == "a") > 0


def test_a_clock_that_jumps_ahead_writes_nothing_until_it_is_set_right() -> None:
    simulation = run(PROBES, fault("clock-step", at="20s", node="a", by="8m", for_="10s"))
    assert simulation.rejections.get("hlc_skew", 0) == 0
    assert set(simulation.submissions.refused) == {503}
    assert simulation.converged_at is not None


def test_the_clocks_of_a_sleeping_machine_stand_and_go_on() -> None:
    clock, one, other = NodeClock(), object(), object()
    clock.suspend(one, 10 * S, virtual=False)
    clock.suspend(other, 15 * S, virtual=True)
    assert (clock.monotonic(18 * S), clock.wall(18 * S) - EPOCH_NS) == (10 * S, 18 * S)
    clock.wake(one, 20 * S)
    assert clock.monotonic(22 * S) == 10 * S
    clock.wake(other, 25 * S)
    assert (clock.monotonic(30 * S), clock.elapsed(30 * S)) == (15 * S, 15 * S)
    clock.suspend(one, 30 * S, virtual=False)
    clock.wake(one, 40 * S)
    assert (clock.monotonic(41 * S), clock.elapsed(41 * S)) == (16 * S, 26 * S)
