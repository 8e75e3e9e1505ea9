"""Faults of clocks: they show the wrong time for a while, the federation lives with it, and then the right one."""

from __future__ import annotations

import pytest

from tests.sim.small_runs import PROBES, WRITES, S, approve, at, fault, make_lab, offset_s, run, workload


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
    lab = make_lab(WRITES, fault(kind, at="10s", for_="30s", **named, **members))
    during = at(lab, 20, lambda: [offset_s(lab, name) for name in "abc"])
    after = at(lab, 41, lambda: [offset_s(lab, name) for name in "abc"])
    lab.run()
    approve(lab)
    wrong = [name for name, offset in zip("abc", during[0], strict=True) if offset]
    assert wrong == (["a", "b", "c"] if node is None else [node])
    assert all(least <= during[0]["abc".index(name)] <= most for name in wrong)
    assert after == [[0.0, 0.0, 0.0]]


def test_a_step_without_for_stays() -> None:
    lab = run(PROBES, fault("clock-step", at="10s", node="a", by="-4s"))
    assert offset_s(lab, "a") == -4
    assert lab.ribbons == [("clock -4s", ("a",), 10 * S, 10 * S)]


def test_facts_of_a_clock_set_far_ahead_wait_until_they_are_due_and_are_not_lost() -> None:
    lab = run(PROBES, fault("clock-step", at="20s", node="a", by="8m", for_="10s"), settle="9m")
    assert lab.converged_at is not None
    assert lab.converged_at > 3 * 60 * S
    assert lab.rejections["hlc_skew"] > 0


def test_after_a_step_back_and_a_restart_no_stamp_is_issued_twice() -> None:
    lab = run(
        workload("burst", start="20s", every="1s", nodes=["a"]),
        fault("clock-step", at="25s", node="a", by="-10m"),
        fault("restart", at="30s", node="a"),
        settle="12m",
    )
    assert lab.refused_writes == {0: 12}, "one burst met the restart"
    assert len(lab.measure.facts) == 12 * 39
