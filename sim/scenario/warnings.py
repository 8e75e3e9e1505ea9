"""What can be foreseen of a run before it begins: sentences for the user, none of which stops it.

Mostly federations that cannot converge by construction. What is wrong rather than unwise is refused by
`sim.scenario.planning`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import networkx as nx

from sim.diagnostics.suggestions import listed, quoted
from sim.fault.clocks import ClockStep, ClockStrobe
from sim.fault.partition import Partition
from sim.scenario.plan import Plan
from sim.scenario.tables import Scenario
from sim.topology.ways import usual, ways
from sim.units import format_duration
from sim.workload.contradictions import Contradictions
from sim.workload.erasures import Erasures
from sim.workload.resolver import Resolver
from sim.workload.storm import Storm

__all__ = ["warnings"]


def warnings(plan: Plan) -> Iterator[str]:
    """A sentence for each thing that the author of the scenario may not have meant."""
    yield from _scopes(plan)
    yield from _nothing_to_see(plan)
    if plan.scenario.scenario.converges:
        yield from _reach(plan)
        yield from _clocks(plan)
        yield from _steps(plan)
        yield from _patience(plan)
        yield from _round_trips(plan)
        yield from _unfollowed(plan)


def _scopes(plan: Plan) -> Iterator[str]:
    federation = plan.scenario.federation
    if "local" in federation.scopes:
        yield "federation.scopes names 'local', but local facts never leave their node."
    if "team" in federation.scopes and not federation.allow_team:
        yield "federation.scopes names 'team', but team facts stay at home unless allow_team is true."


def _nothing_to_see(plan: Plan) -> Iterator[str]:
    """A scenario that cannot fail, whatever the nodes do."""
    if len(plan.nodes) == 1:
        yield "The federation has one node: nothing is replicated, and a run of it is inconclusive."
    yield from _open_before_the_cut(plan.scenario)


def _open_before_the_cut(scenario: Scenario) -> Iterator[str]:
    """Contradictions of which none is new when the federation is cut: then both sides know every conflict before."""
    first = min((fault.at for fault in scenario.fault if isinstance(fault, Partition)), default=None)
    pairs = [each for each in scenario.workload if isinstance(each, Contradictions)]
    if first is None or not pairs or any(isinstance(each, Storm | Resolver) for each in scenario.workload):
        return
    left = sum(each.entities * math.exp(-_pairs_before(each, first) / each.entities) for each in pairs)
    if left < 1.0:
        yield (
            f"Every subject that workloads contradict each other about is in conflict before the first cut (at "
            f"{format_duration(first)}), so that the cut shows no conflict that one side does not know. Begin them "
            "later, or give them more entities."
        )


def _pairs_before(workload: Contradictions, when_ns: int) -> float:
    """How many pairs of contradicting writes are expected before an instant."""
    end_ns = when_ns if workload.stop is None else min(workload.stop, when_ns)
    return workload.rate * max(0, end_ns - workload.start) / 1e9


def _reach(plan: Plan) -> Iterator[str]:
    """Facts that cannot come to everybody."""
    federation = plan.scenario.federation
    parts, public = _joined(plan), plan.parts("public")
    if not any(plan.scopes_on(*pair) for pair in plan.links) and len(plan.nodes) > 1:
        yield "No link grants any scope: every node keeps what it writes, and there is nothing to replicate."
    elif len(parts) > 1:
        yield (
            f"The federation has {len(parts)} parts without a link between them ({_members(parts)}): each "
            "converges by itself, and nothing passes from one to another."
        )
    elif len(public) > 1 and "public" in federation.scopes:
        yield (
            f"Links that grant the scope 'public' leave {len(public)} parts ({_members(public)}): public facts of "
            "one never reach another, and each converges by itself."
        )
    if not federation.relay and "public" in federation.scopes and not _is_mesh(plan):
        yield (
            "Not every pair of nodes is linked, and relay is false: public facts reach only the neighbours of the "
            "node that wrote them, and convergence is judged among those."
        )


def _joined(plan: Plan) -> tuple[tuple[str, ...], ...]:
    """Components of the graph, whatever the links grant."""
    return tuple(tuple(name for name in plan.nodes if name in part) for part in nx.connected_components(plan.graph))


def _is_mesh(plan: Plan) -> bool:
    count = len(plan.nodes)
    return len(plan.links) == count * (count - 1) // 2


def _members(parts: tuple[tuple[str, ...], ...]) -> str:
    shown = [listed(part) if len(part) <= 3 else f"{quoted(part[0])} and {len(part) - 1} more" for part in parts[:4]]
    return " | ".join(shown) + (" | ..." if len(parts) > 4 else "")


def _clocks(plan: Plan) -> Iterator[str]:
    offsets = {table.node: int(table.offset) for table in plan.scenario.clock}
    bound = plan.scenario.federation.skew_future
    apart = [(offsets.get(first, 0) - offsets.get(second, 0), first, second) for first, second in plan.links]
    beyond = sorted((-abs(gap), *((first, second) if gap > 0 else (second, first))) for gap, first, second in apart
                    if abs(gap) > bound)  # fmt: skip
    for gap, ahead, behind in beyond[:1]:
        more = f"; so it is on {len(beyond) - 1} more links" if len(beyond) > 1 else ""
        yield (
            f"The clock of {quoted(ahead)} is {format_duration(-gap)} ahead of that of {quoted(behind)}, more than "
            f"skew_future ({format_duration(bound)}): what {quoted(ahead)} writes is refused there until due{more}."
        )


def _steps(plan: Plan) -> Iterator[str]:
    """Clocks that are set so wrong that what is written meanwhile is not due before the run is over."""
    table, bound = plan.scenario.scenario, plan.scenario.federation.skew_future
    for number, fault in enumerate(plan.scenario.fault):
        if not isinstance(fault, ClockStep | ClockStrobe) or fault.node is None or len(plan.nodes) == 1:
            continue
        ahead, for_good = fault.by > 0, fault.lasts is None and isinstance(fault, ClockStep)
        until = table.duration if fault.lasts is None else min(table.duration, fault.at + fault.lasts)
        wait = abs(fault.by) - bound
        if (ahead or for_good) and until + wait > table.duration + table.settle:
            step = f"{format_duration(abs(fault.by))} {'ahead' if ahead else 'back'}"
            refused = "what it writes then is refused by others" if ahead else "it refuses what others write"
            yield (
                f"fault[{number}] sets the clock of {quoted(fault.node)} {step}, more than skew_future "
                f"({format_duration(bound)}): {refused} until that is due, after the end of the run."
            )


def _patience(plan: Plan) -> Iterator[str]:
    table, federation = plan.scenario.scenario, plan.scenario.federation
    if len(plan.nodes) > 1 and table.settle < federation.pull_interval + federation.pull_wait:
        yield (
            f"settle ({format_duration(table.settle)}) is shorter than pull_interval "
            f"({format_duration(federation.pull_interval)}): a fact written at the end may not arrive in time."
        )


def _round_trips(plan: Plan) -> Iterator[str]:
    """Links that are slower than nodes are patient: nobody joins over them, or nobody reads."""
    scenario, federation = plan.scenario, plan.scenario.federation
    way_ns = ways(scenario.network, scenario.link, usual)
    trips = sorted(((way_ns(a, b) + way_ns(b, a), a, b) for a, b in plan.links), key=lambda each: -each[0])
    for key, bound, what in (
        ("discovery_timeout", federation.discovery_timeout, "the two cannot become peers"),
        ("pull_timeout", federation.pull_timeout, "no page arrives in time"),
    ):
        slow = [each for each in trips if each[0] > bound]
        for trip, first, second in slow[:1]:
            more = f"; so it is on {len(slow) - 1} more links" if len(slow) > 1 else ""
            yield (
                f"A round trip between {quoted(first)} and {quoted(second)} usually takes {format_duration(trip)}, "
                f"longer than {key} ({format_duration(bound)}): {what}{more}."
            )


def _unfollowed(plan: Plan) -> Iterator[str]:
    """Who has persons forgotten where other operators do not follow, or where the word does not come to all of them."""
    federation = plan.scenario.federation
    for number, workload in enumerate(plan.scenario.workload):
        if not isinstance(workload, Erasures) or len(plan.nodes) == 1:
            continue
        issuer = workload.issuer or (workload.nodes or plan.nodes)[0]
        told = f"workload[{number}] has persons forgotten by the word of {quoted(issuer)}, and"
        if "*" not in federation.tombstone_signers and issuer not in federation.tombstone_signers:
            yield f"{told} federation.tombstone_signers names neither it nor '*': the other nodes keep what it erases."
        elif not federation.relay and len(list(plan.graph.neighbors(issuer))) < len(plan.nodes) - 1:
            yield f"{told} relay is false: nodes that are not linked to it are never told."
