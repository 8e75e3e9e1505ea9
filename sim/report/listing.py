"""Looking at scenario files without running them: whether they can be run, and what they ask."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from sim.scenario.planning import load_plan
from sim.scenario.reading import BadScenario
from sim.scenario.required_data import DataAbsent
from sim.scenario.tables import Scenario
from sim.units import format_duration

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["check_files", "list_folder", "question"]

_BAD_INPUT, _ABSENT = 2, 3
Say = Callable[[str], None]
Cells = Callable[[Scenario, Path], int]


def check_files(files: Iterable[Path], tell: Say, complain: Say, cells: Cells, *, allow_plugins: bool = False) -> int:
    """Say of each file that it can be run, or why not; 2 when one cannot, 3 when only data are absent. `cells` counts
    those of the sweep in a file, and raises BadScenario when one of them cannot be run."""
    status = 0
    for file in files:
        try:
            plan = load_plan(file, allow_plugins=allow_plugins)
            swept = f", cells of its sweep: {cells(plan.scenario, file)}" if plan.scenario.sweep else ""
        except BadScenario as error:
            complain(str(error))
            status = (status or _ABSENT) if isinstance(error, DataAbsent) else _BAD_INPUT
            continue
        table = plan.scenario.scenario
        for warning in plan.warnings:
            complain(f"{file}: warning: {warning}")
        lasts = format_duration(table.duration)
        tell(f"{file}: ok: {table.name}, {lasts}, nodes: {len(plan.nodes)}, links: {len(plan.links)}{swept}")
    return status


def list_folder(folder: Path, console: Console, complain: Say) -> int:
    """Show each scenario of a folder and its question; 2 when there is none."""
    from rich.table import Table

    files = sorted(file for file in folder.glob("*.toml") if file.is_file()) if folder.is_dir() else []
    if not files:
        complain(f"there are no scenarios in {folder}; give a folder that holds .toml files")
        return _BAD_INPUT
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for file in files:
        table.add_row(str(file), question(file))
    console.print(table)
    return 0


def question(file: Path) -> str:
    """What the first comment of a scenario file asks; it may be long."""
    try:
        first = file.read_text(encoding="utf-8-sig", errors="replace").partition("\n")[0]
    except OSError as error:
        return f"(it cannot be read: {(error.strerror or str(error)).lower()})"
    return first.lstrip("# ").removeprefix("Question:").strip() if first.startswith("#") else "(it does not say)"
