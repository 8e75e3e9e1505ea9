"""Short ways to make facts and resolutions for tests; everything unspecified is plain and valid."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Final

import msgspec

from stigmem.core.errors import StigmemError
from stigmem.core.fact import Fact
from stigmem.core.hlc import stamp
from stigmem.core.resolution import conflict_id, provenance
from stigmem.core.uris import RESOLUTION_PREFIX
from stigmem.core.voiding import draft_voiding

T0_MS = 1_795_161_344_436
SALT = bytes(range(16))
"""For audit rows whose salt does not matter."""


class OneSalt:
    """Chance for transactions whose salts do not matter."""

    def token(self, size: int) -> bytes:
        return SALT[:size]

    def stream(self, name: str) -> OneSalt:
        return self


SLOT = ("stigmem://lab.example/device/pump-7", "maint:status", "public")


_OF_A_RECORD: Final = ("entity", "relation", "scope", "source", "kind", "text", "origin", "derived_from")


def refused(act: Callable[[], object]) -> str | None:
    """The code with which something is refused or rejected, or None when it is not."""
    try:
        act()
    except StigmemError as error:
        return error.code
    return None


def fact(
    n: int,
    text: str = "ok",
    *,
    at: int | None = None,
    origin: str = "stigmem:node:a",
    source: str = "agent:a",
    confidence: float = 1.0,
    slot: tuple[str, str, str] = SLOT,
    valid_until: str | None = None,
    kind: str = "string",
    derived_from: str = "",
    **local: object,
) -> Fact:
    """The n-th fact of a test: `n` decides id and, unless `at` (ms after T0) is given, the stamp."""
    wall = T0_MS + (n if at is None else at)
    entity, relation, scope = slot
    return Fact(
        stamp(wall, 0),
        origin,
        str(uuid.UUID(int=n, version=4)),
        entity,
        relation,
        scope,
        source,
        kind,
        text,
        "content",
        confidence,
        wall * 1000,
        valid_until,
        derived_from,
        **local,  # type: ignore[arg-type]
    )


def retraction(n: int, **kwargs: object) -> Fact:
    return fact(n, "retracted", confidence=0.0, **kwargs)  # type: ignore[arg-type]


def resolution(
    n: int,
    winner: Fact,
    *covers: Fact,
    supersedes: tuple[str, ...] = (),
    resolves: str | None = None,
    **kwargs: object,
) -> Fact:
    """A resolution fact that names `winner` over `covers`."""
    name = resolves or conflict_id(winner.slot)
    text = provenance(name, winner.slot, tuple(f.id for f in (winner, *covers)), winner.id, supersedes, "note")
    slot = (RESOLUTION_PREFIX + name, winner.relation, winner.scope)
    return fact(n, winner.text, slot=slot, derived_from=text, **kwargs)  # type: ignore[arg-type]


def voiding(n: int, *facts: Fact, at: int | None = None, **changes: object) -> Fact:
    """The record by which one origin voids some of its facts; certified, whatever `changes` say."""
    made = draft_voiding(facts[0], [each.id for each in facts], "note", (T0_MS + n) * 1_000)
    said = {name: getattr(made, name) for name in _OF_A_RECORD}
    stamped = msgspec.structs.replace(fact(n, at=at), **said | changes)
    return msgspec.structs.replace(stamped, id=stamped.certified_id())
