"""The runs of a suite: how many seeds each row gets, and all of them in one pool of workers.

How many: with `--seeds` that many. Otherwise the first run of each row is timed, and the row gets `_SEEDS_MOST` seeds
when a run takes at most `_SHORT_S` of processor time, else as many as fit into `_BUDGET_S`, and `_SEEDS_LEAST` at
least. Fifty-eight rows of sixty seconds are half an hour on two processors. The table says how many each had.

With a budget of time there is no such number: rounds go over the rows until the time is over, one seed a row, three for
a row that is no pass yet or has not met what it must meet, since that is where one more seed says something.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sim.study.pool import Pool
from sim.study.worker import Job
from sim.suite.contents import Case
from sim.suite.results import CaseResult

__all__ = ["Told", "run_cases", "seeds_of"]

_SHORT_S: Final = 2.5
_BUDGET_S: Final = 60.0
_SEEDS_MOST: Final = 25
_SEEDS_LEAST: Final = 3
_SEEDS_EAGER: Final = 3
Told = Callable[[int, int, int], None]
"""Called with how many runs are done, how many there are, and how many of them did not pass."""


def seeds_of(cpu_s: float) -> int:
    """How many seeds a row gets whose first run took so much processor time."""
    if cpu_s <= _SHORT_S:
        return _SEEDS_MOST
    return max(_SEEDS_LEAST, min(_SEEDS_MOST, int(_BUDGET_S / cpu_s)))


class _Runs:
    """Rows as they come."""

    def __init__(self, cases: Sequence[Case], told: Told | None, *, allow_plugins: bool) -> None:
        self.rows: list[dict[int, Mapping[str, Any]]] = [{} for _ in cases]
        self._cases = cases
        self._told = told
        self._allow_plugins = allow_plugins
        self._every = 0
        self._done = 0
        self._broken = 0

    def run(self, pool: Pool, places: Sequence[tuple[int, int]]) -> None:
        """Run (case, seed) of each place."""
        self._every += len(places)
        jobs = [
            Job(self._cases[case].values, self._cases[case].file.parent.absolute(), seed, self._allow_plugins)
            for case, seed in places
        ]
        for number, row in pool.run(jobs):
            case, seed = places[number]
            self.rows[case][seed] = row
            self._done += 1
            self._broken += row["verdict"] != "pass"
            if self._told is not None:
                self._told(self._done, self._every, self._broken)

    def next_round(self) -> list[tuple[int, int]]:
        """One seed more for every row, and more of them for rows of which one more seed may say something."""
        places = []
        for number, case in enumerate(self._cases):
            so_far = CaseResult(case=case, runs=sorted(self.rows[number].items()))
            count = 1 if so_far.verdict == "pass" else _SEEDS_EAGER
            first = case.seed + len(self.rows[number])
            places += [(number, first + further) for further in range(count)]
        return places


def run_cases(
    cases: Sequence[Case],
    *,
    seeds: int | None,
    jobs: int,
    told: Told | None = None,
    allow_plugins: bool = False,
    source: Path | None = None,
    patience_s: float | None = None,
    is_over: Callable[[], bool] | None = None,
) -> list[CaseResult]:
    """Every case with its seeds, from its own on. `source` and `patience_s` are those of the pool.
    `is_over`: whether a budget of time is used up; until then there is one round of seeds after the other."""
    runs = _Runs(cases, told, allow_plugins=allow_plugins)
    with Pool(jobs, source=source, patience_s=patience_s) as pool:
        runs.run(pool, [(number, case.seed) for number, case in enumerate(cases)])
        while is_over is not None and not is_over():
            runs.run(pool, runs.next_round())
        runs.run(
            pool,
            []
            if is_over is not None
            else [
                (number, case.seed + further)
                for number, case in enumerate(cases)
                for further in range(1, seeds or seeds_of(runs.rows[number][case.seed].get("cpu_s", _BUDGET_S)))
            ],
        )
    return [CaseResult(case=case, runs=sorted(runs.rows[number].items())) for number, case in enumerate(cases)]
