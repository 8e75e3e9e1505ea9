"""A crash at every commit boundary of a scenario: nothing acknowledged is lost, nothing is made up, and the
federation ends up knowing what it would have known without the crash."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest

from sim.check import CHECKERS, Boot, Checker, Commit, Commits
from sim.ports import Observed
from sim.simulation.simulation import Simulation
from sim.world.disk import Fate
from sim.world.machine import Machine
from stigmem.core.fact import Fact
from stigmem.node.state import NodeState
from tests.sim.small_runs import S, approve, events, fault, make_simulation

NODES = ("a", "b", "c")
AGAIN_NS = S // 2
ASSERTIONS, RETRACTIONS = 8, 3
WRITES = len(NODES) * (ASSERTIONS + RETRACTIONS)
Knowledge = tuple[frozenset[tuple[object, ...]], frozenset[tuple[object, ...]]]


class Mirror(Checker):
    """Folds what became durable on each machine by itself, and compares with what the node made of it."""

    name = "mirror"
    sees = Commits.ALL

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self.machines: dict[str, Machine] = {}
        """Set by the test: a checker sees less of a node than is compared here."""
        self.states: dict[str, NodeState] = {}
        self.batches: dict[str, list[Any]] = {}
        self.surprises: list[str] = []
        self.survived = 0

    def state_of(self, machine: str) -> NodeState:
        if machine not in self.states:
            self.states[machine] = NodeState(self.observed.settings(machine), _NoTime())
        return self.states[machine]

    def on_commit(self, commit: Commit) -> None:
        self._take(commit.machine, list(commit.records))

    def _take(self, machine: str, records: list[Any]) -> None:
        self.batches.setdefault(machine, []).append(records)
        for record in records:
            self.state_of(machine).apply(record)

    def on_boot(self, boot: Boot) -> None:
        told = self.batches.get(boot.machine, [])
        on_disk = [list(batch) for batch in boot.read_disk()]
        if on_disk[: len(told)] != told:
            self.surprises.append(f"{boot.machine}: the disk does not hold what was durable")
        for batch in on_disk[len(told) :]:  # a batch that a crash kept although nobody was told
            self.survived += 1
            self._take(boot.machine, batch)
        self.compare(self.machines[boot.machine])

    def compare(self, machine: Machine) -> None:
        assert machine.node is not None
        mine, theirs = fingerprint(self.state_of(machine.name)), fingerprint(machine.node.state)
        odd = [key for key, value in mine.items() if theirs[key] != value]
        if odd:
            self.surprises.append(f"{machine.name} after boot {machine.boots} is not the fold: {', '.join(odd)}")


class _NoTime:
    """A clock for a state that is only folded."""

    def wall_ns(self) -> int:
        return 0

    def monotonic_ns(self) -> int:
        return 0

    def elapsed_ns(self) -> int:
        return 0

    signal = sleep = checkpoint = spawn = None  # type: ignore[assignment]


def fingerprint(state: NodeState) -> dict[str, object]:
    """Everything in a state that the journal decides."""
    return {
        "facts": state.ledger.log, "stamp": state.stamp, "audit": state.head, "peers": state.peers,
        "cursors": state.cursors, "origins": state.origins, "letters": state.letters, "deferred": state.deferred,
        "nonces": sorted(state.nonces._spent), "keys": state.keys, "receipts": state.receipts,
        "subscriptions": state.subscriptions, "deliveries": state.deliveries, "refused": state.refused_deliveries,
        "conflicts": sorted(str(slot.conflict) for slot in state.ledger.contested.values()),
    }  # fmt: skip


def stubborn_writes(simulation: Simulation, acknowledged: dict[tuple[str, int], None]) -> None:
    """Clients who say the same thing again until they are told that it is stored."""

    def client(name: str, number: int, about: int, confidence: float) -> None:
        # One slot a client: an older word of one author that is repeated after a newer one takes its place.
        entity, text = f"stigmem://sim.example/note/{about}", f"{name} says {about}"
        scope = ("public", "public", "company", "local")[about % 4]

        def say(_: object) -> None:
            if (name, number) not in acknowledged and simulation.world.now < simulation.duration - AGAIN_NS:
                simulation.clients.write(
                    name, entity, "sim:claims", text, scope=scope, confidence=confidence, then=answered
                )
                simulation.world.after(AGAIN_NS, say)

        def answered(response: Any) -> None:
            if response.status == 201:
                acknowledged[name, number] = None

        simulation.world.at((1 + number) * S + 1, say)

    for name in NODES:
        for number in range(ASSERTIONS):
            client(name, number, number, 1.0)
        for number in range(RETRACTIONS):
            client(name, ASSERTIONS + number, number, 0.0)


def knowledge(simulation: Simulation) -> dict[str, Knowledge]:
    """What each node knows and finds contradicted, without stamps, ids and order."""
    found: dict[str, Knowledge] = {}
    for name, machine in simulation.machines.items():
        assert machine.node is not None
        ledger = machine.node.state.ledger
        said = [content(fact) for fact in ledger.log]
        assert len(frozenset(said)) == len(said), "something was stored twice"
        disputed = [tuple(sorted(map(content, slot.members()))) for slot in ledger.contested.values()]
        found[name] = (frozenset(said), frozenset(disputed))
    return found


def content(fact: Fact) -> tuple[object, ...]:
    return (fact.entity, fact.relation, fact.scope, fact.source, fact.text, fact.confidence)


def simulate(*tables: str) -> tuple[Simulation, Mirror, dict[tuple[str, int], None]]:
    """One run of the scenario, judged."""
    simulation = make_simulation(*tables, nodes=NODES, duration="16s", settle="1m", checkers=[*CHECKERS, Mirror])
    mirror = simulation.checkers[-1]
    assert isinstance(mirror, Mirror)
    mirror.machines = simulation.machines
    acknowledged: dict[tuple[str, int], None] = {}
    stubborn_writes(simulation, acknowledged)
    simulation.run()
    approve(simulation)
    for machine in simulation.machines.values():
        mirror.compare(machine)
    assert mirror.surprises == []
    return simulation, mirror, acknowledged


@lru_cache
def undisturbed() -> tuple[int, dict[str, Knowledge]]:
    """How often `a` commits before the faults end, and what everybody knows then."""
    simulation, mirror, acknowledged = simulate(fault("crash-at-commit", at="0s", node="a", commit=100_000))
    assert len(acknowledged) == WRITES
    assert mirror.survived == 0
    begun = simulation.machines["a"].commits
    return begun, knowledge(simulation)


Boundary = tuple[str, Fate | None]
BOUNDARIES: list[Boundary] = [("before", "lost"), ("before", "torn"), ("before", "kept"), ("after", None)]


@pytest.mark.slow
@pytest.mark.parametrize(("when", "fate"), BOUNDARIES)
def test_a_crash_at_any_commit_loses_nothing_acknowledged_and_changes_nothing_known(
    when: str, fate: Fate | None
) -> None:
    commits, expected = undisturbed()
    assert commits > 30
    struck = 0
    for number in range(1, commits + 1):
        chosen: dict[str, object] = {"when": when} if fate is None else {"when": when, "fate": fate}
        simulation, mirror, acknowledged = simulate(
            fault("crash-at-commit", at="0s", node="a", commit=number, down="700ms", **chosen)
        )
        crashes = events(simulation, "crash")
        if not crashes:  # the last commits come when the faults are over
            continue
        struck += 1
        assert [crash[2:] for crash in crashes] == [("a", fate or "nothing")]
        assert mirror.survived == (fate == "kept")
        assert len(acknowledged) == WRITES, f"commit {number}"
        assert knowledge(simulation) == expected, f"commit {number}"
    assert struck > 0.8 * commits
