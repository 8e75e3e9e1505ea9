"""Which facts stay on their node by what they are, whatever the scopes of its links (spec/replication.md, 5).

Reserved, derived and instructing facts are never served; sources that nobody but a node itself may use are refused
by every receiver. Said here once more and not asked of the node, which might be wrong about it.
"""

from __future__ import annotations

from typing import Final

from stigmem.core.errors import Rejection
from stigmem.core.fact import Fact
from stigmem.core.resolution import read_resolution
from stigmem.core.uris import is_system, reserved_source
from stigmem.core.voiding import read_voiding

__all__ = ["never_served", "stays_local"]

_INSTRUCTION: Final = "instruction:"
_RESERVED: Final = (_INSTRUCTION, "stigmem:")


def stays_local(fact: Fact, *, owned_sources_only: bool) -> bool:
    """Whether a fact never comes to be on another node: nobody is served it, or nobody takes it. `owned_sources_only`:
    receivers take only facts whose source is their origin's id or lies below it."""
    owned = fact.source == fact.origin or fact.source.startswith(fact.origin + "/")
    refused = reserved_source(fact.source) or is_system(fact.relation)  # a resolution's slot may be reserved
    return never_served(fact) or refused or (owned_sources_only and not owned)


def never_served(fact: Fact) -> bool:
    """Whether a fact is in no page, to whomever."""
    entity, relation = fact.entity, fact.relation
    reserved = entity.startswith(_RESERVED) or relation.startswith(_RESERVED)
    if not reserved and fact.interpret_as != "instruction" and fact.derived_from == "":
        return False  # nearly every fact: this is asked for each of them at every node
    if fact.interpret_as == "instruction" or entity.startswith(_INSTRUCTION) or relation.startswith(_INSTRUCTION):
        return True
    return (is_system(entity) or is_system(relation) or fact.derived_from != "") and not _travels(fact)


def _travels(fact: Fact) -> bool:
    """Whether a reserved fact is one of those that nodes take from each other."""
    try:
        return read_resolution(fact) is not None or read_voiding(fact) is not None
    except Rejection:
        return False  # under the name of one, and not well-formed
