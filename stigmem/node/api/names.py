"""Other names of entities: who is shown an alias, and what it does (http-api 2.3).

An alias leads from one name to another, one hop and no further. It is there for who gave it (with a key for no fewer
scopes) and for who may read a fact of the entity it leads to; for anybody else it is not there, neither in lists nor in
its effect, since names can be secrets too. It stands for entities only: a source is who speaks, and nobody speaks under
another's name.
"""

from __future__ import annotations

from stigmem.core.ledger import Ledger
from stigmem.core.records import AliasRow
from stigmem.node.api.visibility import may_read
from stigmem.node.callers import Principal
from stigmem.node.state import NodeState

__all__ = ["canonical_name", "is_known", "is_shown", "other_names"]


def is_known(ledger: Ledger, principal: Principal, entity: str) -> bool:
    """Whether the caller may read an assertion about an entity."""
    return any(may_read(principal, fact) and not fact.is_retraction for fact in ledger.by_entity.get(entity))


def is_shown(state: NodeState, principal: Principal, row: AliasRow) -> bool:
    """Whether an alias is there for a caller."""
    given = row.by == principal.entity_uri and principal.scopes.issuperset(row.scopes)
    return given or is_known(state.ledger, principal, row.canonical)


def canonical_name(state: NodeState, principal: Principal, entity: str) -> str:
    """The entity that a normalised name leads to: itself, unless it is an alias that is there for the caller."""
    row = state.aliases.get(entity)
    return row.canonical if row is not None and is_shown(state, principal, row) else entity


def other_names(state: NodeState, principal: Principal, entity: str) -> tuple[str, ...]:
    """Aliases of an entity that are there for the caller, under which facts may have been stored before."""
    names = state.other_names.get(entity, {})
    return tuple(name for name in names if is_shown(state, principal, state.aliases[name]))
