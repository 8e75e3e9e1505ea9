"""Scenario files: what is read, and for every kind of mistake the sentence, with file, line and key, that one gets."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.adversary import ADVERSARIES
from sim.diagnostics.suggestions import meant
from sim.diagnostics.toml_lines import Lines, key_text, parse_key
from sim.fault import FAULTS
from sim.scenario.reading import (
    BadScenario,
    load_scenario,
    parse_scenario,
    plain_values,
    read_source,
    scenario_schema,
    typed,
)
from sim.scenario.schema_errors import find_mistakes
from sim.scenario.tables import Scenario, scenario_type
from sim.topology.tables import Latency, Topology
from sim.units import parse_duration
from sim.workload import WORKLOADS

ROOT = Path(__file__).parents[3]
SCENARIOS = sorted((ROOT / "scenarios").glob("*.toml"))
JARGON = re.compile(r"Expected|Object|`|\$\.|Traceback|int64|NoneType|\bstr\b|\bdict\b|<class", re.ASCII)

GOOD = """
[scenario]
name = "good"
seed = 3
duration = "10m"

[federation]
nodes = ["a", "b", "c"]
topology = { kind = "small-world", neighbours = 2 }
scopes = ["company", "public"]

[network]
latency = { kind = "regions", file = "x.csv", regions = { a = "here" } }
loss = 0.01
bandwidth = "10Mbit/s"

[[link]]
between = ["a", "b"]
latency = "5ms"
scopes = ["public"]

[[clock]]
node = "a"
offset = "-45s"

[[workload]]
kind = "contradictions"
rate = "2/s"

[[fault]]
kind = "partition"
at = "2m"
for = "1m"
groups = [["a"], ["b"]]

[[adversary]]
kind = "overreach"
peers = ["a"]

[[expect]]
metric = "lag.p99"
at_most = "12m"
"""


def mistakes_of(text: str, folder: Path) -> list[str]:
    """The lines of the error of a file of this text, without the file's name."""
    path = folder / "x.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadScenario) as caught:
        load_scenario(path)
    prefix = f"{path}:"
    lines = str(caught.value).split("\n")
    assert all(line.startswith(prefix) for line in lines), lines
    return [line.removeprefix(prefix).strip() for line in lines]


# --- reading ---


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_scenario_of_the_repository_is_read_and_written_back_the_same(path: Path) -> None:
    scenario = load_scenario(path)
    assert scenario.name == path.stem
    assert typed(plain_values(scenario)) == scenario


def test_a_file_is_read_into_typed_values_with_the_defaults_for_the_rest() -> None:
    scenario = parse_scenario(GOOD)
    assert scenario.scenario.duration == parse_duration("10m")
    assert scenario.scenario.settle == parse_duration("5m")
    assert scenario.clock[0].offset == parse_duration("-45s")
    assert isinstance(scenario.network.latency, Latency)
    assert isinstance(scenario.federation.topology, Topology)
    assert scenario.fault[0].lasts == parse_duration("1m")


def test_a_byte_order_mark_and_windows_line_ends_are_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load_scenario(path) == parse_scenario(GOOD)


def test_the_error_has_file_line_and_key_as_attributes(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(GOOD.replace('"2m"', '"two"'))
    with pytest.raises(BadScenario) as caught:
        load_scenario(path)
    error = caught.value
    assert (error.path, error.line, error.key) == (path, 32, "fault[0].at")
    assert (
        str(error) == f"{path}:32: fault[0].at: 'two' is not a duration; write a number with a unit, such as "
        "'30s', '5m' or '1m30s'"
    )


# --- one mistake in a good file: (what to replace, by what, the exact words) ---

CASES: list[tuple[str, str, str]] = [
    # unknown keys
    ('duration = "10m"', 'duraton = "10m"', "5: scenario.duraton: unknown key; did you mean 'duration'?"),
    ("seed = 3", 'pull_interval = "3s"', "4: scenario.pull_interval: unknown key here; it belongs in [federation]"),
    (
        "seed = 3",
        'color = "red"',
        "4: scenario.color: unknown key; keys that may stand here: 'seed', 'settle', 'signatures', 'warm_up'",
    ),
    ("[[fault]]", "[[faults]]", "30: faults: unknown key; did you mean 'fault'?"),
    (
        'groups = [["a"], ["b"]]',
        'skew = "1s"\ngroups = [["a"], ["b"]]',
        "34: fault[0].skew: unknown key; keys that may stand here:",
    ),
    ("neighbours = 2", "neighbors = 2", "9: federation.topology.neighbors: unknown key; did you mean 'neighbours'?"),
    (
        'metric = "lag.p99"',
        'metric = "lag.p99"\nat_mots = 3',
        "42: expect[0].at_mots: unknown key; did you mean 'at_least'?",
    ),
    # keys that mean nothing for this kind
    (
        "neighbours = 2",
        "degree = 3",
        (
            "9: federation.topology.degree: means nothing for topology 'small-world'; its keys are 'kind', "
            "'neighbours', 'rewire'"
        ),
    ),
    (
        '{ kind = "small-world", neighbours = 2 }',
        '{ graphml = "g", degree = 3 }',
        (
            "9: federation.topology.degree: means nothing for a map; its keys are 'graphml', 'component', "
            "'without_coordinates'"
        ),
    ),
    (
        'file = "x.csv"',
        'median = "4ms"',
        (
            "13: network.latency.median: means nothing for latency of kind 'regions'; its keys are 'kind', "
            "'file', 'regions', 'jitter'"
        ),
    ),
    # wrong types
    ("seed = 3", 'seed = "3"', "4: scenario.seed: '3' is not a whole number of at least 0; write 3 without quotes"),
    ("seed = 3", "seed = 3.5", "4: scenario.seed: 3.5 is not a whole number of at least 0"),
    ("seed = 3", "seed = true", "4: scenario.seed: true is not a whole number of at least 0"),
    ("seed = 3", 'seed = "lucky"', "4: scenario.seed: 'lucky' is not a whole number of at least 0"),
    ("seed = 3", 'converges = "true"', "4: scenario.converges: 'true' is not true or false; write true without quotes"),
    (
        "seed = 3",
        "settle = 2024-05-01",
        "4: scenario.settle: 2024-05-01 is not a duration; write for example '30s', '5m' or '1m30s'",
    ),
    (
        "loss = 0.01",
        'loss = "0.01"',
        "14: network.loss: '0.01' is not a number between 0 and 1; write 0.01 without quotes",
    ),
    (
        'nodes = ["a", "b", "c"]',
        'nodes = "a"',
        "8: federation.nodes: 'a' is not a list or a whole number of at least 1",
    ),
    (
        'nodes = ["a", "b", "c"]',
        'nodes = ["a", 2]',
        "8: federation.nodes[1]: 2 is not a node name of letters, digits, spaces and . _ ' -",
    ),
    (
        'scopes = ["company", "public"]',
        'scopes = "public"',
        "10: federation.scopes: 'public' is not a list; write it in brackets: [\"public\"]",
    ),
    (
        'groups = [["a"], ["b"]]',
        'groups = ["a", "b"]',
        "34: fault[0].groups[0]: 'a' is not a list; write it in brackets: [\"a\"]",
    ),
    ('regions = { a = "here" }', "regions = { a = 1 }", "13: network.latency.regions.a: 1 is not a text"),
    ('regions = { a = "here" }', 'regions = ["a"]', "13: network.latency.regions: a list is not a table"),
    ('between = ["a", "b"]', 'between = ["a", "b", "c"]', "18: link[0].between: a list of 3, where exactly 2 belong"),
    # units
    (
        'duration = "10m"',
        "duration = 20",
        "5: scenario.duration: 20 has no unit; write a duration such as '30s', '5m' or '1m30s'",
    ),
    (
        'duration = "10m"',
        'duration = "20"',
        "5: scenario.duration: '20' is not a duration; write a number with a unit, such as '30s', '5m' or '1m30s'",
    ),
    ('rate = "2/s"', "rate = 2", "28: workload[0].rate: 2 has no unit; write a rate such as '2/s' or '30/m'"),
    (
        'rate = "2/s"',
        'rate = "2s"',
        "28: workload[0].rate: '2s' is not a rate; write events per time, such as '2/s' or '30/m'",
    ),
    ('"10Mbit/s"', "10", "15: network.bandwidth: 10 has no unit; write a bandwidth such as '10Mbit/s' or '256kbit/s'"),
    (
        '"10Mbit/s"',
        '"10MB/s"',
        "15: network.bandwidth: '10MB/s' is not a bandwidth; write for example '10Mbit/s' or '256kbit/s'",
    ),
    (
        'latency = "5ms"',
        "latency = 5",
        "19: link[0].latency: 5 has no unit; write a duration such as '30s', '5m' or '1m30s'",
    ),
    (
        'latency = "5ms"',
        'latency = "fast"',
        "19: link[0].latency: 'fast' is not a duration; write a number with a unit",
    ),
    ('latency = "5ms"', 'latency = "-5ms"', "19: link[0].latency: '-5ms' is below zero"),
    (
        'latency = "5ms"',
        "latency = true",
        "19: link[0].latency: true is not a duration such as '30s', '5m' or '1m30s' or a table",
    ),
    (
        'at_most = "12m"',
        'at_most = "soon"',
        "42: expect[0].at_most: 'soon' is not a duration; write a number with a unit",
    ),
    # ranges
    ("loss = 0.01", "loss = 1.5", "14: network.loss: 1.5 is not a number between 0 and 1"),
    ("loss = 0.01", "loss = nan", "14: network.loss: nan is not a number between 0 and 1"),
    ("loss = 0.01", "loss = -inf", "14: network.loss: -inf is not a number between 0 and 1"),
    ("seed = 3", "seed = -3", "4: scenario.seed: -3 is not a whole number of at least 0"),
    (
        "seed = 3",
        f"seed = {10**30}",
        "4: scenario.seed: 1000000000000000000000000000000 is not a whole number of at least 0 that fits in 64 bits",
    ),
    ("seed = 3", 'duration = "0s"\nseed = 3', "not valid TOML: this key has a value already; give it once (column 17)"),
    ('duration = "10m"', 'duration = "0s"', "5: scenario.duration: '0s' is too short; it must be longer than 0s"),
    ('duration = "10m"', 'duration = "-5m"', "5: scenario.duration: '-5m' is below zero"),
    (
        'duration = "10m"',
        'duration = "900000d"',
        "5: scenario.duration: '900000d' is too long; a duration is at most 36500d (a hundred years)",
    ),
    (
        'scopes = ["company", "public"]',
        "pull_limit = 501",
        "10: federation.pull_limit: 501 is not a whole number between 1 and 500",
    ),
    (
        'offset = "-45s"',
        "drift_ppm = 500000",
        "24: clock[0].drift_ppm: 500000 is not a whole number above -500000 and below 500000",
    ),
    (
        'name = "good"',
        'name = "Good One"',
        "3: scenario.name: 'Good One' is not a name of lower-case letters, digits and hyphens, such as 'split-brain'",
    ),
    ('nodes = ["a", "b", "c"]', "nodes = 0", "8: federation.nodes: 0 is not a whole number of at least 1"),
    ('nodes = ["a", "b", "c"]', 'nodes = ["a", "ü"]', "8: federation.nodes[1]: 'ü' is not a node name"),
    ('nodes = ["a", "b", "c"]', 'nodes = ["a", "b\\n"]', "8: federation.nodes[1]: 'b\\n' is not a node name"),
    # one of several
    (
        'kind = "small-world"',
        'kind = "smallworld"',
        "9: federation.topology.kind: 'smallworld' is not one of 'small-world', ",
    ),
    ('{ kind = "small-world", neighbours = 2 }', '"meshed"', "; did you mean 'mesh'?"),
    (
        'scopes = ["company", "public"]',
        'scopes = ["company", "pubic"]',
        "10: federation.scopes[1]: 'pubic' is not one of 'public', 'local', 'company', 'team'; did you mean 'public'?",
    ),
    ('kind = "regions"', 'kind = "normal"', "13: network.latency.kind: 'normal' is not one of 'lognormal', "),
    # what was probably meant
    ('for = "1m"', 'until = "1m"', "33: fault[0].until: unknown key; did you mean 'for'?"),
    (
        'rate = "2/s"',
        'life = "2m"',
        "28: workload[0].life: unknown key here; it belongs to a workload of kind 'expiring'",
    ),
    ('rate = "2/s"', 'at = "2m"', "28: workload[0].at: unknown key; did you mean 'start'?"),
    ('rate = "2/s"', "nodes = []", "28: workload[0].nodes: the list is empty; give at least one"),
    ('rate = "2/s"', 'nodes = "a"', "28: workload[0].nodes: 'a' is not a list; write it in brackets: [\"a\"]"),
    (
        'nodes = ["a", "b", "c"]',
        'nodes = "2"',
        "8: federation.nodes: '2' is not a list or a whole number of at least 1; write 2 without quotes",
    ),
    (
        'topology = { kind = "small-world", neighbours = 2 }',
        'topology = "geant.graphml"',
        "9: federation.topology: 'geant.graphml' is a file; write topology = { graphml = \"geant.graphml\" }",
    ),
    # kinds
    (
        'kind = "partition"',
        'kind = "partitoin"',
        (
            "31: fault[0].kind: there is no kind of fault called 'partitoin'; did you mean 'partition'? The "
            "kinds are 'partition', "
        ),
    ),
    ('kind = "partition"', "kind = 3", "31: fault[0].kind: there is no kind of fault called 3; the kinds are "),
    ('kind = "partition"\n', "", "30: fault[0].kind: missing; the kinds of fault are 'backup', 'bandwidth', "),
    (
        'kind = "contradictions"',
        'kind = "contradiction"',
        "27: workload[0].kind: there is no kind of workload called 'contradiction'; did you mean 'contradictions'?",
    ),
    (
        'kind = "overreach"',
        'kind = "zzz"',
        "37: adversary[0].kind: there is no kind of adversary called 'zzz'; the kinds are ",
    ),
    # missing keys
    ('name = "good"\n', "", "2: scenario.name: missing; [scenario] needs it"),
    ('at = "2m"\n', "", "30: fault[0].at: missing; a fault of kind 'partition' needs it"),
    ('node = "a"\n', "", "22: clock[0].node: missing; every [[clock]] needs it"),
    ('kind = "regions", ', "", "13: network.latency.kind: missing; latency needs it"),
    ('[scenario]\nname = "good"\nseed = 3\nduration = "10m"\n', "", "scenario: missing; a scenario file needs it"),
    # one table or several
    ("[[fault]]", "[fault]", "30: fault: there may be several such tables; write [[fault]] with double brackets"),
    ("[network]", "[[network]]", "12: network: there is one such table; write [network] with single brackets"),
    ("[network]\n", "disk = 3\n[network]\n", "12: federation.disk: unknown key here; [disk] is a table of its own"),
]


@pytest.mark.parametrize(
    ("old", "new", "words"), CASES, ids=[f"{number}-{case[1][:30]}" for number, case in enumerate(CASES)]
)
def test_a_mistake_is_told_with_line_key_and_what_would_be_right(
    old: str, new: str, words: str, tmp_path: Path
) -> None:
    assert old in GOOD
    told = mistakes_of(GOOD.replace(old, new, 1), tmp_path)
    assert any(words in line for line in told), told
    assert not JARGON.search("\n".join(told)), told


def test_the_nearest_of_few_letters_is_suggested() -> None:
    assert meant("skew", ["at", "for", "step"]) == "step"
    assert meant("Duration", ["seed", "duration"]) == "duration"
    assert meant("banana", ["at", "for", "step"]) is None


def test_all_mistakes_are_reported_a_line_each_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = (
        GOOD.replace("seed = 3", "sed = 3")
        .replace("loss = 0.01", "loss = 7")
        .replace("[[clock]]", "[[clok]]")
        .replace('at = "2m"', "at = 2")
    )
    told = mistakes_of(text, tmp_path)
    assert [line.split(":")[1].strip() for line in told] == ["scenario.sed", "network.loss", "clok", "fault[0].at"]
    assert [int(line.split(":")[0]) for line in told] == [4, 14, 22, 32]


def test_a_misspelt_table_is_one_mistake_and_not_also_a_missing_one(tmp_path: Path) -> None:
    assert mistakes_of('[sceario]\nname = "x"\n', tmp_path) == ["1: sceario: unknown key; did you mean 'scenario'?"]


def test_without_a_kind_all_there_are_are_listed(tmp_path: Path) -> None:
    told = mistakes_of(GOOD.replace('kind = "partition"\n', ""), tmp_path)[0]
    assert [kind for kind in FAULTS if f"'{kind.__struct_config__.tag}'" not in told] == []


def test_of_very_many_mistakes_the_first_twenty_are_told_and_the_rest_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('[scenario]\nname = "x"\n' + "".join(f"bad{number} = 1\n" for number in range(50)))
    with pytest.raises(BadScenario) as caught:
        load_scenario(path)
    lines = str(caught.value).split("\n")
    assert len(lines) == 21
    assert lines[-1] == f"{path}: and 30 more mistakes"
    assert len(caught.value.mistakes) == 50


# --- three files as a newcomer writes them ---


def test_a_first_try_without_units_or_quotes(tmp_path: Path) -> None:
    text = "[scenario]\nname = first-try\nduration = 20m\n\n[federation]\nnodes = 3\n"
    assert mistakes_of(text, tmp_path) == ['2: not valid TOML: a text stands in quotes; write name = "first-try"']
    text = text.replace("first-try", '"first-try"')
    assert mistakes_of(text, tmp_path) == ['3: not valid TOML: a text stands in quotes; write duration = "20m"']


def test_a_second_try_with_everything_in_the_wrong_place(tmp_path: Path) -> None:
    text = (
        '[scenario]\nname = "Second Try"\nnodes = 3\nlatency = "40ms"\n\n'
        '[fault]\nkind = "partition"\nstart = "1m"\n\n[workloads]\nrate = 5\n'
    )
    assert mistakes_of(text, tmp_path) == [
        (
            "2: scenario.name: 'Second Try' is not a name of lower-case letters, digits and hyphens, such as "
            "'split-brain' (at most 63)"
        ),
        "3: scenario.nodes: unknown key here; it belongs in [federation] or [[workload]]",
        "4: scenario.latency: unknown key here; it belongs in [network] or [[link]]",
        "6: fault: there may be several such tables; write [[fault]] with double brackets",
        "10: workloads: unknown key; did you mean 'workload'?",
    ]


def test_a_third_try_that_is_nearly_right(tmp_path: Path) -> None:
    text = (
        '[scenario]\nname = "third-try"\n\n[federation]\nnodes = ["north", "south"]\ntopology = "messh"\n\n'
        '[network]\nlatency = { kind = "lognormal", median = 40, p99 = "180ms" }\nloss = "1%"\n\n'
        '[[fault]]\nkind = "partition"\nat = "2m"\nduration = "10m"\ngroups = [["north"], ["south"]]\n'
    )
    told = mistakes_of(text, tmp_path)
    assert told[0].startswith("6: federation.topology: 'messh' is not one of 'mesh', ")
    assert told[0].endswith("; did you mean 'mesh'?")
    assert told[1:3] == [
        "9: network.latency.median: 40 has no unit; write a duration such as '30s', '5m' or '1m30s'",
        "10: network.loss: '1%' is not a number between 0 and 1",
    ]
    assert told[3] == "15: fault[0].duration: unknown key; did you mean 'for'?"


# --- files that are no scenario at all ---


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty; a scenario begins with [scenario] and a name"),
        ("# nothing\n", "the file is empty; a scenario begins with [scenario] and a name"),
        (
            "[scenario\n",
            "1: not valid TOML: a table header ends with its brackets, such as [scenario] or [[fault]] (column 10)",
        ),
        ("a = [1,\n2\n", "2: not valid TOML: a comma or a closing bracket is missing"),
        ('[scenario]\nname "x"\n', "2: not valid TOML: after a key comes '=' and a value, such as seed = 7 (column 6)"),
        ("[a]\nx=1\nx=2\n", "3: not valid TOML: this key has a value already; give it once (column 4)"),
        ("[a]\n[b]\n[a]\n", "3: not valid TOML: this table stands twice; put its keys under one header"),
        ('name = "x\n', "1: not valid TOML: a text is opened here and not closed with a quote (column 10)"),
        (
            'name = "C:\\data"\n',
            "1: not valid TOML: in a text a backslash is written twice, or put the text in single quotes",
        ),
        (
            "a = { b = 1,\n c = 2 }\n",
            "1: not valid TOML: a key is missing, or a table in braces does not stand on one line",
        ),
        ('a = "x" b = 1\n', "1: not valid TOML: something follows the value; each key has a line of its own"),
        ("a =\n", "1: not valid TOML: a value is missing or not understood; texts stand in quotes"),
        ("topology = mesh # comment\n", '1: not valid TOML: a text stands in quotes; write topology = "mesh"'),
        ("name = \u201cmine\u201d\n", '1: not valid TOML: a text stands in quotes; write name = "mine"'),
        ("x = " + "9" * 5_000, "not valid TOML: a number has too many digits"),
        ("x = " + "[" * 5_000, "brackets are nested too deeply for a scenario"),
        ("{\n", "1: not valid TOML: a line is a header, such as [scenario], or a key with a value"),
        ('a = "\x00"\n', "1: not valid TOML: a character that cannot be seen stands here; delete it"),
    ],
)
def test_a_text_that_is_not_toml_is_refused_in_plain_words(text: str, words: str, tmp_path: Path) -> None:
    told = mistakes_of(text, tmp_path)
    assert len(told) == 1
    assert told[0].startswith(words)
    assert not JARGON.search(told[0])


def test_a_file_that_is_missing_a_folder_too_long_or_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "split-brain.toml").write_text(GOOD)
    (tmp_path / "latin.toml").write_bytes('[scenario]\nname = "x"\n# d\u00e9j\u00e0 vu\n'.encode("latin-1"))
    (tmp_path / "long.toml").write_bytes(b"#" * 4_194_305)
    cases = {
        "split-brian.toml": ": there is no such file; did you mean 'split-brain.toml'?",
        "no-such-folder/x.toml": ": there is no such file",
        ".": ": this is a folder; name one scenario file, such as ",
        "latin.toml": ":3: the text is not UTF-8; save the file in that encoding",
        "long.toml": ": the file is longer than 4 MiB; a scenario is a short TOML text",
        "a\0b.toml": "",
        "x" * 300 + ".toml": ": the file cannot be read: file name too long",
    }
    for name, words in cases.items():
        with pytest.raises(BadScenario) as caught:
            load_scenario(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}{words}"), caught.value
        assert "\n" not in str(caught.value)


def test_a_text_without_a_file_is_refused_with_keys_only() -> None:
    with pytest.raises(BadScenario) as caught:
        parse_scenario('[scenario]\nname = "x"\nsede = 3\n')
    assert str(caught.value) == "scenario.sede: unknown key; did you mean 'seed'?"
    assert caught.value.path is None


ANYTHING: tuple[Any, ...] = (
    True,
    -3,
    2.5,
    "x",
    "",
    [],
    [1],
    {},
    {"kind": "x"},
    {"x": [None]},
    datetime(2026, 6, 1, tzinfo=UTC),
    float("nan"),
)
KINDS: list[tuple[str, type[msgspec.Struct]]] = [
    *(("fault", kind) for kind in FAULTS),
    *(("workload", kind) for kind in WORKLOADS),
    *(("adversary", kind) for kind in ADVERSARIES),
]


@pytest.mark.parametrize(("table", "kind"), KINDS, ids=[str(kind.__struct_config__.tag) for _, kind in KINDS])
def test_every_key_of_every_kind_has_words_for_every_wrong_value(table: str, kind: type[msgspec.Struct]) -> None:
    tag = str(kind.__struct_config__.tag)
    for field in msgspec.structs.fields(kind):
        for value in ANYTHING:
            tree = {"scenario": {"name": "x"}, table: [{"kind": tag, field.encode_name: value}]}
            told = [each for each in find_mistakes(tree, scenario_type()) if each.path[2:3] == (field.encode_name,)]
            assert not any(JARGON.search(re.sub(r"'.*?'|\^.*\$", "", each.sentence)) for each in told), told
        values = {"scenario": {"name": "x"}, table: [{"kind": tag, field.encode_name: object}]}
        told = find_mistakes(values, scenario_type())
        assert (table, 0, field.encode_name) in [each.path for each in told]


# --- whatever stands in a file, it is read or refused in our words ---

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=8), st.just([]), st.just({}),
    st.sampled_from(["10m", "2/s", "1Mbit/s", "mesh", "public", "partition", "-5s"]),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in inner for place in places(child, (*path, key)))]


@given(st.data())
def test_any_value_anywhere_is_either_read_or_refused_with_a_sentence(data: st.DataObject) -> None:
    tree = tomllib.loads(GOOD)
    *outer, last = data.draw(st.sampled_from(places(tree)[1:]))
    parent: Any = tree
    for key in outer:
        parent = parent[key]
    parent[last] = data.draw(values)
    if find_mistakes(tree, scenario_type()):
        with pytest.raises(BadScenario) as caught:
            typed(tree)
        assert str(caught.value)
        assert not JARGON.search(re.sub(r"'.*?'", "", str(caught.value)))
    else:
        assert isinstance(typed(tree), Scenario)


@given(st.text(alphabet="[]{}\"=\n.#ab1, \\'", max_size=60))
def test_any_text_is_either_read_or_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(BadScenario) as caught:
        parse_scenario(text)
    assert str(caught.value)


# --- lines ---


def test_every_way_to_write_a_key_has_its_line() -> None:
    lines = Lines(
        'top.level = 1\n[a]\nb."c d".e = 2\nf = [\n  { g = 1 },\n  { h = 2 }, # remark\n]\n[[q]]\nx = '
        "1\n[q.inner]\ny = 2\n[[q]]\n"
        "[[q.deep]]\nz = '''\n\n'''\n[[q.deep]]\nw = 1\n"
    )
    assert lines.of(("top", "level")) == 1
    assert lines.of(("a", "b", "c d", "e")) == 3
    assert lines.of(("a", "f", 0, "g")) == 5
    assert lines.of(("a", "f", 1, "h")) == 6
    assert lines.of(("q", 0, "x")) == 9
    assert lines.of(("q", 0, "inner", "y")) == 11
    assert lines.of(("q", 1)) == 12
    assert lines.of(("q", 1, "deep", 0, "z")) == 14
    assert lines.of(("q", 1, "deep", 1, "w")) == 18
    assert lines.of(("q", 1, "missing")) == 12
    assert lines.of(("nowhere",)) is None


@pytest.mark.parametrize(
    "path", [("fault", 1, "at"), ("a", "St. Louis", "b"), ("groups", 0, 1), ("regions", "D'Alene"), ("x-y", "z_1")]
)
def test_a_key_in_words_can_be_read_back(path: tuple[str | int, ...]) -> None:
    assert parse_key(key_text(path)) == path


def test_lines_are_found_in_every_scenario_of_the_repository() -> None:
    for path in SCENARIOS:
        source = read_source(path)
        texts = path.read_text(encoding="utf-8").splitlines()
        for place in places(tomllib.loads(path.read_text(encoding="utf-8")))[1:]:
            line = source.lines.of(place)
            assert line is not None
            key = next(part for part in reversed(place) if isinstance(part, str))
            assert key in texts[line - 1] or isinstance(place[-1], int)


# --- the schema for editors ---


def test_the_schema_file_is_the_schema_of_the_types() -> None:
    path = ROOT / "spec" / "scenario.schema.json"
    assert json.loads(path.read_text(encoding="utf-8")) == scenario_schema(), (
        "the tables of a scenario changed; write the new schema with: stigmem-sim schema > spec/scenario.schema.json"
    )


def test_the_schema_knows_every_kind_and_its_references_lead_somewhere() -> None:
    text = json.dumps(scenario_schema())
    schema = json.loads(text)
    for kind in FAULTS:
        assert kind.__struct_config__.tag in {
            table["properties"].get("kind", {}).get("const") for table in schema["$defs"].values()
        }
    for name in re.findall(r'"#/\$defs/([^"]+)"', text):
        assert name in schema["$defs"]
    assert schema["$defs"]["ScenarioTable"]["properties"]["duration"]["examples"] == ["250ms", "30s", "1m30s"]


def test_the_schema_accepts_what_is_read_and_refuses_what_is_not() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema comes with the tools of the dev group")
    validator = jsonschema.Draft202012Validator(scenario_schema())
    for text in [GOOD, *(path.read_text(encoding="utf-8") for path in SCENARIOS)]:
        assert [error.message for error in validator.iter_errors(tomllib.loads(text))] == []
    for old, new in (
        ("seed", "sede"),
        ('"2m"', '"2 minutes"'),
        ("0.01", "1.5"),
        ("partition", "partitoin"),
        ("[[fault]]", "[fault]"),
    ):
        assert not validator.is_valid(tomllib.loads(GOOD.replace(old, new, 1))), new


def test_values_of_scenarios_built_in_python_are_plain_and_complete() -> None:
    scenario = parse_scenario(GOOD)
    changed = msgspec.structs.replace(scenario, federation=msgspec.structs.replace(scenario.federation, nodes=5))
    assert plain_values(changed)["federation"]["nodes"] == 5
    assert typed(plain_values(changed)) == changed
