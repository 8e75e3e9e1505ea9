"""The figures of docs/validation.md: what was measured as steps, what theory says as lines.

Small files of a fixed size without a date in them, so that two runs of the command write the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tests.validation import agreement, faults, laws
from tests.validation.lag import PULL

Floats = NDArray[np.float64]
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
_LAW: dict[str, Any] = {"color": "black", "linewidth": 0.9, "linestyle": (0, (4, 2))}


def draw(results: Mapping[str, list[Any]], folder: Path) -> list[tuple[str, str]]:
    """Write the figures; (file name, caption) of each."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [(name, make(results), caption) for name, make, caption in _FIGURES]
    for name, figure, _ in drawn:
        FigureCanvasAgg(figure)
        figure.savefig(folder / name, dpi=100, metadata={"Software": None})
    return [(name, caption) for name, _, caption in drawn]


def _axes(columns: int, width: float = 6.4) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, 3.0), layout="constrained")
    axes = [figure.add_subplot(1, columns, number + 1) for number in range(columns)]
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
        each.tick_params(labelsize=8)
    return figure, axes


def _steps(axes: Axes, sample: Floats, colour: str, label: str) -> None:
    ordered = np.sort(sample)
    axes.step(ordered, np.arange(1, len(ordered) + 1) / len(ordered), where="post", color=colour, label=label, lw=1.2)


def _curve(axes: Axes, sample: Floats) -> None:
    ordered = np.sort(sample)
    axes.plot(ordered, (np.arange(len(ordered)) + 0.5) / len(ordered), **_LAW)


def _named(axes: Axes, x: str, y: str = "") -> None:
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)


def _line(results: Mapping[str, list[Any]]) -> Figure:
    lags = np.concatenate(results["line"])
    figure, (axes,) = _axes(1)
    for colour, hops in zip(_COLOURS, (1, 2, 4, 8), strict=True):
        fixed_s = hops * PULL.hop_s + (hops - 1) * PULL.stranger_s
        _steps(axes, lags[:, hops - 1], colour, f"{hops} hop{'s' * (hops > 1)}")
        x = np.linspace(0, hops, 200)
        axes.plot(x * PULL.period_s + fixed_s, laws.irwin_hall(x, hops), **_LAW)
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    _named(axes, "lag, s (pull interval 2 s)", "share of chains")
    return figure


def _cuts(results: Mapping[str, list[Any]]) -> Figure:
    figure, (axes,) = _axes(1)
    for colour, cut_s in zip(_COLOURS, faults.CUTS_S, strict=False):
        *measured, law = results[f"cut-{cut_s}"]
        _steps(axes, np.concatenate(measured), colour, f"cut of {cut_s} s")
        _curve(axes, law)
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    _named(axes, "from the heal to the last copy, s", "share of runs")
    return figure


def _loss(results: Mapping[str, list[Any]]) -> Figure:
    figure, (axes,) = _axes(1)
    for number, loss in enumerate(faults.LOSSES):
        _, _, outcomes = results[f"loss-{loss}"][0]
        runs = np.array([length for puller in outcomes for length in laws.run_lengths(puller)])
        most = np.arange(9)
        colour = _COLOURS[number % len(_COLOURS)]
        seen = np.array([(runs >= k).mean() for k in most])
        axes.plot(most[seen > 0], seen[seen > 0], "o", color=colour, markersize=3.5)
        failing = 1 - (1 - loss) ** 2
        law = failing**most
        axes.plot(most[law > 1e-4], law[law > 1e-4], **_LAW)
        axes.annotate(f"loss {loss}", (1, failing), textcoords="offset points", xytext=(4, 4), fontsize=7)
    axes.set_yscale("log")
    axes.set_ylim(1e-4, 1.3)
    _named(axes, "failures in a row, at least", "share of successes")
    return figure


def _model(results: Mapping[str, list[Any]]) -> Figure:
    figure, axes = _axes(2, 7.2)
    for each, case in zip(axes, (agreement.LINE, agreement.CUT), strict=True):
        *measured, first, second, _ = results[f"model-{case.name}"]
        table, law = np.concatenate(measured), np.concatenate([first, second])
        for colour, place in zip(_COLOURS, (0, 1, 3), strict=False):
            _steps(each, table[:, place], colour, agreement.NUMBERS[place])
            _curve(each, law[:, place])
        each.set_title(case.told, fontsize=8)
        _named(each, "s", "share of runs" if each is axes[0] else "")
    figure.legend(*axes[0].get_legend_handles_labels(), fontsize=7, frameon=False, loc="outside lower center", ncols=3)
    return figure


_FIGURES = (
    (
        "validation-line.png",
        _line,
        "Lag after 1, 2, 4 and 8 hops of a line, over seeds: measured (steps) and Irwin-Hall (dashed).",
    ),
    (
        "validation-cuts.png",
        _cuts,
        "From the heal of a cut to the last copy: measured (steps) and the recursion of retries (dashed).",
    ),
    (
        "validation-loss.png",
        _loss,
        "Failures in a row before a pull is answered: measured (points) and the geometric law (dashed).",
    ),
    (
        "validation-model.png",
        _model,
        "The laboratory (steps) against the independent model (dashed): one value per run.",
    ),
)
