"""Figures of how the federation comes together: what is held everywhere over time, and what is in conflict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.report.lanes import shade, with_lanes
from sim.report.style import COLOURS, INK, lag_text, legend, say_nothing_there, time_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sim.analysis.result import Result

__all__ = ["conflicts_figure", "convergence_figure"]

_NS: Final = 1e9


def convergence_figure(result: Result) -> Figure:
    """The share of facts that every node that should hold them holds, and the copies missing, over time."""
    from matplotlib.ticker import MaxNLocator

    figure, (share, missing) = with_lanes(result, 3.4, panels=(3.0, 2.0))
    unit = time_axis(share, result)
    share.set_xlabel("")
    missing.set_xlabel(f"simulated time ({unit.name})")
    share.set_ylabel("facts held\neverywhere (%)")
    missing.set_ylabel("copies\nmissing")
    share.set_ylim(-2, 103)
    shade(share, result, unit)
    shade(missing, result, unit)
    missing.set_ylim(0, max(1.0, 1.08 * max((sample.missing for sample in result.sampled), default=0)))
    missing.yaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
    known = [sample for sample in result.sampled if sample.facts]
    if not known:
        say_nothing_there(share, "no fact was written")
        return figure
    scale = _NS * unit.length_s
    x = [*(sample.at_ns / scale for sample in known), share.get_xlim()[1]]
    known.append(known[-1])  # how it was at the end stays so
    share.plot(x, [100.0 * sample.everywhere / sample.facts for sample in known], color=COLOURS[0],
               label="held everywhere")  # fmt: skip
    lacking = [sample.missing for sample in known]
    missing.plot(x, lacking, color=COLOURS[1])
    share.plot([], [], color=COLOURS[1], label="copies missing")
    missing.fill_between(x, lacking, color=COLOURS[1], alpha=0.15, linewidth=0)
    if result.converged_ns is None:
        share.plot([], [], linestyle="none", label="never converged")
    else:
        took = (result.converged_ns - int(result.scenario.scenario.duration)) / _NS
        label = f"converged, {lag_text(took)}\nafter the faults" if took else "converged when\nthe faults ended"
        share.axvline(result.converged_ns / scale, color=COLOURS[2], linewidth=1.4, zorder=4, label=label)
        missing.axvline(result.converged_ns / scale, color=COLOURS[2], linewidth=1.4, zorder=4)
    figure.align_ylabels([share, missing])
    legend(share)
    return figure


def conflicts_figure(result: Result) -> Figure:
    """Open conflicts over time: the most and the fewest that any running node sees."""
    from matplotlib.ticker import MaxNLocator

    figure, (axes,) = with_lanes(result, 2.6)
    unit = time_axis(axes, result)
    shade(axes, result, unit)
    axes.set_ylabel("open conflicts")
    scale = _NS * unit.length_s
    samples = (*result.sampled, *result.sampled[-1:])  # how it was at the end stays so
    x = [*(sample.at_ns / scale for sample in result.sampled), axes.get_xlim()[1]][: len(samples)]
    most = [sample.open_conflicts for sample in samples]
    least = [sample.open_conflicts_least for sample in samples]
    axes.set_ylim(0, max(1.0, 1.08 * max(most, default=0)))
    axes.yaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10]))
    if not any(most):
        say_nothing_there(axes, f"no conflict was open at any of {len(result.sampled)} instants")
        return figure
    axes.fill_between(x, least, most, step="post", color="#BFD9EA", linewidth=0, label="nodes differ")
    axes.plot(x, most, drawstyle="steps-post", color=INK, linewidth=2.6, label="most on any node")
    axes.plot(x, least, drawstyle="steps-post", color=COLOURS[5], linewidth=1.1, label="fewest on any node")
    legend(axes)
    return figure
