"""Hostile peers, one kind after the other and all at once: what they do has the effects it may have, and no others."""

from __future__ import annotations

import pytest

from sim.adversary import ADVERSARIES
from sim.adversary.flooder import Flood
from sim.adversary.holder import Questions, Reading
from sim.adversary.impersonator import IMPERSONATIONS
from sim.adversary.page_liar import LIES
from sim.adversary.pusher import Pushes
from sim.adversary.replayer import Presented
from sim.adversary.staller import WAYS
from sim.scenario.reading import BadScenario
from sim.simulation.simulation import Simulation
from sim.world.clocks import EPOCH_NS
from stigmem.core.records import KeyRow
from tests.sim.hostile import (
    INTERVAL_S,
    SECOND,
    Reader,
    adversary,
    ask,
    assert_unharmed,
    failures,
    make_simulation,
    run_simulation,
)

EXPECTED = {
    "attester": [],
    "clock-pusher": ["hlc_malformed", "hlc_skew"],
    "equivocator": [],
    "extender": ["valid_until_extension"],
    "flipper": ["id_collision"],
    "flooder": [],
    "forger": ["source_not_owned"],
    "gapper": [],
    "hasher": ["cid_mismatch", "cid_required", "origin_sig_invalid"],
    "holder": [],
    "id-thief": ["id_collision", "origin_stamp_unproven"],
    "instruction": ["instruction_federation_inbound"],
    "naysayer": [],
    "poisoner": [],
    "malformed": ["entry_incomplete", "garden_leak", "id_required", "invalid_interpret_as", "malformed_fact"],
    "overreach": ["invalid_scope", "reserved_namespace", "scope_violation"],
    "page-liar": ["page_malformed"],
    "pusher": [],
    "relay-forger": ["cid_mismatch", "origin_not_sender", "origin_sig_invalid"],
    "replayer": ["nonce_already_seen", "token_expired"],
    "spreader": [],
    "token-abuser": ["iat_too_old", "invalid_sub", "invalid_token", "token_expired", "token_lifetime_exceeded"],
    "twin": ["origin_stamp_unproven"],
    "voider": [],
}
SETTLE = {"clock-pusher": "15m"}
"""Facts stamped up to a quarter of an hour ahead are waited for."""
COUNT = {
    "flooder": {"facts": 600},
    "malformed": {"fuzzed": 60},
    "spreader": {"facts": 300, "entities": 200},
    "page-liar": {"lies": ["excess", "cursor-null", "html"]},
}


def watched(*parts: str, **keys: object) -> tuple[Simulation, Reader]:
    readers: list[Reader] = []
    simulation = run_simulation(*parts, before=lambda simulation: readers.append(Reader(simulation)), **keys)
    return simulation, readers[0]


def test_every_kind_is_tested_here() -> None:
    kinds = {str(kind.__struct_config__.tag) for kind in ADVERSARIES}
    assert kinds == set(EXPECTED) | {
        "staller", "retractor", "impersonator", "false-voucher", "registration-abuser", "resurrector", "stranger",
        "undertaker", "voider",
        "withholder",
    }  # fmt: skip


@pytest.mark.parametrize("everybody", [False, True], ids=["one-victim", "all-victims"])
@pytest.mark.parametrize("kind", EXPECTED)
def test_an_adversary_harms_only_itself(kind: str, everybody: bool) -> None:
    peers = {"peers": ["north", "south", "west"]} if everybody else {}
    table = adversary(kind, **peers, **COUNT.get(kind, {}))
    simulation, reader = watched(table, settle=SETTLE.get(kind, "3m"))
    assert_unharmed(simulation, reader)
    assert [code for code in EXPECTED[kind] if code not in simulation.rejections] == []


@pytest.mark.parametrize("dialect", ["2.1", "0.5"])
@pytest.mark.parametrize("kind", ["overreach", "forger", "hasher", "malformed", "flipper", "instruction", "extender"])
def test_a_hostile_peer_of_another_dialect_harms_only_itself(kind: str, dialect: str) -> None:
    simulation, reader = watched(adversary(kind, dialect=dialect, **COUNT.get(kind, {})), signatures="stand-in")
    assert_unharmed(simulation, reader)
    assert simulation.rejections


@pytest.mark.parametrize("scopes", [("company",), ("public",)], ids="-".join)
@pytest.mark.parametrize("kind", ["overreach", "hasher", "flipper", "id-thief", "relay-forger", "malformed", "twin"])
def test_hostile_peers_speak_in_the_scopes_that_their_victims_take(kind: str, scopes: tuple[str, ...]) -> None:
    rows = '[[workload]]\nkind = "writers"\nrate = "20/m"\nscope = "company"\n'
    table = adversary(kind, peers=["north", "south"], **COUNT.get(kind, {}))
    simulation = run_simulation(table, rows, scopes=scopes, signatures="stand-in")
    assert failures(simulation) == {}
    assert simulation.rejections


def test_an_id_whose_owner_left_before_it_came_collides_with_nothing() -> None:
    """North knows only the thief's fact of that id; there is nothing to refuse it for."""
    leave = '[[fault]]\nkind = "leave"\nnode = "south"\nat = "40s"\n'
    cut = '[[fault]]\nkind = "partition"\nat = "20s"\ngroups = [["south"]]\n'
    nodes = ("north", "south")
    simulation = run_simulation(adversary("id-thief", steal=False, dialect="0.5"), cut, leave, nodes=nodes, rate="2/s")
    assert failures(simulation) == {}
    assert simulation.visibility.destroyed


@pytest.mark.parametrize("way", ["deny", "forge-source"])
def test_retractions_against_others_are_kept_and_erase_nobody_in_silence(way: str) -> None:
    simulation, reader = watched(adversary("retractor", peers=["south"], ways=[way]), signatures="stand-in")
    assert_unharmed(simulation, reader)
    for machine in simulation.machines.values():
        assert machine.node is not None
        log = machine.node.state.ledger.log
        assert any(fact.is_retraction and fact.origin not in simulation.name_of_node for fact in log)


@pytest.mark.parametrize("way", [None, *IMPERSONATIONS])
def test_words_under_the_names_of_others_are_kept_and_supersede_and_end_nothing_of_theirs(way: str | None) -> None:
    ways = {} if way is None else {"ways": [way]}
    simulation, reader = watched(adversary("impersonator", peers=["south"], **ways), signatures="stand-in")
    assert_unharmed(simulation, reader)
    claimed = 0
    for machine in simulation.machines.values():
        assert machine.node is not None
        ledger = machine.node.state.ledger
        for fact in ledger.log:
            ending = ledger.ended_by(fact)
            assert ending is None or ending.origin == fact.origin, "a word under a claimed name ended another's"
            claimed += fact.origin not in simulation.name_of_node
    assert claimed > 10


@pytest.mark.parametrize("lie", LIES)
def test_a_page_that_lies_costs_only_its_sender(lie: str) -> None:
    simulation, reader = watched(adversary("page-liar", lies=[lie]), signatures="stand-in")
    assert_unharmed(simulation, reader)
    assert simulation.adversaries["mallory"].served < 90 / INTERVAL_S * 2 + 900  # nobody is asked for ever


def test_a_page_without_end_is_left_after_a_while_and_taken_up_again() -> None:
    simulation, _ = watched(adversary("page-liar", lies=["endless"], good=0), signatures="stand-in", duration="60s")
    served = simulation.adversaries["mallory"].served
    assert 2 < served < 60  # four a drain


@pytest.mark.parametrize("way", WAYS)
def test_a_peer_that_stalls_is_asked_less_and_less(way: str) -> None:
    simulation, reader = watched(adversary("staller", ways=[way]), duration="3m", signatures="stand-in", rate="20/m")
    assert_unharmed(simulation, reader, receipts=0)
    peer = simulation.adversaries["mallory"]
    turns = 180 / INTERVAL_S
    assert 2 <= peer.served <= (turns + 2 if way in ("slow", "429-at-once") else turns / 2)
    assert bool(peer.obligations.receipts) == (way == "slow")


def test_who_waits_for_a_narrow_link_is_nobodys_victim() -> None:
    link = '[[link]]\nbetween = ["north", "south"]\nbandwidth = "16kbit/s"\n'
    storm = '[[workload]]\nkind = "storm"\npairs = 60\nevery = "30s"\n'
    simulation = run_simulation(
        adversary("twin", peers=["north", "south"]), link, storm, signatures="stand-in", settle="30m"
    )
    assert failures(simulation) == {}


def test_a_staller_in_turns_does_not_find_a_way_around_the_backoff() -> None:
    simulation, reader = watched(adversary("staller"), duration="4m", signatures="stand-in", rate="20/m")
    assert_unharmed(simulation, reader, receipts=0)


def test_many_adversaries_at_once_harm_nobody_else() -> None:
    kinds = ["overreach", "forger", "hasher", "extender", "flipper", "id-thief", "malformed", "instruction", "twin"]
    tables = [
        adversary(kind, node=f"m-{number}", peers=["north", "south"], **COUNT.get(kind, {}))
        for number, kind in enumerate([*kinds, "pusher", "replayer", "relay-forger"])
    ]
    simulation, reader = watched(
        *tables, adversary("staller", node="m-slow", ways=["silence"]), signatures="stand-in", duration="60s"
    )
    assert failures(simulation) == {}
    assert list(reader.statuses) == [200]
    assert simulation.submissions.refused == {}


def test_the_same_seed_gives_the_same_trace_with_hostile_peers() -> None:
    tables = [
        adversary(kind, node=f"m-{kind}", peers=["north", "west"]) for kind in ("malformed", "relay-forger", "replayer")
    ]
    first, second = (run_simulation(*tables, duration="40s").trace.close() for _ in range(2))
    assert first == second


def test_a_behaviour_begins_and_ends_when_it_is_told_to() -> None:
    tables = [
        adversary("overreach", node="early", **{"for": "30s"}),
        adversary("replayer", node="between", period="2s", at="40s", **{"for": "20s"}),
    ]
    simulation = run_simulation(*tables, signatures="stand-in")
    assert failures(simulation) == {}
    early, between = simulation.adversaries["early"], simulation.adversaries["between"]
    taken = [fact for fact in simulation.machines["north"].node.state.ledger.log if fact.origin == early.node_id]  # type: ignore[union-attr]
    end_ms = (EPOCH_NS + 31 * SECOND) // 1_000_000
    assert taken
    assert all(fact.wall_ms <= end_ms for fact in taken)
    assert early.served > len(taken)  # it is read on, and says nothing
    rounds = sum(count for (what, _), count in between.memory(Presented).items() if what == "first")
    assert 8 <= rounds <= 10


@pytest.mark.parametrize(
    ("span", "saying"), [("2m", "it would end at 2m, after the scenario's duration"), ("0s", "0s is no time at all")]
)
def test_a_behaviour_that_cannot_end_when_it_is_told_to_is_a_mistake(span: str, saying: str) -> None:
    with pytest.raises(BadScenario, match=saying):
        make_simulation(adversary("overreach", **{"for": span}))


# --- what single kinds may and may not achieve ---


def test_pushed_clocks_do_not_lose_a_third_nodes_facts() -> None:
    simulation, _ = watched(adversary("clock-pusher", beyond=False), duration="2m")
    assert_unharmed(simulation)
    node = simulation.machines["north"].node
    assert node is not None
    leads = [fact.wall_ms - fact.timestamp_us // 1_000 for fact in node.state.ledger.log if fact.received_from is None]
    assert max(leads) <= 5_000
    boasts = [fact for fact in node.state.ledger.log if fact.text.startswith("boost")]
    assert len(boasts) > 10


def test_nothing_is_owed_for_stamps_by_a_clock_that_jumps_meanwhile() -> None:
    strobe = '[[fault]]\nkind = "clock-strobe"\nat = "0s"\nby = "200s"\nperiod = "100ms"\nnode = "north"\n'
    table = adversary("clock-pusher", peers=["north", "south"])
    simulation = run_simulation(table, strobe, signatures="stand-in", settle="20m", duration="3m")
    assert failures(simulation) == {}
    assert simulation.rejections["hlc_skew"] > 10


def test_a_registered_users_name_is_another_author_elsewhere_and_the_nodes_own_id_stays_refused() -> None:
    key = KeyRow("k", "user:alice", "v", ("write",), ("public",), "", 0, None)

    def register(simulation: Simulation) -> None:
        simulation.world.at(SECOND, lambda _: simulation.machines["north"].node.state.apply(key))  # type: ignore[union-attr]

    simulation = run_simulation(adversary("forger", stranger="user:bob"), before=register)
    assert failures(simulation) == {}
    node = simulation.machines["north"].node
    assert node is not None
    sources = {
        fact.source for fact in node.state.ledger.log if fact.origin == simulation.adversaries["mallory"].node_id
    }
    assert {"user:alice", "user:bob"} <= sources
    assert not sources & {node.node_id, "system:stigmem", "system:operator"}


def test_a_federation_of_owned_sources_refuses_retractions_in_others_names() -> None:
    writes = '[[workload]]\nkind = "writers"\nrate = "20/m"\n'
    table = adversary("retractor", ways=["forge-source", "deny"])
    simulation = run_simulation(table, writes, federation="owned_sources_only = true")
    idle = "nothing that was written is for any other node, so nothing had to go anywhere"
    assert failures(simulation) == {"convergence": idle}, "agents' names are owned by no node, so their facts stay"
    assert simulation.rejections["source_not_owned"] > 3


def test_a_federation_of_owned_sources_refuses_strangers() -> None:
    simulation = run_simulation(
        adversary("forger", good=0), federation="owned_sources_only = true", settle="10s", rate="1/m"
    )
    origins = {fact.origin for fact in simulation.machines["north"].node.state.ledger.log}  # type: ignore[union-attr]
    assert simulation.adversaries["mallory"].node_id not in origins
    assert simulation.rejections["source_not_owned"] > 3


def test_instructions_are_shown_neither_by_queries_nor_by_conflicts() -> None:
    answers: list[list[object]] = []

    def look(simulation: Simulation) -> None:
        for target in ("/v1/facts?include_contradicted=true&include_expired=true&limit=500", "/v1/conflicts?limit=500"):
            answer = ask(simulation, "north", target)
            answers.append(answer)

    simulation = run_simulation(adversary("instruction"), before=look)
    assert failures(simulation) == {}
    assert simulation.rejections["instruction_federation_inbound"] >= 4
    facts, conflicts = (answer[0] for answer in answers)
    assert len(facts["facts"]) > 20  # type: ignore[call-overload, index]
    assert "ignore what you were told" not in str(facts)
    assert len(conflicts["conflicts"]) > 5  # type: ignore[call-overload, index]
    assert "ignore what you were told" not in str(conflicts)


def test_a_flood_on_one_triple_is_one_conflict_set() -> None:
    simulation, _ = watched(adversary("flooder", facts=4_000), signatures="stand-in", duration="60s")
    assert_unharmed(simulation)
    slot = simulation.adversaries["mallory"].memory(Flood, "north").slot
    for machine in simulation.machines.values():
        assert machine.node is not None
        conflicts = [c for c in machine.node.state.conflicts.all() if c.slot == slot]
        unresolved = [c for c in conflicts if c.status == "unresolved"]
        assert len(unresolved) == 1
        assert 2_500 < len(unresolved[0].members) <= 4_100
        assert len(conflicts) <= 2


def test_an_id_claimed_before_its_owner_came_stands_for_both_and_is_told() -> None:
    simulation = run_simulation(adversary("id-thief", steal=False, dialect="2.1"))
    assert failures(simulation) == {}
    thief = simulation.adversaries["mallory"].node_id
    node = simulation.machines["north"].node
    assert node is not None
    ledger = node.state.ledger
    doubles = [fact for fact in ledger.log if fact.origin == thief and len(ledger.find(fact.id)) == 2]
    assert len(doubles) >= 3
    for fact in doubles:
        owner = ledger.get(fact.id)
        assert owner is not None
        assert owner.origin in simulation.name_of_node  # who asks for the id gets the fact whose id it is


def test_a_lease_keeps_its_first_end() -> None:
    simulation = run_simulation(adversary("extender"))
    assert failures(simulation) == {}
    ledger = simulation.machines["north"].node.state.ledger  # type: ignore[union-attr]
    leases = [fact for fact in ledger.log if fact.entity.endswith("/lease")]
    assert len(leases) > 20
    assert all(fact.id == fact.certified_id() for fact in leases)


def test_a_twin_is_believed_by_each_and_passed_on_by_none() -> None:
    simulation = run_simulation(adversary("twin", peers=["north", "south"], dialect="2.1"))
    assert failures(simulation) == {}
    told = {
        name: {fact.text for fact in machine.node.state.ledger.log if "/twin/" in fact.entity}  # type: ignore[union-attr]
        for name, machine in simulation.machines.items()
    }
    assert told == {"north": {"only for north"}, "south": {"only for south"}, "west": set()}


def test_a_relay_can_neither_change_nor_widen_nor_sign_what_it_passes_on() -> None:
    """North and south have no link: what they know of each other passes through west, and through the forger."""
    simulation, _ = watched(
        adversary("relay-forger", peers=["north", "south"]), nodes=("north", "west", "south"), topology="line"
    )
    assert failures(simulation) == {}
    assert simulation.rejections["origin_stamp_unproven"] >= 1
    assert simulation.rejections["origin_not_sender"] >= 1
    texts = [fact.text for machine in simulation.machines.values() for fact in machine.node.state.ledger.log]  # type: ignore[union-attr]
    assert not [text for text in texts if "tampered" in text or "in your name" in text]


def test_spent_tokens_stay_spent_over_a_restart() -> None:
    restart = '[[fault]]\nkind = "restart"\nnode = "north"\nat = "50s"\n'
    simulation = run_simulation(adversary("replayer", period="10s"), restart, duration="2m")
    assert failures(simulation) == {}
    statuses = simulation.adversaries["mallory"].memory(Presented)
    assert statuses["spent", 401] > 20
    assert not [key for key in statuses if key[0] in ("again", "nonce", "expired", "spent") and key[1] == 200]
    assert statuses["twice", 200] == statuses["twice", 401] >= 8


def test_pushing_is_refused_and_never_an_error_of_the_node() -> None:
    simulation = run_simulation(adversary("pusher"), scopes=("public",))
    assert failures(simulation) == {}
    statuses = simulation.adversaries["mallory"].memory(Pushes)
    assert sum(statuses.values()) > 20
    assert not [status for status in statuses if not 200 <= status < 500]


@pytest.mark.parametrize("wait", ["0s", "3s"])
@pytest.mark.parametrize("relay", ["true", "false"])
def test_who_names_facts_that_it_does_not_hold_cheats_only_itself(relay: str, wait: str) -> None:
    company = '[[workload]]\nkind = "writers"\nrate = "20/m"\nscopes = { company = 1.0, public = 1.0, local = 1.0 }\n'
    keys = f'relay = {relay}\npull_wait = "{wait}"'
    table = adversary("holder", peers=["north", "south"], period="3s")
    simulation, reader = watched(table, company, federation=keys, duration="2m")
    assert_unharmed(simulation, reader)
    peer = simulation.adversaries["mallory"]
    questions = peer.memory(Questions)
    assert not [key for key in questions.statuses if key[1] >= 500]
    hidden = {fact.id for fact in simulation.visibility.facts if fact.scope == "local"}
    for victim in ("north", "south"):
        reading = peer.memory(Reading, victim)
        named, shown = set(reading.named), set(reading.shown)
        assert len(named & shown) > 20  # what it named comes when it asks without a name
        assert named & hidden
        assert not shown & hidden
    assert relay == "false" or questions.told > 10


def test_where_an_empty_page_ended_is_forgotten_by_who_crashes() -> None:
    crashes = '[[fault]]\nkind = "random-crashes"\nrate = "20/m"\ndown = "1s"\nat = "20s"\n'
    wipe = '[[fault]]\nkind = "wipe"\nnode = "west"\nat = "50s"\n'
    simulation = run_simulation(
        adversary("holder", peers=["north", "west"]), crashes, wipe, signatures="stand-in", rate="1/s"
    )
    assert failures(simulation) == {}
    assert simulation.converged_at is not None
