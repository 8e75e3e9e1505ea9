"""After a fault everybody catches up within a bound: whatever was written before its end is where it belongs (G6).

The bound of a fault is made of what nodes are allowed: a silent peer is asked again after the longest rest, once the
question that is under way has failed; from there on each hop of the way takes one interval and a few ways of a packet,
and a backlog as many pages as it has. What else may delay a copy excuses it, and the fault is not judged: another fault
within the time that the bound allows, a wire that garbles, reorders, loses or queues packets, wrong clocks (a fact that
is stamped ahead waits until it is due), a disk that was lost, nodes that join or leave, whose links are made anew, and
a lag so long that nodes turn each other away for it.
"""

from __future__ import annotations

from typing import Final

import networkx as nx

from sim.check.base import Checker, CheckResult
from sim.observation.conditions import FaultInterval
from sim.observation.visibility import NEVER
from sim.ports import Observed
from sim.units import format_duration
from stigmem.core import limits

__all__ = ["Recovery"]

_S: Final = 1_000_000_000
_REST_LONGEST: Final = 1.0 + limits.BACKOFF_JITTER
_SLACK_NS: Final = 5 * _S
_LINKS_ANEW: Final = ("wipe", "restored", "churn", "join", "leave", "revoked peer", "wrong fingerprint")
"""How faults are labelled after which links are made anew."""


class Recovery(Checker):
    """What was written before a fault ended is everywhere within a bound after it."""

    name = "recovery"

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self.judged = 0
        self.longest_ns = 0

    def result(self) -> CheckResult:
        seen = self.observed
        if not seen.must_converge or self._is_excused():
            return self.vacuous("not judged: other trouble than faults may delay a copy")
        self.judged, self.longest_ns = 0, 0
        intervals = [each for each in seen.conditions.faults.fault_intervals if each.end_ns < seen.now_ns]
        for interval in intervals:
            bound_ns = self._bound_ns()
            if interval.end_ns - interval.begin_ns > self._lag_hard_ns() or self._is_followed(interval, bound_ns):
                continue
            self.judged += 1
            self._judge(interval, bound_ns)
        told = f"{self.judged} of {len(intervals)} faults, the longest catch-up {format_duration(self.longest_ns)}"
        return self.holds_of(self.judged, told)

    def _judge(self, interval: FaultInterval, bound_ns: int) -> None:
        visibility, end_ns = self.observed.visibility, interval.end_ns
        for number, name in visibility.expected():
            fact = visibility.facts[number]
            if fact.written_ns >= end_ns or fact.origin == name:
                continue
            seen_ns = visibility.first_seen[name][number]
            took_ns = (self.observed.now_ns if seen_ns == NEVER else seen_ns) - end_ns
            self.longest_ns = max(self.longest_ns, took_ns)
            if took_ns > bound_ns:
                came = "has not come" if seen_ns == NEVER else f"came {format_duration(took_ns)}"
                self.fail(
                    name,
                    f"fact {fact.id} of {fact.origin} {came} after {interval.name or interval.label} ended at "
                    f"{format_duration(end_ns)}; {format_duration(bound_ns)} are enough",
                )

    def _is_excused(self) -> bool:
        """Whether something that lasts all the time, or an event that makes links anew, may delay copies."""
        conditions, network = self.observed.conditions, self.observed.conditions.network
        lossy = network.is_disturbed or network.loses
        clocks = bool(conditions.drift_ppm) or any(
            each.label.startswith(("clock", "suspend")) for each in conditions.faults.fault_intervals
        )
        moved = any(each.label.startswith(_LINKS_ANEW) for each in conditions.faults.fault_intervals)
        return lossy or clocks or moved or bool(self.observed.hostile) or bool(self.observed.visibility.returned)

    def _is_followed(self, interval: FaultInterval, bound_ns: int) -> bool:
        """Whether another fault lasts, or begins, while the federation may still be catching up."""
        until_ns = interval.end_ns + bound_ns
        others = self.observed.conditions.faults.fault_intervals
        return any(
            each is not interval and each.begin_ns < until_ns and each.end_ns > interval.end_ns for each in others
        )

    def _lag_hard_ns(self) -> int:
        return min(self.observed.settings(name).lag_hard_ms for name in self.observed.federation.nodes) * 1_000_000

    def _bound_ns(self) -> int:
        federation, network = self.observed.federation, self.observed.conditions.network
        parts = [federation.graph.subgraph(part) for part in nx.connected_components(federation.graph)]
        hops = max((nx.diameter(part) for part in parts if len(part) > 1), default=1)
        all_settings = [self.observed.settings(name) for name in federation.nodes]
        interval_s = max(each.pull_interval_s * (1.0 + each.pull_jitter) + each.pull_wait_s for each in all_settings)
        timeout_s = max(each.pull_timeout_s + each.pull_wait_s for each in all_settings)
        silence_s = _REST_LONGEST * max(limits.UNREACHABLE_S_MAX, *(each.pull_interval_s for each in all_settings))
        pages = 1 + len(self.observed.visibility.facts) // min(each.pull_limit for each in all_settings)
        ways_ns = 2 * network.longest_way_ns * pages + 4 * network.longest_way_ns * hops
        return int((silence_s + timeout_s + hops * interval_s) * _S) + ways_ns + hops * _SLACK_NS
