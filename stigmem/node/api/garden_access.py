"""Who may look into a garden and who may write there: the one place where that is decided.

The node's own ledger holds no fact of a garden (`stigmem.core.gardens`), so an operation that says nothing about
gardens shows none. One that offers them gets the garden here, by the name that its caller gave, or not at all.

A garden of a scope that the caller's key may not touch looks like one that does not exist. A member's name is what
counts, not the permissions of the key: those were looked at before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from stigmem.core.errors import Refusal
from stigmem.core.fact import Fact
from stigmem.core.gardens import Garden
from stigmem.core.ledger import Ledger
from stigmem.core.records import GardenRole
from stigmem.node.callers import Principal
from stigmem.node.transaction import Transaction

__all__ = [
    "MANAGING",
    "MODERATING",
    "READING",
    "WRITING",
    "facts_in_gardens",
    "garden_named",
    "garden_of_facts",
    "need_role",
    "quarantine_garden",
]  # fmt: skip

READING: Final[tuple[GardenRole, ...]] = ("admin", "writer", "reader", "quarantine:moderator")
WRITING: Final[tuple[GardenRole, ...]] = ("admin", "writer")
MODERATING: Final[tuple[GardenRole, ...]] = ("admin", "quarantine:moderator")
MANAGING: Final[tuple[GardenRole, ...]] = ("admin",)


def garden_named(txn: Transaction, caller: Principal, name: str) -> Garden:
    """The garden of an id, a slug or a URI, for what is asked about the garden itself. Raises Refusal 404."""
    return _known(caller, txn.state.gardens.find(name) or txn.state.gardens.at(name))


def garden_of_facts(txn: Transaction, caller: Principal, uri: str, roles: tuple[GardenRole, ...]) -> Garden:
    """The garden of a URI, for what is asked about its facts. Raises Refusal 404 for one that is not known,
    403 for a caller that has none of the roles there."""
    garden = _known(caller, txn.state.gardens.at(uri))
    need_role(garden, caller, roles)
    return garden


def need_role(garden: Garden, caller: Principal, roles: tuple[GardenRole, ...]) -> None:
    """Raises Refusal 403 unless the caller has one of the roles in the garden."""
    role = garden.role_of(caller.entity_uri)
    if role is None:
        raise Refusal(403, "not_a_member", "only members of this garden may do that")
    if role not in roles:
        raise Refusal(403, "garden_role_required", f"a {role} of this garden may not do that: {' or '.join(roles)} may")


def quarantine_garden(txn: Transaction) -> Garden | None:
    """The garden whose moderators decide, if the operator named one and it is one for quarantine."""
    garden = txn.state.gardens.find(txn.settings.quarantine_garden) if txn.settings.quarantine_garden else None
    return garden if garden is not None and garden.row.is_quarantine else None


def may_read(garden: Garden, caller: Principal) -> bool:
    """Whether a caller may see what is in a garden."""
    return garden.row.scope in caller.scopes and garden.role_of(caller.entity_uri) is not None


def facts_in_gardens(
    gardens: Iterable[Garden], caller: Principal, name: str, *, by_content: bool
) -> list[tuple[Fact, Garden]]:
    """Facts with this id, or with this content id, in the gardens where the caller may read."""
    found: list[tuple[Fact, Garden]] = []
    for garden in gardens:
        facts = _with(garden.ledger, name, by_content=by_content)
        if facts and may_read(garden, caller):
            found += [(fact, garden) for fact in facts if fact.quarantine is None]
    return found


def _with(ledger: Ledger, name: str, *, by_content: bool) -> list[Fact]:
    return ledger.with_cid(name) if by_content else list(ledger.find(name))


def _known(caller: Principal, garden: Garden | None) -> Garden:
    if garden is None or garden.row.scope not in caller.scopes:
        raise Refusal(404, "garden_not_found", "garden not found")
    return garden
