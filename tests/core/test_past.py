"""Other points of time (stigmem.core.past): against ledgers that stopped there, and against the plain definition."""

from __future__ import annotations

import random
from collections.abc import Generator
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stigmem.core import conflicts as conflicts_module
from stigmem.core import past as past_module
from stigmem.core.conflicts import Conflict, ConflictBook, find_past, page_past
from stigmem.core.contradiction import Cardinality, evaluate
from stigmem.core.errors import Refusal
from stigmem.core.fact import Fact
from stigmem.core.hlc import stamp
from stigmem.core.horizons import Horizons
from stigmem.core.known_facts import KnownFacts
from stigmem.core.ledger import Ledger
from stigmem.core.past import PastFacts, PointOfTime
from stigmem.core.query import FactQuery, query_past, run_query
from stigmem.core.records import HorizonMark
from stigmem.core.resolution import read_resolution
from tests.builders import SLOT, T0_MS, fact, voiding
from tests.core.histories import drawn_history
from tests.core.test_query import ENTITIES, histories

T = TypeVar("T")
QUERIES = (
    FactQuery(limit=3), FactQuery(limit=500, include_contradicted=True, include_expired=True),
    FactQuery(entity=ENTITIES[0], limit=2, include_superseded=True), FactQuery(scope="public", limit=500),
    FactQuery(limit=4, scopes=frozenset(("team", "public"))),
)  # fmt: skip


def steps(work: Generator[None, None, T]) -> tuple[T, int]:
    """The result of work, and how often it let others go on."""
    rests = 0
    while True:
        try:
            next(work)
        except StopIteration as end:
            found: T = end.value
            return found, rests
        rests += 1


def stored(ledger: Ledger, one: Fact) -> Fact:
    kept = msgspec.structs.replace(one, seq=ledger.last_seq + 1)
    ledger.add(kept)
    return kept


def standing(known: KnownFacts, facts: list[Fact]) -> list[object]:
    """Everything that is asked of single facts, under names that do not depend on the order of arrival."""

    def name(found: Fact | None) -> object:
        return found and (found.origin, found.id)

    return [
        (name(each), known.live(each), known.contradicted(each), known.overruled(each), known.expired(each),
         known.expires_us(each), name(known.ended_by(each)), name(known.superseded(each)), known.overridden(each),
         [name(word) for word in known.words_of(each)] if not each.quarantine else None)
        for each in sorted(facts)
    ]  # fmt: skip


def rows(known: Ledger | PastFacts, query: FactQuery) -> list[object]:
    """Every page of a query, with what each said was hidden."""
    found: list[object] = []
    while True:
        page = run_query(known, query) if isinstance(known, Ledger) else steps(query_past(known, query))[0]
        found += [[(each.origin, each.id) for each in page.facts], page.hidden_by_conflict]
        if page.cursor is None:
            return found
        query = msgspec.structs.replace(query, cursor=page.cursor)


def conflicts(known: Ledger | PastFacts) -> list[tuple[object, ...]]:
    """Every conflict as it is listed, under names that do not depend on the order of arrival."""
    listed = ConflictBook(known).all() if isinstance(known, Ledger) else paged(known, limit=500)
    return sorted(map(told, listed))


def told(one: Conflict) -> tuple[object, ...]:
    names = [(each.origin, each.id) for each in (one.fact_a, one.fact_b, *one.members)]
    return (one.id, one.status, one.detected_at, one.resolved_by or "", one.note, names)


def paged(past: PastFacts, *, limit: int, scopes: frozenset[str] | None = None) -> list[Conflict]:
    found: list[Conflict] = []
    cursor: str | None = None
    while True:
        page, cursor = steps(page_past(past, status=None, scopes=scopes, cursor=cursor, limit=limit))[0]
        found += page
        if cursor is None:
            return found


def answers(known: Ledger | PastFacts) -> list[object]:
    return [*(rows(known, query) for query in QUERIES), conflicts(known)]


@settings(max_examples=60)
@given(histories(), st.randoms(use_true_random=False))
def test_what_was_known_at_a_number_is_what_a_node_that_stopped_there_answers(
    arrivals: list[Fact], draw: random.Random
) -> None:
    ledger, recorded = Ledger(), []
    for each in arrivals:
        kept = stored(ledger, each)
        ledger.advance((T0_MS + draw.randint(-5, 75)) * 1000)  # also back: a clock may be set
        live = [word for word in ledger.log if ledger.live(word) and not ledger.swept(word)]
        point = PointOfTime(kept.seq, ledger.horizon_us, sweeps=ledger.sweeps)
        recorded.append((point, standing(ledger, ledger.log), answers(ledger)))
        if live and draw.random() < 0.3:
            ledger.sweep(draw.choice(live).seq, ledger.horizon_us)
    for point, stood, answered in recorded:
        past = PastFacts(ledger, point)
        assert standing(past, ledger.log[: point.seq]) == stood
        assert answers(past) == answered


@settings(max_examples=60)
@given(histories(), st.randoms(use_true_random=False), st.integers(-5, 75), st.integers(-5, 75))
def test_as_of_a_time_all_nodes_with_the_same_facts_answer_what_one_with_only_the_facts_of_then_does(
    arrivals: list[Fact], draw: random.Random, now: int, then: int
) -> None:
    other = draw.sample(arrivals, len(arrivals))
    at_us, up_to = (T0_MS + then) * 1000, stamp(T0_MS + then, 0)
    plain = Ledger()
    for each in arrivals:
        if each.stamp <= up_to:
            stored(plain, each)
    plain.advance(at_us)
    for order in (arrivals, other):
        ledger = Ledger()
        for each in order:
            stored(ledger, each)
        ledger.advance((T0_MS + now) * 1000)
        if order is other and ledger.log:
            ledger.sweep(1, (T0_MS - 100) * 1000)  # what a node ended for itself is nobody's past
        past = PastFacts(ledger, PointOfTime(ledger.last_seq, at_us, up_to))
        assert standing(past, [each for each in ledger.log if past.point.holds(each)]) == standing(plain, plain.log)
        assert answers(past) == answers(plain)


@pytest.mark.parametrize("cardinality", ["one", "many"])
@pytest.mark.parametrize("seed", range(40))
def test_both_say_of_a_slot_what_the_plain_definition_says_of_the_words_that_belong_to_it(
    seed: int, cardinality: Cardinality
) -> None:
    draw = random.Random(seed)
    words, resolutions = drawn_history(draw)
    arrivals = draw.sample([*words, *resolutions], len(words) + len(resolutions))
    ledger = Ledger(cardinality=lambda _: cardinality)
    for each in arrivals:
        stored(ledger, each)
    for _ in range(4):
        then = draw.randint(0, 22)
        at_us = (T0_MS + then) * 1000
        for point in (PointOfTime(draw.randint(1, len(arrivals)), at_us),
                      PointOfTime(len(arrivals), at_us, stamp(T0_MS + then, 0))):  # fmt: skip
            held = [each for each in ledger.log if point.holds(each)]
            settling = [found for each in held if (found := read_resolution(each)) is not None]
            said = [each for each in held if each.slot == SLOT]
            plain = evaluate(SLOT, said, settling, at_us, cardinality=cardinality)
            past = PastFacts(ledger, point)
            assert [each for each in sorted(held) if each.slot == SLOT and past.live(each)] == list(plain.live)
            if plain.conflict is not None:
                assert [each for each in sorted(held) if past.contradicted(each)] == list(plain.members)
            ended = {(each.origin, each.id): by for each in held if (by := past.ended_by(each)) is not None}
            assert ended == plain.ended_by


def test_conflicts_of_then_are_those_of_a_node_that_stopped_there_page_by_page_and_by_name() -> None:
    most, statuses = 0, dict.fromkeys(("unresolved", "resolved"), 0)
    for seed in range(60):
        draw = random.Random(f"conflicts/{seed}")
        words, resolutions = drawn_history(draw)
        elsewhere = [msgspec.structs.replace(each, entity="user:2", id=f"{each.id}b") for each in words[:4]]
        arrivals = draw.sample(everything := [*words, *elsewhere, *resolutions], len(everything))
        ledger, other = Ledger(), Ledger()
        for order, filled in ((arrivals, ledger), (everything, other)):
            for each in order:
                stored(filled, each)
        then = draw.randint(0, 22)
        at_us, newest = (T0_MS + then) * 1000, stamp(T0_MS + then, 0)
        for point in (PointOfTime(draw.randint(1, len(arrivals)), at_us), PointOfTime(len(arrivals), at_us, newest)):
            past, stopped = PastFacts(ledger, point), Ledger()
            for each in ledger.log:
                if point.holds(each):
                    stored(stopped, each)
            stopped.advance(at_us)
            single = paged(past, limit=1)
            assert sorted(map(told, single)) == conflicts(stopped)
            assert list(map(told, paged(past, limit=500))) == list(map(told, single))
            assert [told(one) for one in single] == [
                told(found) for one in single if (found := steps(find_past(past, one.id, scopes=None))[0])
            ]
            most = max(most, len(single))
            for one in single:
                statuses[one.status] += 1
        agreed = PastFacts(other, PointOfTime(len(arrivals), at_us, newest))
        assert list(map(told, paged(agreed, limit=2))) == list(map(told, single)), "the order is alike on all nodes"
    assert most > 2
    assert min(statuses.values()) > 10


def test_a_conflict_of_then_is_found_where_this_node_never_met_it_and_for_nobody_who_may_not_read_it() -> None:
    ledger = Ledger()
    words = [fact(1, "x", at=1), fact(2, "y", at=2, source="agent:b"), fact(3, "x", at=3, source="agent:b")]
    for each in reversed(words):
        stored(ledger, each)
    assert not len(ledger.conflict_log), "b had taken y back before this node heard of it"
    past = PastFacts(ledger, PointOfTime(3, T0_MS * 1000, stamp(T0_MS + 2, 0)))
    (found,) = paged(past, limit=5)
    assert [each.text for each in found.members] == ["x", "y"]
    assert steps(find_past(past, found.id, scopes=None))[0] == found
    closed = frozenset(scope for scope in ("local", "team", "company", "public") if scope != SLOT[2])
    assert paged(past, limit=5, scopes=closed) == []
    assert steps(find_past(past, found.id, scopes=closed))[0] is None
    assert steps(find_past(past, "stigmem:conflict:none", scopes=None))[0] is None
    now = PastFacts(ledger, PointOfTime(3, T0_MS * 1000, stamp(T0_MS + 3, 0)))
    assert paged(now, limit=5) == []


def test_a_list_of_conflicts_goes_on_where_it_had_to_stop_and_lets_others_have_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conflicts_module, "_STEPS_MAX", 2)
    ledger = Ledger()
    for number in range(500):
        for source in ("agent:a", "agent:b"):
            slot = (f"user:{number}", "memory:role", "public")
            text = source if number % 100 == 0 else "alike"
            stored(ledger, fact(2 * number + (source == "agent:b"), text, source=source, at=number, slot=slot))
    past = PastFacts(ledger, PointOfTime(ledger.last_seq, T0_MS * 1000))
    found: list[str] = []
    cursor, pages = None, 0
    while cursor is not None or not pages:
        (page, cursor), rests = steps(page_past(past, status="unresolved", scopes=None, cursor=cursor, limit=50))
        assert rests <= 2
        found, pages = found + [each.slot[0] for each in page], pages + 1
    assert (found, pages) == ([f"user:{number}" for number in (400, 300, 200, 100, 0)], 3)
    with pytest.raises(Refusal):
        steps(page_past(past, status=None, scopes=None, cursor="bm9uZQ==", limit=5))


def test_pages_over_a_point_of_time_are_of_one_state_while_facts_come_in() -> None:
    ledger = Ledger()
    for number in range(10):
        stored(ledger, fact(number, at=2 * number, slot=(f"user:{number}", "memory:role", "public")))
    past = PastFacts(ledger, PointOfTime(ledger.last_seq, T0_MS * 1000, stamp(T0_MS + 12, 0)))
    first, _ = steps(query_past(past, FactQuery(limit=3)))
    stored(ledger, fact(50, at=5, slot=("user:late", "memory:role", "public")))
    stored(ledger, fact(51, "other", at=6, source="agent:b", slot=("user:2", "memory:role", "public")))
    rest, _ = steps(query_past(past, FactQuery(limit=100, cursor=first.cursor)))
    assert [each.entity for each in (*first.facts, *rest.facts)] == [f"user:{number}" for number in range(6, -1, -1)]


def test_a_slot_with_many_words_and_a_long_list_are_looked_through_in_steps() -> None:
    ledger = Ledger()
    for number in range(3_000):
        stored(ledger, fact(number, f"v{number}", source=f"agent:{number % 7}"))
    past = PastFacts(ledger, PointOfTime(2_000, T0_MS * 1000))
    page, rests = steps(query_past(past, FactQuery(limit=500, include_superseded=True)))
    assert (len(page.facts), page.hidden_by_conflict) == (500, 0) or page.hidden_by_conflict > 0
    assert rests > 6


def test_what_was_voided_later_still_stood_before() -> None:
    ledger = Ledger()
    first = stored(ledger, fact(1, "x", at=1))
    second = stored(ledger, fact(2, "y", at=9))
    stored(ledger, voiding(3, second, at=12))
    while ledger.slots_to_rederive:
        ledger.rederive(100)
    assert (ledger.live(first), ledger.live(second)) == (True, False)
    at_us = (T0_MS + 20) * 1000
    for before in (PointOfTime(2, at_us), PointOfTime(3, at_us, stamp(T0_MS + 11, 0))):
        past = PastFacts(ledger, before)
        assert (past.live(first), past.live(second)) == (False, True)
        assert past.ended_by(first) == second
    for since in (PointOfTime(3, at_us), PointOfTime(3, at_us, stamp(T0_MS + 12, 0))):
        past = PastFacts(ledger, since)
        assert (past.live(first), past.live(second), past.ended_by(first)) == (True, False, None)


def test_states_of_slots_are_forgotten_when_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past_module, "WORDS_KEPT_MAX", 5)
    ledger = Ledger()
    for number in range(20):
        stored(ledger, fact(number, at=number, slot=(f"user:{number // 2}", "memory:role", "public")))
    past = PastFacts(ledger, PointOfTime(20, T0_MS * 1000))
    assert [past.live(each) for each in ledger.log] == [number % 2 == 1 for number in range(20)]
    assert len(past._sets) < 4


def test_horizons_name_the_batch_of_a_fact_and_nothing_where_none_was_recorded() -> None:
    horizons = Horizons()
    for mark in (HorizonMark(3, 5, 100, 0), HorizonMark(5, 6, 90, 2), HorizonMark(9, 12, 300, 2)):
        horizons.add(mark)
    assert [horizons.at(seq) and horizons.at(seq).horizon_us for seq in range(1, 14)] == (  # type: ignore[union-attr]
        [None, None, None, 100, 100, 90, None, None, None, 300, 300, 300, None]
    )
    assert horizons.at(6) == HorizonMark(5, 6, 90, 2)
