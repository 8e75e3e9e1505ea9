"""The figure of one scenario under several profiles: which share of the copies that should be is there, over time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from sim.observation.visibility import NEVER
from sim.report.lanes import shade, with_lanes
from sim.report.style import COLOURS, legend, say_nothing_there, time_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sim.analysis.lag import Copies
    from sim.analysis.outcome import Outcome

__all__ = ["profiles_figure", "share_present"]

_NS: Final = 1e9
_POINTS: Final = 400
_STYLES: Final = ("-", "--", "-.")


def share_present(copies: Copies, at_ns: int) -> float | None:
    """Of the copies whose facts were written by an instant, the share that had come by then, in percent; None before
    the first fact. Copies at their origins are left out, and a copy that was lost again counts as come."""
    return _share(*_times(copies), at_ns)


def _times(copies: Copies) -> tuple[list[int], list[int]]:
    """When facts of copies were written, and when copies came; each in order of time."""
    away = [place for place, at_origin in enumerate(copies.at_origin) if not at_origin]
    written = sorted(copies.written[place] for place in away)
    came = sorted(copies.visible[place] for place in away if copies.visible[place] != NEVER)
    return written, came


def _share(written: list[int], came: list[int], at_ns: int) -> float | None:
    due = bisect_right(written, at_ns)
    return 100.0 * bisect_right(came, at_ns) / due if due else None


def profiles_figure(curves: Sequence[tuple[str, Copies]], frame: Outcome) -> Figure:
    """One curve for each profile, by its label. `frame`: a run of the scenario, whose faults are shaded."""
    figure, (axes,) = with_lanes(frame, 3.2)
    unit = time_axis(axes, frame)
    axes.set_ylabel("copies present (%)")
    axes.set_ylim(-2, 103)
    shade(axes, frame, unit)
    until_ns = max([frame.ended_ns, *(copies.ended_ns for _, copies in curves)])
    axes.set_xlim(0, until_ns / _NS / unit.length_s)
    if not any(copies.written for _, copies in curves):
        say_nothing_there(axes, "no fact was written")
        return figure
    for number, (label, copies) in enumerate(curves):
        written, came = _times(copies)
        instants = [until_ns * step // _POINTS for step in range(_POINTS + 1)]
        shown = [(at_ns, share) for at_ns in instants if (share := _share(written, came, at_ns)) is not None]
        axes.plot(
            [at_ns / _NS / unit.length_s for at_ns, _ in shown],
            [share for _, share in shown],
            color=COLOURS[number % len(COLOURS)],
            linestyle=_STYLES[number % len(_STYLES)],
            label=label,
        )
    legend(axes)
    return figure
