"""Ablation at the command line: a line for each control as it is done, the table, and its files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.report.folder import BadFolder
from sim.study.pool import default_jobs
from sim.suite.ablation import Ablated, ablate
from sim.suite.contents import CONTROLS, read_suite
from sim.suite.controls import Control, read_controls

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["AblateOptions", "json_of", "markdown_of", "run_ablation"]


@dataclass(frozen=True, kw_only=True)
class AblateOptions:
    """What a command line asks of an ablation."""

    seeds: int
    jobs: int | None = None
    only: tuple[str, ...] = ()
    """Patterns of names; empty for all."""
    everywhere: bool = False
    out: Path


def run_ablation(folder: Path, screen: Console, aside: Console, options: AblateOptions) -> int:
    """Remove the controls of a folder one after the other; 0 when each absence is caught, else 1."""
    controls = [each for each in read_controls(folder / CONTROLS) if _matches(each, options.only)]
    if not controls:
        raise BadFolder(f"no control in {folder / CONTROLS} has a name like {', '.join(options.only)}")
    cases = read_suite(folder).cases
    known = {case.id for case in cases}
    for control in controls:
        strange = [row for row in control.tried if row not in known]
        if strange:
            raise BadFolder(f"{control.name} is to be tried by {', '.join(strange)}, which {folder} does not have")
    jobs = default_jobs() if options.jobs is None else options.jobs
    found = ablate(
        controls,
        cases,
        seeds=options.seeds,
        jobs=jobs,
        everywhere=options.everywhere,
        told=lambda each: aside.print(_line(each), soft_wrap=True),
    )
    text = markdown_of(found)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "ablate.md").write_text(text, encoding="utf-8")
        (options.out / "ablate.json").write_text(json.dumps(json_of(found), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise BadFolder(f"{options.out} cannot be written: {error.strerror}") from error
    missed = [each for each in found if not each.caught]
    screen.print(f"without {len(found) - len(missed)} of {len(found)} controls the suite fails")
    for each in missed:
        screen.print(f"NOT CAUGHT {each.control.name}: {each.control.holds}", soft_wrap=True)
    screen.print(f"written: {options.out / 'ablate.md'}, {options.out / 'ablate.json'}", soft_wrap=True)
    return 1 if missed else 0


def _matches(control: Control, only: Sequence[str]) -> bool:
    return not only or any(fnmatchcase(control.name, each) for each in only)


def _line(each: Ablated) -> str:
    if not each.caught:
        return f"{each.control.name}: not caught by {', '.join(each.tried)}"
    first = each.caught[0]
    return f"{each.control.name}: {first.row}, {first.by}: {first.sentence}"[:240]


def markdown_of(found: Sequence[Ablated]) -> str:
    """The table: a line for every row that is no pass without a control."""
    lines = [
        "# Controls that were removed",
        "",
        "| control | what holds with it | caught by | checker | in its words | runs that fail |",
    ]
    lines.append("|---|---|---|---|---|---|")
    for each in found:
        for caught in each.caught:
            sentence = " ".join(caught.sentence.split()).replace("|", "\\|")[:300]
            share = f"{caught.failing} of {caught.runs}"
            lines.append(
                f"| {each.control.name} | {each.control.holds} | {caught.row} | {caught.by} | {sentence} | {share} |"
            )
        if not each.caught:
            lines.append(
                f"| {each.control.name} | {each.control.holds} | **nothing** | | tried {', '.join(each.tried)} | |"
            )
    return "\n".join(lines) + "\n"


def json_of(found: Sequence[Ablated]) -> list[dict[str, Any]]:
    """The same for programs."""
    return [
        {
            "control": each.control.name,
            "holds": each.control.holds,
            "file": each.control.file,
            "tried": list(each.tried),
            "caught": [
                {"row": caught.row, "by": caught.by, "sentence": caught.sentence, "failing": caught.failing,
                 "runs": caught.runs}
                for caught in each.caught
            ],
        }
        for each in found
    ]  # fmt: skip
