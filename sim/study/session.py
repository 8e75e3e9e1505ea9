"""A study at the command line: files and seeds to rows, told as they come, and the status that they come to."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.analysis.outcome import worst
from sim.report.folder import BadFolder
from sim.scenario.changes import run_command
from sim.scenario.planning import load_plan
from sim.scenario.reading import BadScenario, read_source
from sim.scenario.tables import Scenario
from sim.study.cluster import BadCluster, Cluster
from sim.study.pool import Pool, default_jobs
from sim.study.store import Store, merge_rows
from sim.study.study import Study, Told
from sim.study.telling import show_study, write_study

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["StudyOptions", "merge_folders", "run_studies", "study_of"]


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """What a command line asks of its studies. `seeds`: how many, from the scenario's own or from `first_seed`. With
    `json` the rows go to stdout, a line each, and are kept nowhere unless there is an `out`."""

    seeds: int
    first_seed: int | None = None
    jobs: int | None = None
    """Workers; None is one a processor."""
    scheduler: str | None = None
    """The address of a Dask scheduler, whose workers run it instead."""
    shard: tuple[int, int] = (1, 1)
    """The n-th of so many parts."""
    out: Path | None = None
    """The folder of the study; with several files a folder of such folders."""
    json: bool = False
    figures: bool = True
    allow_plugins: bool = False
    variant: str | None = None
    """The variant of the scenario to run instead."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Values of dotted keys that were set."""


def study_of(scenario: Scenario, file: Path, seeds: Iterable[int] = (), *, allow_plugins: bool) -> Study:
    """The study of a scenario that stands in this file. Raises BadScenario with file and line."""
    try:
        return Study.of(scenario, seeds, folder=file.parent.absolute(), allow_plugins=allow_plugins)
    except BadScenario as error:
        raise error.located(file, read_source(file, allow_plugins=allow_plugins).lines) from None


def run_studies(files: list[Path], screen: Console, aside: Console, options: StudyOptions) -> int:
    """Run a study of every file; the worst exit status."""
    outs = [options.out if options.out is None or len(files) == 1 else options.out / f"{file.stem}-study"
            for file in files]  # fmt: skip
    return worst(_run_study(file, out, screen, aside, options) for file, out in zip(files, outs, strict=True))


def _run_study(file: Path, out: Path | None, screen: Console, aside: Console, options: StudyOptions) -> int:
    plan = load_plan(
        file,
        options.first_seed,
        allow_plugins=options.allow_plugins,
        variant=options.variant,
        settings=options.settings,
    )
    for warning in plan.warnings:
        aside.print(f"warning: {warning}", soft_wrap=True)
    first, name = plan.scenario.scenario.seed, plan.scenario.name
    study = study_of(plan.scenario, file, range(first, first + options.seeds), allow_plugins=options.allow_plugins)
    folder = out if out is not None or options.json else Path("runs") / f"{name}-study"
    store = Store(folder, name=name, identity=study.identity)
    try:
        with _progress(aside, name) as told:
            rows = study.run(store, _workers(options, aside), shard=options.shard, told=told)
    except (KeyboardInterrupt, BadCluster):
        if folder is not None:
            again = f"{_command(file, options)}{_which_runs(options)} --out {shlex.quote(str(folder))}"
            aside.print(f"{len(store.rows)} runs are kept in {folder}; to go on: {again}", soft_wrap=True)
        raise
    if options.json:
        _print_rows(rows)
    else:
        show_study(screen, study, rows, command=lambda values: _command(file, options, values))
    if folder is not None:
        write_study(study, rows, folder, figures=options.figures and not options.json)
        if not options.json:
            screen.print(f"folder: {folder}", soft_wrap=True)
    return study.exit_status(rows)


def _workers(options: StudyOptions, aside: Console) -> Pool | Cluster:
    if options.scheduler is None:
        return Pool(default_jobs() if options.jobs is None else options.jobs)
    cluster = Cluster(options.scheduler)
    if not cluster.workers:
        aside.print(f"{options.scheduler} has no worker yet; the runs begin when one has come", soft_wrap=True)
    return cluster


def _command(file: Path, options: StudyOptions, values: Mapping[str, Any] | None = None) -> str:
    """What runs a study again, or the cell of it that has these values; seeds are to be added."""
    settings = {**options.settings, **(values or {})}
    return run_command(file, options.variant, settings, allow_plugins=options.allow_plugins)


def _which_runs(options: StudyOptions) -> str:
    number, count = options.shard
    first = "" if options.first_seed is None else f" --seed {options.first_seed}"
    scheduler = "" if options.scheduler is None else f" --scheduler {shlex.quote(options.scheduler)}"
    return f" --seeds {options.seeds}{first}{'' if count == 1 else f' --shard {number}/{count}'}{scheduler}"


def _print_rows(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


@contextmanager
def _progress(aside: Console, name: str) -> Iterator[Told | None]:
    """A bar in runs; nothing but on a terminal."""
    if not aside.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(40), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=aside, transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, every: bar.update(task, completed=done, total=every)


def merge_folders(folders: list[Path], out: Path, screen: Console) -> int:
    """Put the rows of shards into one folder, and say how many there are; 0."""
    if out in folders:
        raise BadFolder(f"{out} is one of the folders to merge; give another one")
    rows = merge_rows(folders, out)
    screen.print(
        f"{len(rows)} runs are in {out}; `stigmem-sim run FILE --seeds N --out {out}` shows them and runs what is "
        "missing",
        soft_wrap=True,
    )
    return 0
