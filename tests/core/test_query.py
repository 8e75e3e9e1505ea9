"""Queries against a brute-force reading of http-api 3.4, and pages while writes go on (spec/queries.md)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stigmem.core import query as query_module
from stigmem.core.errors import Refusal
from stigmem.core.fact import Fact
from stigmem.core.keys import encode_base64
from stigmem.core.ledger import Ledger
from stigmem.core.query import FactQuery, run_query
from stigmem.core.timestamps import format_us
from tests.builders import T0_MS, fact, refused, resolution

ENTITIES = ("user:a", "user:b", "stigmem:conflict:x")
RELATIONS = ("memory:role", "memory:note", "stigmem:received_from")
SOURCES = ("agent:a", "agent:b")
SCOPES = ("local", "team", "public")
NOW_MS = T0_MS + 50


@st.composite
def some_fact(draw: st.DrawFn, number: int) -> Fact:
    entity = draw(st.sampled_from((*ENTITIES[:2] * 3, ENTITIES[2])))
    relation = draw(st.sampled_from((*RELATIONS[:2] * 3, RELATIONS[2])))
    expiry = draw(st.none() | st.integers(0, 100))
    at = draw(st.integers(0, 60))
    written = fact(
        number,
        draw(st.sampled_from(("x", "y"))),
        at=at,
        origin=draw(st.sampled_from(("stigmem:node:a", "stigmem:node:b"))),
        source=draw(st.sampled_from(SOURCES)),
        confidence=draw(st.sampled_from((1.0, 0.5, 0.0))),
        slot=(entity, relation, draw(st.sampled_from(SCOPES))),
        valid_until=None if expiry is None else format_us((T0_MS + expiry) * 1000),
        quarantine=draw(st.sampled_from((*[None] * 9, "why"))),
    )
    # A foreign node's write time may run ahead of its stamp or lag behind it.
    return msgspec.structs.replace(written, timestamp_us=(T0_MS + at + draw(st.integers(-20, 20))) * 1000)


@st.composite
def histories(draw: st.DrawFn) -> list[Fact]:
    count = draw(st.integers(0, 25))
    facts: list[Fact] = [draw(some_fact(number)) for number in range(count)]
    open_ones = [each for each in facts if not each.is_system and each.quarantine is None]
    settles = draw(st.booleans())
    if open_ones and settles:
        facts.append(resolution(900, draw(st.sampled_from(open_ones)), at=40))
    return facts


def seldom(*values: object) -> st.SearchStrategy[Any]:
    """Mostly no filter: every filter more leaves fewer rows to be wrong about."""
    return st.sampled_from((None,) * 3 * len(values) + values)


queries = st.builds(
    FactQuery,
    entity=seldom(ENTITIES[0], ENTITIES[2]),
    relation=seldom(RELATIONS[0], RELATIONS[2]),
    source=seldom(*SOURCES),
    scope=seldom(*SCOPES),
    min_confidence=st.sampled_from((0.0, 0.0, 0.1, 0.5)),
    include_contradicted=st.sampled_from((True, True, False)),
    include_expired=st.sampled_from((True, True, False)),
    after_us=st.none() | st.integers(T0_MS - 10, T0_MS + 40).map(lambda ms: ms * 1000),
    limit=st.integers(1, 5),
    scopes=seldom(frozenset({"public", "team"}), frozenset({"local"}), frozenset[str]()),
)


def fill(facts: list[Fact]) -> Ledger:
    ledger = Ledger()
    ledger.advance(NOW_MS * 1000)
    for each in facts:
        append(ledger, each)
    return ledger


def append(ledger: Ledger, each: Fact) -> None:
    ledger.add(msgspec.structs.replace(each, seq=len(ledger) + 1))


def reserved(text: str) -> bool:
    return text.startswith("stigmem:") and not text.startswith("stigmem://")


def oracle(ledger: Ledger, query: FactQuery) -> list[Fact]:
    """Every row that the contract asks for, one filter after the other over all facts, newest stamp first."""
    asks_for_reserved = any(text is not None and reserved(text) for text in (query.entity, query.relation))
    filters: list[tuple[bool, Callable[[Fact], bool]]] = [
        (True, lambda f: f.quarantine is None),
        (query.entity is not None, lambda f: f.entity == query.entity),
        (query.relation is not None, lambda f: f.relation == query.relation),
        (query.source is not None, lambda f: f.source == query.source),
        (query.scope is not None, lambda f: f.scope == query.scope),
        (query.scopes is not None, lambda f: f.scope in (query.scopes or ())),
        (True, lambda f: f.confidence >= query.min_confidence),
        (query.after_us is not None, lambda f: f.timestamp_us > (query.after_us or 0)),
        (not asks_for_reserved, lambda f: not (reserved(f.entity) or reserved(f.relation))),
        (not query.include_expired, lambda f: f.expires_us is None or f.expires_us > ledger.horizon_us),
        (not query.include_contradicted, lambda f: not ledger.contradicted(f) and not ledger.overridden(f)),
    ]
    rows = [each for each in ledger.log if all(wanted(each) for applies, wanted in filters if applies)]
    return sorted(rows, key=lambda f: (f.stamp, f.origin, f.id), reverse=True)


def walk(ledger: Ledger, query: FactQuery) -> Iterator[list[Fact]]:
    """Page after page to the end."""
    cursor = None
    for _ in range(1_000):
        page = run_query(ledger, msgspec.structs.replace(query, cursor=cursor))
        yield page.facts
        cursor = page.cursor
        if cursor is None:
            return
    raise AssertionError("the walk does not end")


@given(histories(), queries)
def test_the_pages_of_a_query_are_what_a_plain_reading_gives(facts: list[Fact], query: FactQuery) -> None:
    ledger = fill(facts)
    pages = list(walk(ledger, query))
    assert [row for page in pages for row in page] == oracle(ledger, query)
    assert all(len(page) <= query.limit for page in pages)


def test_every_combination_of_filters_gives_what_a_plain_reading_gives() -> None:
    facts = [
        fact(
            number,
            ("x", "y")[number % 2],
            source=SOURCES[number % 3 % 2],
            origin=f"stigmem:node:{number % 4}",
            confidence=(1.0, 0.5, 0.0, 0.9)[number % 4],
            slot=(ENTITIES[number % 5 % 3], RELATIONS[number % 7 % 3], SCOPES[number % 11 % 3]),
            valid_until=None if number % 3 else format_us((T0_MS + number % 80) * 1000),
        )
        for number in range(1, 120)
    ]
    ledger = fill(facts)
    combinations = itertools.product(
        (None, ENTITIES[0], ENTITIES[2]),
        (None, RELATIONS[0], RELATIONS[2]),
        (None, SOURCES[0]),
        (None, SCOPES[1]),
        (0.0, 0.5),
        (False, True),
        (False, True),
        (None, (T0_MS + 30) * 1000),
        (None, frozenset({"team", "public"})),
    )
    names = (
        "entity", "relation", "source", "scope", "min_confidence", "include_contradicted", "include_expired",
        "after_us", "scopes",
    )  # fmt: skip
    seen = 0
    for values in combinations:
        query = FactQuery(**dict(zip(names, values, strict=True)), limit=7)  # type: ignore[arg-type]
        expected = oracle(ledger, query)
        assert [row for page in walk(ledger, query) for row in page] == expected
        seen += len(expected)
    assert seen > 5_000


@given(histories(), queries, st.lists(st.lists(some_fact(0), max_size=4), max_size=12), st.data())
def test_writes_between_pages_repeat_no_row_and_lose_none(
    facts: list[Fact], query: FactQuery, later: list[list[Fact]], data: st.DataObject
) -> None:
    ledger = fill(facts)
    rows: list[Fact] = []
    steady = set(map(name, oracle(ledger, query)))
    pages = walk(ledger, query)
    numbers = itertools.count(1_000)
    writes = iter(later)
    for page in pages:
        rows.extend(page)
        for each in next(writes, []):
            append(ledger, msgspec.structs.replace(each, id=f"later-{next(numbers)}"))
        if data.draw(st.booleans()):
            ledger.advance((NOW_MS + data.draw(st.integers(-60, 60))) * 1000)
        steady &= set(map(name, oracle(ledger, query)))
    assert len(set(map(name, rows))) == len(rows)
    assert steady <= set(map(name, rows))
    assert [row.stamp for row in rows] == sorted((row.stamp for row in rows), reverse=True)


def name(row: Fact) -> tuple[str, str]:
    return row.origin, row.id


@given(histories(), queries)
def test_a_bound_on_the_rows_looked_at_makes_pages_shorter_and_loses_nothing(
    facts: list[Fact], query: FactQuery
) -> None:
    ledger = fill(facts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(query_module, "ROWS_SCANNED_MAX", 3)
        assert [row for page in walk(ledger, query) for row in page] == oracle(ledger, query)


@pytest.mark.parametrize("lead_ms", [-5, 0, 5, 5_000])
def test_after_compares_write_times_strictly_wherever_their_stamps_are(lead_ms: int) -> None:
    written = [fact(number) for number in range(1, 11)]
    ledger = fill([msgspec.structs.replace(f, timestamp_us=f.timestamp_us + lead_ms * 1000) for f in written])
    for row in ledger.log:
        query = FactQuery(after_us=row.timestamp_us, include_contradicted=True)
        assert [f.seq for f in run_query(ledger, query).facts] == list(range(10, row.seq, -1))


def test_a_page_ends_the_walk_with_a_null_cursor_and_only_then() -> None:
    ledger = fill([fact(number, source=f"agent:{number}") for number in range(1, 8)])
    pages = list(walk(ledger, FactQuery(limit=3)))
    assert [len(page) for page in pages] == [3, 3, 1]
    assert run_query(ledger, FactQuery(limit=7)).cursor is None


def test_an_empty_ledger_has_one_empty_page() -> None:
    page = run_query(Ledger(), FactQuery())
    assert (page.facts, page.cursor) == ([], None)


@given(st.text(max_size=30) | st.binary(max_size=30).map(encode_base64))
def test_a_cursor_that_nobody_gave_out_is_refused_or_a_place(text: str) -> None:
    ledger = fill([fact(1)])
    assert refused(lambda: run_query(ledger, FactQuery(cursor=text))) in (None, "invalid_cursor")


def test_a_refused_cursor_is_the_callers_fault() -> None:
    with pytest.raises(Refusal) as caught:
        run_query(fill([fact(1)]), FactQuery(cursor="x"))
    assert (caught.value.status, caught.value.code, caught.value.field) == (400, "invalid_cursor", "cursor")
