"""Which nodes are meant to see the same conflicts, and about which slots they do not.

Nodes are compared with those that may hold the same public facts. A difference is excused when facts explain it that
one of them lacks and may lack (facts of hostile origins, and honest ones that nobody could bring it any more), or
clocks that show different instants.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sim.check.conflict_views import Key, resolutions_of, view_of
from stigmem.core.fact import Fact
from stigmem.core.ledger import Ledger

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation
    from stigmem.node.node import Node

__all__ = ["Disagreement", "Named", "compare", "running"]

Named = tuple[str, "Node"]


class Disagreement(NamedTuple):
    """`odd`: slots about which nodes differ that should not; `excused`: how many others they differ about.
    `compared`: whether any two nodes were, `whole`: whether all were, with each other."""

    odd: list[Key]
    excused: int
    compared: bool
    whole: bool


def compare(simulation: Simulation, *, thorough: bool = True) -> Disagreement:
    """Public slots about which nodes that are meant to hold the same do not see the same conflicts. Without
    `thorough` only which conflicts are open is looked at: members differ only while facts are missing."""
    odd: dict[Key, None] = {}
    excused: dict[Key, None] = {}
    groups = _alike(simulation)
    for group in groups:
        views = [view_of(node) if thorough else _open(node.state.ledger) for _, node in group]
        differing = _differing(views)
        if differing:
            wrong = _unexcused(simulation, differing, group)
            odd |= dict.fromkeys(wrong)
            excused |= dict.fromkeys(differing)
    unequalled = len(excused.keys() - odd.keys())
    return Disagreement(list(odd), unequalled, any(len(group) > 1 for group in groups), len(groups) == 1)


def running(simulation: Simulation) -> list[Named]:
    """Nodes that run and have not left, with their names."""
    return [
        (name, machine.node)
        for name, machine in simulation.machines.items()
        if machine.node is not None and name not in simulation.gone
    ]


def _alike(simulation: Simulation) -> list[list[Named]]:
    """Running nodes in groups that may hold the same public facts: who is heard by the same nodes hears the same."""
    groups: dict[tuple[str, ...], list[Named]] = {}
    for name, node in running(simulation):
        groups.setdefault(simulation.plan.readers(name, "public"), []).append((name, node))
    return list(groups.values())


def _open(ledger: Ledger) -> dict[Key, object]:
    return {key: slot.conflict for key, slot in ledger.contested.items() if key[2] == "public"}


def _differing(views: Sequence[dict[Key, object]]) -> list[Key]:
    """Slots on which the views are not all equal."""
    keys = dict.fromkeys(key for view in views for key in view)
    return [key for key in keys if any(view.get(key) != views[0].get(key) for view in views[1:])]


def _unexcused(simulation: Simulation, keys: Sequence[Key], group: Sequence[Named]) -> list[Key]:
    """The slots on which nodes differ for another reason than that some lack facts, and may, or that their clocks
    do not show the same instant: then a fact has expired on one and not yet on the other."""
    ledgers = [node.state.ledger for _, node in group]
    apart = len({ledger.horizon_us for ledger in ledgers}) > 1
    if not simulation.adversaries and not simulation.visibility.uneven and not apart:
        return list(keys)
    resolutions = [resolutions_of(ledger) for ledger in ledgers]

    def excused(key: Key) -> bool:
        held = [
            {(fact.origin, fact.id): fact for fact in [*ledger.facts_of(key), *(r.fact for r in found.get(key, ()))]}
            for ledger, found in zip(ledgers, resolutions, strict=True)
        ]
        lacking = list(_lacking(group, held))
        return all(_may_lack(simulation, name, fact) for name, fact in lacking) if lacking else apart

    return [key for key in keys if not excused(key)]


def _lacking(group: Sequence[Named], held: Sequence[dict[tuple[str, str], Fact]]) -> Iterator[tuple[str, Fact]]:
    everything = {known: fact for facts in held for known, fact in facts.items()}
    for (name, _), facts in zip(group, held, strict=True):
        yield from ((name, fact) for known, fact in everything.items() if known not in facts)


def _may_lack(simulation: Simulation, name: str, fact: Fact) -> bool:
    number = simulation.visibility.number(simulation.name_of_node.get(fact.origin, ""), fact.id)
    if number is None:  # nobody of ours wrote it: a hostile one, or one in the name of a node whose key was vouched for
        return _stays_behind(simulation, fact)
    return name not in simulation.visibility.readers(number)


def _stays_behind(simulation: Simulation, fact: Fact) -> bool:
    """Whether a hostile fact need not be everywhere: one that cannot or must not be passed on, or that some node
    refused or holds back (then those behind that node may lack it too)."""
    nodes = [machine.node for machine in simulation.machines.values() if machine.node is not None]
    refused = any(fact.id in letters for node in nodes for letters in node.state.letters.values())
    relayed = simulation.scenario.federation.relay and fact.certified and fact.signature is not None
    return refused or not relayed
