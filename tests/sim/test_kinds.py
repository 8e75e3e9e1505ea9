"""Kinds are named once: what files may say, the schema, the reference page and plugins follow from the registry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sim import BadScenario, Result, Workload, run
from sim.cli import main
from sim.fault import FAULTS, Fault
from sim.fault.loss import Loss
from sim.kinds import AmbiguousKind, find_kinds, kind, name_of
from sim.scenario.kinds_page import kinds_page
from sim.scenario.reading import load_scenario, scenario_schema
from tests.sim.small import small_text, workload

ROOT = Path(__file__).parents[2]
PLUGIN = '''
"""A module that is no part of this project: a fault, an adversary, a workload and a property of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

from sim import Adversary, Checker, CheckResult, Fault, Workload, kind
from sim.diagnostics.errors import Misfit
from sim.check import Commits
from sim.fault.base import all_of


@kind("meteor")
class Meteor(Fault, kw_only=True):
    """Strikes some machines at once."""

    craters: list[str]
    """Where it falls."""

    def nodes(self):
        return tuple(self.craters)

    def check(self, federation):
        if len(self.craters) == len(federation.nodes):
            raise Misfit("craters", "somebody must be left to tell of it")

    @contextmanager
    def inject(self, env) -> Iterator[None]:
        with all_of(env.machine(name).powered_off("lost") for name in self.craters):
            yield


@kind("echo")
class Echo(Adversary):
    """Serves good facts only."""

    def entries(self, peer, victim):
        fact = peer.fact("stigmem://sim.example/echo", "sim:claims", f"echo {peer.served}")
        peer.expect(victim, fact.id)
        return [peer.entry(fact)]


@kind("one-note")
class OneNote(Workload):
    """One note on the first node."""

    def run(self, clients):
        clients.at(20_000_000_000, lambda: clients.write(clients.nodes[0], "stigmem://x.example/n", "sim:note", "la"))


@kind("few-facts")
class FewFacts(Checker):
    """No node stores more than MOST facts at once."""

    MOST = 100
    sees = Commits.THAT_TELL

    def on_commit(self, commit):
        if len(commit.facts) > self.MOST:
            self.fail(commit.machine, f"stored {len(commit.facts)} facts at once")

    def result(self):
        return CheckResult(self.name, True, "never many")
'''
METEOR = '[[fault]]\nkind = "meteor"\nat = "10s"\nfor = "5s"\ncraters = ["a", "b"]'
ECHO = '[[adversary]]\nkind = "echo"\npeers = ["c"]'
NOTE = '[[workload]]\nkind = "one-note"'


def scenario_file(folder: Path, module: str, *parts: str) -> Path:
    text = small_text(workload("probe", period="3s"), *parts)
    path = folder / "scenario.toml"
    path.write_text(text.replace('name = "small"', f'name = "small"\nplugins = ["{module}"]'))
    return path


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that has nothing to do with this project, with the plugin beside a scenario."""
    (tmp_path / f"kinds_of_{tmp_path.name.replace('-', '_')}.py").write_text(PLUGIN)
    return tmp_path


def module_in(folder: Path) -> str:
    (found,) = folder.glob("kinds_of_*.py")
    return found.stem


# --- the registry ---


def test_the_name_of_a_kind_stands_above_its_class_and_nowhere_else() -> None:
    assert name_of(Loss) == "loss"
    assert find_kinds("fault")["loss"] is Loss
    assert isinstance(Loss(at=0, share=0.5), Fault)
    assert Loss in FAULTS


def test_a_name_that_is_taken_is_refused_with_who_has_it() -> None:
    class Another(Fault):
        pass

    with pytest.raises(ValueError, match=r"there is a fault of kind 'loss' already: sim\.fault\.loss\.Loss"):
        kind("loss")(Another)


@pytest.mark.parametrize("name", ["", "Loss", "a b", "-x"])
def test_a_name_that_cannot_stand_in_a_file_is_refused(name: str) -> None:
    class Another(Fault):
        pass

    with pytest.raises(ValueError, match="is no name of a kind"):
        kind(name)(Another)


def test_only_what_is_of_a_sort_can_be_a_kind() -> None:
    with pytest.raises(TypeError, match="str is no kind"):
        kind("text")(str)


@pytest.mark.parametrize(("base", "verb"), [(Fault, "inject"), (Workload, "run")])
def test_a_kind_that_would_do_nothing_is_refused(base: type, verb: str) -> None:
    lazy = type(base)("Lazy", (base,), {})
    with pytest.raises(TypeError, match=f"Lazy is a {base.__name__.lower()} without {verb}: see the head of sim/"):
        kind("lazy")(lazy)


def test_one_module_may_not_use_a_name_twice() -> None:
    first, second = (
        type(Fault)(name, (Fault,), {"__module__": "twice", "inject": lambda self, env: None}) for name in ("A", "B")
    )
    kind("twice")(first)
    kind("twice")(first)  # a module that is imported again
    with pytest.raises(ValueError, match=r"there is a fault of kind 'twice' already: twice\.A"):
        kind("twice")(second)


def test_two_modules_that_one_scenario_sees_may_not_use_one_name() -> None:
    for module in ("one_module", "other_module"):
        cls = type(Fault)("Same", (Fault,), {"__module__": module, "inject": lambda self, env: None})
        kind("same")(cls)
    assert find_kinds("fault", ["one_module"])["same"].__module__ == "one_module"
    with pytest.raises(AmbiguousKind, match=r"'same': one_module\.Same and other_module\.Same"):
        find_kinds("fault", ["one_module", "other_module"])


# --- what is made of it ---


def test_the_reference_page_is_what_the_docstrings_say() -> None:
    assert (ROOT / "docs/kinds.md").read_text(encoding="utf-8") == kinds_page(), (
        "run `python -m sim.scenario.kinds_page > docs/kinds.md`"
    )


def test_every_key_of_a_scenario_file_has_a_description() -> None:
    lacking = [
        f"{name}.{key}"
        for name, table in scenario_schema()["$defs"].items()
        for key, schema in table["properties"].items()
        if key != "kind" or "const" not in schema
        if len(schema.get("description", "")) < 20
    ]
    assert lacking == []


# --- plugins ---


def test_a_module_outside_of_this_project_brings_a_fault_an_adversary_a_workload_and_a_checker(outside: Path) -> None:
    path = scenario_file(outside, module_in(outside), METEOR, ECHO, NOTE)
    result = run(path, allow_plugins=True, out=outside / "out")
    assert result.verdict == "pass", result.run_json["checks"]
    assert result.faults().row(0)[:4] == ("meteor", ["a", "b"], 10.0, 15.0)
    assert "few-facts" in [check.name for check in result.checks]
    assert result.facts().filter(entity="stigmem://x.example/n").height == 3
    assert result.run_json["plugins"] == [module_in(outside)]
    kept = next(check for check in result.checks if check.name == "bad-facts-alone")
    assert kept.detail.startswith(tuple("123456789")), kept.detail


def test_a_scenario_runs_no_code_unless_that_is_allowed(outside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = module_in(outside)
    path = scenario_file(outside, module, METEOR)
    with pytest.raises(BadScenario, match="if you trust it, allow that by --allow-plugins") as caught:
        load_scenario(path)
    assert (caught.value.key, caught.value.line) == ("scenario.plugins", 3)
    assert module not in sys.modules
    assert main(["run", str(path), "--json"]) == 2
    assert f"{path}:3: scenario.plugins: the scenario runs code of '{module}'" in capsys.readouterr().err
    assert main(["check", str(path), "--allow-plugins"]) == 0


@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        ("no_such_kinds", "there is no module 'no_such_kinds', neither in"),
        ("../evil", "'../evil' is not the name of a module, such as 'my_kinds'"),
        ("broken_kinds", "the module 'broken_kinds' cannot be imported: ZeroDivisionError: division by zero"),
    ],
)
def test_a_module_that_cannot_be_imported_is_told_with_its_key(tmp_path: Path, module: str, sentence: str) -> None:
    (tmp_path / "broken_kinds.py").write_text("1 / 0")
    with pytest.raises(BadScenario) as caught:
        load_scenario(scenario_file(tmp_path, module), allow_plugins=True)
    assert sentence in str(caught.value)
    assert caught.value.key == "scenario.plugins[0]"


def test_mistakes_in_tables_of_a_plugin_are_told_like_all_others(outside: Path) -> None:
    module = module_in(outside)
    for table, key, sentence in (
        (METEOR.replace("craters", "crater"), "fault[0].crater", "unknown key; did you mean 'craters'?"),
        (METEOR.replace('"meteor"', '"meteors"'), "fault[0].kind", "did you mean 'meteor'?"),
        (METEOR.replace('"a", "b"', '"a", "z"'), "fault[0].craters[1]", "there is no node 'z'"),
        (METEOR.replace('"a", "b"', '"a", "b", "c"'), "fault[0].craters", "somebody must be left to tell of it"),
    ):
        with pytest.raises(BadScenario) as caught:
            run(scenario_file(outside, module, table), allow_plugins=True)
        assert caught.value.key == key
        assert sentence in str(caught.value)


def test_kinds_of_a_plugin_are_there_only_for_scenarios_that_name_it(outside: Path) -> None:
    run(scenario_file(outside, module_in(outside), METEOR), allow_plugins=True)
    (outside / "other.toml").write_text(small_text(workload("probe", period="3s"), METEOR))
    with pytest.raises(BadScenario, match="there is no kind of fault called 'meteor'"):
        load_scenario(outside / "other.toml", allow_plugins=True)


def test_a_checker_of_a_plugin_judges_and_the_command_to_replay_says_what_it_needs(
    outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = outside / f"{module_in(outside)}.py"
    module.write_text(module.read_text().replace("MOST = 100", "MOST = 0"))
    path, out = scenario_file(outside, module.stem), outside / "out"
    assert main(["run", str(path), "--allow-plugins", "--out", str(out), "--no-figures"]) == 1
    told = capsys.readouterr().err
    assert "few-facts was violated on" in told
    assert f"to replay it: stigmem-sim replay {out} --allow-plugins" in told
    assert main(["replay", str(out)]) == 2
    assert main(["replay", str(out), "--allow-plugins"]) == 0
    assert Result.load(out, allow_plugins=True).verdict == "fail"


BROKEN = [
    ("peer.entry(fact)", "peer.entri(fact)", ECHO, "adversary 'echo'", "Echo", "AttributeError"),
    ("clients.write(", "clients.wryte(", NOTE, "workload 'one-note'", "OneNote", "AttributeError"),
    ('.powered_off("lost")', ".powered_of()", METEOR, "fault 'meteor'", "Meteor", "AttributeError in inject"),
    ("            yield\n", "            yield\n        1 / 0\n", METEOR, "fault 'meteor'", "Meteor",
     "ZeroDivisionError in inject, when it was left"),
    ("if len(commit.facts)", "if len(commit.fact)", NOTE, "checker 'few-facts'", "FewFacts",
     "AttributeError in on_commit"),
    ("return [peer.entry(fact)]", "return 7", ECHO, "adversary 'echo'", "Echo", "TypeError in answer"),
    ('"never many")', "1 / 0)", NOTE, "checker 'few-facts'", "FewFacts", "ZeroDivisionError in result"),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "table", "kind", "cls", "error"), BROKEN)
def test_an_error_in_a_kind_of_a_plugin_is_told_with_its_name_and_place_and_is_no_bug_of_ours(
    right: str,
    wrong: str,
    table: str,
    kind: str,
    cls: str,
    error: str,
    outside: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = outside / f"{module_in(outside)}.py"
    text = module.read_text().replace(right, wrong)
    module.write_text(text)
    line = text[: text.index(wrong.strip()) + wrong.strip().rfind("\n") + 1].count("\n") + 1
    path, out = scenario_file(outside, module.stem, table), outside / "out"
    assert main(["run", str(path), "--allow-plugins", "--out", str(out), "--no-figures"]) == 70
    told = capsys.readouterr().err
    assert told.startswith(f"the {kind} ({module.stem}.{cls}) raised {error}: ")
    assert f"({module.stem}, line {line})\n" in told or wrong == "return 7"
    assert "bug" not in told


@pytest.mark.parametrize(
    ("right", "wrong", "sentence"),
    [
        ("    @contextmanager\n", "", "Meteor.inject is a generator and would do nothing: write @contextmanager"),
        ("    def run(", "    async def run(", "OneNote.run is asynchronous and would do nothing: it is called once"),
    ],
)
def test_a_kind_that_would_do_nothing_when_it_is_called_is_refused_before_the_run(
    right: str, wrong: str, sentence: str, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = outside / f"{module_in(outside)}.py"
    module.write_text(module.read_text().replace(right, wrong))
    assert main(["run", str(scenario_file(outside, module.stem, METEOR)), "--allow-plugins"]) == 2
    assert f"the module '{module.stem}' cannot be imported: TypeError: {sentence}" in capsys.readouterr().err


def test_a_fault_whose_inject_gives_no_context_manager_is_told_what_to_write(
    outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = outside / f"{module_in(outside)}.py"
    module.write_text(
        module.read_text().replace("    @contextmanager\n", "").replace("            yield\n", "            pass\n")
    )
    assert (
        main(
            ["run", str(scenario_file(outside, module.stem, METEOR)), "--allow-plugins", "--out", str(outside / "out")]
        )
        == 70
    )
    told = capsys.readouterr().err
    assert told.startswith(
        f"the fault 'meteor' ({module.stem}.Meteor) gave nothing from inject, where a context manager"
    )
    assert "bug" not in told


def test_an_adversary_that_gives_no_answer_is_told_what_belongs_there(
    outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = outside / f"{module_in(outside)}.py"
    module.write_text(
        module.read_text().replace("def entries(self, peer, victim):", "def answer(self, peer, victim, asked):")
    )
    path, out = scenario_file(outside, module.stem, ECHO), outside / "out"
    assert main(["run", str(path), "--allow-plugins", "--out", str(out), "--no-figures"]) == 70
    told = capsys.readouterr().err
    assert told.startswith(f"the adversary 'echo' ({module.stem}.Echo) gave [")
    assert " from answer, where a Response or None belongs\n" in told


def test_a_kind_that_raises_when_it_is_checked_is_a_mistake_of_its_table(
    outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = outside / f"{module_in(outside)}.py"
    module.write_text(module.read_text().replace("len(federation.nodes)", "len(federation.node)"))
    path = scenario_file(outside, module.stem, METEOR)
    assert main(["run", str(path), "--allow-plugins"]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith(f"{path}:")
    assert f"fault[0]: the fault 'meteor' ({module.stem}.Meteor) raised AttributeError: " in told


def test_an_installed_package_brings_its_kinds_by_an_entry_point(outside: Path) -> None:
    module = module_in(outside)
    info = outside / "meteors-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: meteors\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[stigmem_sim.kinds]\nmeteors = {module}\n")
    path = outside / "scenario.toml"
    path.write_text(small_text(workload("probe", period="3s"), METEOR))
    done = subprocess.run(
        [sys.executable, "-m", "sim", "run", str(path), "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(outside)])},
        cwd=outside,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["plugins"] == [module]
