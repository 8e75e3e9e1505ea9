"""Campaigns: what each sweeps, the knee of the clock, and what makes one fail."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sim.campaign import session
from sim.campaign.base import Campaign, Rows, verdict_of
from sim.campaign.clock import BOUND_S, CLOCK, KINDS
from sim.campaign.disk import DISK
from sim.campaign.network import NETWORK, SHAPES
from sim.cli import main
from sim.scenario.changes import with_key
from sim.scenario.planning import make_plan
from sim.scenario.reading import typed
from sim.study.cells import Cell
from sim.study.worker import Job, run_job

CAMPAIGNS = (CLOCK, DISK, NETWORK)


def rows_of(campaign: Campaign, *cells: Cell) -> Rows:
    """The cells run here, one after the other."""
    jobs = [Job(cell.scenario, Path(), 1, measure=campaign.measure) for cell in cells]
    return [
        {"cell": number, "seed": 1, "values": cell.values, **run_job(job)}
        for number, (cell, job) in enumerate(zip(cells, jobs, strict=True))
    ]


def cells_where(campaign: Campaign, **wanted: Any) -> list[Cell]:
    cells = campaign.cells(quick=True)
    return [cell for cell in cells if all(cell.values[key] in values for key, values in wanted.items())]


# --- the clock ---


@pytest.fixture(scope="module")
def offsets() -> Rows:
    return rows_of(CLOCK, *cells_where(CLOCK, kind=("offset",), lead_s=(8, 12)))


def test_the_knee_lies_at_the_bound(offsets: Rows) -> None:
    below, beyond = (row["measured"] for row in offsets)
    assert below["lie_s"] == pytest.approx(8, abs=0.5)
    assert beyond["lie_s"] == pytest.approx(BOUND_S, abs=0.5), "what is further ahead wins no longer than the bound"
    assert (below["deferred"], below["turned_away"], beyond["accepted"], beyond["early"]) == (0, 0, 0, 0)
    assert beyond["deferred"] == below["accepted"] > 50
    assert beyond["turned_away"] > 0
    assert CLOCK.doubts(offsets) == []


def test_a_node_that_does_not_keep_the_bound_is_doubted(offsets: Rows) -> None:
    """Twice the bound that the campaign goes by stands for a node without it."""
    cell = cells_where(CLOCK, kind=("offset",), lead_s=(12,))[0]
    lax = Cell(cell.values, with_key(cell.scenario, "federation.skew_future", f"{2 * BOUND_S}s"))
    told = CLOCK.doubts([offsets[0], *rows_of(CLOCK, lax)])
    assert any("came before their stamps were within the bound" in doubt for doubt in told)
    assert any("won for" in doubt for doubt in told)
    assert any("no stamp was turned away" in doubt for doubt in told)


def test_no_knee_is_seen_on_one_side_of_the_bound_alone(offsets: Rows) -> None:
    assert CLOCK.doubts(offsets[:1]) == ["no knee can be seen without offsets on both sides of the bound"]


# --- what is swept ---


@pytest.mark.parametrize("campaign", CAMPAIGNS, ids=lambda each: each.name)
def test_every_cell_can_be_run_and_is_another_one(campaign: Campaign) -> None:
    cells = campaign.cells(quick=False)
    assert len(cells) > 3 * len(campaign.cells(quick=True)) // 2
    assert len({repr(cell.values) for cell in cells}) == len(cells)
    for cell in cells[::5]:  # neighbours differ in one number
        assert make_plan(typed(cell.scenario), Path()).nodes


def test_each_kind_of_wrong_clock_and_each_shape_of_a_cut_is_swept() -> None:
    assert {cell.values["kind"] for cell in CLOCK.cells(quick=True)} == set(KINDS)
    swept = {(cell.values["trouble"], cell.values["one_way"]) for cell in NETWORK.cells(quick=False)}
    assert {(shape, one_way) for shape in SHAPES for one_way in (False, True)} <= swept


# --- the verdict ---


def test_a_fault_that_never_struck_and_a_cut_that_stopped_nothing_are_doubted() -> None:
    rows = rows_of(DISK, *cells_where(DISK, commit=(1,))[:1])
    assert DISK.doubts(rows) == []
    missed = [{**rows[0], "measured": rows[0]["measured"] | {"struck": 0}}]
    assert DISK.doubts(missed) == ["crash before commit, lost 1, seed 1: it never struck, so that nothing was tried"]
    idle = {"values": {"trouble": "halves", "one_way": False, "period_s": 0}, "seed": 1, "measured": {"stopped": 0}}
    assert NETWORK.doubts([idle]) == ["halves, seed 1: the cut stopped nothing, so that nothing was tried"]


def test_the_verdict_is_the_worst_of_the_runs_and_a_doubt_is_a_failure() -> None:
    rows = [{"verdict": "pass"}, {"verdict": "inconclusive"}]
    assert verdict_of(rows, []) == "inconclusive"
    assert verdict_of(rows, ["no knee"]) == "fail"
    assert verdict_of([*rows, {"verdict": "error"}], []) == "fail"
    assert verdict_of([], []) == "inconclusive"


def test_the_command_writes_a_table_a_figure_and_each_failing_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = cells_where(DISK, fault=("wipe",))
    late = [{"metric": "lag.max", "at_most": "1ms"}]
    bad = [Cell({**cell.values, "fault": "too strict"}, cell.scenario | {"expect": late}) for cell in good]
    monkeypatch.setitem(session.CAMPAIGNS, "disk", replace(DISK, cells=lambda *, quick: [*good, *bad]))
    out = tmp_path / "out"
    assert main(["campaign", "disk", "--jobs", "1", "--out", str(out)]) == 1
    told = capsys.readouterr().out
    file = out / "cell-1-seed1.toml"
    assert f"stigmem-sim run {file}" in told
    assert "FAIL  Is anything that was acknowledged ever lost" in told
    assert (out / "campaign.png").stat().st_size > 10_000
    assert "| wipe | 0 | 1 | pass | 1 |" in (out / "campaign.md").read_text()
    assert [each.name for each in out.glob("*.toml")] == [file.name]
    assert main(["run", str(file), "--json"]) == 1


@pytest.mark.parametrize("campaign", CAMPAIGNS, ids=lambda campaign: campaign.name)
def test_the_table_names_every_cell_in_one_piece_on_a_terminal_of_eighty_columns(
    campaign: Campaign, tmp_path: Path
) -> None:
    from rich.console import Console

    screen = Console(width=80, record=True, file=io.StringIO())
    cells = campaign.cells(quick=True)
    measured = dict.fromkeys(campaign.columns, 12.345)
    rows: Rows = [
        {"cell": number, "seed": 1, "values": cell.values, "verdict": "pass", "measured": measured}
        for number, cell in enumerate(cells)
    ]
    session._show(screen, campaign, rows, (), tmp_path)
    lines = screen.export_text().splitlines()
    for cell in cells:
        name = str(next(iter(cell.values.values())))
        assert any(line.startswith(f"{name} ") for line in lines), name
