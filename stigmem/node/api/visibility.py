"""What you may not read is not there: the one rule by which an answer shows a fact, and whatever names one.

Every answer of every operation is made with the parts of this module and of `stigmem.node.api.views`, which asks here;
nothing else decides. A caller may read a fact when its key has the permission `read`, its key is for the fact's scope,
the fact is not held back, and it is a member of the garden that the fact is in (`stigmem.node.api.garden_access`). Of
anything else a caller must get the same answer, byte for byte, whether it is there or not:
`tests/node/test_two_worlds.py` compares the answers of all operations. That is more than leaving rows out:

* *Names.* The provenance of a public fact may name facts of other scopes, by id or by content id. A content id can be
  made of a guess, so whoever sees one can try values until one fits. To a caller who may not read everything a name
  that means nothing it may read is not shown, whether there is such a fact or not.
* *Answers to writes.* A key that only writes would learn from a repetition (the old id, the old time) that somebody has
  said the same before, and from `contradicted` that somebody has said something else. To such a key only its own words
  are there: it writes anew where another's fact would have answered, and a sweep counts and ends no other.
* *Conflicts.* An id of one follows from entity, relation and scope, which anybody can guess; so settling needs reading.
* *The log.* A row about facts is read by whoever may read those; one about keys by those of the entity, by
  administrators, and by whoever may read everything; one about peers by whoever may deal with them. Neither sequence
  numbers nor the hashes of the chain, nor names made of them, are shown to a scoped caller: they count what is hidden.

What is not hidden: how long an answer takes, that a limit of the whole node was reached, and how many requests of each
kind were answered, in `/metrics`. What there follows from facts is for who may read all of them.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from stigmem.core.content_id import is_cid
from stigmem.core.fact import Fact
from stigmem.core.json_values import VALUES_HEADER
from stigmem.core.scopes import SCOPES
from stigmem.core.uris import normalise
from stigmem.node.api.garden_access import facts_in_gardens
from stigmem.node.api.request import ApiRequest
from stigmem.node.callers import Principal
from stigmem.node.state import NodeState
from stigmem.node.transaction import Transaction

__all__ = ["Sight", "has_every_scope", "is_there", "may_read", "readable_scopes"]

_NAMES: Final = ("fact_id", "hash")
"""Members of a provenance entry that name a fact."""


def may_read(reader: Principal, fact: Fact) -> bool:
    """Whether a fact of the node's own, or of a garden that the caller is a member of, is there for a caller."""
    return fact.quarantine is None and fact.scope in reader.scopes and "read" in reader.permissions


def has_every_scope(reader: Principal) -> bool:
    """Whether no scope is closed to a caller."""
    return len(reader.scopes) == len(SCOPES)


def readable_scopes(reader: Principal) -> frozenset[str] | None:
    """The scopes of a query of the caller's; None for all."""
    return None if has_every_scope(reader) else reader.scopes


def is_there(reader: Principal, fact: Fact) -> bool:
    """Whether a caller may learn that a fact is there, from an answer to a write: if it may read it, or said it
    itself."""
    return may_read(reader, fact) or fact.source == normalise(reader.entity_uri)


class Sight(NamedTuple):
    """What a caller sees of a node."""

    reader: Principal
    state: NodeState
    knows_json: bool = False
    """Whether it takes values of type json; others are shown their text, since published clients fail on the type."""

    @classmethod
    def of(cls, call: ApiRequest, txn: Transaction) -> Sight:
        """What the caller of a request sees."""
        types = call.request.headers.get(VALUES_HEADER, "").split(",")
        return cls(call.principal, txn.state, any(each.strip() == "json" for each in types))

    @property
    def is_whole(self) -> bool:
        """Whether every fact that is not held back and in no garden is there for the caller."""
        return has_every_scope(self.reader) and "read" in self.reader.permissions

    def means(self, name: str) -> bool:
        """Whether an id or a content id means a fact that is there for the caller; no other text does."""
        ledger, by_content = self.state.ledger, is_cid(name)
        found = ledger.with_cid(name) if by_content else ledger.find(name)
        if any(may_read(self.reader, fact) for fact in found):
            return True
        inside = facts_in_gardens(self.state.gardens, self.reader, name, by_content=by_content)
        return any(may_read(self.reader, fact) for fact, _ in inside)

    def derivation(self, fact: Fact) -> list[dict[str, Any]]:
        """The provenance of a fact, without names of facts that are not there for the caller, and without entries that
        are nothing but such names."""
        entries: list[dict[str, Any]] = msgspec.json.decode(fact.derived_from) if fact.derived_from else []
        if self.is_whole:
            return entries
        shown = []
        for entry in entries:
            kept = {
                member: value for member, value in entry.items()
                if member not in _NAMES or (isinstance(value, str) and self.means(value))
            }  # fmt: skip
            if kept or not entry:
                shown.append(kept)
        return shown
