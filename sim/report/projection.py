"""From latitude and longitude to the plane, and the lines of the globe to draw behind a map.

Lambert's azimuthal equal-area projection for anything up to a continent or two, plate carree beyond. Plain
geometry in numpy; drawing is `sim.report.map_figure`'s.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Projection", "graticule"]

_LAMBERT_REACH_DEG: Final = 75.0
_STEPS_DEG: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0)
_LINES_WANTED: Final = 5
Line = tuple[str, "NDArray[np.float64]", "NDArray[np.float64]"]
"""A line's text such as `50° N`, and its x and y."""


class Projection:
    """A projection about the middle of some places; x and y in radians of arc near the middle."""

    def __init__(self, places: Iterable[tuple[float, float]]) -> None:
        import numpy as np

        self.places = np.radians(np.array(list(places), dtype=float).reshape(-1, 2))
        lat, lon = self.places[:, 0], self.places[:, 1]
        vectors = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)
        x, y, z = vectors.sum(axis=0)
        flat = math.hypot(x, y)
        self.lon = math.atan2(y, x) if flat > 1e-9 else 0.0
        self.lat = math.atan2(z, flat) if flat > 1e-9 or abs(z) > 1e-9 else 0.0
        middle = np.array(
            [math.cos(self.lat) * math.cos(self.lon), math.cos(self.lat) * math.sin(self.lon), math.sin(self.lat)]
        )
        reach = float(np.degrees(np.arccos(np.clip(vectors @ middle, -1, 1)).max())) if len(vectors) else 0.0
        self.is_lambert = reach <= _LAMBERT_REACH_DEG

    def plane(
        self, lat_deg: NDArray[np.float64] | float, lon_deg: NDArray[np.float64] | float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """x and y of places given in degrees."""
        import numpy as np

        lat, lon = np.radians(np.asarray(lat_deg, dtype=float)), np.radians(np.asarray(lon_deg, dtype=float))
        turn = (lon - self.lon + np.pi) % (2 * np.pi) - np.pi
        if not self.is_lambert:
            return turn, lat
        near = 1 + math.sin(self.lat) * np.sin(lat) + math.cos(self.lat) * np.cos(lat) * np.cos(turn)
        scale = np.sqrt(2 / np.maximum(near, 1e-9))
        x = scale * np.cos(lat) * np.sin(turn)
        y = scale * (math.cos(self.lat) * np.sin(lat) - math.sin(self.lat) * np.cos(lat) * np.cos(turn))
        return x, y


def graticule(projection: Projection, reach_rad: float) -> tuple[list[Line], list[Line]]:
    """Parallels and meridians that matter within `reach_rad` of the middle."""
    import numpy as np

    step = next((s for s in _STEPS_DEG if 2 * math.degrees(reach_rad) / s <= _LINES_WANTED * 1.6), _STEPS_DEG[-1])
    fine = np.linspace(0.0, 1.0, 181)
    lat0, lon0 = math.degrees(projection.lat), math.degrees(projection.lon)
    reach = math.degrees(reach_rad) * 1.6 + step
    widest = min(179.9, reach / max(0.12, math.cos(min(abs(projection.lat) + reach_rad, 1.45))))
    south, north = max(-89.9, lat0 - reach), min(89.9, lat0 + reach)
    parallels, meridians = [], []
    for lat in np.arange(math.ceil(south / step) * step, north, step):
        x, y = projection.plane(np.full(181, lat), lon0 - widest + 2 * widest * fine)
        parallels.append((_degrees(float(lat), "N", "S"), x, y))
    for lon in np.arange(math.ceil((lon0 - widest) / step) * step, lon0 + widest, step):
        x, y = projection.plane(south + (north - south) * fine, np.full(181, lon))
        meridians.append((_degrees((float(lon) + 180) % 360 - 180, "E", "W"), x, y))
    return parallels, meridians


def _degrees(angle: float, positive: str, negative: str) -> str:
    angle = round(angle, 3)
    if angle in (0.0, -180.0):
        return f"{abs(angle):g}°"
    return f"{abs(angle):g}° {positive if angle > 0 else negative}"
