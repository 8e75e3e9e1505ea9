"""The look of every figure: size, type, colours that colour-blind readers tell apart, time and lag axes.

Figures are drawn without pyplot, on a canvas of their own, so that drawing leaves no state behind. What is in a
figure is decided by its own module.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sim.analysis.outcome import Outcome

__all__ = [
    "BURST", "COLOURS", "CUT", "FAULTS_END", "GREY", "HOSTILE", "INK", "MARKERS", "OUTAGE", "TROUBLE_COLOURS",
    "TimeUnit", "canvas", "fit_name", "lag_axis", "lag_text", "legend", "save", "say_nothing_there", "styled",
    "time_axis", "time_unit",
]  # fmt: skip

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D00", "#000000")
"""Okabe and Ito's palette, its yellow darkened for lines on white."""
CUT, OUTAGE, HOSTILE, BURST = "#882255", "#222222", "#B3003C", "#6E6E6E"
"""The colours of cuts, of machines that are off, of hostile peers and of bursts of writes, in every figure alike."""
TROUBLE_COLOURS: Final = ("#999933", "#AA4499", "#661100", "#DDCC77", "#6A51A3", "#44767A")
"""Other faults: colours that no node has."""
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")
INK: Final = "#222222"
GREY: Final = "#9A9A9A"
FAULTS_END: Final = "faults end"
_WIDTH_IN: Final = 7.2
_DPI: Final = 200
_NAME_CHARS_MAX: Final = 22
_MARGIN: Final = 1.02
"""So much of time is drawn that the state at the end of a run can be seen."""
_RC: Final[dict[str, Any]] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.3,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "text.parse_math": False,  # a node's name may hold a dollar sign
    "savefig.dpi": _DPI,
    "figure.dpi": 100,
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the house style; figures must be made and saved inside."""
    import matplotlib as mpl

    with mpl.rc_context(_RC):  # type: ignore[arg-type]
        yield


def canvas(height_in: float) -> Figure:
    """An empty figure as wide as a page's text, `height_in` inches high."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH_IN, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def fit_name(name: str) -> str:
    """A name short enough for a legend."""
    return name if len(name) <= _NAME_CHARS_MAX else name[: _NAME_CHARS_MAX - 1] + "…"


def legend(axes: Axes, **options: Any) -> None:
    """A legend to the right of the axes, where it can cover no data; what marks the time comes last."""
    if "handles" not in options:
        handles, labels = axes.get_legend_handles_labels()
        order = sorted(range(len(labels)), key=lambda at: labels[at] == FAULTS_END)
        options |= {"handles": [handles[at] for at in order], "labels": [labels[at] for at in order]}
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0, alignment="left", **options)


def say_nothing_there(axes: Axes, sentence: str) -> None:
    """Say in an empty plot why it is empty."""
    axes.text(0.5, 0.5, sentence, transform=axes.transAxes, ha="center", va="center", color=INK, fontsize=9)


# --- time ---


class TimeUnit(NamedTuple):
    """The unit of a time axis: its length in seconds and its name."""

    length_s: float
    name: str


def time_unit(span_s: float) -> TimeUnit:
    """The unit in which a span is read best."""
    units = ((60 * 60 * 24 * 4.0, 86_400.0, "days"), (60 * 60 * 3.0, 3_600.0, "h"), (180.0, 60.0, "min"))
    for least, length, name in units:
        if span_s >= least:
            return TimeUnit(length, name)
    return TimeUnit(1.0, "s")


def time_axis(axes: Axes, result: Outcome, label: str = "simulated time") -> TimeUnit:
    """Make x the whole run and a little more in its best unit; data must be divided by the unit's length."""
    from matplotlib.ticker import MaxNLocator

    span_s = result.ended_ns / 1e9
    unit = time_unit(span_s)
    axes.set_xlim(0, _MARGIN * max(span_s, 1e-3) / unit.length_s)
    axes.xaxis.set_major_locator(MaxNLocator(9, steps=[1, 2, 5, 10] if unit.name != "h" else [1, 2, 3, 6, 10]))
    axes.set_xlabel(f"{label} ({unit.name})")
    return unit


# --- lag ---

_S, _MIN, _H, _D = 1.0, 60.0, 3_600.0, 86_400.0
_COARSE: Final = (1e-3, 1e-2, 1e-1, _S, 10 * _S, _MIN, 10 * _MIN, _H, 6 * _H, _D, 10 * _D, 100 * _D)
_FINE: Final = (
    *(step * unit for unit in (1e-3, 1e-2, 1e-1, _S) for step in (1.0, 2.0, 5.0)), 10 * _S, 20 * _S, 30 * _S,
    _MIN, 2 * _MIN, 5 * _MIN, 10 * _MIN, 20 * _MIN, 30 * _MIN, _H, 2 * _H, 6 * _H, 12 * _H, _D, 2 * _D, 5 * _D, 10 * _D,
)  # fmt: skip


def lag_text(seconds: float | None) -> str:
    """A lag as people say it: `180 ms`, `12 s`, `10 min`."""
    if seconds is None:
        return "–"
    for unit, name in ((_D, "d"), (_H, "h"), (_MIN, "min"), (_S, "s")):
        if seconds >= 0.9995 * unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds * 1e3:.3g} ms"


def lag_axis(axes: Axes, low_s: float, high_s: float, *, vertical: bool) -> None:
    """A logarithmic axis of lags from `low_s` to `high_s`, marked in the units people use."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low_s, high_s = low_s / 1.25, high_s * 1.25
    coarse = [tick for tick in _COARSE if low_s <= tick <= high_s]
    ticks = coarse if len(coarse) >= 3 else [tick for tick in _FINE if low_s <= tick <= high_s]
    if not ticks:
        ticks = [(low_s * high_s) ** 0.5]
    if vertical:
        axes.set_yscale("log")
        axes.set_ylim(low_s, high_s)
    else:
        axes.set_xscale("log")
        axes.set_xlim(low_s, high_s)
    axis = axes.yaxis if vertical else axes.xaxis
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: lag_text(value)))


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, all of it or nothing."""
    part = path.with_name(f"{path.name}.part")
    try:
        figure.savefig(part, format="png", metadata={"Software": None})
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path
