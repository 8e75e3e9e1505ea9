"""What whoever writes a checker may rely on: which commits it is shown, one way to fail from every hook, names."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest

import sim
import sim.check
from sim.analysis.outcome import conclude
from sim.check import CHECKERS, FOR_READERS, Boot, Checker, CheckResult, Commit, Commits, Served, build_checkers
from sim.check.tokens import Tokens
from sim.diagnostics.kind_errors import KindFailed
from sim.kinds import import_modules
from sim.ports import Observed
from sim.scenario.reading import parse_scenario
from stigmem.core.audit import AuditRow
from stigmem.core.fact import Fact
from stigmem.core.nonces import NonceTable
from stigmem.core.records import DeadLetter
from tests.sim.hostile import adversary, run_simulation
from tests.sim.small_runs import S, fault, make_simulation, scenario_text, workload

TALK = workload("contradictions", rate="1/s", entities=5)


def test_a_checker_that_looks_at_commits_says_at_which() -> None:
    with pytest.raises(TypeError, match=r"does not say which commits it sees: write sees = Commits\.ALL"):
        type("Vague", (Checker,), {"on_commit": lambda self, commit: None})


def test_a_checker_that_looks_at_no_commit_need_not_say_anything() -> None:
    assert type("Silent", (Checker,), {"name": "silent"}).name == "silent"  # type: ignore[attr-defined]


def tells(commit: Commit) -> bool:
    return any(isinstance(record, (Fact, AuditRow, DeadLetter)) for record in commit.records)


def seeing_all(kind: type[Checker], changed: list[str]) -> type[Checker]:
    """The checker, shown every commit; its name is noted when one of those that it does not ask for changes it."""

    def on_commit(checker: Any, commit: Commit) -> None:
        before = None if tells(commit) else repr(vars(checker))
        kind.on_commit(checker, commit)
        if before is not None and repr(vars(checker)) != before:
            changed.append(checker.name)

    return type(kind.__name__, (kind,), {"sees": Commits.ALL, "on_commit": on_commit})


def test_commits_that_checkers_do_not_ask_for_mean_nothing_to_them() -> None:
    changed: list[str] = []
    filtered = [kind for kind in CHECKERS if getattr(kind, "sees", None) is Commits.THAT_TELL]
    assert len(filtered) >= 6
    shown = [seeing_all(kind, changed) if kind in filtered else kind for kind in CHECKERS]
    parts = [adversary("hasher"), fault("crash", at="20s", for_="5s", node="south")]
    keys: dict[str, Any] = {"duration": "40s", "signatures": "stand-in"}
    as_declared = run_simulation(*parts, **keys)
    with_all = run_simulation(*parts, checkers=shown, **keys)
    assert changed == []
    assert with_all.relay.results() == as_declared.relay.results()
    assert all(result.ok for result in as_declared.relay.results())


class Failing(Checker):
    """Fails in one of its hooks from ten seconds on."""

    name = "failing"
    sees = Commits.ALL
    hook = ""

    def _reached(self, hook: str) -> None:
        if hook == self.hook and self.observed.now_ns >= 10 * S:
            self.fail("a", f"broken in {hook}")

    def on_commit(self, commit: Commit) -> None:
        self._reached("on_commit")

    def on_response(self, served: Served) -> None:
        self._reached("on_response")

    def on_acknowledged(self, machine: str, fact_id: str) -> None:
        self._reached("on_acknowledged")

    def on_boot(self, boot: Boot) -> None:
        self._reached("on_boot")

    def on_disk_wiped(self, machine: str) -> None:
        self._reached("on_disk_wiped")

    def is_quiet(self) -> bool:
        self._reached("is_quiet")
        return True


HOOKS = ["on_commit", "on_response", "on_acknowledged", "on_boot", "on_disk_wiped", "is_quiet"]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_failure_in_any_hook_ends_the_run_and_is_no_bug_of_a_node(hook: str) -> None:
    failing = type("FailingThere", (Failing,), {"hook": hook})
    simulation = make_simulation(TALK, fault("wipe", at="20s", node="b"), checkers=[*CHECKERS, failing])
    simulation.run()
    assert simulation.violation is not None
    assert simulation.violation[:2] == ("failing", "a")
    assert simulation.violation.sentence == f"broken in {hook}"
    assert simulation.world.now == simulation.violation.at_ns
    nodes = [machine.node for machine in simulation.machines.values() if machine.node is not None]
    assert [node.bugs for node in nodes if node.bugs] == []


@pytest.mark.parametrize("hook", HOOKS)
def test_a_checker_that_raises_ends_the_run_by_its_name_whichever_hook_it_was_in(hook: str) -> None:
    def raising(self: Failing, machine: str, sentence: str) -> NoReturn:
        raise KeyError(sentence)

    cls = type("RaisingThere", (Failing,), {"hook": hook, "fail": raising, "__module__": __name__})
    simulation = make_simulation(TALK, fault("wipe", at="20s", node="b"), checkers=[*CHECKERS, cls])
    with pytest.raises(KindFailed, match=rf"^the checker 'failing' .*raised KeyError in {hook}: 'broken in {hook}'"):
        simulation.run()
    nodes = [machine.node for machine in simulation.machines.values() if machine.node is not None]
    assert [node.bugs for node in nodes if node.bugs] == []


def test_a_checker_that_cannot_be_made_is_named() -> None:
    class NoRoom(Checker):
        name = "no-room"

        def __init__(self) -> None:
            """Takes nothing."""

    factory: Any = NoRoom
    with pytest.raises(TypeError, match=r"NoRoom cannot be made for a run: TypeError: .*positional argument"):
        sim.run(parse_scenario(scenario_text(TALK, duration="20s")), checkers=[factory])


def words_of(found: sim.Result) -> dict[str, tuple[bool | None, str]]:
    return {check.name: (check.ok, check.detail) for check in found.checks}


class Early(Checker):
    """Fails ten seconds into a run."""

    name = "early"
    sees = Commits.ALL

    def on_commit(self, commit: Commit) -> None:
        if self.observed.now_ns >= 10 * S:
            self.fail(commit.machine, "it is ten o'clock")


class Late(Early):
    """Fails five seconds after it."""

    name = "late"
    sees = Commits.ALL

    def on_commit(self, commit: Commit) -> None:
        if self.observed.now_ns >= 15 * S:
            self.fail(commit.machine, "it is a quarter past")


def test_what_was_watched_until_a_run_was_cut_short_is_told_with_its_mark() -> None:
    found = sim.run(parse_scenario(scenario_text(TALK, duration="20s")), checkers=[Early, Late])
    words = words_of(found)
    assert words["early"][0] is False
    for name in ("durability", "no-leaks", "audit", "tokens-once", "late"):
        assert words[name][0] is True
        assert words[name][1].startswith("held until 10")
    assert "acknowledged writes, all there" in words["durability"][1]
    assert "not compared, since the federation did not converge" in words["conflict-agreement"][1]
    for name in ("convergence", "no-silent-erasure", "bad-facts-alone"):
        assert words[name][0] is None
        assert words[name][1].startswith("not judged: the run ended early, at 10")
    assert found.run_json["ended_early"] is True


def test_a_run_that_keeps_going_tells_every_property_that_does_not_hold() -> None:
    scenario = parse_scenario(scenario_text(TALK, duration="20s"))
    found = sim.run(scenario, checkers=[Early, Late], keep_going=True)
    words = words_of(found)
    assert found.verdict == "fail"
    assert found.converged_ns is not None
    assert {name for name, (ok, _) in words.items() if ok is False} == {"early", "late"}
    assert {ok for name, (ok, _) in words.items() if name not in ("early", "late")} == {True}
    assert words["early"][1].endswith("it is ten o'clock")
    assert words["late"][1].endswith("it is a quarter past")
    assert "ended_early" not in found.run_json
    assert found.run_json["keep_going"] is True


def test_a_run_that_keeps_going_and_has_nothing_to_tell_is_the_same_run() -> None:
    scenario = parse_scenario(scenario_text(TALK, duration="20s"))
    usual, going = sim.run(scenario), sim.run(scenario, keep_going=True)
    assert going.verdict == usual.verdict == "pass"
    assert going.run_json["trace_digest"] == usual.run_json["trace_digest"]
    assert going.checks == usual.checks


def test_what_only_a_hostile_peer_saw_fails_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    spend = NonceTable.spend
    monkeypatch.setattr(NonceTable, "spend", lambda table, nonce, *args: spend(table, f"{nonce}{len(table)}", *args))
    blind = [kind for kind in CHECKERS if kind is not Tokens]
    simulation = run_simulation(adversary("replayer"), checkers=blind, signatures="stand-in")
    found = conclude(simulation, wall_s=0.0)
    assert found.verdict == "fail"
    assert found.checks[-1].name == "hostile-requests"
    assert "was accepted" in found.checks[-1].detail


class LastWord(Checker):
    """Fails when it is asked at the end."""

    name = "last-word"
    machine = ""

    def result(self) -> CheckResult:
        self.fail(self.machine, "it was wrong all along")


@pytest.mark.parametrize(("machine", "detail"), [("", "it was wrong all along"), ("b", "b: it was wrong all along")])
def test_a_failure_at_the_end_is_the_last_word_of_the_checker(machine: str, detail: str) -> None:
    named = type("LastWordOf", (LastWord,), {"machine": machine})
    found = sim.run(parse_scenario(scenario_text(TALK, duration="20s")), checkers=[named])
    assert found.verdict == "fail"
    assert found.violation is None
    assert found.run_json["checks"][-1] == {"name": "last-word", "ok": False, "detail": detail, "vacuous": False}
    assert [check.ok for check in found.checks[:-1]] == [True] * len(CHECKERS)


def test_a_run_with_more_checkers_is_the_same_run() -> None:
    scenario = parse_scenario(scenario_text(TALK, duration="20s"))
    alone, watched = sim.run(scenario), sim.run(scenario, checkers=[Failing])
    for digest in ("trace_digest", "state_digest", "knowledge_digest"):
        assert watched.run_json[digest] == alone.run_json[digest]


class Nameless(Checker):
    """Forgot its name."""


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ([Nameless], "every checker needs a name of its own; Nameless has none"),
        ([Tokens, Tokens], "every checker needs a name of its own; Tokens has that of another, 'tokens-once'"),
    ],
)
def test_checkers_that_could_not_be_told_apart_are_refused(kinds: list[type[Checker]], words: str) -> None:
    observed: Observed = make_simulation(TALK).observed
    with pytest.raises(ValueError, match=words):
        build_checkers(kinds, observed)


@pytest.mark.parametrize("made", [dict, "tokens-once", Tokens.__new__(Tokens)])
def test_what_is_no_checker_class_is_refused(made: Any) -> None:
    with pytest.raises(TypeError, match="is no subclass of Checker; give the class itself"):
        build_checkers([made], make_simulation(TALK).observed)


def test_one_checker_without_brackets_is_refused() -> None:
    scenario = parse_scenario(scenario_text(TALK, duration="20s"))
    one: Any = Tokens
    with pytest.raises(TypeError, match=r"checkers is a list of classes: write checkers=\[Tokens\]"):
        sim.run(scenario, checkers=one)


def test_a_last_word_that_is_none_is_told_with_its_checker() -> None:
    wordless: Any = type("Wordless", (Checker,), {"name": "wordless", "result": lambda self: None})
    with pytest.raises(TypeError, match="wordless: result gave None and no CheckResult"):
        sim.run(parse_scenario(scenario_text(TALK, duration="20s")), checkers=[wordless])


def test_a_checker_in_the_folder_judges_every_run() -> None:
    """A file that nobody lists would be a property that nobody judges, without a word."""
    import_modules("sim.check", sim.check.__path__)
    written, left = [], [Checker]
    while left:
        below = left.pop().__subclasses__()
        left += below
        written += [cls for cls in below if cls.__module__.startswith("sim.check.")]
    missing = [cls.__qualname__ for cls in written if cls not in (*CHECKERS, *FOR_READERS) and not cls.__subclasses__()]
    assert missing == [], f"list them in CHECKERS of sim/check/__init__.py: {missing}"
    assert len(written) >= len(CHECKERS)
