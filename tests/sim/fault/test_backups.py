"""Old backups that are restored under the old key: what is forgotten, what comes back, and what nobody misses."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.diagnostics.errors import Misfit
from sim.fault.backup import Backup, RestoreBackup
from sim.observation.visibility import NEVER
from sim.scenario.planning import make_plan
from sim.scenario.reading import BadScenario, parse_scenario
from sim.simulation.simulation import Simulation
from sim.units import Duration
from tests.sim.small_runs import S, events, fault, run, scenario_text, workload

WRITERS = workload("writers", rate="2/s", scopes={"public": 1.0})


def own_of_a(simulation: Simulation, begin: int, end: int) -> list[int]:
    """Numbers of what `a` wrote between two seconds."""
    facts = simulation.visibility.facts
    return [n for n, each in enumerate(facts) if each.origin == "a" and begin * S < each.written_ns < end * S]


@pytest.mark.parametrize("seed", ["3", "5"])
def test_what_a_node_said_after_its_backup_is_held_by_its_peers_and_forgotten_by_itself(seed: str) -> None:
    simulation = run(
        WRITERS, fault("backup", at="15s", node="a"), fault("restore-backup", at="40s", node="a", down="2s"), seed=seed
    )
    held, forgotten = simulation.visibility.held_since, own_of_a(simulation, 16, 34)
    assert forgotten
    assert {held["a"][number] for number in forgotten} == {NEVER}
    assert all(held[name][number] != NEVER for name in "bc" for number in forgotten), "they were acknowledged"
    ((_, _, name, unsaid, _),) = events(simulation, "restored")
    assert name == "a"
    assert unsaid >= simulation.visibility.unsaid >= len(forgotten)


def test_what_others_said_comes_again_and_what_the_node_says_afterwards_comes_to_everybody() -> None:
    simulation = run(
        WRITERS, fault("backup", at="15s", node="a"), fault("restore-backup", at="40s", node="a", down="2s")
    )
    visibility = simulation.visibility
    assert {each.node for each in visibility.returned} == {"a"}
    assert all(each.back_ns >= 42 * S for each in visibility.returned)
    after = own_of_a(simulation, 42, 60)
    assert after
    assert all(visibility.held_since[name][number] != NEVER for name in "abc" for number in after)


def test_a_backup_brings_back_what_a_lost_disk_held() -> None:
    simulation = run(
        WRITERS,
        fault("backup", at="30s"),
        fault("wipe", at="35s", node="a", down="1s"),
        fault("restore-backup", at="37s", node="a"),
        nodes=("a", "b"),
    )
    held = simulation.visibility.held_since["a"]
    assert all(held[number] != NEVER for number in own_of_a(simulation, 0, 30))


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (fault("restore-backup", at="40s", node="a"), "nobody has taken a backup of 'a' by then"),
        (
            fault("backup", at="15s", node="b") + "\n" + fault("restore-backup", at="40s", node="a"),
            "nobody has taken a backup of 'a' by then",
        ),
        (
            fault("backup", at="50s", node="a") + "\n" + fault("restore-backup", at="40s", node="a"),
            "nobody has taken a backup of 'a' by then",
        ),
    ],
)
def test_a_backup_that_nobody_took_is_foreseen(table: str, sentence: str) -> None:
    with pytest.raises(BadScenario, match=sentence):
        make_plan(parse_scenario(scenario_text(WRITERS, table)), Path())


def test_neither_lasts() -> None:
    federation = make_plan(parse_scenario(scenario_text(WRITERS)), Path()).federation
    for made in (Backup(at=Duration(0), lasts=Duration(S)), RestoreBackup(at=Duration(0), node="a", lasts=Duration(S))):
        with pytest.raises(Misfit):
            made.check(federation)
