"""Ablation: one control after the other is removed, and the rows of the suite that should fail without it are run.

A suite that passes has shown something only if it fails when what it is about is missing. A control is *caught* when a
run with it removed is no pass: a checker says so, an expectation is missed, a node meets a bug, a run never ends, or
nothing met what must be met. What nothing catches is a finding about the suite, and fails the command.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from sim.suite.contents import Case
from sim.suite.controls import Control, copy_without
from sim.suite.results import CaseResult
from sim.suite.running import run_cases

__all__ = ["Ablated", "Caught", "ablate"]

_PATIENCE_S: Final = 90.0
"""For one run: the longest of them takes a tenth of it."""


@dataclass(frozen=True, kw_only=True)
class Caught:
    """A row that is no pass without the control."""

    row: str
    by: str
    """The checker or expectation that said so first."""
    sentence: str
    failing: int
    """Runs that are no pass."""
    runs: int


@dataclass(frozen=True, kw_only=True)
class Ablated:
    """What became of one control's removal."""

    control: Control
    tried: Sequence[str]
    caught: Sequence[Caught]


def ablate(
    controls: Sequence[Control],
    cases: Sequence[Case],
    *,
    seeds: int,
    jobs: int,
    everywhere: bool = False,
    told: Callable[[Ablated], None] | None = None,
) -> list[Ablated]:
    """Remove each control and run its rows, or every row. Raises PatchError for one that cannot be removed."""
    found = []
    for control in controls:
        chosen = [case for case in cases if everywhere or case.id in control.tried]
        with TemporaryDirectory(prefix="stigmem-ablate-") as folder:
            copy_without(control, Path(folder))
            results = run_cases(chosen, seeds=seeds, jobs=jobs, source=Path(folder), patience_s=_PATIENCE_S)
        caught = [_caught(result) for result in results if result.verdict != "pass"]
        found.append(Ablated(control=control, tried=[case.id for case in chosen], caught=caught))
        if told is not None:
            told(found[-1])
    return found


def _caught(result: CaseResult) -> Caught:
    row = {} if result.failing is None else result.failing[1]
    by = next(iter(row.get("failed", ())), "the run itself" if row else "reach")
    return Caught(
        row=result.case.id,
        by=by,
        sentence=result.reason.removeprefix(f"{by}: "),
        failing=len(result.failed_seeds) if row else len(result.runs),
        runs=len(result.runs),
    )
