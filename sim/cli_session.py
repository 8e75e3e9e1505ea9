"""A session at the command line: several runs in a row, told as they go, and the status they come to.

Also replaying a run folder. What goes wrong in one file does not keep the others from running, except that
Ctrl-C ends them all.
"""

from __future__ import annotations

import shlex
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from sim.analysis.outcome import EXIT_STATUS, encode_run, worst
from sim.diagnostics.kind_errors import KindFailed
from sim.report.folder import (
    DIGESTS,
    FACTS,
    RUN,
    SCENARIO,
    TRACE,
    TRACEBACK,
    BadFolder,
    folder_name,
    open_folder,
    read_run,
    was_interrupted,
    write_traceback,
)
from sim.report.listing import question
from sim.report.terminal import progress_bar, show_failure, show_result
from sim.runner import run_plan
from sim.scenario.changes import run_command
from sim.scenario.planning import load_plan
from sim.scenario.plugins import named_modules, raised_in
from sim.scenario.reading import BadScenario
from sim.scenario.required_data import DataAbsent
from sim.world.trace import first_difference

if TYPE_CHECKING:
    from rich.console import Console

    from sim.result import Result
    from sim.scenario.plan import Plan

__all__ = ["RunOptions", "Session", "replay_folder"]

_BAD_INPUT, _BUG = 2, 70


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What a command line asks of all of its runs."""

    seed: int | None = None
    """Another seed than the scenario's."""
    variant: str | None = None
    """The variant of the scenario to run instead."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Values of dotted keys that were set."""
    out: Path | None = None
    """Folder of the run, or of the folders of several; None is `runs`, or nowhere with `json`."""
    json: bool = False
    """Only run.json goes to stdout, a line per run."""
    figures: bool = True
    trace: bool = True
    allow_plugins: bool = False
    """Whether modules that scenarios name may be imported."""
    verbose: bool = False
    """Whether every number and every checker is shown, of a pass too."""
    keep_going: bool = False
    """Whether a run goes on after a property was violated."""


class Session:
    """The runs of one command."""

    def __init__(self, screen: Console, aside: Console, options: RunOptions) -> None:
        """`screen` is stdout, `aside` stderr."""
        self._screen = aside if options.json else screen
        self._aside = aside
        self._options = options
        self._taken: dict[Path, None] = {}

    def run(self, files: list[Path]) -> int:
        """Run every file; the worst status."""
        statuses = []
        for file in files:
            try:
                status, interrupted = self._one(file, several=len(files) > 1)
            except (BadScenario, BadFolder) as error:
                self._aside.print(str(error), soft_wrap=True)
                status = EXIT_STATUS["inconclusive"] if isinstance(error, DataAbsent) else _BAD_INPUT
                interrupted = False
            statuses.append(status)
            if interrupted:
                break
        return worst(statuses)

    def _one(self, file: Path, *, several: bool) -> tuple[int, bool]:
        options = self._options
        plan = load_plan(
            file,
            options.seed,
            allow_plugins=options.allow_plugins,
            variant=options.variant,
            settings=options.settings,
        )
        for warning in plan.warnings:
            self._aside.print(f"warning: {warning}", soft_wrap=True)
        folder = self._folder(plan, several=several)
        try:
            with progress_bar(self._aside, plan.scenario.name) as progress:
                result = run_plan(
                    plan,
                    None,
                    folder,
                    progress,
                    source=file,
                    trace=self._options.trace,
                    figures=self._options.figures,
                    judge_interrupted=True,
                    keep_going=self._options.keep_going,
                )
        except BadFolder:
            raise
        except KeyboardInterrupt:
            if folder is not None and (folder / FACTS).exists():
                self._aside.print(f"the run is in {folder}, without all of its figures", soft_wrap=True)
            raise
        except Exception as error:
            return _tell_bug(self._aside, error, plan, folder), False
        self._tell(result, file, folder)
        return result.exit_status, result.interrupted

    def _folder(self, plan: Plan, *, several: bool) -> Path | None:
        """Where a run goes; no two runs of a session to one place."""
        if self._options.out is None and self._options.json:
            return None
        name = folder_name(plan.scenario.name, plan.scenario.scenario.seed)
        out = self._options.out
        folder = out if out is not None and not several else (out or Path("runs")) / name
        number = 1
        while folder in self._taken:
            number += 1
            folder = folder.with_name(f"{name}-{number}")
        self._taken[folder] = None
        return folder

    def _tell(self, result: Result, file: Path, folder: Path | None) -> None:
        if self._options.json:
            sys.stdout.write(encode_run(result).decode() + "\n")
            sys.stdout.flush()
        else:
            show_result(
                self._screen,
                result,
                str(folder) if folder is not None else None,
                question=question(file),
                verbose=self._options.verbose,
            )
        if result.verdict != "pass":
            again = _replay(folder, result.plan) if folder is not None else self._run_again(file, result)
            show_failure(self._aside, result, again)

    def _run_again(self, file: Path, result: Result) -> str:
        options = self._options
        command = run_command(file, options.variant, options.settings, allow_plugins=options.allow_plugins)
        return f"{command} --seed {result.seed}{' --keep-going' if result.run_json.get('keep_going') else ''}"


def _tell_bug(aside: Console, error: Exception, plan: Plan, folder: Path | None) -> int:
    """Say that a run met a bug, ours or of a plugin, and where its traceback is; the status to exit with."""
    if folder is None:
        folder = open_folder(Path("runs") / folder_name(plan.scenario.name, plan.scenario.scenario.seed), plan)
        write_traceback(folder, plan, "".join(traceback.format_exception(error)))
    leaf, again = _leaf(error), _replay(folder, plan)
    place = raised_in(leaf, named_modules(plan.scenario.scenario.plugins))
    whose = "a bug of stigmem-sim" if place is None else f"an error in {place},"
    what = f"{leaf}" if isinstance(leaf, KindFailed) else f"{whose} ended the run: {type(leaf).__name__}: {leaf}"
    aside.print(
        f"{what}\nthe traceback is in {folder / TRACEBACK}; to meet it again: {again}",
        soft_wrap=True,
    )
    return _BUG


def _replay(folder: Path, plan: Plan) -> str:
    return f"stigmem-sim replay {shlex.quote(str(folder))}{_allowing(plan)}"


def _allowing(plan: Plan) -> str:
    """What a command needs to run the scenario's plugins again."""
    return " --allow-plugins" if plan.scenario.scenario.plugins else ""


def _leaf(error: BaseException) -> BaseException:
    """The first error inside groups of errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


# --- replaying ---


def replay_folder(folder: Path, screen: Console, aside: Console, *, allow_plugins: bool = False) -> int:
    """Run a folder's scenario again and compare: 0 equal, 1 different, 3 when one of the two was cut short."""
    if not (folder / SCENARIO).is_file():
        raise BadFolder(f"{folder} is not a run folder: it has no {SCENARIO}")
    plan = load_plan(folder / SCENARIO, allow_plugins=allow_plugins)
    known = read_run(folder) if (folder / RUN).exists() else None
    with TemporaryDirectory(prefix="stigmem-sim-") as scratch:
        again = Path(scratch) / "again"
        try:
            with progress_bar(aside, plan.scenario.name) as progress:
                result = run_plan(
                    plan,
                    None,
                    again,
                    progress,
                    source=folder / SCENARIO,
                    figures=False,
                    judge_interrupted=True,
                    keep_going=known is not None and bool(known.get("keep_going")),
                )
        except Exception as error:
            (folder / TRACEBACK).write_text("".join(traceback.format_exception(error)), encoding="utf-8")
            return _tell_bug(aside, error, plan, folder)
        show_result(screen, result, None, question=question(folder / SCENARIO))
        if result.violation is not None:
            show_failure(screen, result, _replay(folder, plan))
        if known is None:
            screen.print(f"there is nothing to compare with: {folder} has no {RUN}")
            return EXIT_STATUS["inconclusive"]
        return _compare(known, result, folder / TRACE, again / TRACE, screen)


def _compare(known: dict[str, Any], result: Result, before: Path, after: Path, screen: Console) -> int:
    differing = [name for name in DIGESTS if known.get(name) != result.run_json[name]]
    if not differing:
        screen.print("the same: all three digests are equal")
        return EXIT_STATUS["pass"]
    names = ", ".join(name.removesuffix("_digest") for name in differing)
    if result.interrupted or (known.get("verdict") == "inconclusive" and was_interrupted(known)):
        screen.print(f"not comparable: one of the runs was cut short (differing: {names})")
        return EXIT_STATUS["inconclusive"]
    screen.print(f"NOT the same: {names} differ; recorded with Python {known.get('python')}")
    if before.exists():
        difference = first_difference(before, after)
        if difference is not None:
            screen.print(f"first differing event, number {difference.number}:")
            screen.print(f"  recorded  {difference.first}\n  now       {difference.second}", soft_wrap=True)
    return EXIT_STATUS["fail"]
