"""Figures of replication lag: over time per node, and as a distribution.

A few nodes are drawn one by one; of many, the median, the 99th percentile and the five worst by name. A copy that never
came is drawn at its age when the run ended, hollow: its lag is at least that.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from sim.report.lanes import shade, with_lanes
from sim.report.style import (
    COLOURS,
    GREY,
    INK,
    MARKERS,
    canvas,
    fit_name,
    lag_axis,
    lag_text,
    legend,
    say_nothing_there,
    time_axis,
)

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from sim.analysis.outcome import Outcome
    from sim.report.style import TimeUnit

__all__ = [
    "FEW_NODES",
    "Lags",
    "distribution_figure",
    "lag_figure",
    "lags_of",
    "plot_distribution",
    "plot_lag",
    "worst_nodes",
]

FEW_NODES: Final = 7
_WORST: Final = 5
_ABSENT_NAMED: Final = 3
_BINS: Final = 60
_COPIES_PER_BIN: Final = 10
_CURVE_POINTS: Final = 1_500
_DOTS_MAX: Final = 20_000
_HOLLOW_MAX: Final = 400
_DOT_LOOKS: Final = ((300, 3.5, 0.8), (3_000, 2.4, 0.4), (1 << 62, 1.6, 0.22))
"""Up to so many copies: a dot's size in points and its opacity."""
_FLOOR_S: Final = 1e-3


class Lags:
    """The copies that are measured: when the fact was written and how long the copy took, in seconds, by reader; and
    whether it came, for else `lag` is its age."""

    def __init__(
        self,
        names: tuple[str, ...],
        *,
        node: NDArray[np.int64],
        written: NDArray[np.float64],
        lag: NDArray[np.float64],
        came: NDArray[np.bool_],
    ) -> None:
        self.names = names
        self.node = node
        self.written = written
        self.lag = lag
        self.came = came

    def of(self, number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(written, lag) of one reader."""
        mine = self.node == number
        return self.written[mine], self.lag[mine]

    def readers(self) -> list[int]:
        """Numbers of the nodes that should have received anything, in the order of the scenario."""
        import numpy as np

        return [int(number) for number in np.unique(self.node)]


def lags_of(result: Outcome) -> Lags:
    """The copies of a result that are measured."""
    import numpy as np

    copies = result.copies
    node, written, visible = (np.frombuffer(each, dtype=np.int64) if len(each) else np.zeros(0, np.int64)
                              for each in (copies.node, copies.written, copies.visible))  # fmt: skip
    since = copies.measured_from_ns
    chosen = np.zeros(len(written), bool) if since is None else ~np.array(copies.at_origin, bool) & (written >= since)
    came = visible >= 0
    lag = np.maximum((np.where(came, visible, copies.ended_ns) - written)[chosen] / 1e9, _FLOOR_S)
    return Lags(result.nodes, node=node[chosen], written=written[chosen] / 1e9, lag=lag, came=came[chosen])


def worst_nodes(lags: Lags, most: int = _WORST) -> list[int]:
    """The readers with the highest 99th percentile, worst first."""
    import numpy as np

    ranked = [(-float(np.percentile(lags.of(number)[1], 99)), number) for number in lags.readers()]
    return [number for _, number in sorted(ranked)[:most]]


# --- over time ---


def lag_figure(result: Outcome) -> Figure:
    """Replication lag over the time at which facts were written, per node."""
    figure, (axes,) = with_lanes(result, 3.1)
    plot_lag(axes, result)
    return figure


def plot_lag(axes: Axes, result: Outcome) -> None:
    """The same in axes."""
    unit = time_axis(axes, result, "time of writing")
    axes.set_ylabel("replication lag")
    shade(axes, result, unit)
    lags = lags_of(result)
    if not len(lags.lag):
        say_nothing_there(axes, "no fact reached another node")
        axes.set_yticks([])
        return
    draw = _each_node if len(lags.readers()) <= FEW_NODES else _many_nodes
    low, high = draw(axes, lags, unit)
    _name_absent(axes, lags)
    lag_axis(axes, low, max(high, _draw_missing(axes, lags, unit)), vertical=True)
    legend(axes, title="facts seen on")


def _name_absent(axes: Axes, lags: Lags) -> None:
    """Say of nodes that no copy is measured for, so that they do not seem to be forgotten."""
    readers = lags.readers()
    absent = [name for number, name in enumerate(lags.names) if number not in readers]
    told = [fit_name(name) for name in absent[:_ABSENT_NAMED]]
    if len(absent) > _ABSENT_NAMED:
        told.append(f"{len(absent) - _ABSENT_NAMED} more")
    for name in told:
        axes.plot([], [], linestyle="none", label=f"{name}: no fact of others")


def _draw_missing(axes: Axes, lags: Lags, unit: TimeUnit) -> float:
    """Hollow marks at the ages of the copies that never came; the highest of them, or 0."""
    never = ~lags.came
    if not never.any():
        return 0.0
    written, lag = lags.written[never], lags.lag[never]
    step = max(1, len(lag) // _HOLLOW_MAX)
    axes.plot(
        written[::step] / unit.length_s, lag[::step], "o", markerfacecolor="none", markeredgecolor=INK, markersize=4.5,
        markeredgewidth=0.6, linestyle="none", rasterized=True, zorder=6, label=f"{never.sum():,} never came (age)",
    )  # fmt: skip
    return float(lag.max())


def _each_node(axes: Axes, lags: Lags, unit: TimeUnit) -> tuple[float, float]:
    """A dot per copy and the median per node; the lowest and the highest lag drawn."""
    step = max(1, len(lags.lag) // _DOTS_MAX)
    size, alpha = next(look for most, *look in _DOT_LOOKS if len(lags.lag) <= most)
    for place, number in enumerate(lags.readers()):
        written, lag = lags.of(number)
        colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
        axes.plot(
            written[::step] / unit.length_s, lag[::step], marker, color=colour, rasterized=True, linestyle="none",
            markersize=size, alpha=alpha, markeredgewidth=0,
        )  # fmt: skip
        middle, (median,) = _binned(written, lag, (50,))
        name = fit_name(lags.names[number])
        if not lags.came[lags.node == number].any():
            name = f"{name}: nothing came"
        if len(median) > 1:
            axes.plot(middle / unit.length_s, median, color=colour, label=name)
        else:
            axes.plot([], [], marker, color=colour, linestyle="none", markersize=size, label=name)
    return float(lags.lag.min()), float(lags.lag.max())


def _many_nodes(axes: Axes, lags: Lags, unit: TimeUnit) -> tuple[float, float]:
    """Median and 99th percentile of all, median of the worst; the lowest and the highest lag drawn."""
    middle, (median, high) = _binned(lags.written, lags.lag, (50, 99))
    x = middle / unit.length_s
    axes.fill_between(x, median, high, color="#BFD9EA", linewidth=0, label="all: median to p99")
    axes.plot(x, median, color=INK, linewidth=1.8, label="all: median", zorder=5)
    low = float(median.min())
    for place, number in enumerate(worst_nodes(lags)):
        centre, (line,) = _binned(*lags.of(number), (50,))
        axes.plot(
            centre / unit.length_s, line, color=COLOURS[place], linewidth=1.0, marker=MARKERS[place], markersize=3,
            markevery=max(1, len(line) // 8), label=fit_name(lags.names[number]), zorder=4,
        )  # fmt: skip
        low = min(low, float(line.min()))
    return low, float(high.max())


def _binned(
    written: NDArray[np.float64], lag: NDArray[np.float64], percents: tuple[int, ...]
) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    """Percentiles of the lags in equal spans of time; spans without any are left out."""
    import numpy as np

    order = np.argsort(written, kind="stable")
    written, lag = written[order], lag[order]
    edges = np.linspace(written[0], written[-1] + 1e-9, min(_BINS, max(1, len(written) // _COPIES_PER_BIN)) + 1)
    cuts = np.searchsorted(written, edges)
    spans = [(a, b) for a, b in pairwise(cuts) if b > a]
    middle = np.array([written[a:b].mean() for a, b in spans])
    table = np.array([np.percentile(lag[a:b], percents) for a, b in spans])
    return middle, [table[:, column] for column in range(len(percents))]


# --- as a distribution ---


def distribution_figure(result: Outcome) -> Figure:
    """The empirical distribution of the lag over all copies that are measured, and per node."""
    figure = canvas(3.3)
    axes = figure.add_subplot()
    axes.set_title(f"{result.scenario.name}, seed {result.seed}", fontweight="bold")
    plot_distribution(axes, result)
    return figure


def plot_distribution(axes: Axes, result: Outcome) -> None:
    """The same in axes."""
    lags = lags_of(result)
    axes.set_ylabel("copies visible within (%)")
    axes.set_ylim(0, 101)
    missing = int((~lags.came).sum())
    note = f"; {missing:,} never came: their lag is at least what is drawn" if missing else ""
    axes.set_xlabel(f"replication lag ({len(lags.lag):,} copies{note})")
    if not len(lags.lag):
        say_nothing_there(axes, "no fact reached another node")
        axes.set_xticks([])
        return
    readers = lags.readers()
    named = readers if len(readers) <= FEW_NODES else worst_nodes(lags)
    for number in readers:
        if number not in named:
            axes.plot(*_ecdf(lags.of(number)[1]), color=GREY, linewidth=0.4, alpha=0.6, zorder=2)
    for place, number in enumerate(named):
        x, y = _ecdf(lags.of(number)[1])
        axes.plot(x, y, color=COLOURS[place], linewidth=1.1, label=fit_name(lags.names[number]), zorder=3)
    axes.plot(*_ecdf(lags.lag), color=INK, linewidth=2.0, label="all nodes", zorder=4)
    if len(named) < len(readers):
        axes.plot([], [], color=GREY, linewidth=0.8, label=f"{len(readers) - len(named)} other nodes")
    _mark_percentiles(axes, result)
    lag_axis(axes, float(lags.lag.min()), float(lags.lag.max()), vertical=False)
    legend(axes)


def _ecdf(lag: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points of the empirical distribution in percent, at most `_CURVE_POINTS` of them, as a staircase."""
    import numpy as np

    ordered = np.sort(lag)
    places = np.unique(np.linspace(0, len(ordered) - 1, min(_CURVE_POINTS, len(ordered))).round().astype(np.int64))
    x, y = ordered[places], (places + 1) * 100.0 / len(ordered)
    if len(ordered) <= _CURVE_POINTS // 4:
        x, y = np.repeat(x, 2), np.repeat(np.concatenate(([0.0], y)), 2)[1:-1]
    return x, y


def _mark_percentiles(axes: Axes, result: Outcome) -> None:
    lag = result.run_json["lag"]
    for name, percent, marker in (("p50_s", 50, "o"), ("p90_s", 90, "s"), ("p99_s", 99, "D")):
        value = max(lag[name], _FLOOR_S)
        axes.plot(
            [value], [percent], marker, color="white", markeredgecolor=INK, markersize=5, zorder=6, linestyle="none",
            label=f"p{percent}: {lag_text(lag[name])}",
        )  # fmt: skip
