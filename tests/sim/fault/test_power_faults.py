"""Faults of machines and disks: crashes, restarts, pauses, full and slow disks; nothing acknowledged is lost."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.sim.small_runs import (
    PROBES,
    WRITES,
    S,
    approve,
    at,
    commits,
    events,
    fault,
    is_up,
    lags_s,
    make_simulation,
    packets,
    run,
)  # fmt: skip


@pytest.mark.parametrize(
    ("table", "down", "up"),
    [
        (fault("crash", at="20s", for_="10s", node="a"), 25, 31),
        (fault("crash", at="20s", node="a"), 59, 61),
        (fault("restart", at="20s", node="a", down="10s"), 25, 31),
        (fault("wipe", at="20s", node="a", down="10s"), 25, 31),
    ],
)
def test_a_machine_that_crashes_is_off_until_its_fault_ends_and_nothing_is_lost(table: str, down: int, up: int) -> None:
    simulation = make_simulation(WRITES, table)
    off, on = at(simulation, down, is_up(simulation, "a")), at(simulation, up, is_up(simulation, "a"))
    simulation.run()
    approve(simulation)
    assert (off, on) == ([False], [True])
    assert simulation.submissions.refused[0] > 0
    assert len(events(simulation, "crash")) == 1


def test_a_restart_takes_no_time_by_default_and_a_crash_of_all_darkens_the_federation() -> None:
    restarted = run(WRITES, fault("restart", at="20s"))
    assert [event[2] for event in events(restarted, "crash")] == ["a", "b", "c"]
    assert restarted.submissions.refused == {}
    dark = make_simulation(WRITES, fault("crash", at="20s", for_="5s"))
    seen = at(dark, 22, lambda: [machine.up for machine in dark.machines.values()])
    dark.run()
    approve(dark)
    assert seen == [[False, False, False]]


def test_random_crashes_that_overlap_a_crash_do_not_bring_the_machine_back_early() -> None:
    simulation = make_simulation(
        WRITES,
        fault("random-crashes", at="5s", for_="30s", rate="1/s", down="4s", among=["a"]),
        fault("crash", at="20s", for_="30s", node="a"),
    )
    seen = [at(simulation, second, is_up(simulation, "a")) for second in range(21, 50)]
    simulation.run()
    approve(simulation)
    assert seen == [[False]] * 29


def test_a_paused_node_is_silent_and_then_catches_up() -> None:
    simulation = run(WRITES, fault("pause", at="20s", for_="20s", node="a"))
    silent = [sent for sent, source, _, _ in packets(simulation) if source == "a" and 20 * S < sent < 40 * S]
    assert silent == []
    assert max(lags_s(simulation, "a")) > 15
    assert simulation.submissions.refused == {}


@pytest.mark.parametrize("seed", range(4))
def test_random_crashes_strike_whom_they_may_at_instants_of_the_seed(seed: int) -> None:
    trouble = fault("random-crashes", at="10s", for_="40s", rate="30/m", down="3s", among=["a", "b"])
    simulation = run(WRITES, trouble, seed=str(seed))
    crashes = [(event[0], event[2]) for event in events(simulation, "crash")]
    assert len(crashes) > 5
    assert {name for _, name in crashes} == {"a", "b"}
    assert all(10 * S <= at <= 50 * S for at, _ in crashes)


@pytest.mark.parametrize(
    ("when", "fate"), [("before", "lost"), ("before", "torn"), ("before", "kept"), ("after", None)]
)
def test_a_crash_at_a_commit_strikes_exactly_there(when: str, fate: str | None) -> None:
    chosen = {} if fate is None else {"fate": fate}
    simulation = run(WRITES, fault("crash-at-commit", at="0s", node="a", commit=30, when=when, **chosen))
    ((struck, _, name, became),) = events(simulation, "crash")
    before = [commit for commit in commits(simulation, "a") if commit <= struck]
    assert name == "a"
    assert became == (fate or "nothing")
    assert len(before) == (29 if when == "before" else 30)


def test_a_crash_at_a_commit_that_never_comes_does_nothing() -> None:
    simulation = run(PROBES, fault("crash-at-commit", at="0s", node="a", commit=100_000))
    assert events(simulation, "crash") == []
    assert simulation.machines["a"].at_commit == {}


# --- disks ---


def test_a_full_disk_refuses_writes_and_recovers() -> None:
    simulation = run(WRITES, fault("disk-full", at="20s", for_="20s", node="a"))
    assert simulation.submissions.refused[507] > 5
    written = [fact.written_ns / S for fact in simulation.visibility.facts if fact.origin == "a"]
    assert not [second for second in written if 20 < second < 40]
    assert [second for second in written if second > 40]


def test_a_slow_disk_makes_acknowledgements_slow_and_not_wrong() -> None:
    simulation = run(PROBES, fault("disk-slow", at="10s", for_="40s", node="a", times=4_000))
    waits = [
        committed - written for written, committed in pairwise(commits(simulation, "a")) if 12 * S < written < 48 * S
    ]
    assert min(waits) >= 2 * S
