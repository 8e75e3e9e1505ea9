"""In a mesh a public fact crosses to each node about once, whatever happens to machines and links meanwhile."""

from __future__ import annotations

import pytest

from sim.check.leaks import Leaks
from tests.sim.small_runs import run

WRITERS = """
[[workload]]
kind = "writers"
total_rate = "1/s"
"""
TROUBLE = """
[[fault]]
kind = "crash"
at = "20s"
for = "15s"
node = "b"

[[fault]]
kind = "partition"
at = "40s"
for = "10s"
groups = [["a"], ["b", "c", "d"]]
"""


def crossed(*parts: str, **changes: str) -> tuple[int, int]:
    """How many entries were served, and how many had to be."""
    simulation = run(WRITERS, *parts, nodes=("a", "b", "c", "d"), **changes)
    (leaks,) = (checker for checker in simulation.checkers if isinstance(checker, Leaks))
    return leaks.entries, len(simulation.visibility.facts) * 3


def test_in_a_quiet_mesh_next_to_nothing_is_sent_twice() -> None:
    entries, needed = crossed()
    assert needed > 150
    assert needed <= entries <= needed * 1.1


@pytest.mark.parametrize("seed", ["3", "4", "5"])
def test_trouble_costs_repetitions_and_no_fact(seed: str) -> None:
    entries, needed = crossed(TROUBLE, seed=seed)
    assert needed <= entries <= needed * 1.6
