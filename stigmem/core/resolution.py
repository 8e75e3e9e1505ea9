"""Resolutions: facts that settle a contradiction by naming what they cover (spec/contradiction.md, 4).

The naming travels in the fact's provenance, which its certified id commits to. Reading and writing that form
is all that happens here; what a resolution does to a slot is decided in `stigmem.core.contradiction`.
"""

from __future__ import annotations

import uuid
from functools import lru_cache
from typing import Annotated, Final

import msgspec

from stigmem.core import limits
from stigmem.core.canonical import compact, quote
from stigmem.core.errors import Rejection
from stigmem.core.fact import Fact
from stigmem.core.uris import RESOLUTION_PREFIX

__all__ = ["CONFLICT_PREFIX", "Resolution", "conflict_id", "provenance", "read_resolution"]

CONFLICT_PREFIX: Final = "stigmem:conflict:"
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "stigmem:conflict")


class Resolution(msgspec.Struct, frozen=True, gc=False):
    """What a resolution fact says. `resolves`: the id of the conflict. `covers`: fact ids, the winner among them.
    `supersedes`: ids of earlier resolution facts. `note`: the resolver's reason, or empty."""

    fact: Fact
    resolves: str
    slot: tuple[str, str, str]
    covers: tuple[str, ...]
    winner: str
    supersedes: tuple[str, ...]
    note: str


@lru_cache(maxsize=16_384)
def conflict_id(slot: tuple[str, str, str], last_resolution: str = "") -> str:
    """`stigmem:conflict:` and the uuid5 of the slot and of the id of the last resolution in it (empty: none yet).

    Equal on every node that holds the same facts; a contradiction after a resolution gets the next id.
    """
    # As `compact` would write the list, at a fifth of the price: every contradiction has an id.
    name = f"[{','.join(map(quote, (*slot, last_resolution)))}]"
    return CONFLICT_PREFIX + str(uuid.uuid5(_NAMESPACE, name))


def provenance(
    resolves: str,
    slot: tuple[str, str, str],
    covers: tuple[str, ...],
    winner: str,
    supersedes: tuple[str, ...],
    note: str,
) -> str:
    """The `derived_from` text of a resolution fact: a head that names everything, then one entry a covered fact. The
    members are those of `Resolution`."""
    head = {
        "resolves": resolves,
        "entity": slot[0],
        "winner": winner,
        "supersedes": list(supersedes),
        "note": note,
    }
    return compact([head, *({"fact_id": fact_id} for fact_id in covers)]).decode()


def read_resolution(fact: Fact) -> Resolution | None:
    """The resolution a fact expresses, or None when it is no resolution or names nothing (then it is inert).

    Raises Rejection `malformed_fact` when it claims to be one and is not well-formed.
    """
    if not fact.entity.startswith(RESOLUTION_PREFIX) or not fact.derived_from:
        return None
    entries = msgspec.json.decode(fact.derived_from)
    if not (isinstance(entries, list) and entries and isinstance(entries[0], dict)) or "resolves" not in entries[0]:
        return None
    try:
        head = msgspec.convert(entries[0], _Head)
        covers = tuple(entry.fact_id for entry in msgspec.convert(entries[1:], list[_Cover]))
    except msgspec.ValidationError as error:
        raise Rejection("malformed_fact", f"a resolution's provenance is off: {error}", field="derived_from") from error
    resolution = Resolution(
        fact=fact,
        resolves=head.resolves,
        slot=(head.entity, fact.relation, fact.scope),
        covers=covers,
        winner=head.winner,
        supersedes=tuple(head.supersedes),
        note=head.note,
    )
    _check(resolution)
    return resolution


class _Head(msgspec.Struct):
    resolves: str
    entity: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.URI_CHARS_MAX)]
    winner: str
    supersedes: Annotated[list[str], msgspec.Meta(max_length=limits.RESOLUTION_COVERS_MAX)] = []
    note: Annotated[str, msgspec.Meta(max_length=limits.RESOLUTION_NOTE_CHARS_MAX)] = ""


class _Cover(msgspec.Struct):
    fact_id: str


def _check(resolution: Resolution) -> None:
    covers = resolution.covers
    well_formed = (
        resolution.fact.entity == RESOLUTION_PREFIX + resolution.resolves
        and 0 < len(covers) <= limits.RESOLUTION_COVERS_MAX
        and len(set(covers)) == len(covers)
        and resolution.winner in covers
    )
    if not well_formed:
        raise Rejection(
            "malformed_fact",
            "a resolution names its conflict, the facts it covers, once each, and one of them as winner",
            field="derived_from",
        )
