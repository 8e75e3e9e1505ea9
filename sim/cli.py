"""The command line `stigmem-sim`: what can be asked, and how it is answered by exit status.

0 pass, 1 a checker or an expectation failed, 2 bad input, 3 inconclusive, 70 a bug of ours, 130 stopped by a
second Ctrl-C. Commands are thin: the work is done in `sim.run` and told in `sim.report`. Whatever is wrong with
the input is one sentence on stderr.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from cyclopts import App, CycloptsError, Parameter

import stigmem
from sim.cli_search import campaign, explore
from sim.cli_values import to_count, to_seconds, to_seed, to_shard
from sim.report.console import console_for, examples, say, tell
from sim.report.trace_commands import trace

if TYPE_CHECKING:
    from sim.scenario.tables import Scenario

__all__ = ["BAD_INPUT", "BUG", "app", "main"]

BAD_INPUT: Final = 2
BUG: Final = 70
_STOPPED: Final = 130
_PIPE_CLOSED: Final = 141

app = App(
    name="stigmem-sim",
    help="Run scenarios of federated nodes in a simulated world, and judge them.",
    help_epilogue=examples("list", "run scenarios/split-brain.toml", "run scenarios/*.toml --seed 3 --out results")
    + "\n\nExit status: 0 pass, 1 a checker or expectation failed, 2 bad input, 3 inconclusive, 70 a bug.",
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
    version=f"stigmem-sim {stigmem.__version__}",
)
app.command(trace)
app.command(explore, help_epilogue=examples("explore --budget 10m", "explore --count 50 --seed 7 --shrink"))
app.command(campaign, help_epilogue=examples("campaign clock --quick", "campaign disk --seeds 3 --jobs 4"))


_Files = Annotated[list[Path], Parameter(help="Scenario files.", negative=())]
_Flag = Parameter(negative=())


def main(tokens: Sequence[str] | None = None) -> int:
    """Run a command line (default: the process's own); the exit status."""
    try:
        status = app(
            sys.argv[1:] if tokens is None else tokens,
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except CycloptsError as error:
        say(_sentence(error))
        return BAD_INPUT
    except KeyboardInterrupt:
        say("stopped")
        return _STOPPED
    except BrokenPipeError:
        # The reader has gone; what is still buffered must not raise again when Python closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    except Exception as error:
        if not isinstance(error, _mistakes_of_users()):
            raise
        say(str(error))
        return BAD_INPUT


def _mistakes_of_users() -> tuple[type[Exception], ...]:
    """Errors whose text is one sentence for the user; imported late, so that --help need not wait for them."""
    from sim.history.gitlog import BadRepository
    from sim.history.tracefile import BadTrace
    from sim.model_reference.run import NotModelled
    from sim.report.folder import BadFolder
    from sim.scenario.reading import BadScenario
    from sim.study.cluster import BadCluster
    from sim.study.profile_comparison import BadProfile
    from sim.suite.controls import PatchError
    from sim.world.trace import TraceUnreadable
    from stigmem.core.evidence import EvidenceBroken

    return (
        BadScenario, BadFolder, BadCluster, BadProfile, EvidenceBroken, NotModelled, PatchError, BadRepository,
        BadTrace, TraceUnreadable,
    )  # fmt: skip


_IN_OUR_WORDS: Final = (
    (r"Invalid value for (\S+): ", r"\1: "),
    (r'Command "[^"]*" parameter (--\S+) requires an argument', r"\1 needs a value"),
    (r'Command "[^"]*" parameter (\S+) requires an argument', r"\1 is missing"),
    (r"Unused Tokens: \[(.*)\]", r"too many arguments: \1"),
)
"""What cyclopts says, and how it is said here."""


def _sentence(error: CycloptsError) -> str:
    said = " ".join(str(error).split()).rstrip(".")
    for theirs, ours in _IN_OUR_WORDS:
        said = re.sub(theirs, ours, said)
    command = " ".join(["stigmem-sim", *(error.command_chain or ()), "--help"])
    return f"{said}{'' if said.endswith('?') else ';'} `{command}` shows what there is"


# --- running ---


@app.command(
    help_epilogue=examples(
        "run scenarios/split-brain.toml",
        "run scenarios/geant.toml --seed 11 --out /tmp/geant",
        "run scenarios/*.toml --json --no-figures",
        "run scenarios/split-brain.toml --seeds 20 --jobs 2",
        "run scenarios/split-brain.toml --set network.loss=0.1 --set federation.pull_interval=5s",
    )
)
def run(
    files: _Files,
    /,
    *,
    seed: Annotated[int | None, Parameter(converter=to_seed)] = None,
    out: Path | None = None,
    json: Annotated[bool, _Flag] = False,
    no_figures: Annotated[bool, _Flag] = False,
    trace: Literal["full", "none"] = "full",
    verbose: Annotated[bool, Parameter(negative=(), alias="-v")] = False,
    keep_going: Annotated[bool, _Flag] = False,
    seeds: Annotated[int | None, Parameter(converter=to_count)] = None,
    jobs: Annotated[int | None, Parameter(converter=to_count)] = None,
    shard: Annotated[tuple[int, int], Parameter(converter=to_shard, n_tokens=1)] = (1, 1),
    scheduler: str | None = None,
    variant: str | None = None,
    set_: Annotated[list[str] | None, Parameter("--set", negative=())] = None,
    allow_plugins: Annotated[bool, _Flag] = False,
) -> int:
    """Run scenarios and judge them.

    A run is written to runs/NAME-seedSEED or --out; with --json only to --out.
    With --seeds, or when a file has a [[sweep]], it is a study: every seed in
    every cell, kept and taken up again in runs/NAME-study, and one table.
    Exit status: that of the worst run.

    Parameters
    ----------
    seed
        Another seed than the scenario's.
    out
        Folder of the run; with several files a folder of run folders.
    json
        Print run.json on stdout, a line per run, and nothing else.
    no_figures
        Draw no figures.
    trace
        Whether the trace is written.
    verbose
        Show every number and every checker, of a pass too.
    keep_going
        Go on when a property is violated, and tell every property that is.
    seeds
        How many seeds, from the scenario's own or from --seed.
    jobs
        How many workers, as many as there are processors unless given.
    shard
        Only the third of eight parts of a study, for 3/8; `merge` joins them.
    scheduler
        Address of a Dask scheduler whose workers do the runs of a study instead.
    variant
        Run this [[variant]] of the scenario instead.
    set_
        KEY=VALUE, a key dotted as in a [[sweep]]; may be given several times.
    allow_plugins
        Import the Python modules that scenarios name by `plugins`.
    """
    given: dict[str, Any] = {"json": json, "figures": not no_figures, "allow_plugins": allow_plugins}
    given |= {"out": out, "variant": variant, "settings": _settings(set_)}
    workers: dict[str, Any] = {"jobs": jobs, "shard": shard, "scheduler": scheduler}
    is_study = seeds is not None or (variant is None and _has_sweep(files, given))
    if mistake := _useless_option(workers, is_study=is_study, keep_going=keep_going):
        say(mistake)
        return BAD_INPUT
    if is_study:
        return _study(files, seeds=seeds or 1, first_seed=seed, **workers, **given)
    from sim.cli_session import RunOptions, Session

    single = RunOptions(seed=seed, trace=trace == "full", keep_going=keep_going, verbose=verbose, **given)
    return Session(console_for(), console_for(stderr=True), single).run(files)


def _study(files: list[Path], **options: Any) -> int:
    """Run a study of every file; the exit status."""
    from sim.study.session import StudyOptions, run_studies

    return run_studies(files, console_for(), console_for(stderr=True), StudyOptions(**options))


def _useless_option(workers: dict[str, Any], *, is_study: bool, keep_going: bool) -> str | None:
    """A sentence about an option that would do nothing."""
    if not is_study and workers != {"jobs": None, "shard": (1, 1), "scheduler": None}:
        return "--jobs, --shard and --scheduler are for studies: give --seeds, or a file with [[sweep]]"
    if is_study and keep_going:
        return "--keep-going is for a single run"
    both = workers["jobs"] is not None and workers["scheduler"] is not None
    return "give --jobs or --scheduler, not both" if both else None


def _settings(texts: list[str] | None) -> dict[str, Any]:
    """The values that --set gives."""
    from sim.scenario.changes import parse_settings

    return parse_settings(texts or ())


def _has_sweep(files: list[Path], given: dict[str, Any]) -> bool:
    """Whether one of the files varies something by itself. Only files that have the word are read twice."""
    from sim.scenario.changes import load_with

    is_set = any(key.partition(".")[0] == "sweep" for key in given["settings"])
    named = [file for file in files if file.is_file() and (is_set or "sweep" in file.read_text("utf-8", "replace"))]
    return any(load_with(file, given["settings"], allow_plugins=given["allow_plugins"]).sweep for file in named)


@app.command(help_epilogue=examples("suite", "suite my-scenarios --seeds 5", "suite --only 'S-2*' --out results"))
def suite(
    folder: Path = Path("scenarios/failure-modes"),
    /,
    *,
    seeds: Annotated[int | None, Parameter(converter=to_count)] = None,
    jobs: Annotated[int | None, Parameter(converter=to_count)] = None,
    budget: Annotated[float | None, Parameter(converter=to_seconds)] = None,
    only: Annotated[list[str] | None, Parameter(negative=())] = None,
    out: Path = Path("runs/suite"),
    real: Annotated[bool, _Flag] = False,
    allow_plugins: Annotated[bool, _Flag] = False,
) -> int:
    """Run every scenario of a folder with several seeds, and tell what became of them in one table.

    Each of its variants is a row too. Without --seeds a scenario gets as many as
    fit: 25 where a run takes at most 2.5 s of processor time, else what fits into
    60 s, and 3 at least. The table is printed and written to --out as suite.json,
    junit.xml, suite.md and suite.html when all runs are done; one that is stopped
    writes nothing.

    Exit status: 1 when a run failed, 3 when one was inconclusive or nothing met what its file says must be
    met, else 0.

    Parameters
    ----------
    folder
        Folder of scenario files; suite.toml in it names what is tried elsewhere.
    seeds
        How many seeds, from each scenario's own.
    jobs
        How many workers, as many as there are processors unless given.
    budget
        How long to go on, such as 10m, instead of a number of seeds: rows that are
        no pass or have not met what they must get more of them than others.
    only
        Only rows whose id matches, such as 'S-2*'; may be given several times.
    out
        Folder for the tables.
    real
        Also run the tests on real nodes that suite.toml names.
    allow_plugins
        Import the Python modules that scenarios name by `plugins`.
    """
    from sim.suite.session import SuiteOptions, run_suite

    if budget is not None and seeds is not None:
        say("--seeds and --budget both say how much is run; give one of them")
        return BAD_INPUT
    given: dict[str, Any] = {"out": out, "real": real, "allow_plugins": allow_plugins}
    options = SuiteOptions(seeds=seeds, budget_s=budget, jobs=jobs, only=tuple(only or ()), **given)
    return run_suite(folder, console_for(), console_for(stderr=True), options)


@app.command(help_epilogue=examples("ablate", "ablate --only 'token-*'", "ablate --everywhere --seeds 3 --jobs 8"))
def ablate(
    folder: Path = Path("scenarios/failure-modes"),
    /,
    *,
    seeds: Annotated[int, Parameter(converter=to_count)] = 2,
    jobs: Annotated[int | None, Parameter(converter=to_count)] = None,
    only: Annotated[list[str] | None, Parameter(negative=())] = None,
    everywhere: Annotated[bool, _Flag] = False,
    out: Path = Path("runs/ablate"),
) -> int:
    """Remove one control after the other from a copy of the source, and see whether the suite fails.

    controls.toml in the folder names the controls, how each is removed, and the
    rows that should fail without it. The table says which rows did, which checker
    said so and in what words; it is also written to --out.

    Exit status: 0 when each control's absence is caught, else 1.

    Parameters
    ----------
    folder
        Folder of scenario files with a controls.toml.
    seeds
        How many seeds each row is run with.
    jobs
        How many workers, as many as there are processors unless given.
    only
        Only controls whose names match, such as 'token-*'; may be given several times.
    everywhere
        Run every row of the suite without each control, not only those that should fail.
    out
        Folder for the table.
    """
    from sim.suite.ablation_session import AblateOptions, run_ablation

    options = AblateOptions(seeds=seeds, jobs=jobs, only=tuple(only or ()), everywhere=everywhere, out=out)
    return run_ablation(folder, console_for(), console_for(stderr=True), options)


@app.command(help_epilogue=examples("replay runs/split-brain-seed7"))
def replay(folder: Path, /, *, allow_plugins: Annotated[bool, _Flag] = False) -> int:
    """Run again what a run folder holds, and compare the digests.

    Exit status: 0 when all three digests are the same, 1 when they are not.

    Parameters
    ----------
    folder
        Folder of a run.
    allow_plugins
        Import the Python modules that the scenario names by `plugins`.
    """
    from sim.cli_session import replay_folder

    return replay_folder(folder, console_for(), console_for(stderr=True), allow_plugins=allow_plugins)


@app.command(
    help_epilogue=examples(
        "compare a.toml b.toml --seeds 20 --coupled",
        "compare scenarios/partial-failure.toml --profiles ours,reference-0.5",
    )
)
def compare(
    first: Path,
    second: Path | None = None,
    /,
    *,
    profiles: str | None = None,
    coupled: Annotated[bool, _Flag] = False,
    seeds: Annotated[int | None, Parameter(converter=to_count)] = None,
    jobs: Annotated[int | None, Parameter(converter=to_count)] = None,
    out: Path | None = None,
    allow_plugins: Annotated[bool, _Flag] = False,
) -> int:
    """Run two scenarios with several seeds, and tell what differs between them.

    With --profiles it is one scenario, run by our node and by a model of the
    published reference's behaviour, which is not the published package: a table
    of both, and a figure of the first seed.

    Exit status: 0, whatever the verdicts of the runs.

    Parameters
    ----------
    first
        A scenario file.
    second
        Another one, mostly the same with one change.
    profiles
        ours,reference-0.5 or one of them.
    coupled
        The same seeds for both, and differences within pairs: what the change
        caused, and which copies of facts it reached.
    seeds
        How many runs of each, from the first scenario's seed; 10, and 1 of a profile.
    jobs
        How many workers, as many as there are processors unless given.
    out
        Folder for the figure of profiles, runs/NAME-profiles unless given.
    allow_plugins
        Import the Python modules that the scenarios name by `plugins`.
    """
    if (second is None) == (profiles is None):
        say("compare takes two scenario files, or one and --profiles")
        return BAD_INPUT
    if second is not None:
        from sim.study.comparison import compare_files

        if out is not None:
            say("--out is for --profiles")
            return BAD_INPUT
        return compare_files(
            first, second, console_for(), seeds=seeds or 10, coupled=coupled, jobs=jobs, allow_plugins=allow_plugins
        )
    from sim.study.profile_comparison import compare_profiles, parse_profiles

    if coupled or jobs is not None:
        say("--coupled and --jobs are for two scenario files; profiles always share their seeds")
        return BAD_INPUT
    chosen = parse_profiles(profiles or "")
    return compare_profiles(first, console_for(), chosen, seeds=seeds or 1, out=out, allow_plugins=allow_plugins)


@app.command(help_epilogue=examples("evidence runs/one-name-two-nodes-seed5"))
def evidence(folder: Path, /) -> int:
    """Check the evidence that a run left: two statements under one key that cannot both hold.

    Contradictions that nobody signed are told too, and are no evidence.

    Exit status: 0 when every file shows what it says, or there is none; 1 when one does not.

    Parameters
    ----------
    folder
        Folder of a run.
    """
    from sim.report.evidence import check_evidence, read_unsigned
    from sim.report.folder import read_run

    read_run(folder)
    found = list(check_evidence(folder))
    for sentence, _ in found:
        tell(sentence)
    for sentence in read_unsigned(folder):
        tell(f"no evidence, for nobody signed it: {sentence}")
    if not found:
        tell("no evidence: nobody signed two statements that contradict each other")
    return 0 if all(shows for _, shows in found) else 1


@app.command(help_epilogue=examples("merge shard-1 shard-2 --out whole"))
def merge(folders: Annotated[list[Path], Parameter(negative=())], /, *, out: Path) -> int:
    """Put the shards of a study into one folder.

    Parameters
    ----------
    folders
        Folders of shards.
    out
        Folder of the whole.
    """
    from sim.study.session import merge_folders

    return merge_folders(folders, out, console_for())


# --- looking ---


@app.command(help_epilogue=examples("check scenarios/*.toml"))
def check(files: _Files, /, *, allow_plugins: Annotated[bool, _Flag] = False) -> int:
    """Say whether scenarios can be run, and what is doubtful about them.

    Parameters
    ----------
    allow_plugins
        Import the Python modules that scenarios name by `plugins`.
    """
    from sim.report.listing import check_files

    def cells(scenario: Scenario, file: Path) -> int:
        from sim.study.session import study_of

        return len(study_of(scenario, file, allow_plugins=allow_plugins).cells)

    return check_files(files, tell, say, cells, allow_plugins=allow_plugins)


@app.command(name="list", help_epilogue=examples("list", "list my-scenarios"))
def list_scenarios(folder: Path = Path("scenarios"), /) -> int:
    """Show the scenarios of a folder and what each of them asks.

    Parameters
    ----------
    folder
        Folder that holds scenario files.
    """
    from sim.report.listing import list_folder

    return list_folder(folder, console_for(), say)


@app.command(help_epilogue=examples("schema > scenario.schema.json"))
def schema() -> int:
    """Print the JSON Schema of scenario files, for editors."""
    import json

    from sim.scenario.reading import scenario_schema

    tell(json.dumps(scenario_schema(), indent=2, ensure_ascii=False))
    return 0
