"""Gardens: rooms of a node whose facts only their members see, and which no fact ever leaves (http-api 3.13).

Theory
------
A garden could be a column of a fact, and every operation could ask whether the caller may see the row. Then each
operation that is ever written has to remember to ask, and the one that forgets is a leak. Here a garden has **a ledger
of its own**. The node's ledger holds no fact of any garden, so whatever reads it (queries, conflicts, recall, counts,
pages for peers, events, metrics) cannot show one, and an operation that offers the facts of a garden has to be handed
that garden by `stigmem.node.api.garden_access`, which asks for the membership.

* G1. Facts of different gardens, and of none, do not contradict, supersede or repeat each other: they meet in no index.
  A conflict id follows from entity, relation and scope alone, so two gardens may have conflicts of one id; a caller
  says which garden it means.
* G2. Nothing of a garden moves what others see: its facts have sequence numbers and stamps of their own and random ids.
  A local number, a hybrid clock or an id made of content would each tell an outsider that, or even what, was written.
* G3. A member is a name, not a key: every key of that entity is a member. Names are compared in normal form.
* G4. A garden always has an admin: the last one can be neither removed nor given another role.
* G5. A garden's scope is that of its facts. Whoever may not touch the scope does not learn that there is the garden.

Example: `user:ann` makes the garden `pump-crew` of scope `team` and adds `agent:bo` as reader. A fact that Ann writes
with `garden_id` is told to Bo when he asks for that garden by name, and to nobody who does not.

A wart: the facts of a deleted garden stay in the journal, where no operation reaches them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from stigmem.core import limits
from stigmem.core.conflicts import ConflictBook
from stigmem.core.erasure import Erasures
from stigmem.core.errors import Refusal
from stigmem.core.fact import Fact
from stigmem.core.hlc import ZERO, Stamp
from stigmem.core.ledger import Ledger
from stigmem.core.records import GardenMember, GardenRole, GardenRow
from stigmem.core.schemas import SchemaBook
from stigmem.core.uris import normalise_filter

__all__ = ["Garden", "Gardens", "is_slug", "member_of", "need_member", "with_member", "with_role", "without_member"]

_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PLACE: Final = "/garden/"


def is_slug(text: str) -> bool:
    """Whether a text may name a garden in addresses: 1 to 63 of a-z, 0-9 and hyphens, no hyphen first."""
    return _SLUG.fullmatch(text) is not None


class Garden:
    """One garden: its row, its facts and what follows from them."""

    def __init__(self, row: GardenRow, schemas: SchemaBook, erasures: Erasures | None = None) -> None:
        """`schemas`: those of the node, which hold in gardens too. `erasures`: what is not to be known on this node."""
        self.row = row
        self.ledger = Ledger(relay=False, cardinality=schemas.cardinality, fits=schemas.fits, erasures=erasures)
        self.conflicts = ConflictBook(self.ledger)
        self.stamp: Stamp = ZERO
        """The stamp of its newest fact."""

    def uri(self, authority: str) -> str:
        """The name by which facts carry it; `authority` is that of the node's address."""
        return f"stigmem://{authority}{_PLACE}{self.row.slug}"

    def role_of(self, entity_uri: str) -> GardenRole | None:
        """What an entity is in it, or None for who is no member."""
        member = member_of(self.row, entity_uri)
        return None if member is None else member.role

    def add(self, fact: Fact) -> None:
        """Take in a fact; raises ValueError when its `seq` is not the garden's next one."""
        self.ledger.add(fact)
        self.stamp = max(self.stamp, fact.stamp)


class Gardens:
    """Every garden of a node."""

    def __init__(self, schemas: SchemaBook, erasures: Erasures | None = None) -> None:
        """`schemas`, `erasures`: as for a garden."""
        self._schemas = schemas
        self._erasures = erasures
        self._by_id: dict[str, Garden] = {}
        self._by_slug: dict[str, Garden] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Garden]:
        """In the order in which they were made."""
        return iter(self._by_id.values())

    def get(self, garden_id: str) -> Garden | None:
        """The garden with this id."""
        return self._by_id.get(garden_id)

    def find(self, name: str) -> Garden | None:
        """The garden of an id or a slug."""
        return self._by_id.get(name) or self._by_slug.get(name.lower())

    def at(self, uri: str) -> Garden | None:
        """The garden of a URI. Only what follows `/garden/` is looked at: a node has had other addresses."""
        head, found, slug = uri.partition(_PLACE)
        return self._by_slug.get(slug) if found and head.startswith("stigmem://") else None

    # --- keeping, from records ---

    def apply_row(self, row: GardenRow) -> None:
        """A garden was made, changed or deleted."""
        garden = self._by_id.get(row.garden_id)
        if row.is_deleted:
            if garden is not None:
                del self._by_id[row.garden_id], self._by_slug[garden.row.slug]
        elif garden is None:
            self._by_id[row.garden_id] = self._by_slug[row.slug] = Garden(row, self._schemas, self._erasures)
        else:
            garden.row = row

    def apply_fact(self, garden_id: str, fact: Fact) -> None:
        """A fact was written into a garden; one of a garden that was deleted since is passed over."""
        garden = self._by_id.get(garden_id)
        if garden is not None:
            garden.add(fact)


# --- members ---


def with_member(row: GardenRow, member: GardenMember) -> GardenRow:
    """The row with one member more. Raises Refusal 409."""
    if member_of(row, member.entity_uri) is not None:
        raise Refusal(409, "already_member", f"{member.entity_uri} is a member already; PATCH changes the role")
    if len(row.members) >= limits.GARDEN_MEMBERS_MAX:
        raise Refusal(409, "too_many_members", f"a garden has at most {limits.GARDEN_MEMBERS_MAX} members")
    return msgspec.structs.replace(row, members=(*row.members, member))


def with_role(row: GardenRow, entity_uri: str, role: GardenRole) -> GardenRow:
    """The row with another role for a member. Raises Refusal 403 for the last admin, 404 for who is no member."""
    old = need_member(row, entity_uri)
    if role != "admin":
        _need_another_admin(row, old)
    new = msgspec.structs.replace(old, role=role)
    return msgspec.structs.replace(row, members=tuple(new if each is old else each for each in row.members))


def without_member(row: GardenRow, entity_uri: str) -> GardenRow:
    """The row with one member less. Raises Refusal 403 for the last admin, 404 for who is no member."""
    old = need_member(row, entity_uri)
    _need_another_admin(row, old)
    return msgspec.structs.replace(row, members=tuple(each for each in row.members if each is not old))


def member_of(row: GardenRow, entity_uri: str) -> GardenMember | None:
    """The member of this name, or None."""
    name = normalise_filter(entity_uri)
    return next((each for each in row.members if normalise_filter(each.entity_uri) == name), None)


def need_member(row: GardenRow, entity_uri: str) -> GardenMember:
    """The member of this name. Raises Refusal 404."""
    member = member_of(row, entity_uri)
    if member is None:
        raise Refusal(404, "member_not_found", "member not found")
    return member


def _need_another_admin(row: GardenRow, member: GardenMember) -> None:
    if member.role == "admin" and sum(each.role == "admin" for each in row.members) == 1:
        raise Refusal(403, "last_admin", "a garden keeps an admin: make somebody else admin first")
