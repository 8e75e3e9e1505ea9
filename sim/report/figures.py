"""All figures of a run, by name; the one place that knows them all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.analysis.outcome import Outcome
from sim.report.belief_figure import beliefs_figure, plot_beliefs
from sim.report.lag_figures import distribution_figure, lag_figure, plot_distribution, plot_lag
from sim.report.map_figure import map_figure
from sim.report.progress_figures import conflicts_figure, convergence_figure, plot_conflicts, plot_convergence
from sim.report.recall_figure import plot_recall, recall_figure
from sim.report.style import save, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "draw_figure", "draw_figures"]

FIGURES: Final[dict[str, Callable[[Outcome], Figure]]] = {
    "lag": lag_figure,
    "lag_distribution": distribution_figure,
    "convergence": convergence_figure,
    "conflicts": conflicts_figure,
    "map": map_figure,
}
OF_BELIEFS: Final = "beliefs"
"""One more, drawn where agents said what they believe."""
OF_RECALLS: Final = "recall"
"""Another one, drawn where agents recalled something."""
_PLOTS: Final[dict[str, Callable[[Axes, Outcome], None]]] = {
    "lag": plot_lag,
    "lag_distribution": plot_distribution,
    "convergence": plot_convergence,
    "conflicts": plot_conflicts,
    OF_BELIEFS: plot_beliefs,
    OF_RECALLS: plot_recall,
}
"""Those that can be drawn into axes of somebody else's."""


def draw_figures(result: Outcome, folder: Path) -> list[Path]:
    """Draw every figure into a folder, each under its name with `.png`."""
    wanted = FIGURES | ({OF_BELIEFS: beliefs_figure} if result.beliefs.told else {})
    wanted |= {OF_RECALLS: recall_figure} if result.recollections else {}
    with styled():
        return [save(draw(result), folder / f"{name}.png") for name, draw in wanted.items()]


def draw_figure(result: Outcome, name: str, axes: Axes | None = None) -> Figure:
    """One figure; with `axes` it is drawn into these. Raises ValueError for a name that there is not, and for one that
    cannot be drawn into axes."""
    drawn = FIGURES | {OF_BELIEFS: beliefs_figure, OF_RECALLS: recall_figure}
    if name not in drawn:
        raise ValueError(f"there is no figure {name!r}; the figures are {', '.join(drawn)}")
    with styled():
        if axes is None:
            return drawn[name](result)
        if name not in _PLOTS:
            raise ValueError(f"the figure {name!r} has a layout of its own; leave out ax")
        _PLOTS[name](axes, result)
    figure = axes.get_figure(root=True)
    if figure is None:
        raise ValueError("these axes are in no figure")
    return figure
