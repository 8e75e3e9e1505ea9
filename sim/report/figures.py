"""All figures of a run, by file name; the one place that knows them all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.report.lag_figures import distribution_figure, lag_figure
from sim.report.map_figure import map_figure
from sim.report.progress_figures import conflicts_figure, convergence_figure
from sim.report.style import save, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sim.analysis.result import Result

__all__ = ["FIGURES", "draw_figures"]

FIGURES: Final[dict[str, Callable[[Result], Figure]]] = {
    "lag.png": lag_figure,
    "lag_distribution.png": distribution_figure,
    "convergence.png": convergence_figure,
    "conflicts.png": conflicts_figure,
    "map.png": map_figure,
}


def draw_figures(result: Result, folder: Path) -> list[Path]:
    """Draw every figure into a folder."""
    with styled():
        return [save(draw(result), folder / name) for name, draw in FIGURES.items()]
