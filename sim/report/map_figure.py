"""The federation as a map: nodes coloured by lag, links, and which of them a fault cut.

With coordinates a map of the world around them, without a layout of the graph that is the same every time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from sim.report.labels import Box, place_names
from sim.report.lag_figures import lags_of, worst_nodes
from sim.report.places import fit, places, set_apart
from sim.report.projection import graticule
from sim.report.style import CUT, INK, canvas, fit_name, lag_text

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from sim.analysis.outcome import Outcome
    from sim.report.lag_figures import Lags
    from sim.report.projection import Projection

__all__ = ["cut_links", "map_figure"]

_LOWEST_IN, _HIGHEST_IN, _HIGHEST_LAYOUT_IN = 2.6, 5.6, 4.2
"""How high the figure may be, as its places are spread; a layout without coordinates needs less."""
_LEFT, _RIGHT, _FOOT_IN, _HEAD_IN = 0.035, 0.785, 0.26, 0.32
"""Margins of the map: shares of the width, inches of the height. What is right of it is for legend and colours."""
_NODE_PT, _SMALLEST_PT = 5.2, 1.6
_ROOMY: Final = 150
"""So many nodes have room at full size; of more, each is smaller."""
_THIN: Final = ((200, 0.9), (800, 0.4), (1 << 62, 0.15))
"""Up to so many links: how thick a line is, in points."""
_NAMES_MAX: Final = 60
_SCALE_NODES_MIN: Final = 3
"""Nodes with a measured lag from which on their colours say how long it is."""
_ONE_COLOUR: Final = "#7C8A93"
_WORST_NAMED: Final = 12
_EVERYDAY_RULES: Final = ("loss",)
"""Rules that lose single packets without a fault."""


def map_figure(result: Outcome) -> Figure:
    """Nodes at their places, coloured by the median lag of the facts that reached them."""

    points, projection = places(result)
    figure, axes = _frame(points, _HIGHEST_LAYOUT_IN if projection is None else _HIGHEST_IN)
    axes.set_title(f"{result.scenario.name}, seed {result.seed}", fontweight="bold")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set(visible=True, edgecolor="#BBBBBB")
    fit(axes, points)
    if projection is not None:
        _draw_graticule(axes, projection)
    points = set_apart(axes, points, _node_pt(len(points)))
    lines = _draw_links(axes, result, points)
    lags = lags_of(result)
    _draw_nodes(figure, axes, result, points, lags)
    _draw_names(figure, axes, result, points, lines, lags)
    if len(result.nodes) > _NAMES_MAX:
        axes.plot([], [], linestyle="none", label=f"named: the {_WORST_NAMED}\nworst by p99")
    axes.legend(loc="upper left", bbox_to_anchor=(1.015, 1.0), borderaxespad=0.0)
    return figure


# --- drawing ---


def _frame(points: NDArray[np.float64], highest_in: float) -> tuple[Figure, Axes]:
    """A figure as high as the spread of the places asks for, and the axes of the map in it."""
    import numpy as np

    wide, high = np.ptp(points, axis=0)
    width_in = canvas(1.0).get_figwidth() * (_RIGHT - _LEFT)
    wanted = width_in * (float(high / wide) if wide > 0 else 1.0)
    height = min(max(wanted, _LOWEST_IN), highest_in)
    figure = canvas(height)
    figure.set_layout_engine("none")
    bottom, top = _FOOT_IN / height, 1 - _HEAD_IN / height
    return figure, figure.add_axes((_LEFT, bottom, _RIGHT - _LEFT, top - bottom))


def _node_pt(count: int) -> float:
    """The size of one of so many nodes, in points."""
    return max(_SMALLEST_PT, _NODE_PT * min(1.0, math.sqrt(_ROOMY / count)))


def _draw_graticule(axes: Axes, projection: Projection) -> None:
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    reach = math.hypot(max(abs(left), abs(right)), max(abs(bottom), abs(top)))
    style: dict[str, Any] = {"color": "#E3E3E3", "linewidth": 0.6, "zorder": 0}
    text: dict[str, Any] = {"color": "#8A8A8A", "fontsize": 6, "zorder": 1, "clip_on": False}
    parallels, meridians = graticule(projection, min(reach, math.pi / 2))
    for name, x, y in parallels:
        axes.plot(x, y, **style)
        for crossing in _crossings(x, y, left, (bottom, top)):
            axes.annotate(name, (left, crossing), (-2, 0), textcoords="offset points", ha="right", va="center",
                          rotation=90, annotation_clip=False, **text)  # fmt: skip
    for name, x, y in meridians:
        axes.plot(x, y, **style)
        for crossing in _crossings(y, x, bottom, (left, right)):
            axes.annotate(name, (crossing, bottom), (0, -2), textcoords="offset points", ha="center", va="top",
                          annotation_clip=False, **text)  # fmt: skip


def _crossings(
    across: NDArray[np.float64], along: NDArray[np.float64], level: float, view: tuple[float, float]
) -> list[float]:
    """Where a line crosses a level of its first coordinate, within the view and clear of its corners; at most one."""
    import numpy as np

    low, high = view
    margin = 0.03 * (high - low)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (level - across[:-1]) / np.diff(across)
    found = along[:-1] + share * np.diff(along)
    meets = (share >= 0) & (share < 1) & (np.abs(np.diff(across)) < 1.0)
    seen = found[meets & (found > low + margin) & (found < high - margin)]
    return [float(place) for place in seen[:1]]


def cut_links(result: Outcome) -> set[tuple[str, str]]:
    """Links on which a fault stopped packets, in either direction."""
    hit = {(stop.source, stop.target) for stop in result.stops if stop.rule not in _EVERYDAY_RULES}
    return {(a, b) for a, b in result.links if (a, b) in hit or (b, a) in hit}


def _draw_links(axes: Axes, result: Outcome, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Draw the links; points strewn along them."""
    import numpy as np
    from matplotlib.collections import LineCollection

    place = {name: points[number] for number, name in enumerate(result.nodes)}
    cut = cut_links(result)
    whole = [np.array([place[a], place[b]]) for a, b in result.links if (a, b) not in cut]
    broken = [np.array([place[a], place[b]]) for a, b in result.links if (a, b) in cut]
    thin = next(width for most, width in _THIN if len(result.links) <= most)
    if whole:
        axes.add_collection(LineCollection(whole, colors="#8FA3AD", linewidths=thin, zorder=2, label="link"))
    if broken:
        dashes = LineCollection(broken, colors=CUT, linewidths=thin * 1.2, zorder=2, linestyles=[(0, (4, 2.2))],
                                label="link that a\nfault cut")  # fmt: skip
        axes.add_collection(dashes)
    shares = np.linspace(0.02, 0.98, 40)[:, None]
    ends = [*whole, *broken]
    return np.concatenate([end[0] * (1 - shares) + end[1] * shares for end in ends]) if ends else np.zeros((0, 2))


def _medians(result: Outcome, lags: Lags) -> NDArray[np.float64]:
    """Median lag of the facts that reached each node; nan where none did."""
    import numpy as np

    found = np.full(len(result.nodes), np.nan)
    for number in lags.readers():
        found[number] = np.median(lags.of(number)[1])
    return found


def _draw_nodes(figure: Figure, axes: Axes, result: Outcome, points: NDArray[np.float64], lags: Lags) -> None:
    import numpy as np

    medians = _medians(result, lags)
    seen = ~np.isnan(medians)
    x, y = points.T
    size = _node_pt(len(points))
    look: dict[str, Any] = {"s": size**2 * 1.6, "edgecolors": INK, "linewidths": 0.6 * size / _NODE_PT, "zorder": 4}
    if (~seen).any():
        axes.scatter(x[~seen], y[~seen], c="white", label="node without a\nmeasured lag", **look)
    if seen.any():
        if seen.sum() < _SCALE_NODES_MIN:  # a scale of two colours says less than two numbers
            axes.scatter(x[seen], y[seen], c=_ONE_COLOUR, label="node", **look)
            for number in np.flatnonzero(seen):
                told = f"{fit_name(result.nodes[number])}: {lag_text(float(medians[number]))}"
                axes.plot([], [], linestyle="none", label=f"median lag at\n{told}")
            return
        norm = _norm(medians[seen])
        drawn = axes.scatter(x[seen], y[seen], c=medians[seen], cmap="cividis", norm=norm, label="node", **look)
        bar = figure.colorbar(drawn, cax=figure.add_axes((0.815, 0.1, 0.018, 0.45)))
        ticks = _colour_ticks(norm)
        bar.set_ticks(ticks, labels=[lag_text(tick) for tick in ticks])
        bar.minorticks_off()
        bar.set_label("median replication lag")
        bar.outline.set_linewidth(0.5)


def _norm(values: NDArray[np.float64]) -> LogNorm:
    from matplotlib.colors import LogNorm

    low, high = float(values.min()), float(values.max())
    if high < low * 1.02:
        low, high = low / 1.1, high * 1.1
    return LogNorm(low, high)


def _colour_ticks(norm: LogNorm) -> list[float]:
    low, high = float(norm.vmin or 1.0), float(norm.vmax or 1.0)
    return [low * (high / low) ** (step / 4) for step in range(5)]


def _draw_names(
    figure: Figure,
    axes: Axes,
    result: Outcome,
    points: NDArray[np.float64],
    lines: NDArray[np.float64],
    lags: Lags,
) -> None:
    """Write the names (of many nodes only the worst), each where it covers nothing."""
    import numpy as np
    from matplotlib.patheffects import withStroke

    count = len(result.nodes)
    named = list(range(count)) if count <= _NAMES_MAX else worst_nodes(lags, _WORST_NAMED)
    order = [*named, *(number for number in range(count) if number not in named)]
    to_pt = 72.0 / figure.dpi
    flat = axes.transData.transform(points[order]) * to_pt
    strewn = axes.transData.transform(lines) * to_pt if len(lines) else lines
    size = 7.0 if count <= 20 else 6.2
    names = [fit_name(result.nodes[number]) for number in named]
    sizes = _text_sizes(figure, names, size)
    frame = axes.get_window_extent()
    inside = Box(*(edge * to_pt for edge in (frame.x0 + 2, frame.y0 + 2, frame.x1 - 2, frame.y1 - 2)))
    placed = place_names(flat, sizes, inside, strewn, _node_pt(count) * 0.65)
    back = axes.transData.inverted()
    halo = [withStroke(linewidth=1.4, foreground="white")]
    for at, (name, spot) in enumerate(zip(names, placed, strict=True)):
        if spot is None:
            continue
        x, y = back.transform(np.array([spot.x, spot.y]) / to_pt)
        axes.text(x, y, name, fontsize=size, color=INK, ha="left", va="bottom", zorder=6, path_effects=halo)
        if spot.leader:
            near = _nearest(flat[at], spot.x, spot.y, sizes[at])
            ends = back.transform(np.array([flat[at], near]) / to_pt)
            axes.plot(*ends.T, color="#777777", linewidth=0.35, zorder=3)


def _text_sizes(figure: Figure, names: list[str], size: float) -> NDArray[np.float64]:
    """Width and height of each name in points."""
    import numpy as np
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=size)
    sizes = [text_to_path.get_text_width_height_descent(name, font, ismath=False)[:2] for name in names]
    return np.array([(width, max(height, size)) for width, height in sizes]).reshape(-1, 2)


def _nearest(point: NDArray[np.float64], x: float, y: float, size: NDArray[np.float64]) -> tuple[float, float]:
    return min(max(float(point[0]), x), x + float(size[0])), min(max(float(point[1]), y), y + float(size[1]))
