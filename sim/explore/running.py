"""Drawn scenarios through the pool of workers, round by round, until a count or a budget of time is used up.

A round is as many scenarios as keep the workers busy for a while. When the time is over the round is cut there and
then: its unfinished runs are not counted, and their workers end with the pool. So it is with Ctrl-C.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from sim.explore.drawing import Drawn, draw
from sim.explore.tally import REACH
from sim.study.pool import Pool
from sim.study.worker import Job

__all__ = ["Explored", "explore", "job_of"]

_ROUND_PER_WORKER: Final = 12


class Explored(NamedTuple):
    """A drawn scenario that was run, and the row that its worker gave."""

    drawn: Drawn
    row: dict[str, Any]


def job_of(values: dict[str, Any]) -> Job:
    """A run of a scenario that counts what it meets."""
    return Job({**values, "reach": REACH}, Path.cwd(), values["scenario"].get("seed", 1))


def explore(
    pool: Pool, first: int, *, workers: int, count: int | None, is_over: Callable[[], bool]
) -> Iterator[Explored]:
    """Run the scenarios from a number on, as each is done. `count`: at most so many."""
    number = first
    while not is_over() and (count is None or number < first + count):
        left = _ROUND_PER_WORKER * workers if count is None else first + count - number
        drawn = [draw(number + each) for each in range(min(left, _ROUND_PER_WORKER * workers))]
        number += len(drawn)
        for place, row in pool.run([job_of(each.values) for each in drawn]):
            yield Explored(drawn[place], row)
            if is_over():
                return
