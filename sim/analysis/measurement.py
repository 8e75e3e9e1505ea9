"""Every time that is measured of a run: lag in its forms, comebacks, joinings, catch-ups and convergence.

Made once when a run is over, from what was seen while it went; run.json, expectations, frames, figures and the terminal
all take their times from here, so that none of them can mean another thing by the same name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from sim.analysis.catch_up import CatchUp, catch_ups, worst_by_name
from sim.analysis.lag import Copies, LagSummary, comebacks, copies_of, joinings, summarise
from sim.analysis.lag_query import is_selective, lag_of
from sim.observation.conditions import FaultInterval
from sim.observation.visibility import Visibility
from sim.scenario.metrics import CATCH_UP
from sim.scenario.tables import Expectation
from sim.topology.federation import Federation

__all__ = ["Measurement", "measure"]

_NS: Final = 1e9


@dataclass(frozen=True, eq=False, kw_only=True)
class Measurement:
    """The times of one run, in nanoseconds; in `metrics` and `tables` in seconds, as run.json has them."""

    federation: Federation
    visibility: Visibility
    copies: Copies
    catch_ups: tuple[CatchUp, ...]
    """Of every fault, in the order in which they ended."""
    convergence_ns: int | None
    """From the end of writes and faults until everything was where it should be; None when it never was."""

    @cached_property
    def lag(self) -> LagSummary:
        """Of all copies that are measured."""
        return summarise(self.copies)

    @cached_property
    def comeback(self) -> LagSummary:
        """How long nodes were without what had been on a disk that they lost."""
        return comebacks(self.visibility.returns(), self.copies.ended_ns)

    @cached_property
    def joining(self) -> LagSummary:
        """The lag since they joined of nodes that joined late, of what had been written before."""
        return joinings(self.copies)

    def metrics(self) -> dict[str, float | None]:
        """Every timed metric of `sim.scenario.metrics`, in seconds."""
        values = {f"lag.{name}": value for name, value in _percentiles(self.lag).items()}
        for kind, summary in (("comeback", self.comeback), ("joining", self.joining)):
            values |= {f"{kind}.{name}": value for name, value in _percentiles(summary).items() if name != "p90"}
        values["convergence"] = _seconds(self.convergence_ns)
        values[CATCH_UP] = _seconds(max((each.took_ns for each in self.catch_ups), default=None))
        for name, took_ns in worst_by_name(self.catch_ups).items():
            values[f"{CATCH_UP}.{name}"] = took_ns / _NS
        return values

    def selected(self, expectation: Expectation) -> float | None:
        """The value of an expectation that chooses copies; `missing` counts the copies or facts that were never
        seen."""
        summary = self._lag_of(expectation)
        if expectation.metric == "missing":
            return summary.missing
        return _percentiles(summary)[expectation.metric.removeprefix("lag.")]

    def _lag_of(self, expectation: Expectation) -> LagSummary:
        return lag_of(expectation, self.copies, self.visibility, self.federation)

    def tables(self) -> dict[str, Any]:
        """The times of a run as they stand in run.json."""
        per_fact = {
            "everywhere": self._lag_of(Expectation(metric="lag.p50", per="fact")),
            "quorum": self._lag_of(Expectation(metric="lag.p50", per="quorum")),
        }
        return {
            "lag": _table(self.lag),
            "lag_per_fact": {name: _table(summary) for name, summary in per_fact.items()},
            "missing": self.visibility.missing,
            "measured_from_s": _seconds(self.copies.measured_from_ns),
            "convergence_s": _seconds(self.convergence_ns),
            "catch_up": [_catch_up_table(each) for each in self.catch_ups],
            "comeback": {**_table(self.comeback), "copies": self.comeback.came, "missing": self.comeback.missing},
            "joining": {**_table(self.joining), "copies": self.joining.came, "missing": self.joining.missing},
        }

    def value_of(self, expectation: Expectation, values: dict[str, float | None]) -> float | None:
        """What an expectation is held against: the run's value, or that of the copies that it chooses. A catch-up that
        was not over when the run ended has no value that a bound from above could be kept by, however short the time
        that was left for it; for one from below it is as long as it was waited for."""
        if is_selective(expectation):
            return self.selected(expectation)
        is_bounded = expectation.at_most is not None or expectation.equals is not None
        return None if is_bounded and self._never_ended(expectation.metric) else values.get(expectation.metric)

    def _never_ended(self, metric: str) -> bool:
        return any(each.missing for each in self.catch_ups if metric in (CATCH_UP, f"{CATCH_UP}.{each.name}"))


def measure(
    visibility: Visibility,
    federation: Federation,
    faults: Sequence[FaultInterval],
    *,
    ended_ns: int,
    measured_from_ns: int | None,
    converged: bool,
) -> Measurement:
    """What was measured of a run that ended at `ended_ns`; `converged` is whether it was found to have converged."""
    copies = copies_of(visibility, ended_ns, measured_from_ns)
    late_ns = max(0, visibility.complete_since_ns - federation.duration_ns)
    return Measurement(
        federation=federation,
        visibility=visibility,
        copies=copies,
        catch_ups=catch_ups(copies, visibility.returns(), faults),
        convergence_ns=late_ns if converged else None,
    )


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / _NS


def _percentiles(summary: LagSummary) -> dict[str, float | None]:
    named = {"p50": summary.p50, "p90": summary.p90, "p99": summary.p99, "max": summary.most}
    return {name: _seconds(value) for name, value in named.items()}


def _table(summary: LagSummary) -> dict[str, float | None]:
    return {f"{name}_s": value for name, value in _percentiles(summary).items()}


def _catch_up_table(each: CatchUp) -> dict[str, Any]:
    return {
        "name": each.name,
        "fault": each.label,
        "nodes": list(each.nodes),
        "ended_s": each.end_ns / _NS,
        "waiting": each.waiting,
        "took_s": each.took_ns / _NS,
        "missing": each.missing,
    }
