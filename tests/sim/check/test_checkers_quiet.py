"""Much trouble that breaks no promise: whatever the world does to nodes that are right, no checker may cry out."""

from __future__ import annotations

import pytest

from sim.check.base import Served
from sim.check.cursors import Cursors
from sim.check.leaks import node_id_of
from sim.simulation.simulation import Simulation
from stigmem.core.audit import AuditRow
from stigmem.core.wire import Request, json_response
from tests.sim.hostile import SECOND, adversary, failures, run_simulation
from tests.sim.small_runs import result_of

WIRE = "loss = 0.08\nduplicate = 0.1\nreorder = 0.2\ncorrupt = 0.02"
SCOPES = '[[workload]]\nkind = "writers"\nrate = "30/m"\nscopes = { public = 0.5, company = 0.2, local = 0.3 }\n'
PEOPLE = '[[workload]]\nkind = "resolver"\nrate = "6/m"\n[[workload]]\nkind = "retractions"\nrate = "10/m"\n'
EXPIRY = '[[workload]]\nkind = "expiring"\nrate = "20/m"\nlife = "20s"\n'


def fault(kind: str, at: str, **keys: object) -> str:
    lines = [f"{key.rstrip('_')} = {value}" for key, value in keys.items()]
    return "\n".join(["[[fault]]", f'kind = "{kind}"', f'at = "{at}"', *lines]) + "\n"


TROUBLE = {
    "wire": [],
    "power": [
        fault("random-crashes", "10s", rate='"6/m"', for_='"60s"'),
        fault("wipe", "75s", node='"west"', down='"3s"'),
    ],
    "clocks": [
        fault("clock-step", "15s", node='"north"', by='"-10m"'),
        fault("clock-step", "40s", node='"south"', by='"4s"'),
        fault("clock-freeze", "30s", node='"west"', for_='"20s"'),
        fault("clock-strobe", "55s", node='"south"', by='"2s"', period='"3s"', for_='"20s"'),
        fault("restart", "60s", node='"north"'),
    ],
    "processes": [
        fault("pause", "20s", node='"north"', for_='"25s"'),
        fault("disk-full", "30s", node='"south"', for_='"20s"'),
        fault("disk-slow", "55s", node='"west"', for_='"20s"'),
        fault("crash", "60s", node='"north"', for_='"15s"'),
    ],
    "cuts": [
        fault("partition", "10s", shape='"halves"', for_='"30s"'),
        fault("flap", "45s", between='["north", "south"]', for_='"30s"'),
        fault("partition", "50s", groups='[["west"], ["north", "south"]]', one_way="true", for_='"20s"'),
    ],
}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("hostile", [False, True], ids=["honest", "with-hostile-peers"])
@pytest.mark.parametrize("trouble", TROUBLE)
def test_legal_trouble_raises_no_alarm(trouble: str, hostile: bool, seed: int) -> None:
    peers = ["north", "west"]
    kinds = (
        ["overreach", "id-thief", "extender", "clock-pusher", "replayer", "relay-forger", "instruction"]
        if hostile
        else []
    )
    simulation = run_simulation(
        *(adversary(kind, node=f"m-{number}", peers=peers) for number, kind in enumerate(kinds)),
        SCOPES,
        *([] if hostile else [PEOPLE, EXPIRY]),
        *TROUBLE[trouble],
        seed=seed,
        signatures="stand-in",
        settle="16m",
        network=WIRE if trouble == "wire" else "loss = 0.02",
        rate="20/m",
    )
    assert failures(simulation) == {}
    assert simulation.converged_at is not None
    assert simulation.submissions.acknowledged > 50


@pytest.mark.parametrize("topology", ["line", "ring", "star"])
def test_relays_raise_no_alarm(topology: str) -> None:
    simulation = run_simulation(
        adversary("forger", peers=["north", "east"]),
        adversary("retractor", node="eve", peers=["south"], ways=["deny"]),
        SCOPES,
        nodes=("north", "south", "west", "east", "middle"),
        topology=topology,
        signatures="stand-in",
        network="loss = 0.03",
    )
    assert failures(simulation) == {}


def test_everything_said_by_resolvers_retractors_and_the_clock_raises_no_alarm() -> None:
    simulation = run_simulation(SCOPES, PEOPLE, EXPIRY, duration="3m", signatures="stand-in", rate="1/s")
    assert failures(simulation) == {}
    agreement = next(checker for checker in simulation.checkers if checker.name == "conflict-agreement")
    assert agreement.resolved > 5  # type: ignore[attr-defined]


def test_a_node_that_is_off_is_still_known_as_the_author_of_its_facts() -> None:
    seen: list[str] = []

    def look(simulation: Simulation) -> None:
        simulation.world.at(25 * SECOND, lambda _: seen.append(node_id_of(simulation.observed, "north")))

    simulation = run_simulation(fault("crash", "20s", node='"north"', for_='"10s"'), before=look, signatures="stand-in")
    assert [simulation.name_of_node[node_id] for node_id in seen] == ["north"]
    assert failures(simulation) == {}


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_key_that_a_voucher_lied_about_is_audited_and_that_is_no_missing_row(seed: int) -> None:
    """A node's row about a key names the origin and no fact."""
    simulation = run_simulation(
        adversary("false-voucher", origin="west"),
        topology="line",
        federation='node_ids = "named"\norigin_keys = "vouched"',
        signatures="stand-in",
        settle="30s",
        seed=seed,
    )
    assert "audit" not in failures(simulation)
    assert simulation.violation is None
    told = [
        record.event
        for batch in simulation.machines["north"].disk.batches()
        for record in batch
        if isinstance(record, AuditRow)
    ]
    assert told.count("origin_key_conflict") == 1


def detail_of(simulation: Simulation, name: str) -> str:
    return result_of(simulation, name).detail


def test_what_was_not_compared_is_not_called_the_same() -> None:
    simulation = run_simulation(
        fault("clock-step", "1m", node='"north"', by='"-2h"'), PEOPLE, signatures="stand-in", settle="20s"
    )
    assert simulation.converged_at is None
    assert "convergence" in failures(simulation)
    said = detail_of(simulation, "conflict-agreement")
    assert "not compared" in said
    assert "same everywhere" not in said


@pytest.mark.parametrize(
    ("topology", "words"),
    [("mesh", "the same everywhere"), ("line", "no two are meant to hold the same"), ("star", "no two are meant")],
)
def test_only_nodes_that_hear_the_same_are_compared(topology: str, words: str) -> None:
    simulation = run_simulation(topology=topology, federation="relay = false", signatures="stand-in")
    assert failures(simulation) == {}
    assert words in detail_of(simulation, "conflict-agreement")


def test_facts_that_nobody_can_bring_back_excuse_what_is_seen_without_them() -> None:
    """Without relays a wiped node's facts are on its neighbours for good, and not on the node."""
    wipe = fault("wipe", "60s", node='"north"')
    simulation = run_simulation(PEOPLE, wipe, federation="relay = false", signatures="stand-in", rate="1/s")
    assert failures(simulation) == {}
    assert simulation.converged_at is not None
    assert simulation.visibility.uneven
    assert "triples of which some may lack facts" in detail_of(simulation, "conflict-agreement")


def test_a_cursor_that_a_node_gives_back_as_it_came_tells_no_count() -> None:
    """The wire garbles digits of cursors in questions, and an answer without news holds the cursor of its question."""
    simulation = run_simulation(signatures="stand-in", duration="20s", settle="1m")
    checker = Cursors(simulation.observed)
    for number in range(40):
        target = f"/v1/federation/facts?cursor=s:13545913168160{number:04}&limit=5"
        page = {"facts": [], "cursor": f"s:13545913168160{number:04}", "has_more": False}
        checker.on_response(Served("north", "south", Request("GET", target), json_response(200, page)))
    assert checker.moves == 0
    assert checker.result().ok is not False


def test_an_undertaker_has_every_right_where_each_peer_has() -> None:
    simulation = run_simulation(adversary("undertaker"), federation='tombstone_signers = ["*"]', signatures="stand-in")
    assert failures(simulation) == {}
