"""The list of conflicts: what is on it, that equal facts give equal lists, and pages while writes go on."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stigmem.core import conflicts as conflicts_module
from stigmem.core.conflicts import Conflict, ConflictBook
from stigmem.core.contradiction import evaluate
from stigmem.core.errors import Refusal
from stigmem.core.fact import Fact, rank
from stigmem.core.keys import encode_base64
from stigmem.core.ledger import Ledger
from stigmem.core.resolution import conflict_id, read_resolution
from stigmem.core.timestamps import format_us
from tests.builders import T0_MS, fact, resolution, retraction

SLOTS = (("user:a", "memory:role", "team"), ("user:a", "memory:role", "public"), ("user:b", "memory:role", "public"))
ORIGINS = ("stigmem:node:a", "stigmem:node:b")


@st.composite
def some_fact(draw: st.DrawFn, number: int) -> Fact:
    expiry = draw(st.none() | st.integers(0, 60))
    return fact(
        number,
        draw(st.sampled_from(("x", "y", "z"))),
        at=draw(st.integers(0, 60)),
        origin=draw(st.sampled_from(ORIGINS)),
        source=draw(st.sampled_from(("agent:a", "agent:b"))),
        confidence=draw(st.sampled_from((1.0, 0.5, 0.0))),
        slot=draw(st.sampled_from(SLOTS)),
        valid_until=None if expiry is None else format_us((T0_MS + expiry) * 1000),
    )


@st.composite
def histories(draw: st.DrawFn) -> list[Fact]:
    """Facts of a few slots, and resolutions of the first and second conflicts of some of them."""
    facts = [draw(some_fact(number)) for number in range(draw(st.integers(0, 6) | st.integers(8, 18)))]
    settled: dict[tuple[str, str, str], str] = {}
    arrivals = list(facts)
    for number in range(draw(st.integers(0, 4)) if facts else 0):
        winner = draw(st.sampled_from(facts))
        others = [each for each in facts if each.slot == winner.slot and each is not winner]
        covered = draw(st.lists(st.sampled_from(others), max_size=3, unique_by=lambda f: f.id)) if others else []
        # The latest conflict of the slot, or once more the first, as somebody does who knew of no other.
        last = draw(st.sampled_from((settled.get(winner.slot, ""), "")))
        made = resolution(
            500 + number, winner, *covered, at=70 + draw(st.integers(0, 9)), resolves=conflict_id(winner.slot, last),
            supersedes=(last,) if last else (),
        )  # fmt: skip
        settled[winner.slot] = made.id
        arrivals.append(made)
    return arrivals


def fill(facts: list[Fact], now_ms: int = T0_MS + 30) -> Ledger:
    ledger = Ledger()
    ledger.advance(now_ms * 1000)
    for each in facts:
        append(ledger, each)
    return ledger


def append(ledger: Ledger, each: Fact) -> None:
    ledger.add(msgspec.structs.replace(each, seq=len(ledger) + 1))


def shown(conflict: Conflict) -> tuple[object, ...]:
    """A conflict without what is local about its facts."""
    return (
        conflict.id, conflict.slot, conflict.status, conflict.fact_a.id, conflict.fact_b.id,
        tuple(member.id for member in conflict.members), conflict.detected_at, conflict.resolved_by, conflict.note,
    )  # fmt: skip


def walk(book: ConflictBook, status: str | None, scopes: frozenset[str] | None, limit: int) -> Iterator[list[Conflict]]:
    cursor = None
    for _ in range(1_000):
        rows, cursor = book.page(status=status, scopes=scopes, cursor=cursor, limit=limit)
        yield rows
        if cursor is None:
            return
    raise AssertionError("the walk does not end")


@given(histories(), st.randoms(use_true_random=False))
def test_equal_facts_give_equal_conflicts_in_whatever_order_they_came(
    arrivals: list[Fact], order: random.Random
) -> None:
    shuffled = arrivals.copy()
    order.shuffle(shuffled)
    first, second = ConflictBook(fill(arrivals)), ConflictBook(fill(shuffled))
    assert sorted(map(shown, first.all())) == sorted(map(shown, second.all()))


@given(histories())
def test_the_open_ones_are_those_of_the_definition_with_their_two_best_facts(arrivals: list[Fact]) -> None:
    ledger = fill(arrivals)
    book = ConflictBook(ledger)
    opened = {conflict.slot: conflict for conflict in book.all() if conflict.status == "unresolved"}
    for slot in SLOTS:
        facts = [each for each in ledger.log if each.slot == slot]
        about = [read for read in map(read_resolution, ledger.log) if read is not None and read.slot == slot]
        verdict = evaluate(slot, facts, about, ledger.horizon_us)
        conflict = opened.get(slot)
        assert (conflict.id if conflict else None) == verdict.conflict
        if conflict is not None:
            assert conflict.members == verdict.members
            assert conflict.fact_a == max(verdict.members, key=rank)
            assert {conflict.fact_a, conflict.fact_b} <= set(verdict.members)


@given(histories(), st.sampled_from((None, "unresolved", "resolved", "unheard-of")), st.integers(1, 4), st.booleans())
def test_pages_are_the_whole_list_in_pieces(
    arrivals: list[Fact], status: str | None, limit: int, everything: bool
) -> None:
    book = ConflictBook(fill(arrivals))
    scopes = None if everything else frozenset({"public"})
    pages = list(walk(book, status, scopes, limit))
    expected = [
        conflict
        for conflict in book.all()
        if status in (None, conflict.status) and (scopes is None or conflict.slot[2] in scopes)
    ]
    assert [conflict for page in pages for conflict in page] == expected
    assert all(len(page) <= limit for page in pages)
    assert all(book.get(conflict.id) == conflict for conflict in expected)


@given(histories(), st.lists(st.lists(some_fact(0), max_size=4), max_size=12), st.data())
def test_writes_between_pages_repeat_no_conflict_and_lose_none(
    arrivals: list[Fact], later: list[list[Fact]], data: st.DataObject
) -> None:
    ledger = fill(arrivals)
    book = ConflictBook(ledger)
    steady = {conflict.id for conflict in book.all()}
    numbers, writes = itertools.count(1_000), iter(later)
    rows: list[str] = []
    for page in walk(book, None, None, 2):
        rows.extend(conflict.id for conflict in page)
        for each in next(writes, []):
            append(ledger, msgspec.structs.replace(each, id=f"later-{next(numbers)}"))
        if data.draw(st.booleans()):
            ledger.advance((T0_MS + data.draw(st.integers(-10, 70))) * 1000)
        steady &= {conflict.id for conflict in book.all()}
    assert len(set(rows)) == len(rows)
    assert steady <= set(rows)


@given(histories())
def test_a_bound_on_the_places_looked_at_makes_pages_shorter_and_loses_nothing(arrivals: list[Fact]) -> None:
    book = ConflictBook(fill(arrivals))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conflicts_module, "PLACES_SCANNED_MAX", 1)
        found = [conflict for page in walk(book, None, frozenset({"team"}), 5) for conflict in page]
    assert found == [conflict for conflict in book.all() if conflict.slot[2] == "team"]


def test_a_settled_conflict_keeps_its_note_its_place_and_its_resolver() -> None:
    first, second = fact(1, "x"), fact(2, "y", source="agent:b", origin=ORIGINS[1])
    other = [fact(3, "x", slot=SLOTS[0]), fact(4, "y", slot=SLOTS[0], source="agent:b", origin=ORIGINS[1])]
    settled = resolution(5, second, first)
    ledger = fill([first, second, *other])
    book = ConflictBook(ledger)
    before = [conflict.id for conflict in book.all()]
    append(ledger, settled)
    (_, conflict) = book.all()
    assert [each.id for each in book.all()] == before
    assert (conflict.status, conflict.resolved_by, conflict.note) == ("resolved", settled.id, "note")
    assert {conflict.fact_a.id, conflict.fact_b.id} == {first.id, second.id}


def test_a_conflict_that_became_moot_is_on_no_page_and_comes_back_with_its_id() -> None:
    first, second = fact(1, "x"), fact(2, "y", source="agent:b", origin=ORIGINS[1])
    ledger = fill([first, second])
    book = ConflictBook(ledger)
    (conflict,) = book.all()
    append(ledger, retraction(3, source="agent:b", origin=ORIGINS[1]))
    assert book.all() == []
    assert book.get(conflict.id) is None
    append(ledger, fact(4, "y", source="agent:b", origin=ORIGINS[1]))
    assert [each.id for each in book.all()] == [conflict.id]


def test_a_resolution_cannot_pass_for_one_of_another_triple() -> None:
    victim = [fact(1, "x"), fact(2, "y", source="agent:b", origin=ORIGINS[1])]
    own = [fact(3, "p", slot=SLOTS[0]), fact(4, "q", slot=SLOTS[0], source="agent:b", origin=ORIGINS[1])]
    claimed = conflict_id(victim[0].slot)
    book = ConflictBook(fill([*own, resolution(5, *own, resolves=claimed), *victim]))
    conflict = book.get(claimed)
    assert conflict is not None
    assert (conflict.slot, conflict.status) == (victim[0].slot, "unresolved")
    assert {(each.id, each.status) for each in book.all()} == {
        (claimed, "unresolved"), (conflict_id(SLOTS[0]), "unresolved"),
    }  # fmt: skip


def test_what_several_resolutions_of_one_conflict_cover_is_all_listed() -> None:
    said = [fact(n, f"v{n}", source=f"agent:{n}", origin=ORIGINS[n % 2]) for n in range(4)]
    first, second = resolution(11, said[0], said[1]), resolution(12, said[2], said[3])
    conflict = ConflictBook(fill([*said, second, first])).get(conflict_id(said[0].slot))
    assert conflict is not None
    assert (len(conflict.members), conflict.resolved_by) == (4, second.id)


def test_a_settlement_between_equal_values_is_listed_too() -> None:
    ours, same = fact(1, "x"), fact(2, "x", source="agent:b", origin=ORIGINS[1])
    book = ConflictBook(fill([ours, same, resolution(3, same, ours, origin=ORIGINS[1])]))
    assert [(each.status, {fact.id for fact in each.members}) for each in book.all()] == [
        ("resolved", {ours.id, same.id})
    ]


@pytest.mark.parametrize("text", ["x", "c:1", "!!", *map(encode_base64, (b"c:", b"c:-1", b"d:1", b"\xff"))])
def test_a_cursor_that_nobody_gave_out_is_refused(text: str) -> None:
    book = ConflictBook(fill([fact(1, "x"), fact(2, "y", source="agent:b")]))
    with pytest.raises(Refusal) as caught:
        book.page(status=None, scopes=None, cursor=text, limit=5)
    assert (caught.value.status, caught.value.code) == (400, "invalid_cursor")


def test_a_cursor_of_a_longer_life_starts_at_the_newest() -> None:
    book = ConflictBook(fill([fact(1, "x"), fact(2, "y", source="agent:b")]))
    assert len(book.page(status=None, scopes=None, cursor=encode_base64(b"c:999"), limit=5)[0]) == 1


def test_a_resolution_may_build_on_one_that_has_no_effect_here() -> None:
    ours, theirs = fact(1, "x"), fact(2, "y", source="agent:b", origin=ORIGINS[1])
    theirs_alone = resolution(3, theirs, ours, origin=ORIGINS[1])
    name = conflict_id(ours.slot, theirs_alone.id)
    ledger = Ledger(resolvers=lambda origin: origin == ORIGINS[0])
    for each in (ours, theirs, resolution(4, ours, theirs, resolves=name), theirs_alone):
        append(ledger, each)
    assert ledger.live(ours)
    assert not ledger.live(theirs)
    assert [(each.id, each.status) for each in ConflictBook(ledger).all()] == [(name, "resolved")]


def test_what_supersedes_a_resolution_comes_after_it_though_the_others_clock_was_ahead() -> None:
    first, second = fact(1, "x"), fact(2, "y", source="agent:b", origin=ORIGINS[1])
    ahead = resolution(3, first, second, at=100_000, origin=ORIGINS[1])
    third = fact(4, "z", source="agent:c", origin=ORIGINS[1])
    reopened = conflict_id(first.slot, ahead.id)
    settled = resolution(5, third, first, resolves=reopened, supersedes=(ahead.id,))
    fourth = fact(6, "w")
    arrivals = [first, second, ahead, third, settled, fourth]
    for order in (arrivals, arrivals[::-1]):
        assert {(each.id, each.status) for each in ConflictBook(fill(order)).all()} == {
            (conflict_id(first.slot), "resolved"), (reopened, "resolved"),
            (conflict_id(first.slot, settled.id), "unresolved"),
        }  # fmt: skip
