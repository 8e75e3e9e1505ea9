"""`stigmem-sim campaign NAME`: the runs in the pool of studies, the table, the figure, the verdict and the status."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sim.analysis.outcome import EXIT_STATUS
from sim.campaign.base import Campaign, Rows, verdict_of
from sim.campaign.clock import CLOCK
from sim.campaign.disk import DISK
from sim.campaign.network import NETWORK
from sim.diagnostics.toml_text import toml_text
from sim.report.folder import BadFolder
from sim.scenario.reading import typed
from sim.study.pool import Pool, default_jobs
from sim.study.store import Store
from sim.study.study import Study, Told

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["CAMPAIGNS", "CampaignOptions", "run_campaign", "study_of"]

CAMPAIGNS: Final = {each.name: each for each in (CLOCK, DISK, NETWORK)}
_STYLES: Final = {"pass": "bold green", "fail": "bold red", "inconclusive": "bold yellow"}


@dataclass(frozen=True, kw_only=True)
class CampaignOptions:
    """What a command line asks for."""

    quick: bool = False
    """Few cells, for a look."""
    seeds: int = 1
    jobs: int | None = None
    out: Path


def study_of(campaign: Campaign, seeds: int, *, quick: bool) -> Study:
    """The study that a campaign is. Raises BadScenario."""
    cells = campaign.cells(quick=quick)
    scenario = typed(cells[0].scenario)
    return replace(
        Study.of(scenario, range(1, seeds + 1), folder=Path.cwd()), cells=cells, measure=campaign.measure
    )  # fmt: skip


def run_campaign(name: str, screen: Console, aside: Console, options: CampaignOptions) -> int:
    """Run a campaign; the exit status."""
    campaign = CAMPAIGNS[name]
    study = study_of(campaign, options.seeds, quick=options.quick)
    store = Store(options.out, name=f"campaign {name}", identity=study.identity)
    jobs = default_jobs() if options.jobs is None else options.jobs
    try:
        rows = study.run(store, Pool(jobs), told=_told(aside))
    except KeyboardInterrupt:
        again = f"stigmem-sim campaign {name}{' --quick' if options.quick else ''} --seeds {options.seeds}"
        aside.print(f"{len(store.rows)} runs are kept; to go on: {again} --out {shlex.quote(str(options.out))}")
        raise
    doubts = campaign.doubts(rows)
    verdict = verdict_of(rows, doubts)
    _write(campaign, study, rows, options.out, [verdict.upper(), *doubts])
    _show(screen, campaign, rows, doubts, options.out)
    return EXIT_STATUS[verdict]


def _told(aside: Console) -> Told:
    def told(done: int, every: int) -> None:
        if done * 10 // every != (done - 1) * 10 // every:
            aside.print(f"{done} of {every} runs are done", soft_wrap=True)

    return told


# --- telling ---


def _table(campaign: Campaign, rows: Rows) -> list[list[str]]:
    """A header, and a line for every run."""
    keys = list(rows[0]["values"]) if rows else []
    lines = [[*keys, "seed", "verdict", *campaign.columns]]
    for row in rows:
        measured: dict[str, Any] = row.get("measured", {})
        told = [_text(measured.get(column)) for column in campaign.columns]
        lines.append([*(_text(row["values"][key]) for key in keys), str(row["seed"]), row["verdict"], *told])
    return lines


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _show(screen: Console, campaign: Campaign, rows: Rows, doubts: Sequence[str], out: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    header, *lines = _table(campaign, rows)
    one_seed = len({row["seed"] for row in rows}) == 1
    shown = [place for place, name in enumerate(header) if not (one_seed and name == "seed")]
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    for place in shown:  # what a run is about is never broken; names of what was measured are, between words
        table.add_column(header[place].replace("_", " "), no_wrap=place == 0, overflow="fold")
    for line in lines:
        table.add_row(*(line[place] for place in shown))
    screen.print(table)
    for row in rows:
        if row["verdict"] != "pass":
            screen.print(f"{_where(row)} {row['verdict']}: {_reason(row)}", soft_wrap=True)
            screen.print(f"    stigmem-sim run {shlex.quote(str(_file(out, row)))}", soft_wrap=True)
    for doubt in doubts:
        screen.print(doubt, soft_wrap=True)
    verdict = verdict_of(rows, doubts)
    screen.print(Text.assemble((verdict.upper(), _STYLES[verdict]), f"  {campaign.question}"), soft_wrap=True)
    screen.print(f"folder: {out}", soft_wrap=True)


def _where(row: Any) -> str:
    return ", ".join(f"{key} {_text(value)}" for key, value in row["values"].items()) + f", seed {row['seed']}"


def _reason(row: Any) -> str:
    if "error" in row:
        return str(row["error"]).strip().splitlines()[-1]
    return "; ".join(row.get("sentences", ())) or "it could not be judged"


def _file(out: Path, row: Any) -> Path:
    return out / f"cell-{row['cell']}-seed{row['seed']}.toml"


def _write(campaign: Campaign, study: Study, rows: Rows, out: Path, heading: Sequence[str]) -> None:
    """The table as Markdown, the figure, and a scenario file for each run that did not pass."""
    from sim.report.style import styled

    header, *lines = _table(campaign, rows)
    told_lines = [f"# The {campaign.name} campaign", "", campaign.question, "", *(f"* {each}" for each in heading), ""]
    told_lines += ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    told_lines += ["| " + " | ".join(line) + " |" for line in lines]
    try:
        (out / "campaign.md").write_text("\n".join(told_lines) + "\n", encoding="utf-8")
        for row in rows:
            if row["verdict"] != "pass":
                values = study.cells[row["cell"]].scenario
                values = {**values, "scenario": {**values["scenario"], "seed": row["seed"]}}
                told = f"# {_where(row)}: {_reason(row)}".replace("\n", " ")
                _file(out, row).write_text(f"{told}\n\n{toml_text(values)}", encoding="utf-8")
        with styled():
            campaign.draw(rows).savefig(out / "campaign.png")
    except OSError as error:
        raise BadFolder(f"{out} cannot be written: {error.strerror}") from error
