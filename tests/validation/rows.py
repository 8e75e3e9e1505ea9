"""A row of the table: a law, what it predicts, what was measured, and how likely so large a difference is.

A row with a p-value is judged against a level that all of them share (`level_of`); a row without one is exact: it holds
or it does not. An Experiment makes rows from simulated runs. It also brings controls: laws that are wrong on purpose,
judged on the same measurements, of which each must fail, so that the table shows what it would notice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.validation.runs import Job

FALSE_ALARMS = 0.01
"""The chance that a table of true laws has a failure somewhere."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """`p`: how likely a difference of at least this size is if the law holds; None for an exact row, which `holds`."""

    law: str
    predicted: str
    measured: str
    test: str
    p: float | None = None
    holds: bool = True

    def passes(self, level: float) -> bool:
        """Whether the row agrees with its law, at a level for rows with a p-value."""
        return self.holds if self.p is None else self.p >= level


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """`jobs` make results; `judge` makes rows of them, in the order of the jobs; `wrong` judges them by laws that do
    not hold, each under a name that says what is wrong with it."""

    name: str
    title: str
    jobs: Callable[[], list[Job]]
    judge: Callable[[list[Any]], list[Row]]
    wrong: Callable[[list[Any]], dict[str, list[Row]]]


def is_noticed(rows: Sequence[Row], level: float) -> bool:
    """Whether a wrong law shows: at least one of its rows fails."""
    return any(not row.passes(level) for row in rows)


def level_of(rows: Sequence[Row]) -> float:
    """The level of a single row: by Bonferroni the chance of any false alarm is at most FALSE_ALARMS, whatever depends
    on whatever."""
    return FALSE_ALARMS / max(sum(row.p is not None for row in rows), 1)
