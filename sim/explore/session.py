"""`stigmem-sim explore`: progress, the table of what was met, the files of failures, and the status.

Each failure is a scenario file that needs nothing else, headed by the cause and the command that runs it again, and
next to it a smaller one where shrinking was asked for. The folder also has `explored.json`, with a row for every run,
and `explored.md`, the table.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from sim.explore.drawing import Drawn, scenario_text
from sim.explore.running import explore, job_of
from sim.explore.shrinking import cause_of, shrink
from sim.explore.tally import GROUPS, Tally
from sim.report.folder import BadFolder
from sim.study.pool import Pool, default_jobs
from sim.units import format_duration

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["ExploreOptions", "run_explore"]

_STOPPED: Final = 130
_FAILED: Final = 1
_PATIENCE_S: Final = 600.0
"""A drawn run takes seconds; one that takes that long has lost its way."""
_SHRINKING_RUNS_MAX: Final = 120
_RAREST_SHOWN: Final = 8
_NEVER_SHOWN: Final = 12
"""Of a group; the file has all of them."""
_TOLD_EVERY: Final = 50


@dataclass(frozen=True, kw_only=True)
class ExploreOptions:
    """What a command line asks for. One of `budget_s` and `count` is given."""

    budget_s: float | None = None
    count: int | None = None
    seed: int = 1
    """The number of the first scenario that is drawn."""
    jobs: int | None = None
    shrink: bool = False
    out: Path


@dataclass(kw_only=True)
class _Found:
    """What is known so far."""

    tally: Tally = field(default_factory=Tally)
    ended: Counter[str] = field(default_factory=Counter)
    rows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[tuple[Drawn, dict[str, Any]]] = field(default_factory=list)

    def add(self, drawn: Drawn, row: dict[str, Any]) -> None:
        self.tally.add(drawn.values, row)
        self.ended[row["verdict"]] += 1
        self.rows.append({"number": drawn.number, "features": sorted(drawn.features), **row})
        if cause_of(row) is not None:
            self.failures.append((drawn, row))

    @property
    def summary(self) -> str:
        """One line."""
        counts = ", ".join(f"{count} {word}" for word, count in sorted(self.ended.items()))
        return f"{len(self.rows)} drawn scenarios" + (f": {counts}" if counts else "")


def run_explore(screen: Console, aside: Console, options: ExploreOptions) -> int:
    """Draw and run, and tell what came of it. 1 when anything failed; 130 when it was stopped before anything did."""
    begun, found = perf_counter(), _Found()
    budget_s, jobs = options.budget_s, default_jobs() if options.jobs is None else options.jobs
    _prepare(options.out)
    is_stopped = False
    with Pool(jobs, patience_s=_PATIENCE_S) as pool:
        try:
            with _progress(aside, options) as told:
                for drawn, row in explore(
                    pool,
                    options.seed,
                    workers=jobs,
                    count=options.count,
                    is_over=lambda: budget_s is not None and perf_counter() - begun >= budget_s,
                ):
                    found.add(drawn, row)
                    if cause_of(row) is not None:
                        _write_failure(drawn, row, options.out)
                        _tell_failure(aside, drawn, row, options.out)
                    told(found)
        except KeyboardInterrupt:
            is_stopped = True
    if options.shrink and found.failures and not is_stopped:
        is_stopped = _shrink_all(found, options.out, aside)
    _show(screen, found, perf_counter() - begun, is_stopped=is_stopped)
    _write(found, options.out)
    screen.print(f"folder: {options.out}", soft_wrap=True)
    return _FAILED if found.failures else _STOPPED if is_stopped else 0


# --- progress ---


@contextmanager
def _progress(aside: Console, options: ExploreOptions) -> Iterator[Callable[[_Found], None]]:
    """A line that counts on a terminal; else a line for every fiftieth run."""
    if not aside.is_terminal:
        yield partial(_tell_now_and_then, aside)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=aside, transient=True) as bar:
        task = bar.add_task("explore", total=options.count)
        yield lambda found: bar.update(task, completed=len(found.rows), description=found.summary)


def _tell_now_and_then(aside: Console, found: _Found) -> None:
    if len(found.rows) % _TOLD_EVERY == 0:
        aside.print(found.summary, soft_wrap=True)


# --- failures ---


def _prepare(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadFolder(f"{out} cannot be written: {error.strerror}") from error


def _command(file: Path) -> str:
    return f"stigmem-sim run {shlex.quote(str(file))}"


def _reason(row: dict[str, Any]) -> str:
    return cause_of(row) or "" if "error" in row else "; ".join(row["sentences"])


def _write_failure(drawn: Drawn, row: dict[str, Any], out: Path) -> None:
    file = out / f"drawn-{drawn.number}.toml"
    heading = f"Drawn at random, number {drawn.number}. It failed:\n{_reason(row)}\nTo run it again: {_command(file)}"
    file.write_text(scenario_text(drawn.values, heading), encoding="utf-8")


def _tell_failure(aside: Console, drawn: Drawn, row: dict[str, Any], out: Path) -> None:
    aside.print(f"drawn-{drawn.number} {row['verdict']}: {_reason(row)}", soft_wrap=True)
    aside.print(f"    {_command(out / f'drawn-{drawn.number}.toml')}", soft_wrap=True)


def _shrink_all(found: _Found, out: Path, aside: Console) -> bool:
    """Write a smaller scenario for the first failure of each cause; whether it was stopped."""
    first = {cause_of(row): (drawn, row) for drawn, row in reversed(found.failures)}
    try:
        with Pool(1, patience_s=_PATIENCE_S) as pool:
            for drawn, row in reversed(first.values()):
                values, last, runs = shrink(
                    drawn.values, row, lambda each: next(pool.run([job_of(each)]))[1], runs_max=_SHRINKING_RUNS_MAX
                )
                file = out / f"drawn-{drawn.number}-small.toml"
                told = f"What number {drawn.number} needs to fail, after {runs} runs:"
                heading = f"{told}\n{_reason(dict(last))}\nTo run it again: {_command(file)}"
                file.write_text(scenario_text(values, heading), encoding="utf-8")
                aside.print(f"drawn-{drawn.number} made small in {runs} runs: {_command(file)}", soft_wrap=True)
    except KeyboardInterrupt:
        return True
    return False


# --- telling ---


def _show(screen: Console, found: _Found, wall_s: float, *, is_stopped: bool) -> None:
    table = found.tally.table()
    for group in GROUPS:
        met = [each for each in table if each.group == group and each.runs]
        known = [each for each in table if each.group == group]
        if group == "verdict" or not known:
            continue
        rare = ", ".join(f"{each.name} in {each.runs}" for each in met[:_RAREST_SHOWN])
        screen.print(f"{group}: {len(met)} of {len(known)} met; the rarest: {rare or 'none'}", soft_wrap=True)
    for group, names in found.tally.never().items():
        more = f" and {len(names) - _NEVER_SHOWN} more, in explored.md" if len(names) > _NEVER_SHOWN else ""
        screen.print(f"never met, {group}: {', '.join(names[:_NEVER_SHOWN])}{more}", soft_wrap=True)
    stopped = ", stopped early" if is_stopped else ""
    took = format_duration(round(wall_s) * 1_000_000_000)
    screen.print(f"{found.summary}; {len(found.failures)} failed, in {took}{stopped}", soft_wrap=True)


def _write(found: _Found, out: Path) -> None:
    never = found.tally.never()
    whole = {
        "runs": found.rows,
        "met": [each._asdict() for each in found.tally.table()],
        "never_met": never,
        "failures": [
            {"number": drawn.number, "cause": cause_of(row), "reason": _reason(row)} for drawn, row in found.failures
        ],
    }
    (out / "explored.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    lines = ["# Explored", "", found.summary, "", "| group | name | runs | times |", "|---|---|---|---|"]
    lines += [f"| {each.group} | {each.name} | {each.runs} | {each.times} |" for each in found.tally.table()]
    lines += ["", "What no run met:", ""]
    lines += [f"* {group}: {', '.join(names)}" for group, names in never.items()]
    (out / "explored.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
