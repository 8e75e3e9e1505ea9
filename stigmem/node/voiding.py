"""Voiding facts of this node's own, and setting its clock back over their stamps.

What a record is and does stands in `stigmem.core.voiding`. Here is what only the origin does: choosing facts by their
stamps, making the records, saying again what still held, and letting the hybrid clock go on from the present.

A clock comes back only as far as the newest fact that still counts: while one of this node's facts is ahead, the next
words of its authors have to come after it. The records are stamped by the present all the same, since they have to
reach peers today. They are no words of anybody, so their order means nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice, takewhile
from typing import Final, NamedTuple

import msgspec

from stigmem.core import hlc, limits, sorted_facts
from stigmem.core.fact import Fact, place
from stigmem.core.hlc import Stamp
from stigmem.core.ledger import Ledger
from stigmem.core.scopes import SCOPES
from stigmem.core.uris import VOID_PREFIX
from stigmem.core.voiding import draft_voiding, read_voiding
from stigmem.node.transaction import Transaction

__all__ = ["Chosen", "choose", "go_back", "say_again", "void"]

_ROWS_MAX: Final = 200_000
"""Facts that one choice looks through, in about a tenth of a second."""


class Chosen(NamedTuple):
    """Facts of this node's own, by stamp. `more`: whether others may come after these."""

    facts: list[Fact]
    more: bool


def choose(
    ledger: Ledger, is_meant: Callable[[Fact], bool], *, since: Stamp, until: Stamp | None, facts_max: int
) -> Chosen:
    """The first facts that are meant, with a stamp from `since` on and before `until`, that can be voided and are not.
    `is_meant`: whether a fact is this node's own, and whoever asks may void it."""
    found: list[Fact] = []
    rows = sorted_facts.since(ledger.by_stamp, place(since))
    for fact in islice(rows, _ROWS_MAX):
        if until is not None and fact.stamp >= until:
            return Chosen(found, more=False)
        if fact.entity.startswith(VOID_PREFIX) or not is_meant(fact) or ledger.voided_by(fact) is not None:
            continue
        if len(found) == facts_max:
            return Chosen(found, more=True)
        found.append(fact)
    return Chosen(found, more=next(rows, None) is not None)


def void(txn: Transaction, facts: Sequence[Fact], note: str) -> list[Fact]:
    """Stage the records that void these facts of this node's own, one a scope and VOIDED_MAX of them, and set the clock
    back. Nothing with a stamp may have been staged before it in this batch, and nothing else is staged after it.

    Raises Refusal 503 while the clock is in doubt.
    """
    txn.need_clock()
    newest = _newest_that_counts(txn, frozenset(fact.id for fact in facts), facts[0].origin)
    txn.reset_clock(min(txn.stamp, hlc.stamp(txn.now_ms, 0)))
    records = []
    for scope in SCOPES:
        names = [fact for fact in facts if fact.scope == scope]
        for begin in range(0, len(names), limits.VOIDED_MAX):
            part = names[begin : begin + limits.VOIDED_MAX]
            draft = draft_voiding(part[0], [fact.id for fact in part], note, txn.now_us)
            records.append(_store(txn, draft))
    txn.stamp = max(txn.stamp, newest)
    txn.is_closed = True
    return records


def say_again(txn: Transaction, facts: Sequence[Fact]) -> list[Fact]:
    """Stage once more, as new facts, what counted among facts that are voided in this batch. Reserved facts are left
    out: a resolution covers facts by ids, which are no longer theirs."""
    ledger = txn.ledger
    counted = (fact for fact in facts if not (fact.is_system or fact.quarantine or ledger.expired(fact)))
    return [
        _store(txn, msgspec.structs.replace(fact, timestamp_us=txn.now_us))
        for fact in counted
        if not ledger.overridden(fact)
    ]


def go_back(txn: Transaction, node_id: str, came: Sequence[Fact]) -> None:
    """Facts of this node's own came home from a peer, since it lost its disk or was restored, and moved its clock. If
    records that void are among them, it must not stay where voided facts had put it. `came`: what a page added."""
    voiding = [read_voiding(fact) for fact in came if fact.origin == node_id]
    names = frozenset(name for each in voiding if each is not None for name in each.names)
    if names:
        stamp = max(_newest_that_counts(txn, names, node_id), hlc.stamp(txn.now_ms, 0))
        if stamp < txn.stamp:
            txn.reset_clock(stamp)


def _newest_that_counts(txn: Transaction, names: frozenset[str], node_id: str) -> Stamp:
    """The newest stamp that the clock must not go behind: of this node's facts that count without those `names`, and of
    what it has seen of others within the drag bound. ZERO when none is ahead of the present."""
    now = hlc.stamp(txn.now_ms, 0)
    seen_until = hlc.stamp(txn.now_ms + txn.settings.drag_ms, 0)

    def counts(fact: Fact) -> bool:
        if fact.origin != node_id:
            return fact.stamp <= seen_until
        voided = fact.id in names or txn.ledger.voided_by(fact) is not None
        return not (voided or fact.entity.startswith(VOID_PREFIX))

    held = takewhile(lambda fact: fact.stamp > now, sorted_facts.descending(txn.ledger.by_stamp))
    newest = next((fact.stamp for fact in held if counts(fact)), hlc.ZERO)
    return max(newest, *(fact.stamp for fact in txn.staged_facts if counts(fact)), hlc.ZERO)


def _store(txn: Transaction, draft: Fact) -> Fact:
    stamped = msgspec.structs.replace(draft, stamp=txn.tick(), received_from=None, certified=True, signature=None)
    return txn.store(msgspec.structs.replace(stamped, id=stamped.certified_id()))
