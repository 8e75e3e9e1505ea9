"""Lint: what in a scope wants somebody's attention (http-api 3.7, 6.1). Reads only.

Six checks, each a generator of findings over what is known:

* `contradiction`: an open conflict; its two best facts are named.
* `stale`: a fact whose time has passed, or passes within the time looked ahead.
* `orphan`: an entity of which nothing is live any more.
* `broken_ref`: a live reference to an entity of which nothing is live in any scope that the caller may read. Of other
  scopes nobody is told, so a reference into one is broken for who may not read it.
* `namespacing`: a relation without a prefix, once for each entity.
* `schema`: schemas of one relation that say different things, whether in force or not, since whoever goes by another
  one sees other conflicts; one that cannot be read; and a fact that counts for nothing because it does not fit the
  schema in force. Schemas of other scopes are left out, as everywhere.

The contract leaves the order within a check open; here it is entity, relation and first fact id, so that two nodes with
the same facts find the same. A `None` among the findings is a place to rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final, Literal, get_args

import msgspec

from stigmem.core.contradiction import best_two
from stigmem.core.errors import Rejection
from stigmem.core.fact import Fact
from stigmem.core.known_facts import KnownFacts
from stigmem.core.schemas import SCHEMA_RELATION, SchemaDocument, read_document, relation_of
from stigmem.core.timestamps import format_us
from stigmem.core.uris import normalise_filter

__all__ = ["CHECKS", "Check", "Finding", "LintScope", "lint"]

Check = Literal["contradiction", "stale", "orphan", "broken_ref", "namespacing", "schema"]
Severity = Literal["error", "warning", "info"]
CHECKS: Final[tuple[Check, ...]] = get_args(Check)
"""Every check, in the order in which findings are told."""
_HANDED_OVER: Final = ("intent:handoff_to", "intent:context_ref")
"""References that somebody acts on: broken, they are errors."""
_SLICE: Final = 500


class Finding(msgspec.Struct, frozen=True):
    """One thing found. `relation` is None where the whole entity is meant."""

    check: Check
    severity: Severity
    entity: str
    relation: str | None
    fact_ids: list[str]
    detail: str


class LintScope(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at. `entity` (normalised) and `relation`: None for all. `readable`: scopes that the caller may
    read. `now_us` and `until_us`: the instant, and up to when staleness is foreseen, in microseconds since the
    epoch."""

    scope: str
    entity: str | None
    relation: str | None
    readable: tuple[str, ...]
    now_us: int
    until_us: int


def lint(
    known: KnownFacts, facts: list[Fact], chosen: Iterable[Check], of: LintScope, *, named_elsewhere: KnownFacts
) -> Iterator[Finding | None]:
    """Findings of the checks chosen, in the order of CHECKS. `facts`: those of the scope and entity, of whatever
    relation. `named_elsewhere`: where else an entity that a reference names may be known; the node's own ledger, while
    a garden is looked at."""
    checks: dict[Check, Callable[[KnownFacts, list[Fact], LintScope], Iterator[Finding | None]]] = {
        "contradiction": _contradictions,
        "stale": _stale,
        "orphan": _orphans,
        "broken_ref": partial(_broken, named_elsewhere),
        "namespacing": _unnamed,
        "schema": _schemas,
    }
    wanted = set(chosen)
    for check in CHECKS:
        if check in wanted:
            found: list[Finding] = []
            for finding in checks[check](known, facts, of):
                if finding is None:
                    yield None
                else:
                    found.append(finding)
            yield from sorted(found, key=lambda each: (each.entity, each.relation or "", each.fact_ids))


def _contradictions(known: KnownFacts, facts: list[Fact], of: LintScope) -> Iterator[Finding | None]:
    seen: dict[tuple[str, str, str], None] = {}
    for fact in _rested(facts, of.relation):
        if fact is None:
            yield None
            continue
        if fact.slot in seen:
            continue
        seen[fact.slot] = None
        state = known.slot(fact.slot)
        conflict = None if state is None else state.conflict
        if state is not None and conflict is not None:
            members = state.members()
            first, second = best_two(members)
            detail = f"{conflict} is open: {len(members)} facts disagree"
            yield Finding("contradiction", "error", fact.entity, fact.relation, [first.id, second.id], detail)


def _stale(known: KnownFacts, facts: list[Fact], of: LintScope) -> Iterator[Finding | None]:
    for fact in _rested(facts, of.relation):
        if fact is None:
            yield None
            continue
        expires_us = known.expires_us(fact)
        if expires_us is None or expires_us > of.until_us or fact.is_retraction or known.overridden(fact):
            continue
        past = expires_us <= of.now_us
        detail = f"{'expired' if past else 'expires'} {format_us(expires_us)}"
        yield Finding("stale", "warning" if past else "info", fact.entity, fact.relation, [fact.id], detail)


def _orphans(known: KnownFacts, facts: list[Fact], of: LintScope) -> Iterator[Finding | None]:
    alive: dict[str, bool] = {}
    for fact in _rested(facts, None):  # an entity is orphaned as a whole
        if fact is None:
            yield None
        elif not alive.get(fact.entity):
            alive[fact.entity] = known.live(fact)
    for entity, lives in alive.items():
        if not lives:
            yield Finding("orphan", "info", entity, None, [], "nothing is known of it any more")


def _broken(elsewhere: KnownFacts, known: KnownFacts, facts: list[Fact], of: LintScope) -> Iterator[Finding | None]:
    lives: dict[str, bool] = {}
    for fact in _rested(facts, of.relation):
        if fact is None:
            yield None
            continue
        if fact.kind != "ref" or not known.live(fact):
            continue
        target = normalise_filter(fact.text)
        if target not in lives:
            lives[target] = _lives(known, target, of.readable) or _lives(elsewhere, target, of.readable)
        if not lives[target]:
            severity: Severity = "error" if fact.relation in _HANDED_OVER else "warning"
            yield Finding(
                "broken_ref", severity, fact.entity, fact.relation, [fact.id], f"nothing is known of {target}"
            )


def _unnamed(known: KnownFacts, facts: list[Fact], of: LintScope) -> Iterator[Finding | None]:
    found: dict[tuple[str, str], list[str]] = {}
    for fact in _rested(facts, of.relation):
        if fact is None:
            yield None
        elif ":" not in fact.relation and known.live(fact):
            found.setdefault((fact.entity, fact.relation), []).append(fact.id)
    for (entity, relation), ids in found.items():
        detail = f"prefer a relation with a prefix, such as memory:{relation}"
        yield Finding("namespacing", "warning", entity, relation, ids, detail)


def _schemas(known: KnownFacts, facts: list[Fact], of: LintScope) -> Iterator[Finding | None]:
    by_relation: dict[str, list[tuple[Fact, SchemaDocument]]] = {}
    for fact in _rested(facts, of.relation):
        if fact is None:
            yield None
        elif not known.fits(fact):
            if known.ended_by(fact) is None and not known.expired(fact):
                detail = "it does not fit the schema of its relation that is in force here, and counts for nothing"
                yield Finding("schema", "warning", fact.entity, fact.relation, [fact.id], detail)
        elif fact.relation == SCHEMA_RELATION and known.live(fact):
            relation = relation_of(fact.entity)
            try:
                document = read_document(fact.text)
            except Rejection as rejection:
                yield Finding("schema", "warning", fact.entity, fact.relation, [fact.id], rejection.message)
                continue
            if relation is not None:
                by_relation.setdefault(relation, []).append((fact, document))
    for relation, said in by_relation.items():
        first, document = said[0]
        others = [fact for fact, other in said[1:] if other != document]
        if others:
            members = [first, *others]
            what = f"schemas of {relation} say different things: {', '.join(sorted(fact.entity for fact in members))}"
            yield Finding("schema", "warning", first.entity, first.relation, [fact.id for fact in members], what)


def _rested(facts: list[Fact], relation: str | None) -> Iterator[Fact | None]:
    """Facts of a relation, or all, with places to rest."""
    for number, fact in enumerate(facts):
        if number % _SLICE == 0:
            yield None
        if relation in (None, fact.relation):
            yield fact


def _lives(known: KnownFacts, entity: str, scopes: tuple[str, ...]) -> bool:
    return any(fact.scope in scopes and known.live(fact) for fact in reversed(known.by_entity.get(entity)))
