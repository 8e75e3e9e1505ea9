"""What a campaign is, and how its rows become a verdict.

A campaign is a list of cells: plain values of a scenario, and the values that tell this cell from the others. Every
cell passes when the checkers of its runs pass; what the campaign says beyond that (that the knee lies at the bound) is
its own `doubts`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from sim.scenario.changes import with_key
from sim.study.cells import Cell
from sim.study.worker import Measure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Campaign", "Cells", "Rows", "base_values", "cell_of", "verdict_of"]

Rows = Sequence[Mapping[str, Any]]
"""Rows of a study (`sim.study.worker.run_job`), each with its cell's `values`."""


class Cells(Protocol):
    """Makes the cells, few of them for a quick look."""

    def __call__(self, *, quick: bool) -> list[Cell]: ...


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """A question, the cells that ask it, and what is made of the rows."""

    name: str
    question: str
    cells: Cells
    measure: Measure
    columns: tuple[str, ...]
    """What the table shows of `measured`."""
    doubts: Callable[[Rows], list[str]]
    """What the rows as a whole show to be wrong, a sentence each."""
    draw: Callable[[Rows], Figure]
    """The figure."""


def base_values(name: str, *, duration: str, settle: str, converges: bool = True) -> dict[str, Any]:
    """Three nodes, each linked to each, that write about the same things."""
    scenario: dict[str, Any] = {"name": name, "duration": duration, "settle": settle, "signatures": "stand-in"}
    return {
        "scenario": scenario | ({} if converges else {"converges": False}),
        "federation": {"nodes": ["north", "south", "west"], "pull_interval": "2s"},
        "network": {"latency": "40ms"},
        "workload": [{"kind": "contradictions", "rate": "1/s", "entities": 20}],
    }


def cell_of(values: dict[str, Any], told: dict[str, Any], **changes: Any) -> Cell:
    """A cell: these values with some keys changed (`__` stands for the dot), told by what is special about it."""
    for key, value in changes.items():
        values = with_key(values, key.replace("__", "."), value)
    return Cell(told, values)


def verdict_of(rows: Rows, doubts: Sequence[str]) -> Literal["pass", "fail", "inconclusive"]:
    """Fail when a run failed or the whole is doubtful, inconclusive when a run could not be judged."""
    words = [row["verdict"] for row in rows]
    if doubts or "fail" in words or "error" in words:
        return "fail"
    return "inconclusive" if not words or "inconclusive" in words else "pass"
