"""Lanes: over the curves of a run a strip that shows which faults were in force, who was hostile and when writes came
in bursts; and shading under it.

One lane a kind of fault, one a hostile peer, one a workload of bursts, named at its left, so that colours need no key;
they are none of those that nodes have. Nothing here knows what is plotted.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Final, NamedTuple

from sim.observation.conditions import FaultInterval
from sim.report.style import (
    BURST,
    CUT,
    FAULTS_END,
    HOSTILE,
    INK,
    OUTAGE,
    TROUBLE_COLOURS,
    canvas,
    fit_name,
    time_unit,
)
from sim.workload.burst import Burst

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sim.analysis.outcome import Outcome
    from sim.report.style import TimeUnit

__all__ = ["shade", "with_lanes"]

_LANE_IN: Final = 0.17
_LANES_MAX: Final = 12
_OUTAGES: Final = ("churn", "crash", "random crashes", "restart", "restored backup", "wipe")


def with_lanes(result: Outcome, height_in: float, panels: Sequence[float] = (1.0,)) -> tuple[Figure, list[Axes]]:
    """A figure with one lane a kind of fault on top and panels of these relative heights under it, all over the
    run's time. Faults are shaded in the panels too."""
    lanes = _strip_of(result)
    strip_in = _LANE_IN * max(1, len(lanes))
    figure = canvas(height_in + strip_in)
    total = sum(panels)
    ratios = [strip_in, *(height_in * panel / total for panel in panels)]
    grid = figure.add_gridspec(len(ratios), 1, height_ratios=ratios, hspace=0.0)
    main = [figure.add_subplot(grid[number]) for number in range(1, len(ratios))]
    strip = figure.add_subplot(grid[0], sharex=main[0])
    for axes in main[1:]:
        axes.sharex(main[0])
    for axes in main[:-1]:
        axes.tick_params(labelbottom=False)
    _draw_lanes(strip, result, lanes)
    strip.set_title(f"{result.scenario.name}, seed {result.seed}", fontweight="bold")
    return figure, main


def _lanes(result: Outcome) -> dict[str, list[FaultInterval]]:
    """The faults by what they are called, in the order in which they began. When there are too many kinds, cuts and
    outages keep lanes of their own, then the most frequent; the rest is merged."""
    found: dict[str, list[FaultInterval]] = {}
    for interval in sorted(result.fault_intervals, key=lambda each: each[2]):
        found.setdefault(interval[0], []).append(interval)
    if len(found) > _LANES_MAX:
        ranked = sorted(found, key=lambda label: (_kind_colour(label) is None, -len(found[label])))
        kept = ranked[: _LANES_MAX - 1]
        rest = [
            interval for label, fault_intervals in found.items() if label not in kept for interval in fault_intervals
        ]
        found = {
            **{label: fault_intervals for label, fault_intervals in found.items() if label in kept},
            "other faults": rest,
        }
    return {_lane_name(label, fault_intervals): fault_intervals for label, fault_intervals in found.items()}


def _kind_colour(label: str) -> str | None:
    """Cuts look the same in every figure of every run, and so do machines that are off; others have no fixed colour."""
    if label.endswith("cut"):
        return CUT
    return OUTAGE if label.startswith(_OUTAGES) else None


def _lane_name(label: str, fault_intervals: Sequence[FaultInterval]) -> str:
    nodes = fault_intervals[0][1]
    same = len(nodes) == 1 and all(interval[1] == nodes for interval in fault_intervals)
    return fit_name(f"{label}: {nodes[0]}") if same else fit_name(label)


class _Lane(NamedTuple):
    """One line of the strip: its name, its colour (None is the next that is free), and when it is filled."""

    name: str
    colour: str | None
    spans: Sequence[tuple[int, int]]


def _strip_of(result: Outcome) -> list[_Lane]:
    """Faults first, then who is hostile, then bursts of writes."""
    lanes = [
        _Lane(name, _kind_colour(intervals[0].label), [(each.begin_ns, each.end_ns) for each in intervals])
        for name, intervals in _lanes(result).items()
    ]
    duration = int(result.scenario.scenario.duration)
    for adversary in result.scenario.adversary:
        end = duration if adversary.lasts is None else min(duration, adversary.at + adversary.lasts)
        kind = str(adversary.__struct_config__.tag)
        name = kind if adversary.node == kind else f"{kind}: {adversary.node}"
        lanes.append(_Lane(fit_name(name), HOSTILE, [(int(adversary.at), min(int(end), result.ended_ns))]))
    hidden = lanes[_LANES_MAX:]
    if hidden:
        spans = [span for lane in hidden for span in lane.spans]
        lanes[_LANES_MAX - 1 :] = [_Lane("others", HOSTILE, [*lanes[_LANES_MAX - 1].spans, *spans])]
    bursts = [at for workload in result.scenario.workload if isinstance(workload, Burst) for at in _burst_times(
        workload, min(duration, result.ended_ns))]  # fmt: skip
    return [*lanes, _Lane("burst of writes", BURST, [(at, at) for at in bursts])] if bursts else lanes


def _burst_times(burst: Burst, end: int) -> list[int]:
    last = end if burst.stop is None else min(end, burst.stop)
    if burst.every is None:
        return [int(burst.start)] if burst.start <= end else []
    return list(range(int(burst.start), int(last) + 1, int(burst.every)))


def _draw_lanes(strip: Axes, result: Outcome, lanes: Sequence[_Lane]) -> None:
    unit = time_unit(result.ended_ns / 1e9)
    scale = 1e9 * unit.length_s
    others = cycle(TROUBLE_COLOURS)
    for row, lane in enumerate(lanes):
        colour = lane.colour or next(others)
        lasting = [(begin / scale, (end - begin) / scale) for begin, end in lane.spans if end > begin]
        strip.broken_barh(lasting, (row - 0.36, 0.72), facecolors=colour, edgecolors=colour, linewidth=0.5)
        moments = [begin / scale for begin, end in lane.spans if end == begin]
        strip.plot(moments, [row] * len(moments), "|", color=colour, markersize=7, markeredgewidth=1.4)
    strip.set_yticks(range(len(lanes)) if lanes else [0.0], [lane.name for lane in lanes] or ["no faults"])
    strip.set_ylim(max(1, len(lanes)) - 0.4, -0.6)
    strip.tick_params(axis="both", length=0)
    strip.tick_params(axis="x", labelbottom=False)
    strip.grid(visible=False)
    for spine in strip.spines.values():
        spine.set_visible(False)


def shade(axes: Axes, result: Outcome, unit: TimeUnit) -> None:
    """Grey where a fault was in force, and a dotted line where the faults ended and settling began."""
    scale = 1e9 * unit.length_s
    for begin, end in _merged([(begin, end) for _, _, begin, end, _ in result.fault_intervals if end > begin]):
        axes.axvspan(begin / scale, end / scale, color="#EFEFEF", linewidth=0, zorder=0)
    settling = int(result.scenario.scenario.duration)
    if settling < result.ended_ns:
        axes.axvline(settling / scale, color=INK, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1, label=FAULTS_END)


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return merged
