"""What people see of a study: the table while and after it runs, and figures with bands.

Every number here is over runs: a median over seeds with its 95 % interval. What a band shows is said in its legend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sim.analysis.verdict import BOUNDS
from sim.scenario.metrics import is_timed
from sim.study.statistics import Interval, interval_of
from sim.study.study import Study, frame_of
from sim.units import format_duration, parse_duration

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.console import Console
    from rich.table import Table

__all__ = ["band_figure", "metric_text", "show_study", "write_study"]

_SHOWN: Final = ("lag.p50", "lag.p99", "lag.max", "catch_up", "convergence", "missing", "requests")
_STYLES: Final = {"pass": "bold green", "fail": "bold red", "inconclusive": "bold yellow"}
_RUNS_MIN: Final = 10
"""Fewer are not enough for the interval to hold what it says (`sim.study.statistics`)."""
_WIDTH_MAX: Final = 1_000
"""More than any table needs: how wide one would be is measured within it."""
_FIGURES: Final = ("lag.p99", "catch_up")


Command = Callable[[Mapping[str, Any]], str]
"""Called with the values of a cell: with `--seed` the command runs one of its runs again."""


def show_study(console: Console, study: Study, rows: Sequence[Mapping[str, Any]], *, command: Command) -> None:
    """The table of a study: verdict, medians with their intervals, what is expected over seeds, the worst run with the
    command that runs it again."""
    from rich.text import Text

    verdict = study.verdict(rows)
    counts = {word: sum(row["verdict"] == word for row in rows) for word in ("pass", "fail", "inconclusive", "error")}
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    console.print(
        Text.assemble((verdict.upper(), _STYLES[verdict]), f"  {study.scenario.name}: {len(rows)} runs ({told})")
    )
    for table in _tables(study, rows, console):
        console.print(table)
    few = "" if len(study.seeds) >= _RUNS_MIN else "; of so few runs it is too narrow"
    console.print(f"median over seeds [95 % interval of the median, by a bootstrap over runs{few}]", style="dim")
    for line in _left_out(rows):
        console.print(line, style="dim", soft_wrap=True)
    for line in _expected(study, rows):
        console.print(line, soft_wrap=True)
    for line in _worst(study, rows, command):
        console.print(line, soft_wrap=True)


def _tables(study: Study, rows: Sequence[Mapping[str, Any]], console: Console) -> Iterator[Table]:
    """One table where it fits; else one for each metric, with a line for every cell."""
    if not study.cells[0].values:
        yield _table_of_one(rows)
        return
    whole = _table(study, rows)
    if console.measure(whole, options=console.options.update(max_width=_WIDTH_MAX)).maximum <= console.width:
        yield whole
        return
    for name in _SHOWN:
        if any(_values([row["metrics"]], name) for row in rows if "metrics" in row):
            yield _table_of_metric(study, rows, name)


def _table_of_metric(study: Study, rows: Sequence[Mapping[str, Any]], name: str) -> Table:
    """A line for every cell: the median of one metric with the interval, and the worst of the runs."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in (*study.cells[0].values, name, "max", "runs"):
        table.add_column(column, overflow="fold")
    for number, cell in enumerate(study.cells):
        values = _values([row["metrics"] for row in rows if row["cell"] == number and "metrics" in row], name)
        found = (_median(name, values), metric_text(name, max(values))) if values else ("–", "–")
        table.add_row(*map(str, cell.values.values()), *found, str(len(values)))
    return table


def _table(study: Study, rows: Sequence[Mapping[str, Any]]) -> Table:
    """A line for every cell."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    keys = list(study.cells[0].values)
    for name in (*keys, "runs", *_SHOWN):
        table.add_column(name, overflow="fold")
    for number, cell in enumerate(study.cells):
        mine = [row["metrics"] for row in rows if row["cell"] == number and "metrics" in row]
        table.add_row(*(str(cell.values[key]) for key in keys), str(len(mine)), *_medians(mine))
    return table


def _table_of_one(rows: Sequence[Mapping[str, Any]]) -> Table:
    """A line for every metric: its median with the interval, and the p95 and the worst of the runs."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("metric", "median", "p95", "max", "runs"):
        table.add_column(name, overflow="fold")
    for name in _SHOWN:
        values = _values([row["metrics"] for row in rows if "metrics" in row], name)
        if values:
            others = (metric_text(name, interval_of(values, statistic).value) for statistic in ("p95", "max"))
            table.add_row(name, _median(name, values), *others, str(len(values)))
    return table


def _values(metrics: Sequence[Mapping[str, float | None]], name: str) -> list[float]:
    return [value for each in metrics if (value := each.get(name)) is not None]


def _medians(metrics: Sequence[Mapping[str, float | None]]) -> Iterator[str]:
    for name in _SHOWN:
        values = _values(metrics, name)
        yield _median(name, values) if values else "–"


def _median(name: str, values: Sequence[float]) -> str:
    median = interval_of(values)
    return f"{metric_text(name, median.value)} [{metric_text(name, median.low)}, {metric_text(name, median.high)}]"


def metric_text(metric: str, value: float) -> str:
    """A value of a metric, or a difference of two: a duration to the millisecond, or a number."""
    if not is_timed(metric):
        return f"{value:,.6g}"
    return f"{'-' if value < 0 else ''}{format_duration(round(abs(value) * 1e3) * 1_000_000)}"


def _left_out(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Which metrics some runs have no value of, since a median over the others alone looks better than it is."""
    metrics = [row["metrics"] for row in rows if "metrics" in row]
    without = {name: len(metrics) - len(_values(metrics, name)) for name in _SHOWN if _values(metrics, name)}
    told = [f"{name} of {count}" for name, count in without.items() if count]
    if told:
        why = "nothing was measured there, or it was never reached"
        yield f"left out, of {len(metrics)} runs: {', '.join(told)} ({why})"


def _expected(study: Study, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    words = {True: "ok", False: "FAILED", None: "undecided"}
    for each in study.over_seeds(rows):
        metric = each.name.rpartition(" of ")[2]
        values = study.cells[each.cell].values
        where = "".join(f", {key} = {value}" for key, value in values.items())
        found = "no value" if each.interval is None else (
            f"{metric_text(metric, each.interval.value)} [{metric_text(metric, each.interval.low)}, "
            f"{metric_text(metric, each.interval.high)}]"
        )  # fmt: skip
        limit = metric_text(metric, each.limit)
        yield f"{words[each.ok]}  {each.name}{where}: {BOUNDS[each.bound]} {limit}, it is {found}"


def _worst(study: Study, rows: Sequence[Mapping[str, Any]], command: Command) -> Iterator[str]:
    """The run to look at first, and the command that meets it again."""
    broken = [row for row in rows if row["verdict"] in ("error", "fail")]
    known = [row for row in rows if row.get("metrics", {}).get("lag.p99") is not None]
    if broken:
        row = broken[0]
        reason = row.get("error", "").strip().splitlines()[-1:] or row.get("failed", [])
        what = f"a run that did not pass ({'; '.join(reason)})"
    elif known:
        row = max(known, key=lambda each: each["metrics"]["lag.p99"])
        what = f"the run with the highest lag.p99 ({metric_text('lag.p99', row['metrics']['lag.p99'])})"
    else:
        return
    cell = study.cells[row["cell"]].values
    where = "".join(f", {key} = {value}" for key, value in cell.items())
    yield f"{what}: seed {row['seed']}{where}"
    yield f"to replay it: {command(cell)} --seed {row['seed']}"


def write_study(study: Study, rows: Sequence[Mapping[str, Any]], folder: Path, *, figures: bool) -> None:
    """Write the frame of a study, and a figure for each key that has several numbers or durations."""
    frame = frame_of(rows)
    frame.write_parquet(folder / "runs.parquet")
    keys = study.cells[0].values if figures and study.cells else ()
    for key in [key for key in keys if frame[key].n_unique() > 1 and _has_an_axis(frame[key])]:
        for metric in _FIGURES:
            if metric in frame.columns and frame[metric].null_count() < frame.height:
                name = f"{metric}-{key}".replace(".", "_").replace("/", "_")
                band_figure(frame, key, metric).savefig(folder / f"{name}.png")


def _has_an_axis(values: pl.Series) -> bool:
    """Whether all are numbers or durations: shapes and names have no places on an axis."""
    try:
        for value in values.unique():
            _place(value)
    except ValueError:
        return False
    return True


def _place(value: str | float) -> float:
    return parse_duration(value) / 1e9 if isinstance(value, str) else float(value)


class _Point(NamedTuple):
    """What the runs at one value of a key come to."""

    x: float
    median: Interval
    p5: float
    p95: float


def _points(frame: pl.DataFrame, key: str, metric: str) -> list[_Point]:
    found = []
    for (at,), runs in frame.group_by(key, maintain_order=True):
        values = runs[metric].drop_nulls().to_list()
        if values:
            low, high = interval_of(values, "p5").value, interval_of(values, "p95").value
            found.append(_Point(_place(at), interval_of(values), low, high))
    return sorted(found, key=lambda point: point.x)


def band_figure(frame: pl.DataFrame, key: str, metric: str, *, by: str | None = None, ax: Axes | None = None) -> Figure:
    """A metric over the values of a key, numbers or durations: the median over runs as a line, the 95 % interval of the
    median as a dark band, the middle 90 % of the runs as a light one; a line for each value of `by`. Any frame of
    `sim.sweep` will do. Drawn into `ax`, or on a figure of its own."""
    from sim.report.style import COLOURS, canvas, legend

    axes = canvas(3.3).add_subplot() if ax is None else ax
    parts = {"": frame}
    if by is not None:
        parts = {f", {by} = {value}": part for (value,), part in frame.group_by(by, maintain_order=True)}
    for number, (suffix, part) in enumerate(parts.items()):
        points = _points(part, key, metric)
        colour, xs = COLOURS[number % len(COLOURS)], [point.x for point in points]
        look: dict[str, Any] = {"color": colour, "linewidth": 0}
        runs = ([point.p5 for point in points], [point.p95 for point in points])
        axes.fill_between(xs, *runs, alpha=0.15, label=f"middle 90 % of runs{suffix}", **look)
        sure = ([point.median.low for point in points], [point.median.high for point in points])
        axes.fill_between(xs, *sure, alpha=0.35, label=f"95 % interval of the median{suffix}", **look)
        medians = [point.median.value for point in points]
        axes.plot(xs, medians, color=colour, marker="o", markersize=3, label=f"median over runs{suffix}")
    axes.set_xlabel(key if frame[key].dtype.is_numeric() else f"{key} (s)")
    axes.set_ylabel(f"{metric} (s)" if is_timed(metric) else metric)
    axes.set_ylim(bottom=0)
    legend(axes)
    figure = axes.get_figure(root=True)
    if figure is None:
        raise ValueError("the axes to draw into belong to no figure")
    return figure
