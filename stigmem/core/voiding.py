"""Voided facts: a record by which an origin takes facts of its own out of everything that counts (spec/hlc.md).

Theory
------
A stamp cannot be changed, since the id of its fact commits to it. So what was stamped by a wrong clock is taken out as
a whole: its origin says by id which of its facts count for nothing. That is a set of names which only grows, so the
order in which the record and the facts arrive makes no difference, and it binds the origin's own facts alone: whose
word the record is follows from its signature, or from the link it came over, as for every other fact.

The record is an ordinary fact under a reserved name. It lies below the name of resolutions, the one reserved name that
nodes take from each other, so that a node which does not know it keeps a resolution of nothing. What it says stands in
its provenance, to which its id commits:

    entity        stigmem:resolution:stigmem:void:<uuid5 of the origin and the ids>
    relation      clock:void
    value         a sentence for people
    source        the origin's node id
    derived_from  [{"voids": <how many>, "note": <why>}, {"fact_id": ...}, ...]

Example: node A wrote f1 and f2 while its clock was a day ahead. Its record V names both. B holds neither: they wait
there until tomorrow, and are refused then. C, whose clock was ahead as well, holds both: they can still be read there
with `voided_by` V, and whatever they had superseded or opposed is judged as if they had never been said. A record of D
that names f1 voids nothing, since f1 is not D's.

Invariants
----------
1. A fact is voided when a record of its own origin, by that origin's own node id, names it and is well-formed, and the
   fact's stamp lies at most VOID_REACH_MS before the record's.
2. Nothing voids a record.
3. What voids a fact is the oldest of the records that do, whatever came first.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from stigmem.core import limits
from stigmem.core.canonical import compact
from stigmem.core.errors import Rejection
from stigmem.core.fact import Fact
from stigmem.core.uris import VOID_PREFIX

__all__ = ["RELATION", "Voiding", "Voids", "draft_voiding", "read_voiding"]

RELATION: Final = "clock:void"
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "stigmem:void")


class Voiding(msgspec.Struct, frozen=True, gc=False):
    """What a record says. `names`: ids of facts of its origin. `note`: why, or empty."""

    fact: Fact
    names: tuple[str, ...]
    note: str

    def reaches(self, fact: Fact) -> bool:
        """Whether a fact is near enough in time to be voided by this record."""
        return fact.wall_ms >= self.fact.wall_ms - limits.VOID_REACH_MS


class _Head(msgspec.Struct):
    voids: int
    note: Annotated[str, msgspec.Meta(max_length=limits.VOID_NOTE_CHARS_MAX)] = ""


class _Name(msgspec.Struct):
    fact_id: str


def draft_voiding(fact: Fact, names: Sequence[str], note: str, now_us: int) -> Fact:
    """The record that voids these facts, 1 to VOIDED_MAX. `fact`: one of them, whose origin and scope it has; `now_us`:
    the time of the write. It has no id yet, and no stamp of its own."""
    head = {"voids": len(names), "note": note}
    name = uuid.uuid5(_NAMESPACE, compact([fact.origin, *names]).decode())
    return msgspec.structs.replace(
        fact,
        id="",
        entity=f"{VOID_PREFIX}{name}",
        relation=RELATION,
        source=fact.origin,
        kind="text",
        text=f"{len(names)} facts of this node count for nothing: their stamps come from a wrong clock",
        interpret_as="content",
        confidence=1.0,
        timestamp_us=now_us,
        valid_until=None,
        derived_from=compact([head, *({"fact_id": name} for name in names)]).decode(),
        signature=None,
        entity_uri="",
        grant="",
        received_from=None,
        certified=True,
        quarantine=None,
    )


def read_voiding(fact: Fact) -> Voiding | None:
    """The record that a fact is, or None when it is none.

    Raises Rejection `malformed_fact` when it claims to be one and is not well-formed, and `source_not_owned` when
    somebody else than its origin's node speaks.
    """
    if not fact.entity.startswith(VOID_PREFIX):
        return None
    if fact.source != fact.origin:
        raise Rejection("source_not_owned", "a node voids its own facts, under its own node id", field="source")
    try:
        items = msgspec.json.decode(fact.derived_from or "[]", type=list[msgspec.Raw])
        head = msgspec.json.decode(items[0], type=_Head) if items else _Head(0)
        names = tuple(msgspec.json.decode(item, type=_Name).fact_id for item in items[1:])
    except (msgspec.MsgspecError, ValueError) as error:
        raise _malformed(f": {error}") from error
    well_formed = (
        fact.relation == RELATION
        and not fact.is_retraction
        and fact.valid_until is None
        and head.voids == len(names) == len(set(names))
        and 0 < len(names) <= limits.VOIDED_MAX
    )
    if not well_formed:
        raise _malformed()
    return Voiding(fact, names, head.note)


def _malformed(why: str = "") -> Rejection:
    message = f"a record that voids facts names 1 to {limits.VOIDED_MAX} of them, once each, and has no end{why}"
    return Rejection("malformed_fact", message, field="derived_from")


class Voids:
    """Which facts are voided, by the records held."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str], Voiding] = {}
        """Origin and id -> the oldest record that names the fact, which reaches back furthest."""

    def __bool__(self) -> bool:
        return bool(self._records)

    def copy(self) -> Voids:
        """The same, which grows by itself."""
        made = Voids()
        made._records = dict(self._records)
        return made

    def add(self, voiding: Voiding) -> None:
        """Take in a record."""
        origin = voiding.fact.origin
        for name in voiding.names:
            held = self._records.get((origin, name))
            if held is None or voiding.fact < held.fact:
                self._records[origin, name] = voiding

    def by(self, fact: Fact) -> Fact | None:
        """The record that voids a fact, or None."""
        voiding = self._records.get((fact.origin, fact.id))
        if voiding is None or fact.entity.startswith(VOID_PREFIX) or not voiding.reaches(fact):
            return None
        return voiding.fact
