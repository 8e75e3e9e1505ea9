"""Where the nodes of a map stand: projected, laid out when there are no coordinates, fitted to the frame.

The same graph always gets the same places. Nothing is drawn here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from sim.report.projection import Projection

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from sim.analysis.outcome import Outcome

__all__ = ["fit", "layout", "places", "set_apart"]

_CIRCLE_MAX: Final = 8
_SPRING_MAX: Final = 400
_MARGIN: Final = 1.25
_CRAMPED: Final = 1.2
"""Nodes nearer to each other than this many of their own size are set apart."""

Spots = dict[str, tuple[float, float]]


def places(result: Outcome) -> tuple[NDArray[np.float64], Projection | None]:
    """A row of x and y per node, and the projection they come from, if nodes have coordinates."""
    import numpy as np

    projection = Projection(result.positions.values()) if result.positions else None
    spots = layout(result) if projection is None else _on_map(result, projection)
    return np.array([spots[name] for name in result.nodes]), projection


def _on_map(result: Outcome, projection: Projection) -> Spots:
    """Places on the plane; a node without coordinates goes to the middle of its neighbours that have some."""
    spots: Spots = {}
    for name, (lat, lon) in result.positions.items():
        x, y = projection.plane(lat, lon)
        spots[name] = (float(x), float(y))
    known = list(spots.values())
    middle = (sum(x for x, _ in known) / len(known), sum(y for _, y in known) / len(known))
    for name in result.nodes:
        if name not in spots:
            near = [spots[other] for other in result.plan.graph.neighbors(name) if other in result.positions]
            near = near or [middle]
            spots[name] = (sum(x for x, _ in near) / len(near), sum(y for _, y in near) / len(near))
    return spots


def layout(result: Outcome) -> Spots:
    """Places for a graph that has none: a chain as a line, a few nodes on a circle, more by springs."""
    import networkx as nx

    graph, names = result.plan.graph, list(result.nodes)
    degrees = sorted(degree for _, degree in graph.degree)
    if len(names) > 1 and nx.is_connected(graph) and degrees[-1] <= 2 and degrees[0] == 1:
        end = next(name for name in names if graph.degree[name] == 1)
        chain = list(nx.dfs_preorder_nodes(graph, end))
        return {name: (float(place), 0.0) for place, name in enumerate(chain)}
    ring = nx.circular_layout(names)
    if _CIRCLE_MAX < len(names) <= _SPRING_MAX:
        ring = nx.spring_layout(graph, pos=ring, seed=1, iterations=120, k=1.6 / math.sqrt(len(names)))
    return {name: (float(ring[name][0]), float(ring[name][1])) for name in names}


def fit(axes: Axes, points: NDArray[np.float64]) -> None:
    """Limits around all points that keep the scale equal in both directions."""
    low, high = points.min(axis=0), points.max(axis=0)
    middle = (low + high) / 2
    box = axes.get_window_extent()
    span = (high - low) * _MARGIN
    unit = max(float(span[0]) / box.width, float(span[1]) / box.height) or 1.0 / box.width
    half = (unit * box.width / 2, unit * box.height / 2)
    axes.set_xlim(middle[0] - half[0], middle[0] + half[0])
    axes.set_ylim(middle[1] - half[1], middle[1] + half[1])


def set_apart(axes: Axes, points: NDArray[np.float64], size_pt: float) -> NDArray[np.float64]:
    """Nodes in one place, set side by side on a small circle."""
    import numpy as np

    pixel = axes.get_xlim()
    step = (pixel[1] - pixel[0]) / axes.get_window_extent().width * size_pt * _CRAMPED
    groups: dict[tuple[float, float], list[int]] = {}
    for number, (x, y) in enumerate(points):
        groups.setdefault((round(x / step), round(y / step)), []).append(number)
    moved = points.copy()
    for members in groups.values():
        if len(members) > 1:
            radius = step * max(0.6, len(members) / (2 * math.pi))
            for turn, number in enumerate(members):
                angle = 2 * math.pi * turn / len(members)
                moved[number] = points[members[0]] + radius * np.array([math.cos(angle), math.sin(angle)])
    return moved
