"""Reports: the run folder, scenarios written back, figures that say what they should and overlap nothing."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axis import Axis
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from sim import Result, Scenario, run
from sim.diagnostics.toml_text import toml_text
from sim.report.figures import FIGURES, draw_figures
from sim.report.folder import BadFolder, read_run
from sim.report.labels import Box, place_names
from sim.report.lag_figures import lags_of, worst_nodes
from sim.report.map_figure import cut_links
from sim.report.places import layout
from sim.report.projection import Projection, graticule
from sim.report.style import lag_text, styled, time_unit
from sim.runner import run_plan
from sim.scenario.planning import load_plan, make_plan
from sim.scenario.reading import parse_scenario, plain_values
from sim.units import Duration, Rate, Speed, parse_duration, parse_rate, parse_speed
from sim.world.trace import read_trace
from tests.sim.small import fault, small_text, workload

TALK = workload("contradictions", rate="30/m", entities=5)
CUT = fault("partition", at="10s", for_="20s", groups=[["a"], ["b", "c"]])
MAP = """<?xml version="1.0" encoding="utf-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
  <key id="l" for="node" attr.name="label" attr.type="string"/>
  <key id="y" for="node" attr.name="Latitude" attr.type="double"/>
  <key id="x" for="node" attr.name="Longitude" attr.type="double"/>
  <graph edgedefault="undirected">{nodes}{edges}</graph>
</graphml>"""
CITIES = {
    "Lisbon": (38.7, -9.1), "Madrid": (40.4, -3.7), "Paris": (48.9, 2.3), "Brussels": (50.8, 4.4),
    "Luxembourg": (49.6, 6.1), "Bern": (46.9, 7.4), "Milan": (45.5, 9.2), "Vienna": (48.2, 16.4),
    "Bratislava": (48.15, 17.1), "Budapest": (47.5, 19.0),
}  # fmt: skip


def small(*parts: str, **changes: str) -> Scenario:
    return parse_scenario(small_text(*parts, **changes))


def map_file(folder: Path) -> Path:
    """A chain of cities as GraphML."""
    names = list(CITIES)
    node = '<node id="{0}"><data key="l">{1}</data><data key="y">{2}</data><data key="x">{3}</data></node>'
    nodes = "".join(node.format(number, name, *CITIES[name]) for number, name in enumerate(names))
    edges = "".join(f'<edge source="{number}" target="{number + 1}"/>' for number in range(len(names) - 1))
    path = folder / "cities.graphml"
    path.write_text(MAP.format(nodes=nodes, edges=edges))
    return path


# --- the folder ---


def test_the_folder_holds_everything_of_a_run(tmp_path: Path) -> None:
    result = run(small(TALK, CUT), out=tmp_path / "out")
    found = {path.name for path in (tmp_path / "out").iterdir()}
    assert found == {
        "run.json",
        "trace.jsonl.gz",
        "facts.parquet",
        "samples.parquet",
        "faults.parquet",
        "stops.parquet",
        "scenario.toml",
        *(f"{name}.png" for name in FIGURES),
    }
    assert read_run(tmp_path / "out") == result.run_json
    assert len(read_trace(tmp_path / "out/trace.jsonl.gz")) > 100
    assert pl.read_parquet(tmp_path / "out/facts.parquet").equals(result.facts())


def test_a_folder_can_be_run_again_to_the_same_digests(tmp_path: Path) -> None:
    source = tmp_path / "map"
    source.mkdir()
    map_file(source)
    text = small_text(TALK, topology={"graphml": "cities.graphml"}, nodes=None)
    (source / "cities.toml").write_text("# Question: does it travel?\n# Expected: yes.\n" + text)
    first = run(source / "cities.toml", seed=11, out=tmp_path / "out")
    (source / "cities.graphml").unlink()
    copy = tmp_path / "elsewhere"
    (tmp_path / "out").rename(copy)
    assert (copy / "scenario.toml").read_text().startswith("# Question: does it travel?\n# Expected: yes.\n[scenario]")
    again = run(copy / "scenario.toml")
    assert again.seed == 11
    assert {**again.run_json, "wall_s": 0} == {**first.run_json, "wall_s": 0}


def test_data_files_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    for number, folder in enumerate(("one", "two")):
        (tmp_path / folder).mkdir()
        row = {"t": number, "org": "o", "source": "agent:x", "entity": "e", "relation": "r", "confidence": 1.0}
        row["value"] = {"type": "string", "v": folder}
        (tmp_path / folder / "t.jsonl").write_bytes(msgspec.json.encode(row) + b"\n")
    traces = [workload("trace", file=f"{folder}/t.jsonl", start="1s") for folder in ("one", "two")]
    result = run_plan(make_plan(small(*traces), tmp_path), out=tmp_path / "out", figures=False)
    assert result.run_json["facts"] == 2
    files = [table["file"] for table in tomllib.loads((tmp_path / "out/scenario.toml").read_text())["workload"]]
    assert len(set(files)) == 2
    assert b'"one"' in (tmp_path / "out" / files[0]).read_bytes()
    assert b'"two"' in (tmp_path / "out" / files[1]).read_bytes()


def test_a_second_run_into_a_folder_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    plan = make_plan(small(TALK), tmp_path)
    run_plan(plan, out=tmp_path / "out")
    (tmp_path / "out/notes.txt").write_text("mine")
    run_plan(plan, out=tmp_path / "out", trace=False, figures=False)
    found = {path.name for path in (tmp_path / "out").iterdir()}
    frames = {"facts.parquet", "samples.parquet", "faults.parquet", "stops.parquet"}
    assert found == {"run.json", "scenario.toml", "notes.txt", *frames}


def test_a_scenario_of_the_users_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "scenario.toml").write_text(small_text(TALK))
    with pytest.raises(BadFolder, match="would be lost; give another folder"):
        run(tmp_path / "scenario.toml", out=tmp_path)
    assert (tmp_path / "scenario.toml").read_text() == small_text(TALK)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadFolder, match="cannot be made into a run folder"):
        run(small(TALK), out=tmp_path / "file/out")


@pytest.mark.parametrize(
    ("content", "sentence"), [(None, "it has no run.json"), (b"{", "cannot be read"), (b"{}", "it has no trace_digest")]
)
def test_a_folder_without_a_run_is_refused(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    if content is not None:
        (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(BadFolder, match=sentence):
        read_run(tmp_path)


def test_saving_later_copies_the_trace(tmp_path: Path) -> None:
    result = run(small(TALK), out=tmp_path / "one")
    result.save(tmp_path / "two", figures=False, heading="# Question: why?\n")
    assert (tmp_path / "two/trace.jsonl.gz").read_bytes() == (tmp_path / "one/trace.jsonl.gz").read_bytes()
    assert (tmp_path / "two/scenario.toml").read_text().startswith("# Question: why?\n[scenario]")


# --- scenarios written back ---


def test_a_scenario_written_back_reads_as_the_same() -> None:
    scenario = small(
        TALK,
        CUT,
        workload("contradictions", rate="7/h", nodes=["a", "b"]),
        fault("clock-step", node="b", at="1s", by="-1.5s"),
        '[network]\nlatency = { kind = "lognormal", median = "41ms", p99 = "180ms" }\nbandwidth = "256kbit/s"',
        '[[expect]]\nmetric = "lag.p99"\nat_most = "12m"\nat_least = 0.25',
        '[[link]]\nbetween = ["a", "b"]\nloss = 0.5',
    )
    assert parse_scenario(toml_text(plain_values(scenario))) == scenario


def test_every_scenario_of_the_repository_written_back_reads_as_the_same() -> None:
    files = sorted((Path(__file__).parents[3] / "scenarios").glob("*.toml"))
    assert files
    for file in files:
        scenario = Scenario.load(file)
        assert parse_scenario(toml_text(plain_values(scenario))) == scenario, file


@given(st.integers(-(10**17), 10**17), st.integers(1, 10**12), st.floats(1e-9, 1e5))
def test_values_with_units_survive_exactly(ns: int, bits: int, rate: float) -> None:
    table = {"t": {"d": Duration(ns), "s": Speed(bits), "r": Rate(rate)}}
    found = tomllib.loads(toml_text(table))["t"]
    assert parse_duration(found["d"]) == ns
    assert parse_speed(found["s"]) == bits
    assert parse_rate(found["r"]) == rate


INNER = st.one_of(st.text(max_size=12), st.booleans(), st.lists(st.text(max_size=3)))


@given(st.dictionaries(st.text(min_size=1, max_size=8), INNER))
def test_any_text_survives_in_toml(table: dict[str, Any]) -> None:
    assert tomllib.loads(toml_text({"t": {"inside": table}}))["t"]["inside"] == table


def test_units_are_the_largest_that_are_exact() -> None:
    step = fault("clock-step", node="b", at="90s", by="1ms")
    text = toml_text(plain_values(small(workload("contradictions", rate="30/m"), step, duration="2h")))
    assert 'duration = "2h"' in text
    assert 'rate = "30/m"' in text
    assert 'at = "90s"' in text
    assert 'by = "1ms"' in text


# --- figures ---


@pytest.fixture(autouse=True)
def style() -> Iterator[None]:
    with styled():
        yield


def results(tmp_path: Path) -> dict[str, Result]:
    """Runs of every shape that figures have to cope with."""
    chain = [f"hop-{number}" for number in range(1, 7)]
    line = small_text(TALK, nodes=chain, topology="line")
    names = [f"a rather long name {number}" for number in range(24)]
    many = small_text(TALK, nodes=names, topology="random-regular")
    europe = small_text(TALK, topology={"graphml": str(map_file(tmp_path))}, nodes=None)
    one = workload("contradictions", rate="1/s", stop="1500ms", nodes=["a", "b"])
    crash, step = fault("crash", node="c", at="15s", for_="5s"), fault("clock-step", node="b", at="9s", by="1s")
    found = {
        "cut": small_text(TALK, CUT, crash, step),
        "line": line,
        "many": many,
        "map": europe,
        "few facts": small_text(one, warm_up="0s"),
        "no facts": small_text(),
        "no conflicts": small_text(workload("contradictions", rate="1/s", entities=1_000_000, nodes=["a"])),
    }
    return {name: run(parse_scenario(text)) for name, text in found.items()}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    return results(tmp_path_factory.mktemp("maps"))


@pytest.fixture(scope="module")
def figures() -> dict[tuple[str, str], Figure]:
    """Figures that were drawn already, by shape and name."""
    return {}


def drawn(figures: dict[tuple[str, str], Figure], shapes: dict[str, Result], shape: str, name: str) -> Figure:
    """A figure of a run, drawn once."""
    if (shape, name) not in figures:
        figures[shape, name] = FIGURES[name](shapes[shape])
        figures[shape, name].canvas.draw()
    return figures[shape, name]


SHAPES = ("cut", "line", "many", "map", "few facts", "no facts", "no conflicts")


def texts(figure: Figure) -> list[tuple[str, Bbox]]:
    """Every text that is seen in a figure, and where."""
    beyond = [label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for label in out_of_view(axis)]
    seen = [text for text in figure.findobj(Text) if isinstance(text, Text) and text not in beyond]
    shown = [text for text in seen if text.get_visible() and text.get_text().strip()]
    return [(text.get_text(), text.get_window_extent()) for text in shown]


def out_of_view(axis: Axis) -> list[Text]:
    """Labels of ticks that are kept but not drawn, because they lie outside of the axis."""
    low, high = sorted(axis.get_view_interval())
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    return [tick.label1 for tick in ticks if not low <= tick.get_loc() <= high]


def overlap(one: Bbox, other: Bbox) -> float:
    shared = Bbox.intersection(one, other)
    return 0.0 if shared is None else shared.width * shared.height


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("shape", SHAPES)
def test_no_text_lies_on_another_or_leaves_the_page(
    figures: dict[tuple[str, str], Figure], shapes: dict[str, Result], shape: str, name: str
) -> None:
    figure = drawn(figures, shapes, shape, name)
    found = texts(figure)
    assert len(found) >= 3
    page = figure.bbox.padded(1.0)
    assert [text for text, box in found if not page.contains(*box.min) or not page.contains(*box.max)] == []
    for (one, first), (other, second) in combinations(found, 2):
        assert overlap(first, second) < 2.0, f"{one!r} lies on {other!r}"


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("shape", SHAPES)
def test_legends_cover_no_data(
    figures: dict[tuple[str, str], Figure], shapes: dict[str, Result], shape: str, name: str
) -> None:
    figure = drawn(figures, shapes, shape, name)
    plots = [axes.get_window_extent() for axes in figure.axes]
    legends = [axes.get_legend() for axes in figure.axes if axes.get_legend() is not None]
    assert legends or shape in ("no facts", "no conflicts")
    for legend in legends:
        assert all(overlap(legend.get_window_extent(), plot) < 1.0 for plot in plots)


def test_every_axis_has_a_label_with_its_unit(shapes: dict[str, Result]) -> None:
    expected = {
        "lag": ("time of writing (s)", "replication lag"),
        "conflicts": ("simulated time (s)", "open conflicts"),
    }
    for name, (x, y) in expected.items():
        axes = FIGURES[name](shapes["cut"]).axes[0]
        assert (axes.get_xlabel(), axes.get_ylabel()) == (x, y)


def test_the_lanes_name_each_kind_of_fault(shapes: dict[str, Result]) -> None:
    figure = FIGURES["lag"](shapes["cut"])
    figure.canvas.draw()
    lanes = [label.get_text() for label in figure.axes[-1].get_yticklabels()]
    assert sorted(lanes) == ["clock +1s: b", "crash: c", "cut"]


def test_many_kinds_of_fault_share_a_lane_but_cuts_and_outages_keep_their_own() -> None:
    parts = [fault("loss", share=number / 100, at=f"{number}s", for_="1s") for number in range(1, 25)]
    cut = fault("partition", at="40s", for_="5s", shape="one", node="a", one_way=True)
    down = fault("crash", at="50s", for_="2s", node="b")
    figure = FIGURES["conflicts"](run(small(TALK, *parts, cut, down)))
    figure.canvas.draw()
    lanes = [label.get_text() for label in figure.axes[-1].get_yticklabels()]
    assert len(lanes) == 12
    assert lanes[-3:] == ["one-way cut: a", "crash: b", "other faults"]


def test_the_last_state_of_a_run_can_be_seen_beyond_its_end(shapes: dict[str, Result]) -> None:
    result = shapes["cut"]
    share, missing = FIGURES["convergence"](result).axes[:2]
    for axes, last in ((share, 100.0), (missing, 0.0)):
        x, y = next(line.get_data() for line in axes.lines if len(line.get_xdata()) > 2)
        assert x[-1] == axes.get_xlim()[1] > result.ended_ns / 1e9
        assert y[-1] == last


def test_of_many_nodes_the_worst_five_are_named(shapes: dict[str, Result]) -> None:
    lags = lags_of(shapes["many"])
    worst = worst_nodes(lags)
    tails = [float(np.percentile(lags.of(number)[1], 99)) for number in lags.readers()]
    assert [float(np.percentile(lags.of(number)[1], 99)) for number in worst] == sorted(tails, reverse=True)[:5]
    named = [text for text, _ in texts(drawn({}, shapes, "many", "lag"))]
    assert all(shapes["many"].nodes[number] in named for number in worst)


def test_the_map_names_every_node_and_dashes_what_was_cut(shapes: dict[str, Result]) -> None:
    assert set(CITIES) <= {text for text, _ in texts(drawn({}, shapes, "map", "map"))}
    assert cut_links(shapes["cut"]) == {("a", "b"), ("a", "c")}
    assert cut_links(shapes["map"]) == set()


def test_nodes_of_a_crowd_are_drawn_smaller(shapes: dict[str, Result]) -> None:
    crowd = run(small(TALK, nodes=400, topology={"kind": "ring"}, duration="1s", settle="0s"))  # type: ignore[arg-type]

    def size(result: Result) -> float:
        drawn = FIGURES["map"](result).axes[0].collections
        return min(float(each.get_sizes()[0]) for each in drawn if isinstance(each, PathCollection))

    assert size(crowd) < size(shapes["cut"]) / 2


def test_drawing_writes_every_figure(shapes: dict[str, Result], tmp_path: Path) -> None:
    paths = draw_figures(shapes["map"], tmp_path)
    assert [path.name for path in paths] == [f"{name}.png" for name in FIGURES]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


AGENTS = """
[[workload]]
kind = "agents"
name = "{name}"
nodes = ["{node}"]
rate = "20/m"
subjects = 3
"""


def test_what_agents_recalled_is_drawn_kept_and_read_back(tmp_path: Path) -> None:
    teams = [AGENTS.format(name=name, node=node) for name, node in (("red", "a"), ("blue", "b"))]
    result = run(small(*teams, CUT), out=tmp_path / "out")
    assert {each.team for each in result.recollections} == {"red", "blue"}
    assert (tmp_path / "out" / "recall.png").stat().st_size > 10_000
    again = Result.load(tmp_path / "out")
    assert again.recollections == result.recollections
    assert again.recalls().equals(result.recalls())
    figure = result.figure("recall")
    figure.canvas.draw()
    found = texts(figure)
    for (one, first), (other, second) in combinations(found, 2):
        assert overlap(first, second) < 2.0, f"{one!r} lies on {other!r}"
    assert any(text.startswith("red") for text, _ in found)


# --- geometry ---


def test_a_chain_is_laid_out_as_a_line_and_a_layout_repeats(shapes: dict[str, Result]) -> None:
    places = layout(shapes["line"])
    assert [places[f"hop-{number}"] for number in range(1, 7)] == [(float(x), 0.0) for x in range(6)]
    assert layout(shapes["many"]) == layout(shapes["many"])


def test_the_projection_keeps_areas_and_the_middle() -> None:
    projection = Projection([(40.0, 0.0), (60.0, 20.0)])
    assert projection.is_lambert
    x, y = projection.plane(np.degrees(projection.lat), np.degrees(projection.lon))
    assert (float(x), float(y)) == pytest.approx((0.0, 0.0), abs=1e-12)

    def area(lat: float, lon: float, step: float = 0.01) -> float:
        corners = [(lat, lon), (lat, lon + step), (lat + step, lon + step), (lat + step, lon)]
        points = [tuple(map(float, projection.plane(*corner))) for corner in corners]
        pairs = zip(points, [*points[1:], points[0]], strict=True)
        return abs(sum(ax * by - bx * ay for (ax, ay), (bx, by) in pairs)) / 2 / np.cos(np.radians(lat + step / 2))

    assert area(42.0, -8.0) == pytest.approx(area(66.0, 30.0), rel=1e-4)


def test_the_whole_world_is_drawn_flat_and_across_the_date_line() -> None:
    assert not Projection([(0.0, 0.0), (0.0, 120.0), (0.0, -120.0)]).is_lambert
    pacific = Projection([(0.0, 175.0), (0.0, -175.0)])
    (west, east), _ = pacific.plane(np.array([0.0, 0.0]), np.array([175.0, -175.0]))
    assert 0 < east - west < 0.2


def test_the_graticule_has_a_handful_of_round_lines() -> None:
    parallels, meridians = graticule(Projection([(40.0, 0.0), (60.0, 20.0)]), 0.2)
    assert 3 <= len(parallels) <= 16
    assert any(name == "50° N" for name, _, _ in parallels)
    assert any(name == "10° E" for name, _, _ in meridians)


def test_names_are_placed_clear_of_each_other_and_of_points() -> None:
    points = np.array([(100.0 + 9.0 * column, 100.0 + 9.0 * row) for row in range(4) for column in range(4)])
    sizes = np.full((len(points), 2), (30.0, 7.0))
    placed = place_names(points, sizes, Box(0, 0, 300, 300), np.zeros((0, 2)), 3.0)
    boxes = [Bbox.from_bounds(spot.x, spot.y, 30.0, 7.0) for spot in placed if spot is not None]
    assert len(boxes) >= 12
    assert all(overlap(one, other) == 0.0 for one, other in combinations(boxes, 2))
    assert not any(box.contains(*point) for box in boxes for point in points)


def test_a_name_without_room_is_left_out() -> None:
    placed = place_names(np.array([(5.0, 5.0)]), np.array([(30.0, 7.0)]), Box(0, 0, 20, 20), np.zeros((0, 2)), 3.0)
    assert placed == [None]


# --- words ---


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.18, "180 ms"), (1.0, "1 s"), (59.5, "59.5 s"), (60, "1 min"), (7200, "2 h"), (86400, "1 d")],
)
def test_lags_are_told_in_the_units_people_use(seconds: float | None, text: str) -> None:
    assert lag_text(seconds) == text


@pytest.mark.parametrize(("span", "name"), [(60, "s"), (1200, "min"), (86_400, "h"), (86_400 * 30, "days")])
def test_time_is_drawn_in_its_best_unit(span: float, name: str) -> None:
    assert time_unit(span).name == name


def test_a_plan_reads_what_the_folder_wrote(tmp_path: Path) -> None:
    run(small(TALK, CUT), out=tmp_path / "out")
    assert plain_values(load_plan(tmp_path / "out/scenario.toml").scenario) == plain_values(small(TALK, CUT))
