"""The figure of what each node believed when: a row a node, a colour an opinion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.analysis.beliefs import DISPUTED, NOTHING, Belief
from sim.report.lanes import shade, with_lanes
from sim.report.style import COLOURS, GREY, INK, legend, say_nothing_there, time_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sim.analysis.outcome import Outcome

__all__ = ["beliefs_figure", "plot_beliefs"]

_NS: Final = 1e9
_ROW_IN: Final = 0.55
_BAR: Final = 0.7


def beliefs_figure(result: Outcome) -> Figure:
    """What each node would have answered about the subject that most was said about, over time."""
    figure, (axes,) = with_lanes(result, 1.0 + _ROW_IN * max(1, len(result.nodes)))
    plot_beliefs(axes, result)
    return figure


def plot_beliefs(axes: Axes, result: Outcome) -> None:
    """The same in axes."""
    unit = time_axis(axes, result)
    shade(axes, result, unit)
    if not result.beliefs.told:
        say_nothing_there(axes, "no agent said what it believes")
        return
    scale = _NS * unit.length_s
    said = sorted({each.said for each in result.beliefs.told} - {DISPUTED, NOTHING})
    colours = {text: COLOURS[number % (len(COLOURS) - 1)] for number, text in enumerate(said)}
    names = list(dict.fromkeys(each.node for each in result.beliefs.told))
    for row, name in enumerate(names):
        told = [each for each in result.beliefs.told if each.node == name]
        for each, end_ns in zip(told, _ends(told, result.ended_ns), strict=True):
            span = (each.begin_ns / scale, max(0.0, end_ns - each.begin_ns) / scale)
            axes.broken_barh([span], (row - _BAR / 2, _BAR), facecolors=colours.get(each.said, _plain(each.said)))
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    for text in (
        *said,
        *(each for each in (DISPUTED, NOTHING) if any(each == one.said for one in result.beliefs.told)),
    ):
        axes.plot([], [], color=colours.get(text, _plain(text)), linewidth=6, label=text)
    axes.set_ylabel("believed about\n" + result.beliefs.subject.rsplit("/", 1)[-1])
    legend(axes)


def _ends(told: list[Belief], ended_ns: int) -> list[int]:
    return [*(each.begin_ns for each in told[1:]), ended_ns]


def _plain(said: str) -> str:
    return INK if said == DISPUTED else GREY
