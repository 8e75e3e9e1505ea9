"""A suite at the command line: progress, the table, the files, and the status that they come to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from sim.study.pool import default_jobs
from sim.suite.contents import read_suite
from sim.suite.named_tests import run_named_tests
from sim.suite.results import SuiteResult
from sim.suite.running import Told, run_cases
from sim.suite.table import show_suite
from sim.suite.writing import write_suite

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["SuiteOptions", "run_suite"]


@dataclass(frozen=True, kw_only=True)
class SuiteOptions:
    """What a command line asks of a suite."""

    seeds: int | None = None
    """How many for each row; None is what fits (`sim.suite.running`)."""
    jobs: int | None = None
    budget_s: float | None = None
    """How long to go on with further seeds, instead of a number of them."""
    only: tuple[str, ...] = ()
    """Patterns of ids; empty for all."""
    out: Path
    real: bool = False
    """Whether the named tests on real nodes are run too."""
    allow_plugins: bool = False


def run_suite(folder: Path, screen: Console, aside: Console, options: SuiteOptions) -> int:
    """Run a folder's suite; the exit status."""
    begun, budget_s = perf_counter(), options.budget_s
    suite = read_suite(folder, options.only, allow_plugins=options.allow_plugins)
    jobs = default_jobs() if options.jobs is None else options.jobs
    with _progress(aside) as told:
        cases = run_cases(
            suite.cases,
            seeds=options.seeds,
            jobs=jobs,
            told=told,
            allow_plugins=options.allow_plugins,
            is_over=None if budget_s is None else lambda: perf_counter() - begun >= budget_s,
        )
    real = run_named_tests(suite.real, Path.cwd(), wanted=options.real)
    result = SuiteResult(suite=suite, cases=cases, real=real, wall_s=perf_counter() - begun, today=_today())
    show_suite(screen, result)
    files = write_suite(result, options.out)
    screen.print(f"written: {', '.join(str(file) for file in files)}", soft_wrap=True)
    return result.exit_status


def _today() -> date:
    return datetime.now(UTC).date()


@contextmanager
def _progress(aside: Console) -> Iterator[Told | None]:
    """A bar in runs on a terminal; else a line for every tenth part."""
    if not aside.is_terminal:
        yield _lines(aside)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(40), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=aside, transient=True) as bar:
        task = bar.add_task("suite", total=None)

        def told(done: int, every: int, broken: int) -> None:
            words = f"suite, {broken} not passed" if broken else "suite"
            bar.update(task, completed=done, total=every, description=words)

        yield told


def _lines(aside: Console) -> Told:
    shown = -1

    def told(done: int, every: int, broken: int) -> None:
        nonlocal shown
        tenth = done * 10 // every
        if tenth != shown:
            shown = tenth
            aside.print(f"{done} of {every} runs are done, {broken} did not pass", soft_wrap=True)

    return told
