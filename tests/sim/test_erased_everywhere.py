"""Who is forgotten by the word of one node is forgotten on all that follow it, whatever is served again, cut off or
switched off meanwhile; and the checkers see it when that is not so (S-61 to S-63)."""

from __future__ import annotations

import pytest

from sim.simulation.simulation import Simulation
from stigmem.core.ledger import Ledger
from stigmem.core.tombstone import Tombstone
from stigmem.node.replication import tombstone_ingest
from stigmem.node.replication.tombstone_reader import TombstoneReader
from tests.sim.hostile import adversary, failures, run_simulation

FOLLOWED = 'tombstone_signers = ["north"]'
ERASURES = '[[workload]]\nkind = "erasures"\nrate = "10/m"\nstop = "40s"\nafter = "8s"\nagain = "1s"\n'
CUT = '[[fault]]\nkind = "partition"\ngroups = [["north"], ["south", "west"]]\nat = "12s"\nfor = "25s"\n'


def erased(simulation: Simulation, name: str) -> list[Tombstone]:
    """The tombstones of a node that were carried out."""
    machine = simulation.machines[name]
    assert machine.node is not None
    state = machine.node.state
    assert not state.erasures.unfinished()
    return [row.tombstone for row in state.erasures.tombstones.values()]


def crash(commit: int, when: str) -> str:
    """North, which issues the tombstones, loses power at a commit after the first one."""
    return (
        f'[[fault]]\nkind = "crash-at-commit"\nnode = "north"\nat = "11s"\nfor = "20s"\ncommit = {commit}\n'
        f'when = "{when}"\ndown = "2s"\n'
    )


@pytest.mark.parametrize(
    "trouble",
    [(), (CUT,), *((crash(commit, when),) for commit in (1, 2, 3, 5, 8) for when in ("before", "after"))],
)
def test_a_person_is_forgotten_on_every_node_and_disk(trouble: tuple[str, ...]) -> None:
    simulation = run_simulation(ERASURES, *trouble, federation=FOLLOWED, signatures="stand-in")
    assert failures(simulation) == {}
    for name, machine in simulation.machines.items():
        found = erased(simulation, name)
        assert len(found) >= 3
        disk = b"".join(machine.disk.frames)
        for tombstone in found:
            person = tombstone.entity_uri.encode()
            assert b"secret of " + person not in disk
            assert b"a friend of " + person not in disk


def test_whoever_follows_nobody_forgets_nobody() -> None:
    simulation = run_simulation(ERASURES, signatures="stand-in")
    found = failures(simulation)
    assert list(found) == ["forgotten", "convergence"]
    assert "was not told of" in found["forgotten"]
    assert not erased(simulation, "south")


def test_what_was_erased_stays_erased_however_often_it_is_shown() -> None:
    table = adversary("resurrector", peers=["south", "west"])
    simulation = run_simulation(table, ERASURES, CUT, federation=FOLLOWED, signatures="stand-in")
    assert failures(simulation) == {}
    refused = [
        name
        for machine in simulation.machines.values()
        if machine.node is not None
        for letters in machine.node.state.letters.values()
        for name, codes in letters.items()
        if "tombstoned" in codes
    ]
    assert len(refused) > 10


def test_who_has_no_say_in_it_has_nobody_forgotten_and_brings_nobody_back() -> None:
    table = adversary("undertaker", peers=["north", "south"])
    simulation = run_simulation(table, ERASURES, federation=FOLLOWED, signatures="stand-in")
    assert failures(simulation) == {}
    north = simulation.machines["north"].node
    assert north is not None
    assert {row.signed_by for row in erased(simulation, "south")} == {north.node_id}


def test_a_node_that_follows_anybody_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tombstone_ingest, "is_authority", lambda *_: True)
    found = failures(run_simulation(adversary("undertaker"), federation=FOLLOWED, signatures="stand-in"))
    assert "has no say in it" in found["hostile-requests"]


def test_a_node_that_lets_anybody_revoke_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tombstone_ingest, "check_revocable", lambda *_: None)
    table = adversary("undertaker")
    found = failures(run_simulation(table, ERASURES, federation=FOLLOWED, signatures="stand-in"))
    assert "has no say in it" in found["hostile-requests"]


def test_a_node_that_is_not_told_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TombstoneReader, "heard", lambda *_: None)
    found = failures(run_simulation(ERASURES, federation=FOLLOWED, signatures="stand-in"))
    assert "was not told of" in found["forgotten"]


def test_a_node_that_keeps_what_it_was_told_to_forget_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ledger, "erase", lambda *_: [])
    found = failures(run_simulation(ERASURES, federation=FOLLOWED, signatures="stand-in"))
    assert "facts that tomb_" in found["forgotten"]
