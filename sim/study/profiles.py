"""One scenario under two profiles: our node, and a model of the published reference (`sim.model_reference`).

    ours             the deployed node, judged by the checkers as in every run
    reference-0.5    the model of what the contract says of the reference's dialect 0.5; not the published package

Both get the same scenario and seed, and are measured by one and the same function over what their machines hold: by
who wrote what when and who saw it when, by the facts on the disks at the end, and by the conflicts that nodes list. A
verdict of the checkers exists for ours only; the six questions of `Findings.defects` are asked of both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Any, Final, Literal, NamedTuple

from sim.analysis.catch_up import CatchUp, catch_ups
from sim.analysis.lag import Copies, copies_of, summarise
from sim.analysis.outcome import Outcome, conclude
from sim.check import CHECKERS, Asked, Checker
from sim.model_reference import ReferenceRun
from sim.observation.visibility import NEVER, Visibility
from sim.ports import Observed
from sim.scenario.plan import Plan
from sim.scenario.planning import make_plan
from sim.simulation.simulation import Simulation
from sim.study.page_excess import PageExcess

__all__ = ["PROFILES", "Findings", "HeldFact", "Profile", "ProfileRun", "findings_of", "run_profile"]

Profile = Literal["ours", "reference-0.5"]
PROFILES: Final[tuple[Profile, ...]] = ("ours", "reference-0.5")


class HeldFact(NamedTuple):
    """A fact that a node holds at the end. `origin` and `sender` are names of nodes or of hostile peers, `sender` ""
    for a fact of the node's own; `content` is all that nodes must agree about."""

    id: str
    origin: str
    sender: str
    scope: str
    content: tuple[str, ...]


class ConflictView(NamedTuple):
    """What a node says of conflicts: how many are open, the pairs about which nodes may say different things, and
    whether one of them is open here."""

    open_count: int
    doubtful: Sequence[tuple[str, str]]
    is_open: Callable[[str, str], bool]


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What became of one run, measured alike for every profile."""

    facts: int
    expected: int
    """Copies outside of their origins that should be."""
    missing: int
    lag_ns: int | None
    """The worst, with the age of copies that never came."""
    catch_up: CatchUp | None
    """The longest."""
    diverging: tuple[str, ...]
    """Ids under which two nodes hold different content of one origin."""
    beyond_grant: tuple[str, ...]
    """Ids of facts that a node took over a link that does not grant their scope."""
    beyond_page: int
    """Facts that nodes took from answers beyond as many as they had asked for."""
    open_conflicts: Mapping[str, int]
    """Node -> how many conflicts it shows as open."""
    conflicts_differ: bool
    """Whether nodes that hold both facts of a conflict say different things of it."""
    aborts: Mapping[str, int]
    """Reason -> cycles of pulls that an error ended."""
    copies: Copies

    def defects(self) -> list[str]:
        """What is wrong with it, one sentence each; nothing is wrong when everybody holds the same and no more."""
        told = (
            (self.missing, f"{self.missing} of {self.expected} copies never came"),
            (self.diverging, f"{len(self.diverging)} facts have different content on different nodes"),
            (self.beyond_grant, f"{len(self.beyond_grant)} facts were taken over links that do not grant their scope"),
            (self.beyond_page, f"{self.beyond_page} facts were taken from answers beyond as many as were asked for"),
            (self.conflicts_differ, "nodes say different things of the same conflict"),
            (
                self.aborts,
                f"an error ended {sum(self.aborts.values())} cycles of pulls ({_counts(self.aborts)})",
            ),
        )
        return [sentence for is_so, sentence in told if is_so]


class ProfileRun(NamedTuple):
    """A run of a scenario under a profile; `outcome` is that of the checkers, for ours only."""

    profile: Profile
    seed: int
    findings: Findings
    outcome: Outcome | None


def run_profile(plan: Plan, profile: Profile, seed: int) -> ProfileRun:
    """Run a plan under a profile. Raises NotModelled for what the model cannot take part in."""
    if seed != plan.scenario.scenario.seed:
        plan = replace(make_plan(plan.scenario, plan.base, seed), set_values=plan.set_values)
    return _run_ours(plan, seed) if profile == "ours" else _run_reference(plan, seed)


def findings_of(
    plan: Plan, visibility: Visibility, *, ended_ns: int, held: Mapping[str, Sequence[HeldFact]], **more: Any
) -> Findings:
    """Measure a run. `held`: node -> what it holds at the end; `more`: what else of `Findings` is known, and `faults`
    and `views` by node."""
    faults, views = more.pop("fault_intervals"), more.pop("views")
    copies = copies_of(visibility, ended_ns)
    away = [place for place, at_origin in enumerate(copies.at_origin) if not at_origin]
    caught = catch_ups(copies, visibility.returns(), faults)
    return Findings(
        facts=len(visibility.facts),
        expected=len(away),
        missing=sum(copies.held[place] == NEVER for place in away),
        lag_ns=summarise(copies).most,
        catch_up=max(caught, key=lambda each: (each.missing > 0, each.took_ns), default=None),
        diverging=_diverging(held),
        beyond_grant=_beyond_grant(plan, held),
        open_conflicts={name: view.open_count for name, view in views.items()},
        conflicts_differ=_differ(held, views),
        copies=copies,
        **more,
    )


def _diverging(held: Mapping[str, Sequence[HeldFact]]) -> tuple[str, ...]:
    first: dict[tuple[str, str], tuple[str, ...]] = {}
    found: dict[str, None] = {}
    for facts in held.values():
        for fact in facts:
            if first.setdefault((fact.origin, fact.id), fact.content) != fact.content:
                found[fact.id] = None
    return tuple(found)


def _beyond_grant(plan: Plan, held: Mapping[str, Sequence[HeldFact]]) -> tuple[str, ...]:
    usual = plan.scenario.federation.scopes
    found: dict[str, None] = {}
    for name, facts in held.items():
        for fact in facts:
            if fact.sender == "":
                continue
            granted = plan.scopes_on(name, fact.sender) if fact.sender in plan.nodes else usual
            is_closed = fact.scope == "local" or (fact.scope == "team" and not plan.scenario.federation.allow_team)
            if is_closed or fact.scope not in granted:
                found[fact.id] = None
    return tuple(found)


def _differ(held: Mapping[str, Sequence[HeldFact]], views: Mapping[str, ConflictView]) -> bool:
    """Whether of the nodes that hold both facts of a pair one says that it is open and another does not."""
    ids = {name: frozenset(fact.id for fact in facts) for name, facts in held.items()}
    doubtful = dict.fromkeys(pair for view in views.values() for pair in view.doubtful)
    for one, other in doubtful:
        holders = [name for name in views if one in ids[name] and other in ids[name]]
        said = [views[name].is_open(one, other) for name in holders]
        if any(said) and not all(said):
            return True
    return False


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in counts.items())


# --- ours ---


def _run_ours(plan: Plan, seed: int) -> ProfileRun:
    begun = perf_counter()
    excess = PageExcess(lambda node, peer, fact_id: _holds(simulation, node, peer, fact_id))
    simulation = Simulation(plan, seed=seed, checkers=[*CHECKERS, partial(_Questions, excess)])
    simulation.run()
    names = {**simulation.name_of_node, **{peer.node_id: peer.name for peer in simulation.adversaries.values()}}
    held, views = {}, {}
    for name, view in simulation.observed.nodes.items():
        held[name] = [
            HeldFact(
                id=fact.id,
                origin=names.get(fact.origin, fact.origin),
                sender="" if fact.received_from is None else names.get(fact.received_from, fact.received_from),
                scope=fact.scope,
                content=(
                    fact.entity, fact.relation, fact.source, fact.scope, fact.kind, fact.text, fact.interpret_as,
                    repr(fact.confidence), str(fact.valid_until),
                ),
            )
            for fact in view.ledger.log
        ]  # fmt: skip
        listed = [each for each in view.conflicts(simulation.observed.now_us) if each.status == "unresolved"]
        pairs = [_in_order(each.fact_a.id, each.fact_b.id) for each in listed]
        views[name] = ConflictView(len(pairs), pairs, partial(_is_among, frozenset(pairs)))
    findings = findings_of(
        plan,
        simulation.visibility,
        ended_ns=simulation.world.now,
        held=held,
        views=views,
        fault_intervals=[*simulation.fault_schedule.fault_intervals, *simulation.fault_schedule.unfinished()],
        beyond_page=excess.count(),
        aborts={},
    )
    return ProfileRun("ours", seed, findings, conclude(simulation, wall_s=perf_counter() - begun))


def _holds(simulation: Simulation, node: str, peer: str, fact_id: str) -> bool:
    view = simulation.observed.node(node)
    return view is not None and view.ledger.held(simulation.adversaries[peer].node_id, fact_id) is not None


def _in_order(one: str, other: str) -> tuple[str, str]:
    return min(one, other), max(one, other)


def _is_among(pairs: frozenset[tuple[str, str]], one: str, other: str) -> bool:
    return (one, other) in pairs


class _Questions(Checker):
    """No property: hands every pull at a hostile peer on."""

    name = "profiles"

    def __init__(self, excess: PageExcess, observed: Observed) -> None:
        super().__init__(observed)
        self._excess = excess

    def on_asked(self, asked: Asked) -> None:
        self._excess.asked(asked)


# --- the model of the reference ---


def _run_reference(plan: Plan, seed: int) -> ProfileRun:
    excess = PageExcess(lambda node, _peer, fact_id: _model_holds(run, node, fact_id))
    run = ReferenceRun(plan, seed=seed, asked=excess.asked)
    run.run()
    names = {machine.node_id: name for name, machine in run.machines.items()}
    names |= {peer.node_id: peer.name for peer in run.adversaries.values()}
    held, views = {}, {}
    for name, machine in run.machines.items():
        if machine.model is None:
            continue
        store = machine.model.store
        held[name] = [
            HeldFact(
                id=fact.id,
                origin=name if fact.received_from is None else names.get(fact.received_from, fact.received_from),
                sender="" if fact.received_from is None else names.get(fact.received_from, fact.received_from),
                scope=fact.scope,
                content=fact.content(),
            )
            for fact in store.facts.values()
        ]
        closed = [_in_order(*pair) for pair in store.closed]
        views[name] = ConflictView(store.open_conflicts, closed, store.is_open)
    findings = findings_of(
        plan,
        run.visibility,
        ended_ns=run.world.now,
        held=held,
        views=views,
        fault_intervals=run.fault_intervals,
        beyond_page=excess.count(),
        aborts=run.aborts,
    )
    return ProfileRun("reference-0.5", seed, findings, None)


def _model_holds(run: ReferenceRun, node: str, fact_id: str) -> bool:
    model = run.machines[node].model
    return model is not None and fact_id in model.store.facts
