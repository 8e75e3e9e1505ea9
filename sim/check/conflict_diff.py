"""Which nodes are meant to see the same conflicts, and about which slots they do not.

Nodes are compared with those that may hold the same public facts. A difference is excused when facts explain it that
one of them lacks and may lack (facts of hostile origins, and honest ones that nobody could bring it any more), or
clocks that show different instants.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sim.check.conflict_views import resolutions_of, view_of
from sim.observation.node_view import LedgerReader, NodeView, SlotKey
from sim.ports import Observed
from stigmem.core.fact import Fact

__all__ = ["Disagreement", "compare", "running"]


class Disagreement(NamedTuple):
    """`odd`: slots about which nodes differ that should not; `excused`: how many others they differ about.
    `compared`: whether any two nodes were, `whole`: whether all were, with each other. `apart`: nodes that were not
    compared with most others because their operators decided otherwise."""

    odd: list[SlotKey]
    excused: int
    compared: bool
    whole: bool
    apart: tuple[str, ...] = ()


def compare(observed: Observed, now_us: int | None = None, *, thorough: bool = True) -> Disagreement:
    """Public slots about which nodes that are meant to hold the same do not see the same conflicts: as they stand, or
    with expiry as of one instant. Without `thorough` only which conflicts are open is looked at: members differ only
    while facts are missing."""
    odd: dict[SlotKey, None] = {}
    excused: dict[SlotKey, None] = {}
    groups = _alike(observed)
    for group in groups:
        views = [view_of(node, now_us) if thorough else _open(_ledger(node, now_us)) for node in group]
        differing = _differing(views)
        if differing:
            wrong = _unexcused(observed, differing, group, now_us)
            odd |= dict.fromkeys(wrong)
            excused |= dict.fromkeys(differing)
    unequalled = len(excused.keys() - odd.keys())
    is_compared, is_whole = any(len(group) > 1 for group in groups), len(groups) == 1
    return Disagreement(list(odd), unequalled, is_compared, is_whole, _of_other_policies(running(observed)))


def running(observed: Observed) -> list[NodeView]:
    """Nodes that run and have not left."""
    return [node for name, node in observed.nodes.items() if name not in observed.gone]


def _alike(observed: Observed) -> list[list[NodeView]]:
    """Running nodes in groups that may hold the same public facts and go by one policy: who is heard by the same nodes
    hears the same."""
    groups: dict[tuple[str, tuple[str, ...]], list[NodeView]] = {}
    for node in running(observed):
        kind = node.policy_digest(), observed.federation.readers(node.name, "public")
        groups.setdefault(kind, []).append(node)
    return list(groups.values())


def _of_other_policies(nodes: Sequence[NodeView]) -> tuple[str, ...]:
    """Nodes that do not go by the policy of most; of two that are as common, the one of the first node counts."""
    by_policy: dict[str, list[str]] = {}
    for node in nodes:
        by_policy.setdefault(node.policy_digest(), []).append(node.name)
    most = max(by_policy.values(), key=len, default=[])
    return tuple(node.name for node in nodes if node.name not in most)


def _ledger(node: NodeView, now_us: int | None) -> LedgerReader:
    return node.ledger if now_us is None else node.ledger_as_of(now_us)


def _open(ledger: LedgerReader) -> dict[SlotKey, object]:
    return {key: slot.conflict for key, slot in ledger.contested.items() if key[2] == "public"}


def _differing(views: Sequence[dict[SlotKey, object]]) -> list[SlotKey]:
    """Slots on which the views are not all equal."""
    keys = dict.fromkeys(key for view in views for key in view)
    return [key for key in keys if any(view.get(key) != views[0].get(key) for view in views[1:])]


def _unexcused(
    observed: Observed, keys: Sequence[SlotKey], group: Sequence[NodeView], now_us: int | None
) -> list[SlotKey]:
    """The slots on which nodes differ for another reason than that some lack facts, and may, or that their clocks
    do not show the same instant: then a fact has expired on one and not yet on the other."""
    ledgers = [_ledger(node, now_us) for node in group]
    apart = now_us is None and len({ledger.horizon_us for ledger in ledgers}) > 1
    if not observed.hostile and not observed.visibility.uneven and not apart:
        return list(keys)
    resolutions = [resolutions_of(ledger) for ledger in ledgers]

    def excused(key: SlotKey) -> bool:
        held = [
            {(fact.origin, fact.id): fact for fact in [*ledger.facts_of(key), *(r.fact for r in found.get(key, ()))]}
            for ledger, found in zip(ledgers, resolutions, strict=True)
        ]
        lacking = list(_lacking(group, held))
        return all(_may_lack(observed, name, fact) for name, fact in lacking) if lacking else apart

    return [key for key in keys if not excused(key)]


def _lacking(group: Sequence[NodeView], held: Sequence[dict[tuple[str, str], Fact]]) -> Iterator[tuple[str, Fact]]:
    everything = {known: fact for facts in held for known, fact in facts.items()}
    for node, facts in zip(group, held, strict=True):
        yield from ((node.name, fact) for known, fact in everything.items() if known not in facts)


def _may_lack(observed: Observed, name: str, fact: Fact) -> bool:
    visibility = observed.visibility
    number = visibility.number(observed.names.get(fact.origin, ""), fact.id)
    if number is None:  # nobody of ours wrote it: a hostile one, or one in the name of a node whose key was vouched for
        return _stays_behind(observed, fact)
    return name not in visibility.readers(number)


def _stays_behind(observed: Observed, fact: Fact) -> bool:
    """Whether a hostile fact need not be everywhere: one that cannot or must not be passed on, or that some node
    refused or holds back (then those behind that node may lack it too)."""
    refused = any(node.rejected(fact.id) for node in observed.nodes.values())
    relayed = observed.federation.relay and fact.certified and fact.signature is not None
    return refused or not relayed
