"""A result shows, draws, writes and reads itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from sim import Result, run
from sim.report.figures import FIGURES
from sim.report.folder import BadFolder
from sim.scenario.reading import parse_scenario
from tests.sim.small import fault, small_text, workload

PARTS = (
    workload("contradictions", rate="1/s", entities=5),
    fault("partition", at="10s", for_="20s", shape="one", node="b"),
    fault("clock-step", at="12s", by="2s", node="a"),
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    folder = tmp_path_factory.mktemp("runs") / "one"
    return run(parse_scenario(small_text(*PARTS)), out=folder), folder


def test_a_result_is_one_line_at_the_prompt(saved: tuple[Result, Path]) -> None:
    result, _ = saved
    line = repr(result)
    assert line.startswith("<Result small, seed 3: pass; ")
    assert line.endswith(" open conflicts>")
    assert "\n" not in line
    assert len(line) < 160


def test_a_notebook_shows_a_result_as_a_table_with_what_failed(saved: tuple[Result, Path]) -> None:
    result, _ = saved
    assert "<th>verdict</th><td>pass</td>" in result._repr_html_()
    bad = run(parse_scenario(small_text(*PARTS, '[[expect]]\nmetric = "lag.max"\nat_most = "1ms"')))
    shown = bad._repr_html_()
    assert "<td>fail</td>" in shown
    assert "<th>lag.max</th>" in shown


def test_a_run_folder_is_read_back_as_the_result_that_was_written(saved: tuple[Result, Path]) -> None:
    result, folder = saved
    again = Result.load(folder)
    assert again.run_json == result.run_json
    assert repr(again) == repr(result)
    assert again.facts().equals(result.facts())
    assert again.samples().equals(result.samples())
    assert again.faults().equals(result.faults())
    assert (again.checks, again.expectations, again.stops) == (result.checks, result.expectations, result.stops)
    assert (again.converged_ns, again.ended_ns, again.tail) == (result.converged_ns, result.ended_ns, result.tail)
    assert (again.nodes, again.links, again.interrupted) == (result.nodes, result.links, False)


@pytest.mark.parametrize("name", FIGURES)
def test_a_result_that_was_read_back_draws_the_same_figures(saved: tuple[Result, Path], name: str) -> None:
    result, folder = saved
    one, other = result.figure(name), Result.load(folder).figure(name)
    assert isinstance(one, Figure)
    assert [axes.get_xlim() for axes in one.axes] == [axes.get_xlim() for axes in other.axes]
    assert [len(axes.lines) for axes in one.axes] == [len(axes.lines) for axes in other.axes]


@pytest.mark.parametrize("name", [name for name in FIGURES if name != "map"])
def test_a_figure_can_be_drawn_into_axes_of_somebody_else(saved: tuple[Result, Path], name: str) -> None:
    figure = Figure()
    _, right = figure.subplots(1, 2)
    assert saved[0].figure(name, ax=right) is figure
    assert right.lines or right.collections
    assert right.get_ylabel()


def test_a_figure_that_there_is_not_is_refused_with_those_that_there_are(saved: tuple[Result, Path]) -> None:
    with pytest.raises(ValueError, match=r"there is no figure 'lags'; the figures are lag, lag_distribution,"):
        saved[0].figure("lags")
    with pytest.raises(ValueError, match="leave out ax"):
        saved[0].figure("map", ax=Figure().add_subplot())


def test_a_folder_that_holds_half_a_run_is_refused_with_what_it_lacks(
    saved: tuple[Result, Path], tmp_path: Path
) -> None:
    (tmp_path / "run.json").write_bytes((saved[1] / "run.json").read_bytes())
    with pytest.raises(BadFolder, match=r"it has no scenario\.toml"):
        Result.load(tmp_path)
    with pytest.raises(BadFolder, match="is not a run folder"):
        Result.load(tmp_path / "nowhere")
