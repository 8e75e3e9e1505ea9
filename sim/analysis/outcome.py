"""The outcome of a run: verdict, numbers, digests and frames, apart from the simulation that made them.

An Outcome holds no node and no ledger, so that hundreds can be kept. It is made once, by `conclude`, from a simulation
whose run is over, or from a run folder (`sim.report.folder`). What is drawn and written of it is `sim.report`'s; what
people are given is `sim.result.Outcome`, which is an Outcome that can draw and write itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from sim.analysis.beliefs import NO_BELIEFS, Beliefs, beliefs_of
from sim.analysis.catch_up import CatchUp
from sim.analysis.frames import facts_frame, faults_frame, recalls_frame, samples_frame
from sim.analysis.lag import Copies
from sim.analysis.measurement import Measurement, measure
from sim.analysis.provenance import made_with
from sim.analysis.verdict import (
    ExpectationResult,
    Verdict,
    check_everything,
    compare,
    judge,
    metric_values,
    seconds,
    tally_conflicts,
)
from sim.check.base import CheckResult
from sim.diagnostics.errors import Violation
from sim.observation.conditions import FaultInterval
from sim.observation.recollections import Recollection
from sim.observation.sampler import Sample
from sim.observation.visibility import TrackedFact
from sim.scenario.plan import Plan
from sim.scenario.plugins import named_modules
from sim.scenario.tables import Reach, Scenario
from sim.simulation.digest import knowledge_of, state_digest
from sim.simulation.simulation import Simulation
from sim.world.trace import Stop
from stigmem.core.keys import ED25519, STAND_IN

if TYPE_CHECKING:
    import polars as pl

__all__ = ["EXIT_STATUS", "TAIL", "Outcome", "conclude", "encode_run", "worst"]

EXIT_STATUS: Final = {"pass": 0, "fail": 1, "inconclusive": 3}
_BUG, _BAD_INPUT = 70, 2
_WORST_FIRST: Final = (_BUG, _BAD_INPUT, EXIT_STATUS["fail"], EXIT_STATUS["inconclusive"], EXIT_STATUS["pass"])
TAIL: Final = 400
"""Events at the end of a trace that are kept for a failure report."""


def worst(statuses: Iterable[int]) -> int:
    """The worst of some exit statuses: a bug, then bad input, failure, an inconclusive run."""
    return min(statuses, key=_WORST_FIRST.index, default=0)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one run of one plan."""

    plan: Plan
    seed: int
    run_json: dict[str, Any]
    """The content of run.json: the same on every run of the plan and seed, except for `wall_s`."""
    checks: tuple[CheckResult, ...]
    expectations: tuple[ExpectationResult, ...]
    violation: Violation | None
    interrupted: bool
    tracked: Sequence[TrackedFact]
    """Every fact that honest nodes wrote, by the number that copies name it by."""
    copies: Copies
    """Every copy that should be, with its times in nanoseconds."""
    catch_ups: tuple[CatchUp, ...]
    """What followed each fault, in the order in which they ended."""
    sampled: tuple[Sample, ...]
    recollections: tuple[Recollection, ...]
    """What agents recalled, in the order of time; none where no workload has agents that do."""
    stops: dict[Stop, int]
    """How many packets each rule stopped on each link."""
    tail: tuple[list[Any], ...]
    """The last events of the trace."""
    converged_ns: int | None
    ended_ns: int
    trace_path: Path | None = None
    beliefs: Beliefs = NO_BELIEFS
    """What nodes believed about the subject that most was said about, where agents change their minds."""
    evidence: tuple[bytes, ...] = ()
    """Files that show by themselves that a hostile peer signed two statements that contradict each other."""
    unsigned: tuple[str, ...] = ()
    """A sentence for each contradiction that nobody signed."""

    @property
    def scenario(self) -> Scenario:
        """The scenario that ran."""
        return self.plan.scenario

    @property
    def fault_intervals(self) -> tuple[FaultInterval, ...]:
        """Every fault that happened, in the order in which they ended."""
        return tuple(
            FaultInterval(each.label, each.nodes, each.begin_ns, each.end_ns, each.name) for each in self.catch_ups
        )

    @property
    def verdict(self) -> Verdict:
        """`pass`, `fail` or `inconclusive`."""
        found: Verdict = self.run_json["verdict"]
        return found

    @property
    def exit_status(self) -> int:
        """What a command that ran this exits with: 0, 1 or 3."""
        return EXIT_STATUS[self.verdict]

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes' names."""
        return self.plan.nodes

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        """Undirected links."""
        return self.plan.links

    @property
    def positions(self) -> dict[str, tuple[float, float]]:
        """Latitude and longitude in degrees of the nodes that have them."""
        return self.plan.positions

    @cached_property
    def _facts(self) -> pl.DataFrame:
        return facts_frame(self.tracked, self.nodes, self.copies)

    def facts(self) -> pl.DataFrame:
        """A row per fact and node that should hold it (`sim.analysis.frames.facts_frame`)."""
        return self._facts

    def samples(self) -> pl.DataFrame:
        """A row per sampling instant (`sim.analysis.frames.samples_frame`)."""
        return samples_frame(self.sampled)

    def recalls(self) -> pl.DataFrame:
        """A row per recall of an agent (`sim.analysis.frames.recalls_frame`)."""
        return recalls_frame(self.recollections)

    def faults(self) -> pl.DataFrame:
        """A row per fault that happened (`sim.analysis.frames.faults_frame`)."""
        return faults_frame(self.catch_ups)


def conclude(
    simulation: Simulation, *, wall_s: float, interrupted: bool = False, trace_path: Path | None = None
) -> Outcome:
    """Judge a simulation whose run is over, and take from it what outlives it."""
    simulation.sampler.take()
    tail = tuple(simulation.trace.tail(TAIL))
    trace_digest = simulation.trace.close()
    checks = tuple(check_everything(simulation, interrupted=interrupted))
    digests = {
        "trace_digest": trace_digest,
        "state_digest": state_digest(simulation.machines),
        "knowledge_digest": knowledge_of(simulation.machines, simulation.world.now),
    }
    faults = (*simulation.fault_schedule.fault_intervals, *simulation.fault_schedule.unfinished())
    warm_up = simulation.scenario.scenario.warm_up
    measured = measure(
        simulation.visibility,
        simulation.plan.federation,
        faults,
        ended_ns=simulation.world.now,
        measured_from_ns=simulation.handshakes.linked_ns if warm_up is None else warm_up,
        converged=simulation.converged_at is not None,
    )
    whole = not (interrupted or simulation.relay.ended_early)
    numbers, expectations = _numbers(simulation, measured, whole=whole)
    verdict = judge(checks, expectations, facts=len(simulation.visibility.facts), interrupted=interrupted)
    head = {"scenario": simulation.scenario.name, "seed": simulation.seed, "verdict": verdict, **digests}
    suite = STAND_IN if simulation.scenario.scenario.signatures == "stand-in" else ED25519
    files, unsigned = simulation.observed.statements.evidence(suite)
    time = {"simulated_s": seconds(simulation.world.now), "wall_s": round(wall_s, 3)}
    return Outcome(
        plan=simulation.plan,
        seed=simulation.seed,
        run_json={
            **head,
            **time,
            **numbers,
            **_words(checks, expectations),
            **_made_with(simulation.scenario),
            "policies": {name: node.policy_digest() for name, node in simulation.observed.nodes.items()},
            **({"set": dict(simulation.plan.set_values)} if simulation.plan.set_values else {}),
            **({} if whole else {"ended_early": True}),
            **({"keep_going": True} if simulation.keep_going else {}),
        },
        checks=checks,
        expectations=expectations,
        violation=simulation.violation,
        interrupted=interrupted,
        tracked=simulation.visibility.facts,
        copies=measured.copies,
        catch_ups=measured.catch_ups,
        sampled=tuple(simulation.sampler.samples),
        recollections=tuple(simulation.recollections.taken),
        stops=simulation.trace.stops,
        tail=tail,
        converged_ns=_converged_ns(measured),
        ended_ns=simulation.world.now,
        trace_path=trace_path,
        beliefs=beliefs_of(simulation),
        evidence=tuple(files),
        unsigned=tuple(unsigned),
    )


def _numbers(
    simulation: Simulation, measured: Measurement, *, whole: bool
) -> tuple[dict[str, Any], tuple[ExpectationResult, ...]]:
    tally = tally_conflicts(simulation.observed)
    refused = {
        str(status) if status else "node_off": count for status, count in sorted(simulation.submissions.refused.items())
    }
    values = metric_values(simulation, measured, tally, refused)
    expectations = tuple(compare(simulation.scenario.expect, lambda each: measured.value_of(each, values), whole=whole))
    numbers = {
        "events": simulation.world.events,
        "requests": simulation.network.requests,
        "bytes": simulation.network.bytes_sent,
        "bytes_delivered": simulation.network.bytes_delivered,
        "bytes_lost": simulation.network.bytes_lost,
        "facts": len(simulation.visibility.facts),
        "nodes": len(simulation.plan.nodes),
        **measured.tables(),
        "conflicts": {"open": tally.open, "resolved": tally.resolved, "divergent": tally.divergent},
        "rejections": dict(sorted(simulation.rejections.items())),
        "refused_writes": refused,
        "destroyed": len(simulation.visibility.destroyed),
    }
    if simulation.scenario.reach:  # what a suite must have met in one of its runs (sim.suite)
        numbers["reach"] = [_reached(simulation, each, values) for each in simulation.scenario.reach]
    over_seeds = [each for each in simulation.scenario.expect if each.over_seeds is not None]
    if over_seeds:  # what a study holds against the statistic of many runs (sim.study)
        numbers["over_seeds"] = [measured.value_of(each, values) for each in over_seeds]
    return numbers, expectations


def _reached(simulation: Simulation, reach: Reach, values: dict[str, float | None]) -> float:
    """How often a run met what a suite must meet."""
    if reach.event is not None:
        return simulation.relay.audit_events.get(reach.event, 0)
    name = reach.metric if reach.metric is not None else f"rejections.{reach.code}"
    return values.get(name) or 0


def _converged_ns(measured: Measurement) -> int | None:
    if measured.convergence_ns is None:
        return None
    return measured.federation.duration_ns + measured.convergence_ns


def _words(checks: tuple[CheckResult, ...], expectations: tuple[ExpectationResult, ...]) -> dict[str, Any]:
    return {
        "checks": [check._asdict() for check in checks],
        "expectations": [expectation._asdict() for expectation in expectations],
    }


def _made_with(scenario: Scenario) -> dict[str, Any]:
    """Which Python and which code; plugins are named only where there are any."""
    plugins = named_modules(scenario.scenario.plugins)
    return {**made_with(), "plugins": list(plugins)} if plugins else dict(made_with())


def encode_run(outcome: Outcome, *, indent: int = 0) -> bytes:
    """run.json: on one line, or indented."""
    raw = msgspec.json.encode(outcome.run_json)
    return msgspec.json.format(raw, indent=indent) if indent else raw
