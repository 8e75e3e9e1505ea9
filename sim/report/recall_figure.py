"""What each team could recall over time: the share of what had been said by then that its agents were told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sim.report.lanes import shade, with_lanes
from sim.report.style import COLOURS, MARKERS, fit_name, legend, say_nothing_there, time_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sim.analysis.outcome import Outcome
    from sim.observation.recollections import Recollection
    from sim.report.style import TimeUnit

__all__ = ["plot_recall", "recall_figure"]

_NS: Final = 1e9
_TOGETHER: Final = 15
"""Recalls of a team that one point of its curve is the mean of; each recall is about a subject of its own."""

Share = tuple[int, int]
"""Said, and found of it."""


def recall_figure(result: Outcome) -> Figure:
    """Of what other teams had said, and of what its own team had said, how much each team recalled."""
    figure, (others, own) = with_lanes(result, 4.4, panels=(1.0, 1.0))
    plot_recall(others, result)
    _plot(own, result, lambda each: (each.own_said, each.own_found))
    own.set_ylabel("recalled of what\nits own team said (%)")
    others.set_xlabel("")
    figure.align_ylabels([others, own])
    return figure


def plot_recall(axes: Axes, result: Outcome) -> None:
    """The upper of its panels: of what other teams had said."""
    _plot(axes, result, lambda each: (each.others_said, each.others_found))
    axes.set_ylabel("recalled of what\nother teams said (%)")
    if result.recollections:
        legend(axes)


def _plot(axes: Axes, result: Outcome, share: Callable[[Recollection], Share]) -> None:
    unit = time_axis(axes, result)
    axes.set_ylim(-2, 103)
    shade(axes, result, unit)
    teams = list(dict.fromkeys(each.team for each in result.recollections))
    for number, team in enumerate(teams):
        told = [each for each in result.recollections if each.team == team and share(each)[0]]
        _draw(axes, told, share, unit, number, fit_name(team))
    if not teams:
        say_nothing_there(axes, "no agent recalled anything")


def _draw(
    axes: Axes, told: list[Recollection], share: Callable[[Recollection], Share], unit: TimeUnit, number: int, team: str
) -> None:
    scale = _NS * unit.length_s
    x = [each.at_ns / scale for each in told]
    y = [100.0 * found / said for said, found in map(share, told)]
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    axes.plot(x, y, linestyle="none", marker=marker, markersize=2.2, color=colour, alpha=0.35)
    last = [told[max(0, at - _TOGETHER + 1) : at + 1] for at in range(len(told))]
    means = [100.0 * sum(share(e)[1] for e in part) / sum(share(e)[0] for e in part) for part in last]
    axes.plot(x, means, color=colour, label=f"{team},\nlast {_TOGETHER} recalls")
