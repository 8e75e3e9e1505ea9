"""Figures of how the federation comes together: what is held everywhere over time, and what is in conflict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.report.lanes import shade, with_lanes
from sim.report.style import COLOURS, INK, lag_text, legend, say_nothing_there, time_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sim.analysis.outcome import Outcome
    from sim.report.style import TimeUnit

__all__ = ["conflicts_figure", "convergence_figure", "plot_conflicts", "plot_convergence"]

_NS: Final = 1e9


def convergence_figure(result: Outcome) -> Figure:
    """The share of facts that every node that should hold them holds, and the copies missing, over time."""
    figure, (share, missing) = with_lanes(result, 3.4, panels=(3.0, 2.0))
    plot_convergence(share, result, missing)
    figure.align_ylabels([share, missing])
    return figure


def plot_convergence(share: Axes, result: Outcome, missing: Axes | None = None) -> None:
    """The same in axes: the share, and the copies that are missing where there are axes for them too."""
    unit = time_axis(share, result)
    share.set_ylabel("facts held\neverywhere (%)")
    share.set_ylim(-2, 103)
    shade(share, result, unit)
    if missing is not None:
        share.set_xlabel("")
        missing.set_xlabel(f"simulated time ({unit.name})")
        _frame_missing(missing, result, unit)
    known = [sample for sample in result.sampled if sample.facts]
    if not known:
        say_nothing_there(share, "no fact was written")
        return
    scale = _NS * unit.length_s
    x = [*(sample.at_ns / scale for sample in known), share.get_xlim()[1]]
    known.append(known[-1])  # how it was at the end stays so
    share.plot(x, [100.0 * sample.everywhere / sample.facts for sample in known], color=COLOURS[0],
               label="held everywhere")  # fmt: skip
    if missing is not None:
        lacking = [sample.missing for sample in known]
        missing.plot(x, lacking, color=COLOURS[1])
        share.plot([], [], color=COLOURS[1], label="copies missing")
        missing.fill_between(x, lacking, color=COLOURS[1], alpha=0.15, linewidth=0)
    _mark_convergence(share, missing, result, scale)
    _draw_catch_up(share, missing, result, scale)
    legend(share)


def _frame_missing(missing: Axes, result: Outcome, unit: TimeUnit) -> None:
    from matplotlib.ticker import MaxNLocator

    missing.set_ylabel("copies\nmissing")
    shade(missing, result, unit)
    missing.set_ylim(0, max(1.0, 1.08 * max((sample.missing for sample in result.sampled), default=0)))
    missing.yaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))


def _mark_convergence(share: Axes, missing: Axes | None, result: Outcome, scale: float) -> None:
    if result.converged_ns is None:
        share.plot([], [], linestyle="none", label="never converged")
        return
    took = (result.converged_ns - int(result.scenario.scenario.duration)) / _NS
    label = f"converged, {lag_text(took)}\nafter the writes" if took else "converged when\nthe writes stopped"
    share.axvline(result.converged_ns / scale, color=COLOURS[2], linewidth=1.4, zorder=4, label=label)
    if missing is not None:
        missing.axvline(result.converged_ns / scale, color=COLOURS[2], linewidth=1.4, zorder=4)


def _draw_catch_up(share: Axes, missing: Axes | None, result: Outcome, scale: float) -> None:
    """A bar from the end of each fault to the last copy that had waited for it, below the lowest curve."""
    waited = [each for each in result.catch_ups if each.waiting and each.took_ns]
    if not waited:
        return
    axes = share if missing is None else missing
    low, high = axes.get_ylim()
    spans = [(each.end_ns / scale, each.took_ns / scale) for each in waited]
    axes.broken_barh(spans, (low, 0.06 * (high - low)), facecolors=COLOURS[4], zorder=5)
    worst = max(waited, key=lambda each: each.took_ns)
    label = f"catching up, at most\n{lag_text(worst.took_ns / _NS)} after {worst.name or worst.label}"
    share.plot([], [], color=COLOURS[4], linewidth=4, label=label)


def conflicts_figure(result: Outcome) -> Figure:
    """Open conflicts over time: the most and the fewest that any running node sees."""
    figure, (axes,) = with_lanes(result, 2.6)
    plot_conflicts(axes, result)
    return figure


def plot_conflicts(axes: Axes, result: Outcome) -> None:
    """The same in axes."""
    from matplotlib.ticker import MaxNLocator

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
        return
    axes.fill_between(x, least, most, step="post", color="#BFD9EA", linewidth=0, label="nodes differ")
    axes.plot(x, most, drawstyle="steps-post", color=INK, linewidth=2.6, label="most on any node")
    axes.plot(x, least, drawstyle="steps-post", color=COLOURS[5], linewidth=1.1, label="fewest on any node")
    legend(axes)
