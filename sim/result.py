"""What `sim.run` gives: the outcome of a run, which can show, draw, write and read itself.

    result = run("scenarios/split-brain.toml", out="runs/one")
    result                           # a line: scenario, seed, verdict, lag
    result.facts()                   # a polars frame: a row per fact and node, with its lag
    result.figure("lag")             # a matplotlib Figure; with ax=... it is drawn into axes of yours
    Result.load("runs/one")          # the same again, in another process

The data are `sim.analysis.outcome.Outcome`'s; the verbs lead to `sim.report`. Nothing but the runner and people stand
above this file.
"""

from __future__ import annotations

from dataclasses import fields
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sim.analysis.outcome import Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Result"]


class Result(Outcome):
    """The outcome of one run of one plan."""

    @classmethod
    def of(cls, outcome: Outcome) -> Self:
        """A result of these data."""
        return cls(**{field.name: getattr(outcome, field.name) for field in fields(outcome)})

    @classmethod
    def load(cls, folder: str | Path, *, allow_plugins: bool = False) -> Self:
        """The result that a run folder holds. `allow_plugins`: whether modules that its scenario names may be imported.

        What a folder does not hold is empty: the violation as a value, and the last events of a run whose trace was not
        written. Raises BadFolder when the folder is not that of a run, and BadScenario when its scenario is wrong.
        """
        from sim.report.folder import read_outcome

        return cls.of(read_outcome(Path(folder), allow_plugins=allow_plugins))

    def save(self, out: str | Path, *, figures: bool = True, heading: str = "") -> Path:
        """Write the run folder; the trace is in it when the run was made with `out`. `heading` are comment lines to
        begin the scenario's copy with."""
        from sim.report.folder import write_folder

        return write_folder(self, Path(out), figures=figures, heading=heading)

    def figure(self, name: str, *, ax: Axes | None = None) -> Figure:
        """A figure of the run: `lag`, `lag_distribution`, `convergence`, `conflicts`, `map`, `beliefs` or `recall`.

        With `ax` it is drawn into these axes instead, without the strip of faults above it; the map has a layout of its
        own and cannot be. Raises ValueError for another name.
        """
        from sim.report.figures import draw_figure

        return draw_figure(self, name, ax)

    def __repr__(self) -> str:
        return f"<Result {self.scenario.name}, seed {self.seed}: {self.verdict}; {', '.join(self._numbers())}>"

    def _numbers(self) -> list[str]:
        run, lag = self.run_json, self.run_json["lag"]
        numbers = [f"{run['facts']:,} facts", f"{len(self.nodes):,} nodes"]
        if lag["p99_s"] is not None:
            numbers.append(f"lag p50 {lag['p50_s']:.3g} s, p99 {lag['p99_s']:.3g} s")
        return [*numbers, f"{run['conflicts']['open']:,} open conflicts"]

    def _repr_html_(self) -> str:
        rows = {
            "verdict": self.verdict,
            "numbers": ", ".join(self._numbers()),
            **{check.name: check.detail for check in self.checks if check.ok is not True},
            **{each.name: f"{each.value} ({each.bound} {each.limit})" for each in self.expectations if not each.ok},
        }
        cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows.items())
        return f"<table><caption>{escape(self.scenario.name)}, seed {self.seed}</caption>{cells}</table>"
