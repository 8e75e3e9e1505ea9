"""The figure of each campaign. Points are single runs; nothing is averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_clock", "draw_disk", "draw_network"]

_Rows = Sequence[Mapping[str, Any]]
_BOUND_S: Final = 10
_SHOWN_MAX_S: Final = 60
"""Leads beyond this are told in the table alone."""
_STATES: Final = ("accepted", "deferred", "refused")


def _measured(rows: _Rows) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    return [(row["values"], row["measured"]) for row in rows if "measured" in row]


def draw_clock(rows: _Rows) -> Figure:
    """What becomes of stamps over the lead of an offset; how long one wins, and what is inverted, for every kind."""
    from sim.report.style import GREY, canvas, legend

    figure = canvas(6.6)
    states, lives, inverted = figure.subplots(3, 1, sharex=True)
    near = [each for each in _measured(rows) if each[0]["lead_s"] <= _SHOWN_MAX_S]
    _draw_states(states, [each for each in near if each[0]["kind"] == "offset"])
    _draw_lives(lives, near)
    _draw_inverted(inverted, near)
    for axes in (states, lives, inverted):
        axes.axvline(_BOUND_S, color=GREY, linestyle="--", linewidth=1, label="the bound, skew_future")
        legend(axes)
    inverted.set_xlabel("how far the clock is wrong (s); of a drift, at the end")
    return figure


def _draw_states(axes: Axes, told: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> None:
    from sim.report.style import COLOURS, MARKERS

    for number, state in enumerate(_STATES):
        points = sorted((values["lead_s"], _share(each, state)) for values, each in told)
        look: dict[str, Any] = {"color": COLOURS[number], "marker": MARKERS[number], "markersize": 4}
        axes.plot([x for x, _ in points], [y for _, y in points], label=state, **look)
    axes.set_ylabel("share of copies")
    axes.set_title("What becomes of facts of a clock that is ahead by an offset")


def _share(told: Mapping[str, Any], state: str) -> float:
    every = sum(told[each] for each in _STATES)
    return told[state] / every if every else 0.0


def _draw_lives(axes: Axes, told: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> None:
    from sim.report.style import GREY

    longest = max((values["lead_s"] for values, _ in told), default=_BOUND_S)
    axes.plot([0, _BOUND_S, longest], [0, _BOUND_S, _BOUND_S], color=GREY, linewidth=1, label="min(lead, bound)")
    _scatter(axes, told, "lie_s", leave_out=("lying stamps",))
    axes.set_ylabel("seconds")
    axes.set_title("For how long the longest accepted future stamp keeps winning")


def _draw_inverted(axes: Axes, told: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> None:
    _scatter(axes, told, "inverted", leave_out=("lying stamps",))
    axes.set_ylabel("share of copies")
    axes.set_title("Copies that were stored below an older fact")


def _scatter(
    axes: Axes,
    told: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]],
    key: str,
    *,
    leave_out: tuple[str, ...] = (),
) -> None:
    from sim.report.style import COLOURS, MARKERS

    kinds = dict.fromkeys(values["kind"] for values, _ in told if values["kind"] not in leave_out)
    for number, kind in enumerate(kinds):
        points = sorted((values["lead_s"], each[key]) for values, each in told if values["kind"] == kind)
        look: dict[str, Any] = {"color": COLOURS[number], "marker": MARKERS[number], "markersize": 4, "linewidth": 0.8}
        axes.plot([x for x, _ in points], [y for _, y in points], label=kind, **look)


def draw_disk(rows: _Rows) -> Figure:
    """How long the struck node took to catch up: over the commit at which it crashed, and for every other fault."""
    from sim.report.style import COLOURS, MARKERS, canvas, legend

    figure = canvas(5.2)
    crashes, others = figure.subplots(2, 1)
    told = _measured(rows)
    faults = dict.fromkeys(values["fault"] for values, _ in told if values["commit"])
    for number, fault in enumerate(faults):
        points = sorted((values["commit"], each["catch_up_s"]) for values, each in told if values["fault"] == fault)
        look: dict[str, Any] = {"color": COLOURS[number], "marker": MARKERS[number], "markersize": 4, "linewidth": 0.8}
        crashes.plot([x for x, _ in points], [y for _, y in points], label=fault, **look)
    crashes.set_xlabel("at which commit of the node its power went")
    crashes.set_title("After a crash at a commit boundary")
    if faults:
        legend(crashes)
    names = [(values["fault"], each["catch_up_s"]) for values, each in told if not values["commit"]]
    others.barh([name for name, _ in names][::-1], [took for _, took in names][::-1], color=COLOURS[0], height=0.6)
    others.set_xlabel("seconds from the end of the fault to the last copy")
    others.set_title("After other faults of a disk")
    crashes.set_ylabel("seconds to the last copy")
    crashes.set_ylim(bottom=0)
    return figure


def draw_network(rows: _Rows) -> Figure:
    """When everybody agreed after the writes had stopped, for every trouble; a colour for each period."""
    from sim.report.style import COLOURS, canvas, legend

    told = _measured(rows)
    troubles = list(dict.fromkeys((values["trouble"], values["one_way"]) for values, _ in told))
    periods = list(dict.fromkeys(values["period_s"] for values, _ in told))
    figure = canvas(1.4 + 0.32 * len(troubles))
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, key, title in ((left, "lag_max_s", "worst lag"), (right, "catch_up_s", "catch-up")):
        for number, period in enumerate(periods):
            points = [
                (troubles.index((values["trouble"], values["one_way"])) + 0.15 * number, each[key])
                for values, each in told
                if values["period_s"] == period and each[key] is not None
            ]
            label = f"flapping, {period} s" if period else "once"
            look: dict[str, Any] = {"color": COLOURS[number], "linestyle": "", "marker": "o", "markersize": 4}
            axes.plot([x for _, x in points], [y for y, _ in points], label=label, **look)
        axes.set_xlabel("seconds")
        axes.set_xlim(left=-2)
        axes.set_title(title)
    left.set_yticks(range(len(troubles)), [f"{name}{', one way' if one_way else ''}" for name, one_way in troubles])
    left.invert_yaxis()
    legend(right)
    return figure
