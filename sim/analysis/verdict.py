"""The judgement of a run: what its checkers say, what was expected of it, and the verdict that follows.

Pass, fail or inconclusive, never silence: what was cut short is not judged, and a run in which nobody wrote
anything has shown nothing. Numbers come from `metric_values`; their names and units are `sim.scenario.metrics`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from sim.analysis.lag_query import selector_text
from sim.analysis.measurement import Measurement
from sim.check.base import CheckResult
from sim.check.conflict_diff import compare as compare_conflicts
from sim.observation.recollections import Recollection
from sim.ports import Observed
from sim.scenario.metrics import REJECTIONS, is_timed
from sim.scenario.tables import Expectation
from sim.units import format_duration, parse_duration

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation

__all__ = [
    "BOUNDS", "ConflictTally", "ExpectationResult", "Verdict", "check_everything", "compare", "judge", "metric_values",
    "seconds", "tally_conflicts",
]  # fmt: skip

Verdict = Literal["pass", "fail", "inconclusive"]
BOUNDS: Final = {"at_most": "at most", "at_least": "at least", "equals": "equal to"}
_NS: Final = 1_000_000_000


class ExpectationResult(NamedTuple):
    """One bound of one expectation; `ok` is None when the run was cut short. Seconds for timed metrics."""

    name: str
    ok: bool | None
    value: float | None
    limit: float
    bound: str


class ConflictTally(NamedTuple):
    """Conflict sets of the whole federation. `divergent`: public slots whose conflicts not every node sees alike,
    although all nodes may hold the same public facts."""

    open: int
    resolved: int
    divergent: int


def seconds(ns: int | None) -> float | None:
    """Nanoseconds as seconds."""
    return None if ns is None else ns / _NS


# --- checkers ---


def check_everything(simulation: Simulation, *, interrupted: bool) -> list[CheckResult]:
    """Every checker's last word. Of a run that was cut short it is told what was watched until then and held; what is
    judged at the end only is not judged."""
    relay, when = simulation.relay, format_duration(simulation.world.now)
    results = []
    for checker in simulation.checkers:
        if not (interrupted or relay.ended_early):
            results.append(relay.last_word(checker))
        elif checker.watches() or checker.name in relay.violations:
            word = relay.last_word(checker)
            results.append(word._replace(detail=f"held until {when}: {word.detail}") if word.ok else word)
        else:
            results.append(CheckResult(checker.name, None, f"not judged: the run ended early, at {when}"))
    known = [checker.name for checker in simulation.checkers]
    for name, each in relay.violations.items():
        if name not in known:  # told by a hostile peer that was served what no node may serve
            where = f"{each.node} at {format_duration(each.at_ns)}"
            results.append(CheckResult(name, False, f"{where}: {each.sentence}"))
    return results


# --- conflicts ---


def tally_conflicts(observed: Observed) -> ConflictTally:
    """Counts over all nodes that run, each conflict once, all nodes looked at as of one instant."""
    now_us = observed.now_us
    status: dict[str, str] = {}
    for node in observed.nodes.values():
        for conflict in node.conflicts(now_us):
            if conflict.status == "unresolved" or conflict.id not in status:
                status[conflict.id] = conflict.status
    unresolved = sum(each == "unresolved" for each in status.values())
    return ConflictTally(unresolved, len(status) - unresolved, len(compare_conflicts(observed, now_us).odd))


# --- expectations ---


def metric_values(
    simulation: Simulation, measured: Measurement, tally: ConflictTally, refused: Mapping[str, int]
) -> dict[str, float | None]:
    """Every metric of `sim.scenario.metrics`, timed ones in seconds; None where nothing was measured."""
    network = simulation.network
    values: dict[str, float | None] = {
        **measured.metrics(),
        "missing": simulation.visibility.missing,
        "conflicts.open": tally.open,
        "conflicts.resolved": tally.resolved,
        "conflicts.divergent": tally.divergent,
        "facts": len(simulation.visibility.facts),
        "nodes": len(simulation.plan.nodes),
        "requests": network.requests,
        "bytes": network.bytes_sent,
        "bytes_delivered": network.bytes_delivered,
        "bytes_lost": network.bytes_lost,
        "events": simulation.world.events,
        "rejections": sum(simulation.rejections.values()),
        "refused_writes": sum(refused.values()),
        "destroyed": len(simulation.visibility.destroyed),
        "unsaid": simulation.visibility.unsaid,
        **_recalled(simulation.recollections.taken),
    }
    for code in dict.fromkeys((*REJECTIONS, *sorted(simulation.rejections))):
        values[f"rejections.{code}"] = simulation.rejections.get(code, 0)
    return values


def _recalled(taken: Sequence[Recollection]) -> dict[str, float | None]:
    """The share of what was said that was recalled, of one's own team and of others; None where nothing was said."""
    own, others = sum(each.own_said for each in taken), sum(each.others_said for each in taken)
    return {
        "recalled.own": sum(each.own_found for each in taken) / own if own else None,
        "recalled.others": sum(each.others_found for each in taken) / others if others else None,
    }


def compare(
    expectations: Iterable[Expectation], value_of: Callable[[Expectation], float | None], *, whole: bool
) -> list[ExpectationResult]:
    """Each bound against its value; `whole` is whether the run came to its end. What never happened (no
    convergence, no lag) keeps no bound. What is expected over seeds is not held against one run."""
    results = []
    for expectation in expectations:
        if expectation.over_seeds is not None:
            continue
        name = expectation.metric + selector_text(expectation)
        value = value_of(expectation)
        for bound in BOUNDS:
            given = getattr(expectation, bound)
            if given is not None:
                limit = _limit(given, timed=is_timed(name))
                ok = _keeps(value, bound, limit) if whole else None
                results.append(ExpectationResult(name, ok, value, limit, bound))
    return results


def _limit(given: str | float, *, timed: bool) -> float:
    if isinstance(given, str):
        duration = parse_duration(given)
        return duration / _NS if timed else float(duration)
    return given


def _keeps(value: float | None, bound: str, limit: float) -> bool:
    if value is None:
        return False
    if bound == "at_most":
        return value <= limit
    return value >= limit if bound == "at_least" else value == limit


# --- verdict ---


def judge(
    checks: Iterable[CheckResult], expectations: Iterable[ExpectationResult], *, facts: int, interrupted: bool
) -> Verdict:
    """Fail when anything failed; inconclusive when something could not be judged or nothing was written."""
    words = [*(check.ok for check in checks), *(expectation.ok for expectation in expectations)]
    if any(word is False for word in words):
        return "fail"
    if interrupted or facts == 0 or any(word is None for word in words):
        return "inconclusive"
    return "pass"
