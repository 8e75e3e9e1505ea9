"""Workloads (spec/simulation.md, 7): each writes what it says, when and where it says, and the federation holds it."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sim.diagnostics.errors import Misfit
from sim.scenario.planning import make_plan
from sim.scenario.reading import BadScenario, parse_scenario
from sim.simulation.simulation import Simulation
from sim.workload import WORKLOADS
from sim.workload.trace import nodes_by_org
from stigmem.core.fact import Fact
from stigmem.core.intents import Progress, acts_of, envelope_of, progress_of
from stigmem.core.timestamps import parse_us
from tests.sim.small_runs import S, approve, fault, make_simulation, run, scenario_text, workload


def held(simulation: Simulation, name: str = "a") -> list[Fact]:
    """Everything that a node holds."""
    node = simulation.machines[name].node
    assert node is not None
    return node.state.ledger.log


def open_conflicts(simulation: Simulation, name: str = "a") -> int:
    node = simulation.machines[name].node
    assert node is not None
    return len(node.state.ledger.contested)


def written_s(simulation: Simulation) -> list[float]:
    return [fact.written_ns / S for fact in simulation.visibility.facts]


# --- made up ---


def test_writers_write_at_their_rate_on_each_node_or_over_all() -> None:
    each = run(workload("writers", rate="2/s", fresh=True))
    assert all(90 < sum(fact.origin == name for fact in each.visibility.facts) < 150 for name in "abc")
    total = run(workload("writers", total_rate="2/s", fresh=True))
    assert 90 < len(total.visibility.facts) < 150


def test_updaters_say_something_else_each_time_and_only_their_last_word_stands() -> None:
    simulation = run(workload("updaters", rate="2/s", agents=2, subjects=2))
    words: dict[tuple[str, str, str], list[Fact]] = {}
    for fact in sorted(held(simulation)):
        words.setdefault((fact.source, fact.origin, fact.entity), []).append(fact)
    assert len(words) == 3 * 2 * 2
    ledger = simulation.machines["a"].node.state.ledger  # type: ignore[union-attr]
    for said in words.values():
        assert all(one.text != other.text for one, other in pairwise(said)), "a mind that is not changed is no update"
        assert [ledger.live(fact) for fact in said] == [False] * (len(said) - 1) + [True]


def test_updaters_of_one_name_are_as_many_authors_as_nodes() -> None:
    simulation = run(workload("updaters", rate="1/s", subjects=1, source="agent:shared"))
    ledger = simulation.machines["a"].node.state.ledger  # type: ignore[union-attr]
    assert {fact.source for fact in held(simulation)} == {"agent:shared"}
    assert sum(ledger.live(fact) for fact in held(simulation)) == 3


def test_notes_stand_side_by_side_but_for_those_that_their_own_agent_struck_out() -> None:
    simulation = run(workload("notes", rate="2/s", subjects=2))
    ledger = simulation.machines["a"].node.state.ledger  # type: ignore[union-attr]
    struck = {(fact.source, fact.origin, fact.entity, fact.text) for fact in held(simulation) if fact.is_retraction}
    notes = [fact for fact in held(simulation) if not fact.is_retraction]
    assert len(notes) > 60
    assert len(struck) > 5
    for fact in notes:
        assert ledger.live(fact) is ((fact.source, fact.origin, fact.entity, fact.text) not in struck)
    assert open_conflicts(simulation) == 0


def test_writers_prefer_some_subjects_as_zipf_says_and_treat_them_alike_with_exponent_zero() -> None:
    steep = Counter(f.entity for f in run(workload("writers", rate="4/s", entities=50, exponent=1.2)).visibility.facts)
    flat = Counter(f.entity for f in run(workload("writers", rate="4/s", entities=50, exponent=0)).visibility.facts)
    first = "stigmem://sim.example/topic/0"
    assert steep.most_common(1)[0][0] == first
    assert steep[first] > 0.15 * steep.total()
    assert flat.most_common(1)[0][1] < 0.06 * flat.total()


def test_writers_use_every_kind_of_value_and_scopes_in_their_shares() -> None:
    simulation = run(workload("writers", rate="4/s", scopes={"public": 0.5, "company": 0.3, "local": 0.2}))
    scopes = Counter(fact.scope for fact in simulation.visibility.facts)
    kinds = {fact.kind for name in "abc" for fact in held(simulation, name)}
    assert kinds == {"string", "text", "number", "boolean", "datetime", "ref", "null"}
    assert 0.4 < scopes["public"] / scopes.total() < 0.6
    assert 0.1 < scopes["local"] / scopes.total() < 0.3


def test_fresh_writers_contradict_nobody_and_others_do() -> None:
    assert open_conflicts(run(workload("writers", rate="2/s", entities=5, fresh=True))) == 0
    assert open_conflicts(run(workload("writers", rate="2/s", entities=5))) > 0


def test_another_node_does_not_move_the_draws_of_those_that_were_there() -> None:
    def of_a(simulation: Simulation) -> list[tuple[str, str, int]]:
        return [
            (fact.entity, fact.relation, fact.written_ns) for fact in simulation.visibility.facts if fact.origin == "a"
        ]

    assert of_a(run(workload("writers", rate="1/s"))) == of_a(run(workload("writers", rate="1/s"), nodes=tuple("abcd")))


@pytest.mark.parametrize(("spread", "most_s"), [("0s", 0.0), ("4s", 4.0)])
def test_contradictions_come_in_pairs_from_two_nodes_at_once_or_within_the_spread(spread: str, most_s: float) -> None:
    simulation = run(workload("contradictions", rate="20/m", entities=1_000_000, spread=spread))
    pairs: dict[str, list[Any]] = {}
    for fact in simulation.visibility.facts:
        pairs.setdefault(fact.entity, []).append(fact)
    whole = [pair for pair in pairs.values() if len(pair) == 2]
    gaps = [abs(one.written_ns - other.written_ns) / S for one, other in whole]
    assert len(whole) >= len(pairs) - 1 > 10
    assert all(one.origin != other.origin for one, other in whole)
    assert max(gaps) <= most_s
    assert max(gaps) > most_s / 2 or most_s == 0.0
    assert open_conflicts(simulation) == len(whole)


def test_probes_are_unique_regular_and_spread_over_the_period() -> None:
    simulation = run(workload("probe", period="4s"))
    assert Counter(fact.origin for fact in simulation.visibility.facts) == {"a": 15, "b": 15, "c": 15}
    assert len({(fact.entity, fact.relation) for fact in simulation.visibility.facts}) == 45
    phases = {
        name: [round(f.written_ns / S % 4, 1) for f in simulation.visibility.facts if f.origin == name]
        for name in "abc"
    }
    assert {name: set(found) for name, found in phases.items()} == {"a": {1.0}, "b": {2.0}, "c": {3.0}}
    assert open_conflicts(simulation) == 0


def test_retractions_follow_their_assertions_and_are_followed_by_another() -> None:
    simulation = run(workload("retractions", rate="20/m", after="10s", again="5s", entities=1_000_000, by={"own": 1}))
    by_entity: dict[str, list[Fact]] = {}
    for fact in sorted(held(simulation), key=lambda fact: fact.stamp):
        by_entity.setdefault(fact.entity, []).append(fact)
    stories = [story for story in by_entity.values() if len(story) == 3]
    assert len(stories) > 5
    for said, retracted, again in stories:
        assert (said.confidence, retracted.confidence, again.confidence) == (1.0, 0.0, 1.0)
        assert said.source == retracted.source == again.source
        assert 10_000 <= retracted.wall_ms - said.wall_ms < 10_010
        assert 5_000 <= again.wall_ms - retracted.wall_ms < 5_010
    assert open_conflicts(simulation) == 0


@pytest.mark.parametrize("who", ["same_node", "other_node"])
def test_a_retraction_by_a_colleague_or_a_stranger_ends_nothing_and_opens_a_conflict(who: str) -> None:
    shares = {"own": 0, "same_node": 0, "other_node": 0} | {who: 1}
    simulation = run(workload("retractions", rate="20/m", after="8s", entities=1_000_000, by=shares))
    retracted = [fact for fact in held(simulation) if fact.is_retraction]
    assert {fact.source for fact in retracted} == {f"agent:{name}-editor" for name in "abc"}
    assert len(retracted) > 5
    assert open_conflicts(simulation) == len(retracted), "nobody silently erases what somebody else knows"


def test_expiring_facts_live_as_long_as_they_should_on_the_writers_own_clock() -> None:
    simulation = run(
        workload("expiring", rate="1/s", life="10s", entities=3),
        '[[clock]]\nnode = "b"\noffset = "-20s"',
    )
    facts = held(simulation)
    assert len(facts) > 30
    for fact in facts:
        assert fact.valid_until is not None
        assert parse_us(fact.valid_until) - fact.timestamp_us == 10_000_000
    node = simulation.machines["a"].node
    assert node is not None
    assert any(node.state.ledger.expired(fact) for fact in facts)
    assert node.state.ledger.conflicts_opened > 0


def test_a_storm_is_so_many_contradictions_at_one_instant() -> None:
    simulation = run(workload("storm", pairs=30, every="25s"))
    instants = Counter(round(second) for second in written_s(simulation))
    assert instants == {25: 60, 50: 60}
    assert open_conflicts(simulation) == 60


def test_a_burst_is_so_many_stamps_in_one_millisecond_and_small_pages_carry_them_all() -> None:
    simulation = run(workload("burst", count=12, nodes=["b"]), pull_limit="5")
    stamps = [fact.stamp for fact in held(simulation, "a")]
    assert len(set(stamps)) == 12
    assert len({fact.wall_ms for fact in held(simulation, "a")}) == 1
    assert {fact.origin for fact in simulation.visibility.facts} == {"b"}


def test_people_settle_conflicts_and_what_they_say_of_it_is_kept_everywhere() -> None:
    simulation = run(
        workload("contradictions", rate="10/m", entities=1_000_000, stop="40s"),
        workload("resolver", rate="1/s", nodes=["a", "c"], new_values=0.3),
    )
    for name in "abc":
        node = simulation.machines[name].node
        assert node is not None
        book = node.state.conflicts.all()
        resolved = [conflict for conflict in book if conflict.status == "resolved"]
        assert len(resolved) > 5
        assert all("settled at" in conflict.note for conflict in resolved)
    assert simulation.submissions.refused == {}
    settled_anew = [fact for fact in held(simulation, "b") if " settles " in fact.text and fact.derived_from == ""]
    assert settled_anew


def test_every_kind_of_workload_is_quiet_before_its_start_and_after_its_stop() -> None:
    needed: dict[str, dict[str, object]] = {
        "retractions": {"rate": "1/s", "after": "5s"}, "storm": {"every": "5s"}, "burst": {"every": "3s"},
        "readers": {"rate": "1/s"}, "writers": {"rate": "1/s"},
        "contradictions": {"rate": "1/s", "spread": "9s"}, "probe": {"period": "3s"},
        "expiring": {"rate": "1/s"}, "resolver": {"rate": "1/s"}, "updaters": {"rate": "1/s"},
        "agents": {"rate": "1/s", "name": "team"}, "notes": {"rate": "1/s"},
        "intents": {"rate": "1/s", "look_every": "3s"},
    }  # fmt: skip
    others = ("trace", "clock-void", "erasures")  # which need a file, and which write nothing of their own
    kinds = [tag for kind in WORKLOADS if (tag := str(kind.__struct_config__.tag)) not in others]
    tables = [workload(kind, start="20s", stop="35s", **needed[kind]) for kind in kinds]
    simulation = run(*tables)
    assert len(simulation.visibility.facts) > 100
    assert all(20 <= second < 35 for second in written_s(simulation))


def test_workloads_write_only_on_their_nodes_and_in_their_scope() -> None:
    simulation = run(
        workload("contradictions", rate="1/s", nodes=["a", "c"], scope="company"),
        workload("probe", period="2s", nodes=["c"], scope="company"),
        workload("storm", every="20s", pairs=3, nodes=["a"], scope="company"),
    )
    assert {fact.origin for fact in simulation.visibility.facts} == {"a", "c"}
    assert {fact.scope for fact in simulation.visibility.facts} == {"company"}


def test_what_a_stranger_retracts_before_it_was_acknowledged_is_not_written_at_all() -> None:
    simulation = run(
        workload("retractions", rate="1/s", after="5s"),
        fault("crash", at="10s", for_="10s", node="a"),
    )
    said = {fact.entity for fact in held(simulation, "b") if not fact.is_retraction}
    assert {fact.entity for fact in held(simulation, "b") if fact.is_retraction} <= said
    assert simulation.submissions.refused[0] > 0


def progress(simulation: Simulation, name: str) -> dict[str, Progress]:
    """How every intent stands by the facts of a node, taken in the order in which they arrived there."""
    facts = held(simulation, name)
    by_entity: dict[str, list[Fact]] = {}
    for fact in facts:
        by_entity.setdefault(fact.entity, []).append(fact)
    found: dict[str, Progress] = {}
    for entity in sorted(fact.entity for fact in facts if fact.relation == "intent:from"):
        envelope = envelope_of(entity, lambda entity: by_entity.get(entity, ()))
        assert envelope is not None
        acts = acts_of(by_entity[entity], envelope.body.scope)
        found[entity] = progress_of(envelope, acts, simulation.world.now // 1_000)
    return found


def test_agents_send_intents_and_work_on_them_and_after_a_cut_all_nodes_say_the_same_of_each() -> None:
    table = workload("intents", rate="30/m", look_every="5s")
    cut = fault("partition", at="30s", for_="60s", groups=[["a"], ["b", "c"]])
    simulation = run(table, cut, duration="150s")
    sides = [progress(simulation, name) for name in "abc"]
    counted = [
        {intent: (each.state, [act.fact.id for act in each.acts]) for intent, each in side.items()} for side in sides
    ]
    assert counted[0] == counted[1] == counted[2]
    states = Counter(each.state for each in sides[0].values())
    assert sum(states.values()) > 50
    assert states.keys() >= {"done", "refused"}
    assert any(each.escalated for each in sides[0].values())
    outcomes = Counter(asked.outcome for each in sides[0].values() for asked in each.consultations)
    assert outcomes.keys() >= {"answered", "timed_out"}
    assert open_conflicts(simulation) == 0
    named = {fact.id for fact in held(simulation)}
    assert {fact.text for fact in held(simulation) if fact.relation == "intent:context_ref"} <= named


def test_agents_find_recall_conclude_and_hand_over_through_their_own_nodes_alone() -> None:
    table = workload("agents", name="crew", rate="20/m", members=2, subjects=2, handed_over=0.5)
    simulation = run(table, duration="90s")
    facts = held(simulation)
    by_kind = Counter(fact.relation.partition(":")[2].partition("-")[0] for fact in facts)
    assert set(by_kind) == {"finding", "conclusion", "takes"}
    assert {fact.source.partition("-")[0] for fact in facts} == {"agent:a", "agent:b", "agent:c"}
    named = {fact.id for fact in facts}
    conclusions = [fact for fact in facts if fact.derived_from]
    assert len(conclusions) == by_kind["conclusion"]
    assert all(each["fact_id"] in named for fact in conclusions for each in json.loads(fact.derived_from))
    assert all(fact.entity.startswith("agent:") and fact.kind == "ref" for fact in facts if "takes-up" in fact.relation)
    assert open_conflicts(simulation) == 0


def test_what_is_handed_over_is_taken_up_by_the_agent_on_the_other_node() -> None:
    table = workload("agents", name="crew", nodes=["a", "b"], rate="20/m", subjects=1_000, handed_over=1)
    simulation = run(table, duration="90s")
    findings = [fact for fact in held(simulation) if ":finding" in fact.relation]
    on_a, on_b = ({fact.entity for fact in findings if fact.source.startswith(f"agent:{name}")} for name in "ab")
    shared = on_a & on_b
    assert len(shared) > 5  # of a thousand subjects two agents draw the same one hardly ever


def test_a_team_that_is_cut_off_recalls_its_own_findings_and_of_the_others_what_it_knew() -> None:
    teams = [workload("agents", name=name, nodes=[node], rate="20/m", subjects=2, budget=50_000, handed_over=0)
             for name, node in (("red", "a"), ("blue", "b"))]  # fmt: skip
    cut = fault("partition", at="30s", for_="60s", groups=[["a"], ["b", "c"]])
    taken = run(*teams, cut, duration="2m").recollections.taken
    assert all(each.own_found == each.own_said for each in taken)
    during = [each for each in taken if 60 * S < each.at_ns < 90 * S]
    after = [each for each in taken if each.at_ns > 105 * S]
    assert during
    assert after
    assert all(each.others_found < each.others_said for each in during)
    assert sum(each.others_found for each in after) > 0.9 * sum(each.others_said for each in after)


# --- recorded ---

ROW = {
    "t": 0, "org": "acme", "source": "user:1", "entity": "stigmem://x.example/file/a", "relation": "repo:last",
    "value": {"type": "string", "v": "one"}, "confidence": 1.0,
}  # fmt: skip


def rows(*changes: dict[str, object]) -> list[dict[str, object]]:
    return [ROW | change for change in changes]


def write_trace(folder: Path, found: list[dict[str, object]], name: str = "trace.jsonl") -> str:
    text = "".join(json.dumps(row) + "\n" for row in found).encode()
    (folder / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return name


@pytest.mark.parametrize("name", ["trace.jsonl", "trace.jsonl.gz"])
def test_a_trace_is_written_row_by_row_scaled_to_its_fit(tmp_path: Path, name: str) -> None:
    texts = [{"t": 100 * n, "value": {"type": "number", "v": n}, "confidence": n / 10} for n in range(11)]
    file = write_trace(tmp_path, rows(*texts), name)
    simulation = run(workload("trace", file=file, fit="50s", start="5s", scope="company"), base=tmp_path)
    facts = sorted(held(simulation, "b"), key=lambda fact: fact.stamp)
    assert [fact.text for fact in facts] == [f"{n}.0" for n in range(11)]
    assert [round(second) for second in written_s(simulation)] == [5 + 5 * n for n in range(11)]
    assert [fact.confidence for fact in facts] == [n / 10 for n in range(11)]
    assert {(fact.source, fact.scope, fact.relation) for fact in facts} == {("user:1", "company", "repo:last")}


def test_a_trace_runs_at_its_time_scale_or_fills_the_time_there_is(tmp_path: Path) -> None:
    file = write_trace(tmp_path, rows({"t": 0}, {"t": 3_000, "value": {"type": "null"}}))
    scaled = run(workload("trace", file=file, time_scale=100, start="1s"), base=tmp_path)
    assert [round(second) for second in written_s(scaled)] == [1, 31]
    filled = run(workload("trace", file=file, start="1s"), base=tmp_path)
    assert [round(second) for second in written_s(filled)] == [1, 60]
    assert filled.submissions.acknowledged == 2


def test_rows_out_of_order_are_sorted_and_those_of_one_time_stay_in_order(tmp_path: Path) -> None:
    times = [50, 0, 50, 10, 50]
    file = write_trace(tmp_path, rows(*({"t": t, "value": {"type": "number", "v": n}} for n, t in enumerate(times))))
    simulation = run(workload("trace", file=file, fit="40s", start="5s"), base=tmp_path)
    facts = sorted(held(simulation, "a"), key=lambda fact: fact.stamp)
    assert [fact.text for fact in facts] == ["1.0", "3.0", "0.0", "2.0", "4.0"]


def test_organisations_go_to_nodes_as_mapped_and_the_others_by_activity_round_robin(tmp_path: Path) -> None:
    orgs = ["w"] * 5 + ["x"] * 4 + ["y"] * 3 + ["z"] * 2 + ["v"]
    file = write_trace(tmp_path, rows(*({"t": n, "org": org, "entity": f"e:{n}"} for n, org in enumerate(orgs))))
    plain = run(workload("trace", file=file, start="1s"), base=tmp_path)
    assert Counter(fact.origin for fact in plain.visibility.facts) == {"a": 7, "b": 5, "c": 3}
    mapped = run(workload("trace", file=file, start="1s", map={"w": "c"}, nodes=["a", "b"]), base=tmp_path)
    assert Counter(fact.origin for fact in mapped.visibility.facts) == {"c": 5, "a": 4 + 2, "b": 3 + 1}
    assert nodes_by_org([], {}, ["a"]) == {}


def test_only_the_first_rows_of_a_trace_when_so_many_are_asked_for(tmp_path: Path) -> None:
    file = write_trace(tmp_path, rows(*({"t": n, "entity": f"e:{n}"} for n in range(50))))
    simulation = run(workload("trace", file=file, start="1s", rows=7), base=tmp_path)
    assert len(simulation.visibility.facts) == 7


def test_every_value_type_of_a_trace_arrives_as_it_is(tmp_path: Path) -> None:
    values: list[dict[str, object]] = [
        {"type": "string", "v": "ä"}, {"type": "text", "v": ""}, {"type": "number", "v": 2.5},
        {"type": "boolean", "v": True}, {"type": "datetime", "v": "2026-01-01"}, {"type": "ref", "v": "user:1"},
        {"type": "null", "v": None},
    ]  # fmt: skip
    file = write_trace(tmp_path, rows(*({"t": n, "value": value} for n, value in enumerate(values))))
    simulation = run(workload("trace", file=file, start="1s"), base=tmp_path)
    facts = sorted(held(simulation, "c"), key=lambda fact: fact.stamp)
    assert [msgspec.to_builtins(fact.value.wire())["v"] for fact in facts] == [value["v"] for value in values]


# --- what is refused ---

BAD_LINES: list[tuple[object, str]] = [
    ("not json", "not a JSON object"),
    ("[1]", "a JSON list where an object"),
    (b"\xff\xfe", "not a JSON object"),
    ({"confidence": None, "org": None}, "org is a null"),
    ({"t": "soon"}, "t is a text; it is a number of seconds"),
    ({"t": True}, "t is a truth value"),
    ({"confidence": 1.5}, "confidence is 1.5; it lies between 0 and 1"),
    ({"org": ""}, "org is empty"),
    ({"entity": "  "}, "entity '  ' is none"),
    ({"source": ""}, "source '' is none"),
    ({"relation": ""}, "relation needs 1 to"),
    ({"value": "x"}, 'value is not {"type": ..., "v": ...}'),
    ({"value": {"type": "bytes", "v": "x"}}, "value: value.type must be one of"),
    ({"value": {"type": "number", "v": "x"}}, "value: a number value needs a JSON number"),
    ({"value": {"type": "string", "v": ["x"]}}, "value.v is no plain value"),
    ({"value": {"type": "string", "v": "x", "w": 1}}, "value has unknown member 'w'"),
    ({"colour": "red"}, "unknown member 'colour'"),
]


@pytest.mark.parametrize(("bad", "said"), BAD_LINES)
def test_a_malformed_line_is_named_with_its_file_and_number(tmp_path: Path, bad: object, said: str) -> None:
    text = json.dumps(ROW | bad) if isinstance(bad, dict) else bad
    line = text if isinstance(text, bytes) else str(text).encode()
    good = json.dumps(ROW).encode()
    (tmp_path / "t.jsonl").write_bytes(b"\n".join([good, b"", line, good]))
    with pytest.raises(Misfit) as caught:
        check(tmp_path, file="t.jsonl")
    assert caught.value.key == "file"
    assert f"{tmp_path / 't.jsonl'}:3: " in caught.value.sentence
    assert said in caught.value.sentence


@pytest.mark.parametrize("missing", ["t", "org", "source", "entity", "relation", "value", "confidence"])
def test_a_missing_member_is_named(tmp_path: Path, missing: str) -> None:
    row = {name: value for name, value in ROW.items() if name != missing}
    (tmp_path / "t.jsonl").write_text(json.dumps(row))
    with pytest.raises(Misfit, match=f"t.jsonl:1: {missing} missing; a row has t, org"):
        check(tmp_path, file="t.jsonl")


def test_files_that_are_no_traces_are_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n\n")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(json.dumps(ROW).encode() * 200)[:-20])
    (tmp_path / "folder").mkdir()
    (tmp_path / "long.jsonl").write_bytes(b"x" * 300_000)
    for file, said in [
        ("nowhere.jsonl", "there is no file"), ("empty.jsonl", "holds no row"), ("folder", "is not a file"),
        ("cut.jsonl.gz", "damaged or cut off gzip file"), ("long.jsonl", "1: the line has more than"),
    ]:  # fmt: skip
        with pytest.raises(Misfit, match=said) as caught:
            check(tmp_path, file=file)
        assert caught.value.key == "file"
        assert "\n" not in caught.value.sentence


@pytest.mark.parametrize(
    ("members", "key", "said"),
    [
        ({"fit": "2m"}, "fit", "runs for 59s"),
        ({"fit": "30s", "time_scale": 2}, "time_scale", "not both"),
        ({"time_scale": 2}, "time_scale", "write at least 1"),
        ({"map": {"acm": "a"}}, "map.acm", "no row is of an organisation 'acm'"),
        ({"map": {"acme": "z"}}, "map.acme", "there is no node 'z'"),
        ({"start": "70s"}, "start", "start after the end"),
        ({"start": "20s", "stop": "10s"}, "stop", "stop before it starts"),
    ],
)
def test_a_trace_that_does_not_fit_is_refused_with_its_key(
    tmp_path: Path, members: dict[str, object], key: str, said: str
) -> None:
    file = write_trace(tmp_path, rows({"t": 0}, {"t": 600}))
    with pytest.raises(Misfit, match=said) as caught:
        check(tmp_path, file=file, **members)
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("table", "key", "said"),
    [
        (workload("writers", rate="1/s", total_rate="2/s"), "total_rate", "not both"),
        (workload("writers", scopes={"public": 0}), "scopes", "weight above 0"),
        (workload("retractions", by={"own": 0, "same_node": 0, "other_node": 0}), "by", "somebody must retract"),
        (
            workload("retractions", nodes=["a"], by={"own": 0, "same_node": 0, "other_node": 1}),
            "by.other_node", "no other node",
        ),
        (workload("burst", nodes=["a", "b"]), "nodes", "a burst happens on one node"),
        (workload("agents"), "name", "a team needs a name"),
    ],
)  # fmt: skip
def test_a_workload_that_makes_no_sense_is_refused_with_its_key(table: str, key: str, said: str) -> None:
    plan = make_plan(parse_scenario(scenario_text()), Path())
    (found,) = parse_scenario(scenario_text(table)).workload
    with pytest.raises(Misfit, match=said) as caught:
        found.check(plan.federation)
    assert caught.value.key == key


def test_a_bad_trace_stops_a_scenario_before_it_runs(tmp_path: Path) -> None:
    with pytest.raises(BadScenario, match="there is no file"):
        make_simulation(workload("trace", file="nowhere.jsonl"), base=tmp_path)


def check(base: Path, **members: object) -> None:
    plan = make_plan(parse_scenario(scenario_text()), base)
    (found,) = parse_scenario(scenario_text(workload("trace", **members))).workload
    found.check(plan.federation)


def test_a_long_trace_is_held_once_and_its_rows_are_not_queued_up_in_the_world(tmp_path: Path) -> None:
    found = [{"t": n, "entity": f"e:{n % 50}", "value": {"type": "number", "v": n}} for n in range(3_000)]
    file = write_trace(tmp_path, rows(*found), "long.jsonl.gz")
    simulation = make_simulation(workload("trace", file=file, fit="50s"), base=tmp_path)
    waiting: list[int] = []
    simulation.world.at(10 * S, lambda _: waiting.append(len(simulation.world._heap)))
    simulation.run()
    approve(simulation)
    assert waiting[0] < 100
    assert simulation.submissions.acknowledged == simulation.submissions.writes == 3_000
