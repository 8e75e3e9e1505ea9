"""Placing names beside points so that none lies on another name, on a point, or, where it can, on a line.

Greedy with repair: each name takes its cheapest free place among a fixed fan of places around its point, the
most crowded first, and then all are asked again. Geometry only, in one unit (printer's points), no drawing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Box", "Placed", "place_names"]

_DISTANCES: Final = (4.5, 7.0, 11.0, 16.0, 22.0, 30.0, 40.0)
_DIRECTIONS: Final = 16
_ROUNDS: Final = 4
_LINE_COST: Final = 1.2
_DISTANCE_COST: Final = 0.35
_LEADER_FROM: Final = 9.0
_FAR: Final = 1e9


class Box(NamedTuple):
    """A rectangle by its edges."""

    left: float
    bottom: float
    right: float
    top: float


class Placed(NamedTuple):
    """Where a name goes: the lower left corner of its box, and whether a line must lead to its point."""

    x: float
    y: float
    leader: bool


def place_names(
    points: NDArray[np.float64],
    sizes: NDArray[np.float64],
    inside: Box,
    lines: NDArray[np.float64],
    radius: float,
) -> list[Placed | None]:
    """A place for each name, or None where there is none free.

    `points` are all the points (one a row), `sizes` width and height of the names of the first of them;
    `lines` points strewn along what should stay visible; `radius` the size of a drawn point.
    """
    import numpy as np

    fans = [_fan(points[i], sizes[i], radius) for i in range(len(sizes))]
    costs = [_fixed_costs(fan, points, i, inside, lines, radius) for i, fan in enumerate(fans)]
    chosen: list[int | None] = [None] * len(sizes)
    boxes = np.full((len(sizes), 4), np.nan)
    crowd = [float((np.hypot(*(points - points[i]).T) < 60).sum()) for i in range(len(sizes))]
    order = sorted(range(len(sizes)), key=lambda i: (-crowd[i], i))
    for _ in range(_ROUNDS):
        moved = False
        for i in order:
            boxes[i] = np.nan
            total = costs[i] + _overlaps(fans[i], boxes) * _FAR
            best = int(np.argmin(total))
            new = best if total[best] < _FAR else None
            moved |= new != chosen[i]
            chosen[i] = new
            if new is not None:
                boxes[i] = fans[i][new, :4]
        if not moved:
            break
    return [_placed(fans[i], choice) for i, choice in enumerate(chosen)]


def _fan(point: NDArray[np.float64], size: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """Candidate boxes around a point: left, bottom, right, top, distance."""
    import numpy as np

    width, height = float(size[0]), float(size[1])
    rows = []
    for distance in _DISTANCES:
        for turn in range(_DIRECTIONS):
            angle = 2 * math.pi * turn / _DIRECTIONS
            along, up = math.cos(angle), math.sin(angle)
            left = point[0] + along * (radius + distance) + (_side(along) - 1) * width / 2
            bottom = point[1] + up * (radius + distance) + (_side(up) - 1) * height / 2
            rows.append((left, bottom, left + width, bottom + height, distance))
    return np.array(rows)


def _side(component: float) -> float:
    return max(-1.0, min(1.0, component * 1.6))


def _fixed_costs(
    fan: NDArray[np.float64],
    points: NDArray[np.float64],
    mine: int,
    inside: Box,
    lines: NDArray[np.float64],
    radius: float,
) -> NDArray[np.float64]:
    """What a place costs whatever the other names do; `_FAR` where it cannot be."""
    import numpy as np

    left, bottom, right, top, distance = fan.T
    cost = distance * _DISTANCE_COST
    cost += _FAR * ((left < inside.left) | (bottom < inside.bottom) | (right > inside.right) | (top > inside.top))
    reach = radius + 1.0
    near_x = np.maximum(np.maximum(left[:, None] - points[None, :, 0], points[None, :, 0] - right[:, None]), 0)
    near_y = np.maximum(np.maximum(bottom[:, None] - points[None, :, 1], points[None, :, 1] - top[:, None]), 0)
    hits = np.hypot(near_x, near_y) < reach
    cost += _FAR * hits.any(axis=1)
    if len(lines):
        within = (
            (lines[None, :, 0] > left[:, None]) & (lines[None, :, 0] < right[:, None])
            & (lines[None, :, 1] > bottom[:, None]) & (lines[None, :, 1] < top[:, None])
        )  # fmt: skip
        cost += _LINE_COST * within.sum(axis=1)
    middle = np.stack([(left + right) / 2, (bottom + top) / 2], axis=1)
    others = np.delete(points, mine, axis=0)
    if len(others):  # a name must not look like its neighbour's
        gap = np.hypot(*(middle[:, None, :] - others[None, :, :]).transpose(2, 0, 1)).min(axis=1)
        own = np.hypot(*(middle - points[mine]).T)
        cost += 6.0 * (gap < own)
    return np.asarray(cost, dtype=np.float64)


def _overlaps(fan: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which candidates touch a box that is taken (rows of nan are not)."""
    import numpy as np

    pad = 0.8
    touching = (
        (fan[:, None, 0] < boxes[None, :, 2] + pad) & (fan[:, None, 2] > boxes[None, :, 0] - pad)
        & (fan[:, None, 1] < boxes[None, :, 3] + pad) & (fan[:, None, 3] > boxes[None, :, 1] - pad)
    )  # fmt: skip
    return np.asarray(touching.any(axis=1), dtype=np.bool_)


def _placed(fan: NDArray[np.float64], choice: int | None) -> Placed | None:
    if choice is None:
        return None
    left, bottom, _, _, distance = fan[choice]
    return Placed(float(left), float(bottom), bool(distance > _LEADER_FROM))
