"""The command line: what it prints where, and the status it exits with."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from sim.analysis.outcome import worst
from sim.check import CHECKERS, Checker, Commit, Commits
from sim.cli import BUG, main
from sim.ports import Observed
from sim.report.terminal import progress_bar
from tests.sim.small import small_text, workload

TALK = workload("contradictions", rate="30/m", entities=5)
FAST = ("--no-figures", "--trace", "none")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of its own with a good, a failing and a wrong scenario."""
    monkeypatch.chdir(tmp_path)
    question = "# Question: does it work?\n# Expected: yes.\n"
    (tmp_path / "good.toml").write_text(question + small_text(TALK))
    strict = '[[expect]]\nmetric = "lag.p99"\nat_most = "1ms"'
    (tmp_path / "strict.toml").write_text(small_text(TALK, strict, name="strict"))
    (tmp_path / "silent.toml").write_text(small_text(name="silent"))
    (tmp_path / "wrong.toml").write_text(small_text(TALK, duration="soon"))
    return tmp_path


# --- run ---


def test_a_pass_is_told_in_eight_lines_the_question_before_the_numbers(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "good.toml", *FAST]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert lines[:2] == ["PASS  small, seed 3", "does it work?"]
    sound, of, vacuous = map(int, re.findall(r"checks +(\d+) of (\d+) ok, (\d+) vacuous \(see -v\)", lines[6])[0])
    assert (sound + vacuous, vacuous > 0) == (of, True)


def test_a_passing_run_prints_every_number_and_checker_on_request(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "good.toml", "-v", *FAST]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("PASS  small, seed 3")
    assert re.search(r"vacuous +bad-facts-alone +nobody hostile", told.out)
    words = ("lag", "p50", "convergence", "conflicts", "wire", "rejections", "times real time", "state digest")
    assert [word for word in words if word not in told.out] == []
    assert told.err == ""


def test_without_out_the_folder_is_named_after_scenario_and_seed(here: Path) -> None:
    assert main(["run", "good.toml", "--seed", "9", *FAST]) == 0
    found = sorted(path.name for path in (here / "runs/small-seed9").iterdir())
    frames = ["facts.parquet", "faults.parquet", "run.json", "samples.parquet", "scenario.toml", "stops.parquet"]
    assert found == frames


def test_json_prints_one_line_and_writes_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "good.toml", "--json"]) == 0
    told = capsys.readouterr()
    assert told.out.count("\n") == 1
    assert json.loads(told.out)["verdict"] == "pass"
    assert told.err == ""
    assert not (here / "runs").exists()


def test_json_of_several_runs_is_a_line_each(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "good.toml", "strict.toml", "--json"]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["scenario"], row["verdict"]) for row in rows] == [("small", "pass"), ("strict", "fail")]


def test_json_equals_the_file_in_the_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "good.toml", "--json", "--out", "made/here", *FAST]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((here / "made/here/run.json").read_text())


def test_several_runs_go_to_folders_of_their_own(here: Path) -> None:
    assert main(["run", "good.toml", "good.toml", "silent.toml", "--out", "all", *FAST]) == 3
    assert sorted(path.name for path in (here / "all").iterdir()) == ["silent-seed3", "small-seed3", "small-seed3-2"]


def test_a_missed_expectation_is_told_and_exits_1(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "strict.toml", *FAST]) == 1
    told = capsys.readouterr()
    assert "at most 1ms: it is" in told.out
    assert "lag.p99 was expected at most 1ms: it is" in told.err
    assert re.search(
        r"the slowest copy: fact \S+, written by [abc] at \S+, was visible on [abc] at \S+, \S+ later", told.err
    )
    assert "to replay it: stigmem-sim replay runs/strict-seed3" in told.err


def test_a_run_without_facts_is_inconclusive_and_says_why(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "silent.toml", *FAST]) == 3
    assert "no fact was written" in capsys.readouterr().err


def test_a_wrong_file_does_not_keep_the_others_from_running(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "wrong.toml", "good.toml", *FAST]) == 2
    told = capsys.readouterr()
    assert "wrong.toml:4: scenario.duration" in told.err
    assert "PASS  small" in told.out


def test_warnings_are_printed_before_the_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link = '[[link]]\nbetween = ["a", "b"]\nscopes = ["company"]'
    (here / "apart.toml").write_text(small_text(TALK, link, nodes=["a", "b"]))
    main(["run", "apart.toml", *FAST])
    assert capsys.readouterr().err.startswith("warning: ")


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        (["run"], "FILES is missing; `stigmem-sim run --help` shows what there is"),
        (["run", "good.toml", "--seed"], "--seed needs a value"),
        (["replay", "one", "two"], "too many arguments: 'two'"),
        (["run", "missing.toml"], "missing.toml"),
        *(
            (["run", "good.toml", "--seed", text], f"--seed: '{text}' is not a seed, which is a whole number from 0")
            for text in ("x", "-1", "1.5", "1e3", "0x10", "")
        ),
        (["run", "good.toml", "--seed", str(2**63)], "is not a seed, which is a whole number from 0"),
        (["run", "good.toml", "--trace", "some"], "some"),
        (["run", "good.toml", "--nothing"], "--nothing"),
        (["run", "good.toml", "--out", "good.toml"], "good.toml"),
        (["nonsense"], "nonsense"),
        (["check", "wrong.toml"], "wrong.toml:4"),
        (["list", "nowhere"], "nowhere"),
        (["replay", "nowhere"], "nowhere is not a run folder"),
        (["trace", "diff", "nowhere", "nowhere"], "nowhere does not exist"),
        (["trace", "git", "nowhere", "out.jsonl"], "nowhere"),
    ],
)
def test_bad_input_is_one_sentence_on_stderr_and_exits_2(
    here: Path, capsys: pytest.CaptureFixture[str], tokens: list[str], sentence: str
) -> None:
    assert main(tokens) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert sentence in told.err
    assert "Traceback" not in told.err


# --- failures inside ---


class Tripwire(Checker):
    """A property that the twentieth commit breaks, or a bug that it meets."""

    name = "tripwire"

    sees = Commits.ALL

    def __init__(self, observed: Observed, bug: bool = False) -> None:
        super().__init__(observed)
        self.bug = bug
        self.commits = 0

    def on_commit(self, commit: Commit) -> None:
        self.commits += 1
        if self.commits == 20:
            if self.bug:
                raise LookupError("no [brackets] here")
            self.fail(commit.machine, "the wire was tripped")


def test_a_violated_property_is_told_with_the_events_before_it(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sim.check.CHECKERS", (*CHECKERS, Tripwire))
    assert main(["run", "good.toml"]) == 1
    told = capsys.readouterr()
    assert "tripwire was violated on " in told.err
    assert ": the wire was tripped" in told.err
    assert told.err.splitlines()[-2].endswith("s  tripwire is violated: the wire was tripped")
    assert told.err.splitlines()[-1] == "to replay it: stigmem-sim replay runs/small-seed3"
    assert main(["replay", "runs/small-seed3"]) == 0
    assert "the same: all three digests are equal" in capsys.readouterr().out


class Sleeper(Checker):
    """A property that does not hold from the first commit on."""

    name = "sleeper"
    sees = Commits.ALL

    def on_commit(self, commit: Commit) -> None:
        self.fail(commit.machine, "somebody slept")


def test_keep_going_tells_what_else_is_violated_and_the_replay_goes_on_as_well(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sim.check.CHECKERS", (*CHECKERS, Sleeper, Tripwire))
    assert main(["run", "good.toml", "--keep-going", *FAST]) == 1
    told = capsys.readouterr()
    assert "sleeper was violated on " in told.err
    assert "tripwire failed too: " in told.err
    assert "convergence failed" not in told.err
    assert main(["replay", "runs/small-seed3"]) == 0
    assert "the same: all three digests are equal" in capsys.readouterr().out


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_bug_in_a_run_is_one_sentence_a_traceback_file_and_status_70(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Tripwire, "__module__", "sim.check.tripwire")  # one of somebody else's is no bug of ours
        patched.setattr("sim.check.CHECKERS", (*CHECKERS, partial(Tripwire, bug=True)))
        assert main(["run", "good.toml", *flags]) == BUG
        told = capsys.readouterr()
        assert main(["replay", "runs/small-seed3"]) == BUG
    assert told.out == ""
    assert told.err.startswith("a bug of stigmem-sim ended the run: LookupError: no [brackets] here\n")
    assert told.err.endswith("stigmem-sim replay runs/small-seed3\n")
    assert "no [brackets] here" in (here / "runs/small-seed3/traceback.txt").read_text()
    assert main(["replay", "runs/small-seed3"]) == 3


def test_ctrl_c_exits_3_with_a_partial_result_and_stops_the_other_files(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("sim.cli_session.progress_bar", pressing_ctrl_c)
        assert main(["run", "good.toml", "strict.toml", "--json", "--out", "out", "--no-figures"]) == 3
    told = capsys.readouterr()
    assert json.loads(told.out)["verdict"] == "inconclusive"
    assert "interrupted at" in told.err
    assert [path.name for path in (here / "out").iterdir()] == ["small-seed3"]
    assert main(["replay", "out/small-seed3"]) == 3
    assert "not comparable: one of the runs was cut short" in capsys.readouterr().out


@contextmanager
def pressing_ctrl_c(console: Console, name: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar at which somebody presses Ctrl-C, once."""
    left = [1]

    def progress(now: int, deadline: int) -> None:
        if now and left:
            left.clear()
            signal.raise_signal(signal.SIGINT)

    yield progress


def test_ctrl_c_twice_exits_130(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def impatient(console: Console, name: str) -> Iterator[Callable[[int, int], None]]:
        yield lambda now, deadline: [signal.raise_signal(signal.SIGINT) for _ in range(2)] and None

    monkeypatch.setattr("sim.cli_session.progress_bar", impatient)
    assert main(["run", "good.toml", *FAST]) == 130


def test_ctrl_c_while_figures_are_drawn_says_where_the_run_is(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def impatient(result: object, folder: Path) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("sim.report.figures.draw_figures", impatient)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores SIGINT
    try:
        assert main(["run", "good.toml", "strict.toml", "--out", "out"]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    told = capsys.readouterr()
    assert told.err == "the run is in out/small-seed3, without all of its figures\nstopped\n"
    assert json.loads((here / "out/small-seed3/run.json").read_text())["verdict"] == "pass"
    assert not (here / "out/strict-seed3").exists()


def test_a_narrow_terminal_loses_no_word(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    main(["run", "strict.toml", *FAST])
    told = capsys.readouterr()
    assert "…" not in told.out
    assert len(told.err.splitlines()) == 3


def test_the_worst_status_is_a_bug_then_bad_input_then_failure() -> None:
    assert worst([0, 3, 1, 2, 70]) == 70
    assert worst([0, 3, 1, 2]) == 2
    assert worst([3, 1, 0]) == 1
    assert worst([0, 3]) == 3
    assert worst([]) == 0


# --- the other commands ---


def test_check_says_ok_and_exits_0(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "good.toml", "strict.toml"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "good.toml: ok: small, 1m, nodes: 3, links: 3"


def test_check_looks_at_every_file_before_it_exits_2(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "wrong.toml", "good.toml"]) == 2
    told = capsys.readouterr()
    assert "good.toml: ok" in told.out
    assert "wrong.toml:4" in told.err


def test_list_shows_what_each_scenario_asks(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "."]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["good.toml", "silent.toml", "strict.toml", "wrong.toml"]
    assert "does it work?" in lines[0]
    assert "(it does not say)" in lines[1]


def test_list_passes_over_what_is_no_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "folder.toml").mkdir()
    (here / "dangling.toml").symlink_to("nowhere")
    (here / "bytes.toml").write_bytes(b"\xff\xfe")
    assert main(["list", "."]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ["bytes.toml", "good.toml", "silent.toml", "strict.toml", "wrong.toml"]
    assert main(["check", "dangling.toml"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("dangling.toml: there is no such file")
    assert "mean 'dangling.toml'" not in told


def test_schema_prints_a_json_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["$schema"].startswith("https://json-schema.org")


def test_replay_of_an_unchanged_run_is_the_same(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "good.toml", "--no-figures"])
    capsys.readouterr()
    assert main(["replay", "runs/small-seed3"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "the same: all three digests are equal"


def test_replay_of_a_changed_run_shows_where_it_parts(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "good.toml", "--no-figures"])
    path = here / "runs/small-seed3/scenario.toml"
    path.write_text(path.read_text() + '\n[network]\nlatency = "21ms"\n')
    capsys.readouterr()
    assert main(["replay", "runs/small-seed3"]) == 1
    told = capsys.readouterr().out
    assert "NOT the same: trace, state" in told
    assert "first differing event, number " in told


def test_trace_diff_tells_equal_traces_from_different_ones(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in ("1", "2"):
        main(["run", "good.toml", "--seed", seed, "--no-figures"])
    capsys.readouterr()
    assert main(["trace", "diff", "runs/small-seed1", "runs/small-seed1"]) == 0
    assert capsys.readouterr().out == "the traces are equal\n"
    assert main(["trace", "diff", "runs/small-seed1", "runs/small-seed2/trace.jsonl.gz"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("the traces differ from event ")
    assert lines[-2].startswith('< {"t_ns":')
    assert lines[-1].startswith('> {"t_ns":')


def test_a_trace_of_a_shallow_clone_says_that_it_begins_late(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-c", "user.name=A", "-c", "user.email=a@b.example", *arguments], check=True)

    git("init", "-q", "whole")
    for number in range(3):
        (here / "whole/file").write_text(str(number))
        git("-C", "whole", "add", ".")
        git("-C", "whole", "commit", "-qm", str(number))
    git("clone", "-q", "--depth", "2", (here / "whole").as_uri(), "part")
    assert main(["trace", "git", "part", "t.jsonl"]) == 0
    told = capsys.readouterr()
    assert "2 rows of 1 commits" in told.out
    assert told.err == "warning: part is a shallow clone, so the trace begins where its history does\n"


@pytest.mark.parametrize(
    "command", ["", "run", "check", "list", "replay", "schema", "trace", "trace diff", "trace git"]
)
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--help"]) == 0
    assert f"stigmem-sim {command}".strip() in capsys.readouterr().out.partition("Examples:")[2]


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("stigmem-sim ")


def test_help_needs_no_heavy_library() -> None:
    heavy = ("trio", "networkx", "matplotlib", "polars", "numpy")
    found = f"any(name in sys.modules for name in {heavy})"
    code = f"import sys; from sim.cli import main; main(['--version']); sys.exit({found})"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True).returncode == 0


def test_a_reader_that_goes_away_is_no_traceback(here: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        command = [sys.executable, "-m", "sim", "schema"]
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (141, "")


# --- words ---


def test_the_bar_counts_simulated_time_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr("sim.report.terminal.perf_counter", lambda: next(clock))
    screen = io.StringIO()
    with progress_bar(Console(file=screen, force_terminal=True, width=120), "small") as progress:
        progress(30_000_000_000, 60_000_000_000)
    assert "small" in screen.getvalue()
    assert "30s of at most 1m, 30 times real time" in screen.getvalue()


def test_there_is_no_bar_in_a_file() -> None:
    screen = io.StringIO()
    with progress_bar(Console(file=screen), "small") as progress:
        progress(30_000_000_000, 60_000_000_000)
    assert screen.getvalue() == ""


# --- data that not everybody has ---


def test_a_scenario_without_its_data_is_skipped_with_a_sentence_and_the_others_run(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = small_text(TALK, name="absent").replace("[scenario]\n", '[scenario]\nneeds = ["data/gone.jsonl"]\n')
    (here / "absent.toml").write_text(text)
    assert main(["run", "absent.toml", "good.toml", *FAST]) == 3
    told = capsys.readouterr()
    assert told.err == (
        "absent.toml:2: scenario.needs[0]: skipped, because there is no file 'data/gone.jsonl' on this machine\n"
    )
    assert told.out.startswith("PASS  small")
    assert main(["check", "absent.toml", "good.toml"]) == 3
    assert main(["check", "absent.toml", "wrong.toml"]) == 2
    assert main(["run", "absent.toml", "strict.toml", *FAST]) == 1


def test_a_run_with_such_data_can_be_replayed_from_its_folder_alone(here: Path) -> None:
    text = small_text(TALK, name="present").replace("[scenario]\n", '[scenario]\nneeds = ["gone.txt"]\n')
    (here / "present.toml").write_text(text)
    (here / "gone.txt").write_text("here today")
    assert main(["run", "present.toml", *FAST]) == 0
    (here / "gone.txt").unlink()
    assert main(["replay", "runs/present-seed3"]) == 0
