"""Queries over a ledger: filters, the index that serves them, and pages that never repeat or lose a row; and
following, which is the same filters over facts in the order in which this node stored them.

A cursor is the place of the last row looked at in stamp order, so writes that go on meanwhile can neither
shift a page nor hide a row (spec/queries.md). Work per page is bounded: a filter that matches little gives a
short page with a cursor, never a long turn. A query about another point of time (`stigmem.core.past`) is the same one
over facts as they were known then; it is made in steps.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from heapq import merge
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from stigmem.core import limits, sorted_facts
from stigmem.core.errors import Refusal, Rejection
from stigmem.core.export_index import is_foreign_instruction
from stigmem.core.fact import Fact, place
from stigmem.core.hlc import Stamp, format_stamp, parse_stamp
from stigmem.core.keys import decode_base64, encode_base64
from stigmem.core.known_facts import KnownFacts
from stigmem.core.ledger import Ledger
from stigmem.core.past import PastFacts
from stigmem.core.scopes import SCOPES
from stigmem.core.sorted_facts import SortedFacts
from stigmem.core.uris import is_system

__all__ = [
    "ROWS_SCANNED_MAX",
    "FactPage",
    "FactQuery",
    "StoredFacts",
    "history_past",
    "query_past",
    "run_history",
    "run_query",
    "stored_after",
]

ROWS_SCANNED_MAX: Final = 20_000
"""Rows that one page looks through: some tens of milliseconds. The cursor goes on where it stopped."""
_ROWS_PER_STEP: Final = 200
"""Rows of the past that are looked through before somebody else has a turn: a few milliseconds."""
_STEPS_MAX: Final = 1_000
"""Steps of one page about the past: what was stored after a number lies in front of what was not, and is passed over.
A second or so, in which others have their turns."""
ROWS_FOLLOWED_MAX: Final = 2_000
"""Rows that one step of following looks through: two milliseconds at most, between which others have their turn."""


class FactQuery(msgspec.Struct, kw_only=True):
    """The filters of http-api 3.4; texts are already normalised, None means any.

    `also`: other names of the entity, under which facts may be stored. `min_confidence` from 0 to 1. `after_us`: only
    facts whose write time is greater, in microseconds since the epoch. `include_superseded` also shows what its
    author's later assertions took the place of; `include_contradicted` shows that too, and what is contradicted,
    retracted or overruled. `include_retracted`: whether retractions are rows beside what stands. `cursor`: one that a
    page gave out. `limit`: rows of a page, from 1. `scopes`: what the caller may read, None for all.
    `confidence`: how sure a fact is read to be, as stated when it is None.
    `fits`: what else is asked of a fact than what it says, where something is.
    `foreign_instructions`: whether admitted instructions of peers match; who asks shows them apart.
    """

    entity: str | None = None
    also: tuple[str, ...] = ()
    relation: str | None = None
    source: str | None = None
    scope: str | None = None
    min_confidence: float = 0.0
    include_contradicted: bool = False
    include_superseded: bool = False
    include_misfits: bool = False
    include_expired: bool = False
    include_retracted: bool = True
    after_us: int | None = None
    cursor: str | None = None
    limit: int = limits.PAGE_LIMIT_DEFAULT
    scopes: frozenset[str] | None = None
    foreign_instructions: bool = False
    confidence: Callable[[Fact], float] | None = None
    fits: Callable[[KnownFacts, Fact], bool] | None = None


class FactPage(msgspec.Struct):
    """Rows newest first, and where to go on (None on the last page). `hidden_by_conflict`: rows looked at for this page
    that match but for the open conflicts that they are in."""

    facts: list[Fact]
    cursor: str | None
    hidden_by_conflict: int = 0


def run_query(ledger: Ledger, query: FactQuery) -> FactPage:
    """One page of matching facts by origin stamp, newest first.

    Raises Refusal 400 `invalid_cursor`.
    """
    return _page(ledger, None, query, ROWS_SCANNED_MAX)


def query_past(past: PastFacts, query: FactQuery) -> Generator[None, None, FactPage]:
    """As `run_query`, at another point of time; yields where somebody else may go on. Raises Refusal 400
    `invalid_cursor`."""
    found: list[Fact] = []
    hidden, cursor = 0, query.cursor
    for _ in range(_STEPS_MAX):
        step = msgspec.structs.replace(query, cursor=cursor, limit=query.limit - len(found))
        ahead = _rows(past.ledger, query, _below(step, past))
        yield from past.prepare(list(islice(ahead, _ROWS_PER_STEP + 1)))
        page = _page(past.ledger, past, step, _ROWS_PER_STEP)
        found += page.facts
        hidden, cursor = hidden + page.hidden_by_conflict, page.cursor
        if cursor is None or len(found) == query.limit:
            break
        yield
    return FactPage(found, cursor, hidden)


def _below(query: FactQuery, past: PastFacts | None) -> Fact | None:
    """The place below which the rows of a page begin, None for the newest. Raises Refusal 400 `invalid_cursor`."""
    below = _read_cursor(query.cursor) if query.cursor else None
    newest = None if past is None else past.point.stamp
    return below if newest is None or below is not None else place(Stamp(newest + 1))


def _page(ledger: Ledger, past: PastFacts | None, query: FactQuery, rows_max: int) -> FactPage:
    """One page that at most so many rows are looked through for."""
    below = _below(query, past)
    known: KnownFacts = ledger if past is None else past
    found: list[Fact] = []
    last, scanned, hidden = below, 0, 0
    openly = query if query.include_contradicted else msgspec.structs.replace(query, include_contradicted=True)
    for fact in _rows(ledger, query, below):
        if query.after_us is not None and fact.wall_ms * 1000 + ledger.timestamp_lead_us <= query.after_us:
            break  # neither this fact nor one with an older stamp was written later than that
        if fact.quarantine is not None or (query.scopes is not None and fact.scope not in query.scopes):
            continue  # what is hidden must show neither as a further page nor in the place of a cursor
        held = past is None or past.point.holds(fact)  # what is not is no further page while one can look on
        if last is not None and ((held and len(found) >= query.limit) or scanned >= rows_max):
            return FactPage(found, _cursor(last), hidden)
        last = fact
        scanned += 1
        if not held:
            continue
        if _matches(known, query, fact):
            found.append(fact)
        elif openly is not query and known.contradicted(fact) and _matches(known, openly, fact):
            hidden += 1
    return FactPage(found, None, hidden)


def run_history(known: KnownFacts, fact: Fact, *, everybody: bool, cursor: str | None, limit: int) -> FactPage:
    """One page of what the author of a fact, or everybody, said in its slot, newest first: also what is ended, expired
    or overruled. `limit`: from 1. Raises Refusal 400 `invalid_cursor`."""
    words = known.facts_of(fact.slot) if everybody and not fact.is_system else known.words_of(fact)
    rows = list(islice(sorted_facts.descending(words, _read_cursor(cursor) if cursor else None), limit + 1))
    return FactPage(rows[:limit], _cursor(rows[limit - 1]) if len(rows) > limit else None)


def history_past(
    past: PastFacts, fact: Fact, *, everybody: bool, cursor: str | None, limit: int
) -> Generator[None, None, FactPage]:
    """As `run_history`, at another point of time; nothing where the fact does not belong to it. Yields where somebody
    else may go on."""
    yield from past.prepare([fact])
    if not past.point.holds(fact):
        return FactPage([], None)
    return run_history(past, fact, everybody=everybody, cursor=cursor, limit=limit)


class StoredFacts(NamedTuple):
    """Facts in the order of their local sequence numbers. Everything up to `seq` was looked at."""

    facts: list[Fact]
    seq: int


def stored_after(ledger: Ledger, query: FactQuery, seq: int) -> StoredFacts:
    """At most `query.limit` facts that were stored after a local sequence number and match.

    Looks through at most ROWS_FOLLOWED_MAX rows, so the answer may be empty before the newest fact is reached. Which
    rows were hidden from the caller shows in the place that was reached: it may be told only where it cannot be read.
    """
    found: list[Fact] = []
    scopes = query.scopes
    end = min(ledger.last_seq, seq + ROWS_FOLLOWED_MAX)
    while seq < end and len(found) < query.limit:
        fact = ledger.log[seq]
        seq += 1
        if fact.quarantine is None and (scopes is None or fact.scope in scopes) and _matches(ledger, query, fact):
            found.append(fact)
    return StoredFacts(found, seq)


def _rows(ledger: Ledger, query: FactQuery, below: Fact | None) -> Iterator[Fact]:
    """Every row that can match, newest first: at most ROWS_SCANNED_MAX hidden ones among them."""
    if query.entity is not None and query.also:
        runs = [ledger.by_entity.get(name) for name in (query.entity, *query.also)]
    else:
        runs = [_candidates(ledger, query)]
    if query.scopes is None or sum(map(len, runs)) <= ROWS_SCANNED_MAX:
        parts = [sorted_facts.descending(run, below) for run in runs]
        return parts[0] if len(parts) == 1 else merge(*parts, reverse=True)
    readable = (ledger.by_scope.get(scope) for scope in SCOPES if scope in (query.scopes or ()))
    return merge(*(sorted_facts.descending(part, below) for part in readable), reverse=True)


def _candidates(ledger: Ledger, query: FactQuery) -> SortedFacts:
    """The shortest index run that contains every match."""
    if query.entity is not None and query.relation is not None and query.scope is not None:
        return (
            ledger.facts_of((query.entity, query.relation, query.scope))
            if not (is_system(query.entity) or is_system(query.relation))
            else ledger.by_entity.get(query.entity)
        )
    scope = query.scope
    if scope is None and query.scopes is not None and len(query.scopes) == 1:
        (scope,) = query.scopes
    choices = [
        postings.get(key)
        for postings, key in (
            (ledger.by_entity, query.entity),
            (ledger.by_relation, query.relation),
            (ledger.by_source, query.source),
            (ledger.by_scope, scope),
        )
        if key is not None
    ]
    return min(choices, key=len, default=ledger.by_stamp)


def _matches(known: KnownFacts, query: FactQuery, fact: Fact) -> bool:
    return (
        (query.entity is None or fact.entity == query.entity or fact.entity in query.also)
        and (query.relation is None or fact.relation == query.relation)
        and (query.source is None or fact.source == query.source)
        and (query.scope is None or fact.scope == query.scope)
        and _is_sure(query, fact)
        and (query.include_retracted or not fact.is_retraction)
        and (query.after_us is None or fact.timestamp_us > query.after_us)
        and (not fact.is_system or _asks_for_system(query))
        and (query.foreign_instructions or not is_foreign_instruction(fact))
        and (query.include_expired or not known.expired(fact))
        and (query.include_misfits or known.fits(fact))
        and (query.include_contradicted or _stands(known, query, fact))
        and (query.fits is None or query.fits(known, fact))
    )


def _is_sure(query: FactQuery, fact: Fact) -> bool:
    if query.confidence is None or not query.min_confidence:
        return fact.confidence >= query.min_confidence
    return query.confidence(fact) >= query.min_confidence


def _stands(known: KnownFacts, query: FactQuery, fact: Fact) -> bool:
    if known.contradicted(fact) or known.overruled(fact) or known.voided(fact):
        return False
    ending = known.ended_by(fact)
    return ending is None or (query.include_superseded and not ending.is_retraction)


def _asks_for_system(query: FactQuery) -> bool:
    return is_system(query.entity or "") or is_system(query.relation or "")


def _cursor(fact: Fact) -> str:
    return encode_base64("\n".join((format_stamp(fact.stamp), fact.origin, fact.id)).encode())


def _read_cursor(text: str) -> Fact:
    try:
        stamp_text, origin, fact_id = decode_base64(text).decode().split("\n")
        return place(parse_stamp(stamp_text), origin, fact_id)
    except (ValueError, Rejection) as error:
        raise Refusal(400, "invalid_cursor", "the cursor is not one that this node gave out", field="cursor") from error
