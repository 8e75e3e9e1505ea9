"""Fitting: names, times, files and numbers against each other: what is refused, in what words, and what is foreseen."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect

from sim.diagnostics.errors import Misfit
from sim.fault.base import Fault
from sim.scenario.metrics import REJECTIONS, known_metrics
from sim.scenario.plan import Plan
from sim.scenario.planning import load_plan, make_plan
from sim.scenario.reading import BadScenario, parse_scenario, typed
from sim.scenario.required_data import DataAbsent
from sim.scenario.schema_errors import find_mistakes
from sim.scenario.tables import scenario_type
from sim.units import Duration, Rate, Speed, parse_duration

ROOT = Path(__file__).parents[3]
SCENARIOS = sorted((ROOT / "scenarios").glob("*.toml"))

BASE = '[scenario]\nname = "x"\nduration = "10m"\nsettle = "5m"\n[federation]\nnodes = ["north", "south", "east"]\n'


def plan_of(text: str, folder: Path, base: str = BASE) -> Plan:
    path = folder / "x.toml"
    path.write_text(base + text, encoding="utf-8")
    return load_plan(path)


def refused(text: str, folder: Path, base: str = BASE) -> list[str]:
    """What is wrong, a line each, without the file's name."""
    with pytest.raises(BadScenario) as caught:
        plan_of(text, folder, base)
    return [line.removeprefix(f"{folder / 'x.toml'}:") for line in str(caught.value).split("\n")]


def fault(kind: str, at: str = "1m", lasts: str | None = None, **keys: str) -> str:
    parts = {"kind": kind, "at": at} | ({"for": lasts} if lasts else {}) | keys
    return "[[fault]]\n" + "".join(f'{key} = "{value}"\n' for key, value in parts.items())


# --- a plan ---


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_scenario_of_the_repository_fits_together(path: Path) -> None:
    try:
        plan = load_plan(path)
    except DataAbsent as absent:
        pytest.skip(str(absent))
    assert plan.nodes
    assert plan.base == path.parent


def test_a_plan_has_its_nodes_links_and_readers(tmp_path: Path) -> None:
    plan = plan_of('topology = "line"\n', tmp_path)
    assert plan.nodes == ("north", "south", "east")
    assert plan.links == (("north", "south"), ("south", "east"))
    assert plan.readers("north", "public") == ("north", "south", "east")
    assert plan.readers("north", "company") == ("north", "south")
    assert plan.readers("north", "local") == ("north",)
    assert not plan.crosses("north", "east", "public")


def test_what_a_link_grants_decides_who_reads(tmp_path: Path) -> None:
    text = 'topology = "line"\n[[link]]\nbetween = ["east", "south"]\nscopes = ["company"]\n'
    plan = plan_of(text, tmp_path)
    assert plan.scopes_on("south", "east") == ("company",)
    assert plan.readers("north", "public") == ("north", "south")
    assert plan.readers("south", "company") == ("north", "south", "east")


def test_without_relay_public_facts_reach_neighbours_only(tmp_path: Path) -> None:
    plan = plan_of('topology = "line"\nrelay = false\n', tmp_path)
    assert plan.readers("north", "public") == ("north", "south")
    assert plan.readers("south", "public") == ("north", "south", "east")


def test_a_map_is_found_beside_the_scenario_and_gives_places(tmp_path: Path) -> None:
    (tmp_path / "m.graphml").write_bytes((ROOT / "scenarios" / "data" / "geant.graphml").read_bytes())
    text = (
        '[federation]\ntopology = { graphml = "m.graphml" }\n'
        '[network]\nlatency = { kind = "distance" }\n[[clock]]\nnode = "Tel Aviv"\n'
    )
    plan = plan_of(text, tmp_path, '[scenario]\nname = "x"\n')
    assert len(plan.nodes) == 40
    assert plan.positions["Oslo"] == (59.91, 10.75)


def test_another_seed_makes_another_topology_and_stands_in_the_plan(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('[scenario]\nname = "x"\nseed = 4\n[federation]\nnodes = 30\ntopology = "random-regular"\n')
    first, again, other = load_plan(path), load_plan(path, 4), load_plan(path, 5)
    assert first.links == again.links != other.links
    assert (first.scenario.scenario.seed, other.scenario.scenario.seed) == (4, 5)
    assert make_plan(first.scenario, tmp_path, seed=5).links == other.links
    with pytest.raises(BadScenario, match=r"scenario\.seed: -1 is not a seed, which is a whole number from 0 to"):
        load_plan(path, -1)


# --- scenarios made in Python ---


@pytest.mark.parametrize("seed", ["7", 1.5, True, 2**63, float("nan")])
def test_a_seed_that_is_none_is_refused_from_python_too(seed: object) -> None:
    scenario = parse_scenario('[scenario]\nname = "x"\n[federation]\nnodes = 2\n')
    with pytest.raises(BadScenario, match=r"scenario\.seed: .* is not a seed, which is a whole number from 0 to"):
        make_plan(scenario, Path(), seed=seed)  # type: ignore[arg-type]


def test_a_scenario_changed_in_python_is_held_to_the_same_rules() -> None:
    scenario = parse_scenario(BASE)
    table = msgspec.structs.replace(scenario.scenario, duration="20m")
    assert make_plan(
        msgspec.structs.replace(scenario, scenario=table), ROOT
    ).scenario.scenario.duration == parse_duration("20m")
    network = msgspec.structs.replace(scenario.network, loss=1.5)
    with pytest.raises(BadScenario) as caught:
        make_plan(msgspec.structs.replace(scenario, network=network), ROOT)
    assert str(caught.value) == "network.loss: 1.5 is not a number between 0 and 1"


class Meteor(Fault, tag="meteor", kw_only=True):
    """A kind that no file can name."""

    def check(self, plan: Plan) -> None:
        if len(plan.nodes) > 2:
            raise Misfit("at", "it would take more than one meteor")


def test_a_kind_of_fault_made_in_python_takes_part_and_has_its_say() -> None:
    scenario = msgspec.structs.replace(parse_scenario(BASE), fault=[Meteor(at=parse_duration("1m"))])
    with pytest.raises(BadScenario) as caught:
        make_plan(scenario, ROOT)
    assert str(caught.value) == "fault[0].at: it would take more than one meteor"
    two = msgspec.structs.replace(scenario.federation, nodes=2)
    assert isinstance(make_plan(msgspec.structs.replace(scenario, federation=two), ROOT).scenario.fault[0], Meteor)


# --- what does not fit: (text after the base, a line of the error) ---

NAMES = [
    ('[[clock]]\nnode = "nroth"\n', "8: clock[0].node: there is no node 'nroth'; did you mean 'north'?"),
    ('[[clock]]\nnode = "zzz"\n', "8: clock[0].node: there is no node 'zzz'; the nodes are: 'north', 'south', 'east'"),
    (
        '[[clock]]\nnode = "north"\n[[clock]]\nnode = "north"\n',
        "10: clock[1].node: the clock of 'north' is set already, by clock[0]",
    ),
    (
        '[[link]]\nbetween = ["north", "sout"]\n',
        "8: link[0].between[1]: there is no node 'sout'; did you mean 'south'?",
    ),
    (
        '[[link]]\nbetween = ["north", "north"]\n',
        "8: link[0].between: a link is between two nodes, and both are 'north'",
    ),
    (
        'topology = "line"\n[[link]]\nbetween = ["north", "east"]\n',
        "9: link[0].between: 'north' and 'east' are not linked in this topology; 'north' is linked with: 'south'",
    ),
    (
        '[[link]]\nbetween = ["north", "east"]\n[[link]]\nbetween = ["east", "north"]\n',
        "10: link[1].between: this link has a table already, link[0]; put both into one",
    ),
    (
        '[[link]]\nbetween = ["north", "east"]\none_way = true\nscopes = ["public"]\n',
        "10: link[0].scopes: scopes hold for both directions; leave out scopes or one_way",
    ),
    (
        '[[fault]]\nkind = "partition"\nat = "1m"\ngroups = [["north"],\n ["suth"]]\n',
        "11: fault[0].groups[1][0]: there is no node 'suth'; did you mean 'south'?",
    ),
    (
        '[[fault]]\nkind = "partition"\nat = "1m"\nshape = "one"\nnode = "est"\n',
        "11: fault[0].node: there is no node 'est'; did you mean 'east'?",
    ),
    (
        '[[workload]]\nkind = "contradictions"\nnodes = ["north", "sout"]\n',
        "9: workload[0].nodes[1]: there is no node 'sout'; did you mean 'south'?",
    ),
    (
        '[[adversary]]\nkind = "overreach"\npeers = ["eats"]\n',
        "9: adversary[0].peers[0]: there is no node 'eats'; did you mean 'east'?",
    ),
    (
        '[[adversary]]\nkind = "overreach"\nnode = "south"\n',
        (
            "9: adversary[0].node: 'south' is the name of the node 'south' already; give this adversary a "
            'name of its own, such as node = "eve"'
        ),
    ),
    (
        '[[adversary]]\nkind = "overreach"\n[[adversary]]\nkind = "overreach"\n',
        "9: adversary[1].node: 'mallory' is the name of adversary[0] already",
    ),
    (
        '[network]\nlatency = { kind = "regions", file = "f.csv", regions = { nrth = "x" } }\n',
        "8: network.latency.regions.nrth: there is no node 'nrth'; did you mean 'north'?",
    ),
    ('[[fault]]\nkind = "partition"\nat = "1m"\n', "7: fault[0].groups: give either groups or a shape"),
]

TIMES = [
    (
        fault("partition", "10m", shape="halves"),
        "9: fault[0].at: 10m is not before the end of the scenario's duration, 10m",
    ),
    (fault("partition", "-1m", shape="halves"), "9: fault[0].at: -1m is before the beginning; times count from 0s"),
    (
        fault("partition", "9m", "2m", shape="halves"),
        (
            "10: fault[0].for: it would end at 11m, after the scenario's duration, 10m, when all faults end; "
            "leave it out to last until then"
        ),
    ),
    (
        fault("partition", "1m", "0s", shape="halves"),
        "10: fault[0].for: 0s is no time at all; it must be longer than 0s",
    ),
    (fault("partition", "1m", "-5s", shape="halves"), "10: fault[0].for: -5s is no time at all"),
    (
        '[[workload]]\nkind = "contradictions"\nstart = "10m"\n',
        "9: workload[0].start: 10m is not before the end of the scenario's duration",
    ),
    (
        '[[workload]]\nkind = "contradictions"\nstart = "5m"\nstop = "5m"\n',
        "10: workload[0].stop: it would stop at 5m, before it starts at 5m",
    ),
    (
        '[[workload]]\nkind = "contradictions"\nstop = "11m"\n',
        "9: workload[0].stop: 11m is after the scenario's duration, 10m; leave it out to go on until then",
    ),
    (
        '[[adversary]]\nkind = "overreach"\nat = "1h"\n',
        "9: adversary[0].at: 1h is not before the end of the scenario's duration, 10m",
    ),
    (
        'pull_wait = "31s"\n',
        "7: federation.pull_wait: a node holds a pull for at most 30s; wait no longer",
    ),
]

METRICS = [
    (
        'metric = "lag.p999"\nat_most = "1m"\n',
        "8: expect[0].metric: there is no metric 'lag.p999'; did you mean 'lag.p99'?",
    ),
    (
        'metric = "rejections.hlc_skw"\nat_least = 1\n',
        "8: expect[0].metric: there is no metric 'rejections.hlc_skw'; did you mean 'rejections.hlc_skew'?",
    ),
    (
        'metric = "xyzzy"\nat_least = 1\n',
        "8: expect[0].metric: there is no metric 'xyzzy'; the metrics are lag.p50, lag.p90, ",
    ),
    (
        'metric = "facts"\nat_least = "12m"\n',
        "9: expect[0].at_least: facts is a count, not a time; write a number without quotes",
    ),
    ('metric = "lag.max"\n', "7: expect[0]: an expectation needs at_most, at_least or equals"),
    (
        'metric = "facts"\nat_least = 9\nat_most = 3\n',
        "9: expect[0].at_least: this is more than at_most, so no run could meet both",
    ),
    (
        'metric = "facts"\nequals = 9\nat_most = 9\n',
        "9: expect[0].equals: with equals no other bound is needed; leave out one of them",
    ),
    (
        'metric = "convergence"\nat_most = "-1s"\n',
        "9: expect[0].at_most: convergence is never below zero; write a bound that can be met and missed",
    ),
]
CASES = [*NAMES, *TIMES, *(("[[expect]]\n" + text, words) for text, words in METRICS)]


@pytest.mark.parametrize(("text", "words"), CASES, ids=[f"{number}" for number in range(len(CASES))])
def test_what_does_not_fit_is_told_with_line_and_key(text: str, words: str, tmp_path: Path) -> None:
    told = refused(text, tmp_path)
    assert told[0].startswith(words), told
    assert len(told) == 1


def test_a_topology_that_cannot_be_is_told_with_its_line_and_so_are_the_times(tmp_path: Path) -> None:
    text = 'topology = { kind = "random-regular", degree = 7 }\n' + fault("partition", "11m", shape="halves")
    told = refused(text, tmp_path)
    assert told[0].startswith("7: federation.topology.degree: 3 nodes cannot have 7 links each")
    assert told[1].startswith("10: fault[0].at: 11m is not before the end")


def test_every_misfit_is_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = (
        '[[expect]]\nmetric = "lagg"\nat_most = 1\n[[clock]]\nnode = "a"\n'
        + fault("partition", "1m", shape="halves") + fault("partition", "12m", shape="bridge")
    )  # fmt: skip
    assert [line.split(":")[1].strip() for line in refused(text, tmp_path)] == [
        "expect[0].metric",
        "clock[0].node",
        "fault[1].node",
        "fault[1].at",
    ]


def test_an_adversary_where_a_node_belongs_is_told_apart_from_a_misspelt_name(tmp_path: Path) -> None:
    text = '[[adversary]]\nkind = "overreach"\nnode = "eve"\n' + fault("crash", node="eve")
    assert refused(text, tmp_path) == [
        "13: fault[0].node: 'eve' is an adversary; only nodes of the federation can stand here"
    ]


def test_a_trace_that_is_missing_or_empty_is_told_at_its_key(tmp_path: Path) -> None:
    text = '[[workload]]\nkind = "trace"\nfile = "history.jsonl"\n'
    assert refused(text, tmp_path)[0].startswith("9: workload[0].file: ")
    (tmp_path / "history.jsonl").write_text("")
    assert refused(text, tmp_path)[0].startswith("9: workload[0].file: ")
    (tmp_path / "history.jsonl").write_text("{")
    assert refused(text, tmp_path)[0].startswith("9: workload[0].file: ")


def test_a_bad_latency_is_told_at_its_key(tmp_path: Path) -> None:
    text = '[network]\nlatency = { kind = "uniform", low = "2s", high = "1s" }\n'
    assert refused(text, tmp_path) == ["8: network.latency.low: 2s is more than high, 1s"]
    text = '[network]\nlatency = { kind = "regions", file = "gone.csv" }\n'
    assert refused(text, tmp_path)[0].startswith("8: network.latency.file: the file ")
    (tmp_path / "rtt.csv").write_text("from,north,south,eest\nnorth,,1,2\nsouth,1,,2\neest,2,2,\n")
    text = '[network]\nlatency = { kind = "regions", file = "rtt.csv" }\n'
    assert refused(text, tmp_path) == [
        "8: network.latency.regions: node 'east' has region 'east', which rtt.csv does not list; did you mean 'eest'?"
    ]


# --- faults against each other ---

CLASHES = [
    (
        fault("crash", "1m", "3m", node="north") + fault("crash", "2m", "1m", node="north"),
        (
            "fault[1].at: node 'north' is down until 4m by fault[0] ('crash' at 1m), so a 'crash' cannot "
            "strike it then; move one of the two"
        ),
    ),
    (
        fault("crash", "1m", node="north") + fault("restart", "9m", node="north"),
        "fault[1].at: node 'north' is down by fault[0] ('crash' at 1m), so a 'restart' cannot strike it then",
    ),
    (
        fault("restart", "1m", node="north", down="30s") + fault("pause", "1m10s", "5s", node="north"),
        (
            "fault[1].at: node 'north' is down until 1m30s by fault[0] ('restart' at 1m), so a 'pause' "
            "cannot strike it then"
        ),
    ),
    (
        fault("wipe", "2m", node="north", down="1m") + fault("leave", "2m30s", node="north"),
        "fault[1].at: node 'north' is down until 3m by fault[0] ('wipe' at 2m), so a 'leave' cannot strike it then",
    ),
    (
        fault("crash", "1m", "10s", node="north") + fault("join", "5m", node="north"),
        (
            "fault[0].at: node 'north' has not joined until 5m by fault[1] ('join' at 5m), so a 'crash' "
            "cannot strike it then"
        ),
    ),
    (
        fault("join", "5m", node="north") + fault("join", "6m", node="north"),
        "fault[1].at: node 'north' has not joined until 5m by fault[0]",
    ),
    (
        fault("leave", "2m", node="north") + fault("clock-step", "3m", node="north", by="5s"),
        "fault[1].at: node 'north' has left by fault[0] ('leave' at 2m), so a 'clock-step' cannot strike it then",
    ),
    (
        fault("clock-freeze", "1m", "2m", node="north") + fault("clock-freeze", "2m", "2m", node="north"),
        (
            "fault[1].at: node 'north' has a frozen clock until 3m by fault[0] ('clock-freeze' at 1m), so a "
            "'clock-freeze' cannot strike it then"
        ),
    ),
    (
        fault("disk-full", "1m", "2m") + fault("disk-full", "2m", "2m", node="east"),
        (
            "fault[1].at: every node has a full disk until 3m by fault[0] ('disk-full' at 1m), so a "
            "'disk-full' cannot strike it then"
        ),
    ),
    (
        fault("wipe", "2m", node="north") + fault("leave", "2m", node="north"),
        "fault[1].at: node 'north' is down by fault[0] ('wipe' at 2m), so a 'leave' cannot strike it then",
    ),
    (
        fault("restart", "9m", node="north", down="5m"),
        "fault[0].down: it would end at 14m, after the scenario's duration, 10m, when all faults end; at most 1m fit",
    ),
    (
        fault("pause", "1m", node="north") + fault("pause", "2m", node="north"),
        "fault[1].at: node 'north' is paused by fault[0]",
    ),
]

FITS = [
    fault("crash", "1m", "1m", node="north") + fault("crash", "2m", "1m", node="north"),
    fault("crash", "1m", "3m", node="north") + fault("crash", "2m", "1m", node="south"),
    fault("crash", "1m", "3m", node="north") + fault("crash", "2m", "1m"),
    fault("crash", "1m", "3m", node="north") + fault("clock-step", "2m", node="north", by="-10m"),
    fault("join", "5m", node="north") + fault("crash", "5m", "1m", node="north"),
    fault("join", "5m", node="north") + fault("clock-freeze", "1m", "8m", node="north"),
    fault("clock-freeze", "1m", "2m", node="north") + fault("clock-step", "2m", node="north", by="5s"),
    fault("clock-step", "1m", "5m", node="north", by="5s") + fault("clock-step", "2m", "1m", node="north", by="5s"),
    fault("pause", "1m", "5m", node="north") + fault("crash", "2m", "1m", node="north"),
    fault("partition", "1m", "5m", shape="halves") + fault("partition", "2m", "5m", shape="one", node="north"),
    fault("loss", "1m", "5m")
    + fault("loss", "2m", "5m")
    + fault("random-crashes", "3m")
    + fault("crash", "3m", "1m", node="east"),
]


@pytest.mark.parametrize(
    ("text", "words"), CLASHES, ids=[words.split(":")[0] + str(n) for n, (_, words) in enumerate(CLASHES)]
)
def test_a_fault_that_cannot_happen_then_is_refused(text: str, words: str, tmp_path: Path) -> None:
    told = refused(text, tmp_path)
    assert len(told) == 1
    assert words in told[0]


@pytest.mark.parametrize("text", FITS, ids=range(len(FITS)))
def test_faults_that_can_happen_together_are_let_be(text: str, tmp_path: Path) -> None:
    assert plan_of(text, tmp_path).scenario.fault


# --- what is foreseen ---

TWO_PARTS = (
    '<?xml version="1.0"?><graphml><graph edgedefault="undirected"><node id="a"/><node id="b"/><node '
    'id="c"/><node id="d"/>'
    '<edge source="a" target="b"/><edge source="c" target="d"/></graph></graphml>'
)


def test_a_federation_in_two_parts_is_pointed_out(tmp_path: Path) -> None:
    (tmp_path / "m.graphml").write_text(TWO_PARTS)
    base = '[scenario]\nname = "x"\n[federation]\ntopology = { graphml = "m.graphml", component = "all" }\n'
    plan = plan_of("", tmp_path, base)
    assert plan.warnings == (
        (
            "The federation has 2 parts without a link between them ('a', 'b' | 'c', 'd'): each converges by itself, "
            "and nothing passes from one to another."
        ),
    )
    assert plan.readers("a", "public") == ("a", "b")
    assert plan_of("", tmp_path, base.replace("[federation]", "converges = false\n[federation]")).warnings == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            'topology = "line"\nrelay = false\n',
            "Not every pair of nodes is linked, and relay is false: public facts reach only the neighbours",
        ),
        (
            'topology = "line"\n[[link]]\nbetween = ["south", "east"]\nscopes = ["company"]\n',
            (
                "Links that grant the scope 'public' leave 2 parts ('north', 'south' | 'east'): public facts "
                "of one never reach another"
            ),
        ),
        ("scopes = []\n", "No link grants any scope: every node keeps what it writes"),
        ('scopes = ["local", "public"]\n', "federation.scopes names 'local', but local facts never leave their node."),
        (
            'scopes = ["team", "public"]\n',
            "federation.scopes names 'team', but team facts stay at home unless allow_team is true.",
        ),
        (
            '[[clock]]\nnode = "south"\noffset = "6m"\n',
            (
                "The clock of 'south' is 6m ahead of that of 'east', more than skew_future (5m): what "
                "'south' writes is refused there until due"
            ),
        ),
        (
            fault("clock-step", "1m", "1m", node="north", by="1h"),
            (
                "fault[0] sets the clock of 'north' 1h ahead, more than skew_future (5m): what it writes then is "
                "refused by others until that is due, after the end of the run."
            ),
        ),
        (
            fault("clock-step", "1m", node="north", by="-1h"),
            (
                "fault[0] sets the clock of 'north' 1h back, more than skew_future (5m): it refuses what others write "
                "until that is due, after the end of the run."
            ),
        ),
        (
            'pull_interval = "20m"\n',
            "settle (5m) is shorter than pull_interval (20m): a fact written at the end may not arrive in time.",
        ),
        (
            '[[link]]\nbetween = ["north", "south"]\nlatency = "3s"\n',
            (
                "A round trip between 'north' and 'south' usually takes 6s, longer than discovery_timeout (5s): the "
                "two cannot become peers."
            ),
        ),
        (
            '[[workload]]\nkind = "contradictions"\nrate = "1/s"\nentities = 5\n'
            + fault("partition", "1m", "5m", shape="halves"),
            "Every subject that workloads contradict each other about is in conflict before the first cut (at 1m)",
        ),
        (
            '[[workload]]\nkind = "erasures"\nissuer = "south"\n',
            (
                "workload[0] has persons forgotten by the word of 'south', and federation.tombstone_signers names "
                "neither it nor '*': the other nodes keep what it erases."
            ),
        ),
        (
            """tombstone_signers = ["*"]\ntopology = "line"\nscopes = ["company"]\nrelay = false
            [[workload]]\nkind = "erasures"\n""",
            (
                "workload[0] has persons forgotten by the word of 'north', and relay is false: nodes that are not "
                "linked to it are never told."
            ),
        ),
    ],
)
def test_what_can_be_foreseen_is_said_and_stops_nothing(text: str, words: str, tmp_path: Path) -> None:
    warnings = plan_of(text, tmp_path).warnings
    assert len(warnings) == 1
    assert warnings[0].startswith(words)


@pytest.mark.parametrize(
    "text",
    [
        'topology = "line"\n',
        'topology = "line"\nscopes = ["company"]\n',
        "relay = false\n",
        '[[clock]]\nnode = "south"\noffset = "4m"\n',
        fault("clock-step", "1m", "1m", node="north", by="10m"),
        fault("clock-step", "1m", "1m", node="north", by="-1h"),
        fault("clock-step", "1m", by="1h"),
        '[[link]]\nbetween = ["north", "south"]\nlatency = "2s"\n',
        '[[workload]]\nkind = "contradictions"\nrate = "1/s"\nentities = 500\n'
        + fault("partition", "1m", "5m", shape="halves"),
        'tombstone_signers = ["south"]\n[[workload]]\nkind = "erasures"\nissuer = "south"\n',
        'tombstone_signers = ["*"]\n[[workload]]\nkind = "erasures"\n',
        "",
    ],
)
def test_nothing_is_said_of_a_federation_that_can_converge(text: str, tmp_path: Path) -> None:
    assert plan_of(text, tmp_path).warnings == ()


def test_what_was_made_of_a_map_is_said(tmp_path: Path) -> None:
    (tmp_path / "m.graphml").write_text(TWO_PARTS)
    plan = plan_of(
        "",
        tmp_path,
        '[scenario]\nname = "x"\n[federation]\ntopology = { graphml = "m.graphml", component = "largest" }\n',
    )
    assert plan.warnings == ("the map m.graphml: 2 nodes outside its largest component were left out.",)


# --- whatever is well formed, it is planned or refused ---


def well_formed(kind: inspect.Type) -> st.SearchStrategy[Any]:
    """Values that reading lets pass, most of them odd."""
    match kind:
        case inspect.Metadata():
            if "least" in (kind.extra or {}):
                return st.sampled_from(["1ms", "1m", "2h"])
            return st.sampled_from(["20ms", "0s"]) if (kind.extra or {}).get("unit") else well_formed(kind.type)
        case inspect.UnionType():
            return st.one_of(*(well_formed(each) for each in kind.types if not isinstance(each, inspect.NoneType)))
        case inspect.StructType():
            tag = {} if kind.tag_field is None else {kind.tag_field: st.just(kind.tag)}
            needed = {field.encode_name: well_formed(field.type) for field in kind.fields if field.required}
            free = {field.encode_name: well_formed(field.type) for field in kind.fields if not field.required}
            tables = st.fixed_dictionaries(tag | needed, optional=free)
            keys_for = getattr(kind.cls, "keys_for", None)
            return tables if keys_for is None else tables.map(lambda table: meaningful(table, keys_for(table)))
        case inspect.ListType() | inspect.VarTupleType():
            least, most = kind.min_length or 0, min(kind.max_length or 3, 3)
            return st.lists(well_formed(kind.item_type), min_size=least, max_size=most)
        case inspect.DictType():
            return st.dictionaries(well_formed(kind.key_type), well_formed(kind.value_type), max_size=2)
        case inspect.BoolType():
            return st.booleans()
        case inspect.LiteralType():
            return st.sampled_from(kind.values)
        case inspect.IntType():
            most = kind.le or kind.lt or 2**40
            return st.sampled_from([value for value in (0, 1, 2, 3, 100, 2**40) if (kind.ge or 0) <= value <= most])
        case inspect.FloatType():
            return st.sampled_from([1e-9, 0.5, 1.0])
        case inspect.CustomType():
            texts = {Duration: ["1m", "0s", "-5s", "2h"], Rate: ["0/s", "5/s"], Speed: ["1bit/s", "1Gbit/s"]}
            return st.sampled_from(texts[kind.cls])
    names = ["north", "south", "east", "nobody", "x.csv", "lag.p99", "a-b", "public=warn"]
    pattern = kind.pattern if isinstance(kind, inspect.StrType) else None
    return st.sampled_from([name for name in names if re.search(pattern or "", name)])


def meaningful(table: dict[str, Any], keys: tuple[str, tuple[str, ...]] | None) -> dict[str, Any]:
    return {key: value for key, value in table.items() if keys is None or key in keys[1]}


@given(well_formed(inspect.type_info(scenario_type())))
@settings(max_examples=300)
def test_any_well_formed_scenario_is_planned_or_refused_with_sentences(values: dict[str, Any]) -> None:
    values["federation"] = {"nodes": ["north", "south", "east"]} | values.get("federation", {})
    if find_mistakes(values, scenario_type()):
        return
    plan, refusal = None, ""
    try:
        plan = make_plan(typed(values), ROOT)
    except BadScenario as error:
        refusal = str(error)
    assert (plan is None) == (refusal != "")
    assert plan is None or all(name in plan.readers(name, "public") for name in plan.nodes)


# --- metrics ---


def _is_constant(nodes: list[ast.expr], value: str) -> bool:
    return any(isinstance(node, ast.Constant) and node.value == value for node in nodes)


def test_every_code_that_a_node_may_give_is_a_metric() -> None:
    """Read from the source: the first argument of every Rejection and the reason of every audit row that tells one."""
    codes: dict[str, str] = {}
    for path in sorted((ROOT / "stigmem").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or any(
                _is_constant(node.args[:1], event) for event in ("key_revoked", "subscription_ended")
            ):
                continue  # why a key was revoked or a subscription ended is no rejection
            given = [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
            if isinstance(node.func, ast.Name) and node.func.id == "Rejection":
                given += node.args[:1]
            found = [each.value for each in given if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            codes |= dict.fromkeys(found, path.name)
    assert len(codes) > 30
    missing = {code: name for code, name in codes.items() if code not in REJECTIONS}
    assert not missing, f"add to sim.scenario.metrics.REJECTIONS: {missing}"
    assert len(known_metrics()) == len(set(known_metrics()))
