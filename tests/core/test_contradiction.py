"""Contradiction (spec/contradiction.md): the ledger against its plain definition, properties of the definition over
drawn histories, and each rule and counter-example by name.

`pytest tests/core/test_contradiction.py --histories 100000` draws as many histories as that; without the flag, fewer.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest

from stigmem.core.contradiction import (
    Cardinality,
    SlotState,
    author_of,
    best_two,
    claim,
    evaluate,
    is_operators_retraction,
)
from stigmem.core.fact import Fact
from stigmem.core.ledger import Ledger
from stigmem.core.resolution import conflict_id
from stigmem.core.timestamps import format_us
from tests.builders import SLOT, T0_MS, fact, resolution, retraction
from tests.core.histories import ORIGINS, Histories, append, derived, drawn_word, expected, fill, read

BY_B: dict[str, Any] = {"source": "agent:b", "origin": ORIGINS[1]}


def state_of(
    words: Sequence[Fact], resolutions: Sequence[Fact] = (), at_ms: int = 0, cardinality: Cardinality = "one"
) -> SlotState:
    return evaluate(SLOT, words, read(resolutions), (T0_MS + at_ms) * 1000, cardinality=cardinality)


def shown(state: SlotState) -> tuple[object, ...]:
    return state.live, state.denials, state.conflict, state.last, dict(state.ended_by)


# --- properties of the definition ---


def test_order_of_arrival_and_repetition_count_for_nothing(histories: Histories) -> None:
    for draw, words, resolutions in histories:
        cardinality = draw.choice(("one", "many"))
        arrivals, settled = words + draw.sample(words, len(words) // 2), resolutions * 2
        draw.shuffle(arrivals)
        draw.shuffle(settled)
        at_ms = draw.randint(-1, 25)
        assert shown(state_of(arrivals, settled, at_ms, cardinality)) == shown(
            state_of(words, resolutions, at_ms, cardinality)
        )


def test_what_a_word_ended_stays_ended_and_nobody_ends_the_word_of_another(histories: Histories) -> None:
    for draw, words, resolutions in histories:
        cardinality = draw.choice(("one", "many"))
        more = [drawn_word(draw, 50 + number, 30) for number in range(draw.randint(1, 3))]
        before = state_of(words, resolutions, draw.randint(-1, 25), cardinality)
        after = state_of(words + more, resolutions, draw.randint(-1, 25), cardinality)
        assert before.ended_by.keys() <= after.ended_by.keys()
        by_name = {(word.origin, word.id): word for word in words + more}
        for name, ending in after.ended_by.items():
            ended = by_name[name]
            ours = is_operators_retraction(ending) and ending.origin == ended.origin
            assert ended < ending
            assert ours or author_of(ending) == author_of(ended)


def test_without_resolutions_nobody_takes_what_others_said_out_of_what_is_live(histories: Histories) -> None:
    for draw, words, _ in histories:
        cardinality = draw.choice(("one", "many"))
        more = [drawn_word(draw, 50 + number, 30) for number in range(draw.randint(1, 3))]
        spoken = {author_of(word) for word in more}
        operators = {word.origin for word in more if is_operators_retraction(word)}
        after = state_of(words + more, (), 0, cardinality)
        for standing in state_of(words, (), 0, cardinality).live:
            if author_of(standing) not in spoken and standing.origin not in operators:
                assert standing in after.live


def test_no_author_is_rid_of_a_denial_by_saying_the_same_again(histories: Histories) -> None:
    for draw, words, _ in histories:
        cardinality = draw.choice(("one", "many"))
        before = state_of(words, (), 5, cardinality)
        for denied in before.live:
            if not any(state_denies(words, denial, denied, cardinality) for denial in before.denials):
                continue
            between = fact(70, "else", at=40, source=denied.source, origin=denied.origin)
            again = fact(71, denied.text, at=41, source=denied.source, origin=denied.origin)
            after = state_of([*words, between, again], (), 5, cardinality)
            assert any(state_denies([*words, between, again], d, again, cardinality) for d in after.denials)


def state_denies(words: Sequence[Fact], denial: Fact, denied: Fact, cardinality: Cardinality) -> bool:
    """Whether one of the denials shown is against this very fact: then it stays one when nothing else is live."""
    others = [word for word in words if author_of(word) in (author_of(denial), author_of(denied))]
    state = state_of(others, (), 5, cardinality)
    return denied in state.live and denial in state.denials


def test_a_winner_that_is_only_said_again_keeps_its_resolution(histories: Histories) -> None:
    for draw, words, resolutions in histories:
        at_ms = draw.randint(-1, 25)
        before = state_of(words, resolutions, at_ms)
        for winner in before.live:
            if sum(word.id == winner.id for word in words) == 1 and any(
                r.winner == winner.id for r in read(resolutions)
            ):
                again = fact(71, winner.text, at=41, source=winner.source, origin=winner.origin)
                after = state_of([*words, again], resolutions, at_ms)
                assert [f for f in after.live if f != again] == [f for f in before.live if f != winner]


def test_a_resolution_that_is_spent_stays_spent(histories: Histories) -> None:
    for draw, words, resolutions in histories:
        more = [drawn_word(draw, 50 + number, 30) for number in range(draw.randint(1, 3))]
        lone = resolutions[:1]
        if not lone or read(lone)[0].resolves != conflict_id(SLOT):
            continue
        settled = read(lone)[0]
        covered = [word for word in words if word.id in settled.covers and word.id != settled.winner]
        before, plain = state_of(words, lone, 0), state_of(words, (), 0)
        if any(word in plain.live and word in before.live for word in covered):  # spent: it settles nothing
            after, plain = state_of(words + more, lone, 0), state_of(words + more, (), 0)
            assert after.live == plain.live or settled.winner in {word.id for word in more}


# --- the ledger against the definition ---


def test_the_ledger_equals_the_definition_after_every_arrival_whatever_the_clock_does(histories: Histories) -> None:
    for draw, words, resolutions in histories:
        arrivals = [*words, *resolutions]
        draw.shuffle(arrivals)
        idle = {origin for origin in ORIGINS if draw.random() < 0.15}
        cardinality: Cardinality = draw.choice(("one", "many"))
        ledger = Ledger(
            resolvers=lambda origin, idle=idle: origin not in idle,  # type: ignore[misc]
            cardinality=lambda _, held=cardinality: held,  # type: ignore[misc]
        )
        ledger.advance(T0_MS * 1000)
        for number, each in enumerate(arrivals, 1):
            append(ledger, each)
            if draw.random() < 0.3:
                ledger.advance((T0_MS + draw.randint(-1, 25)) * 1000)
            here = arrivals[:number]
            said = [word for word in here if word in words]
            about = [r for r in here if r in resolutions]
            unapplied = [r for r in about if r.origin in idle]
            applied = [r for r in about if r.origin not in idle]
            assert derived(ledger) == expected(said, applied, unapplied, ledger.horizon_us, cardinality=cardinality)


@pytest.mark.parametrize("cardinality", ["one", "many"])
def test_a_slot_with_many_words_of_many_authors_stays_equal_to_the_definition(cardinality: Cardinality) -> None:
    order = random.Random(5)
    words = [
        fact(n, str(n % 3), source=f"agent:{n % 41}", origin=ORIGINS[n % 2], confidence=float(n % 5 != 0))
        for n in range(400)
    ]
    words += [retraction(500 + n, at=n, source=f"agent:{n}", origin=ORIGINS[n % 3]) for n in range(0, 400, 9)]
    order.shuffle(words)
    ledger = fill(words, cardinality=cardinality)
    assert derived(ledger) == expected(words, [], [], T0_MS * 1000, cardinality=cardinality)


# --- the rules, one by one ---


def ids(*facts: Fact) -> list[tuple[str, str]]:
    return sorted((each.origin, each.id) for each in facts)


def live_and_conflict(words: Sequence[Fact], at_ms: int = 0) -> tuple[list[tuple[str, str]], str | None]:
    """The same for every order of arrival that is tried: as written, and backwards."""
    found = []
    for order in (words, words[::-1]):
        ledger = fill(order, (T0_MS + at_ms) * 1000)
        conflict_set = ledger.slot(SLOT)
        live = ids(*(f for f in ledger.facts_of(SLOT) if ledger.live(f)))
        found.append((live, conflict_set.conflict if conflict_set else None))
    assert found[0] == found[1]
    return found[0]


def test_an_authors_later_word_takes_the_place_of_its_earlier_one_and_opens_no_conflict() -> None:
    bonn, rome = fact(1, "Bonn"), fact(2, "Rome")
    assert live_and_conflict([bonn, rome]) == (ids(rome), None)


def test_two_authors_who_differ_open_one_conflict_that_lists_all_members() -> None:
    ledger = fill([fact(1, "x"), fact(2, "y", source="agent:b"), fact(3, "y", source="agent:c")])
    conflict_set = ledger.slot(SLOT)
    assert conflict_set is not None
    assert conflict_set.conflict == conflict_id(SLOT)
    assert [f.text for f in conflict_set.members()] == ["x", "y", "y"]


def test_the_same_agent_name_on_two_nodes_is_two_authors() -> None:
    ours, theirs = fact(1, "x"), fact(2, "y", origin=ORIGINS[1])
    assert live_and_conflict([ours, theirs]) == (ids(ours, theirs), conflict_id(SLOT))


def test_equal_values_never_open_one() -> None:
    assert not fill([fact(1, "x"), fact(2, "x", **BY_B)]).contested


def test_a_word_with_an_expiry_leaves_nothing_when_it_expires_and_not_the_word_before_it() -> None:
    bonn = fact(1, "Bonn")
    rome = fact(2, "Rome", valid_until=format_us((T0_MS + 5) * 1000))
    assert live_and_conflict([bonn, rome]) == (ids(rome), None)
    assert live_and_conflict([bonn, rome], at_ms=5) == ([], None)


def test_a_lease_that_is_renewed_with_a_later_expiry_goes_on() -> None:
    lease = fact(1, "mine", valid_until=format_us((T0_MS + 5) * 1000))
    renewed = fact(2, "mine", valid_until=format_us((T0_MS + 50) * 1000))
    assert live_and_conflict([lease, renewed], at_ms=20) == (ids(renewed), None)


def test_expiry_closes_a_conflict_and_never_opens_one() -> None:
    ledger = fill([fact(1, "x", valid_until=format_us((T0_MS + 5) * 1000)), fact(2, "y", **BY_B)])
    assert ledger.contested
    ledger.advance((T0_MS + 5) * 1000)
    assert not ledger.contested


def test_a_retraction_ends_what_its_author_said_and_nothing_of_another_source_of_the_node() -> None:
    said, other = fact(1, "x"), fact(2, "x", source="agent:b")
    assert live_and_conflict([said, other, retraction(3)]) == (ids(other), None)


def test_a_retraction_under_a_claimed_source_is_another_authors_and_denies() -> None:
    ours, forged = fact(1, "x"), retraction(2, origin=ORIGINS[1])
    assert live_and_conflict([ours, forged]) == (ids(ours), conflict_id(SLOT))


def test_the_operators_retraction_ends_what_every_source_of_its_node_said() -> None:
    words = [fact(1, "x"), fact(2, "y", source="agent:b"), retraction(3, source=ORIGINS[0])]
    assert live_and_conflict(words) == ([], None)
    after = fact(4, "z")
    assert live_and_conflict([*words, after]) == (ids(after), None)


def test_the_operators_retraction_ends_nothing_of_another_node() -> None:
    ours, theirs = fact(1, "x"), fact(2, "x", **BY_B)
    assert live_and_conflict([ours, theirs, retraction(3, source=ORIGINS[0])]) == (ids(theirs), None)


def test_an_operator_who_tidies_up_at_home_denies_nobody() -> None:
    theirs = fact(1, "z", **BY_B)
    words = [theirs, fact(2, "x"), fact(3, "y", source="agent:b"), retraction(4, source="agent:b")]
    assert live_and_conflict([*words, retraction(5, source=ORIGINS[0])]) == (ids(theirs), None)


def test_an_operator_who_has_nothing_left_to_take_back_denies() -> None:
    theirs = fact(1, "z", **BY_B)
    words = [theirs, fact(2, "x"), retraction(3, source=ORIGINS[0]), retraction(4, source=ORIGINS[0])]
    assert live_and_conflict(words) == (ids(theirs), conflict_id(SLOT))


def test_a_retraction_closes_a_conflict_that_it_makes_moot() -> None:
    ours, theirs = fact(1, "x"), fact(2, "y", **BY_B)
    assert live_and_conflict([ours, theirs, retraction(3, **BY_B)]) == (ids(ours), None)


def test_a_retraction_does_not_deny_what_is_first_said_after_it() -> None:
    assert not fill([retraction(1, **BY_B), fact(2, "x")]).contested


def test_a_denial_between_a_word_and_its_repetition_is_not_lost() -> None:
    again = fact(3, "x")
    words = [fact(1, "x"), retraction(2, **BY_B), again]
    assert live_and_conflict(words) == (ids(again), conflict_id(SLOT))
    by_a_detour = [*words, fact(4, "else"), fact(5, "x")]
    assert live_and_conflict(by_a_detour) == (ids(by_a_detour[-1]), conflict_id(SLOT))


def test_a_retraction_after_ones_own_is_aimed_at_what_others_said_since() -> None:
    said, withdrawn, again = fact(1, "y", **BY_B), retraction(2, **BY_B), retraction(4, **BY_B)
    ours = fact(3, "x")
    assert live_and_conflict([said, withdrawn, ours]) == (ids(ours), None)
    assert live_and_conflict([said, withdrawn, ours, again]) == (ids(ours), conflict_id(SLOT))


def test_who_denied_and_then_says_a_value_of_its_own_denies_no_more_but_contradicts() -> None:
    ours, own = fact(1, "x"), fact(3, "y", **BY_B)
    assert live_and_conflict([ours, retraction(2, **BY_B), own]) == (ids(ours, own), conflict_id(SLOT))
    assert live_and_conflict([ours, retraction(2, **BY_B), fact(3, "x", **BY_B)])[1] is None


def test_a_resolution_settles_what_it_names_and_a_newer_fact_opens_the_next_conflict() -> None:
    ours, theirs = fact(1, "x"), fact(2, "y", **BY_B)
    settled = resolution(3, ours, theirs)
    assert live_and_conflict([theirs, settled, ours]) == (ids(ours), None)
    again = fact(4, "y", **BY_B)
    assert live_and_conflict([theirs, settled, ours, again]) == (ids(ours, again), conflict_id(SLOT, settled.id))


def test_a_resolution_is_spent_when_the_winners_author_says_something_else_and_what_it_covered_comes_back() -> None:
    ours, theirs, other = fact(1, "x"), fact(2, "y", **BY_B), fact(4, "z")
    settled = resolution(3, ours, theirs)
    words = [ours, theirs, settled, other]
    assert live_and_conflict(words) == (ids(theirs, other), conflict_id(SLOT, settled.id))
    assert live_and_conflict([*words, fact(5, "x")])[0] == ids(theirs, fact(5, "x"))


def test_a_resolution_is_spent_when_the_winner_is_retracted() -> None:
    ours, theirs = fact(1, "x"), fact(2, "y", **BY_B)
    for author in ("agent:a", ORIGINS[0]):
        assert live_and_conflict([ours, theirs, resolution(3, ours, theirs), retraction(4, source=author)]) == (
            ids(theirs),
            None,
        )


def test_a_winner_that_is_renewed_keeps_its_resolution_and_the_denial_it_overruled_stays_overruled() -> None:
    lease = fact(1, "x", valid_until=format_us((T0_MS + 5) * 1000))
    denial, renewed = retraction(2, **BY_B), fact(4, "x")
    words = [lease, denial, resolution(3, lease, denial), renewed]
    assert live_and_conflict(words, at_ms=20) == (ids(renewed), None)


def test_resolutions_that_disagree_leave_both_winners_standing_until_one_supersedes_them() -> None:
    ours, theirs = fact(1, "x"), fact(2, "y", **BY_B)
    mine = resolution(3, ours, theirs)
    yours = resolution(4, theirs, ours, origin=ORIGINS[1])
    words = [ours, theirs, yours, mine]
    assert live_and_conflict(words)[1] == conflict_id(SLOT, yours.id)
    last = resolution(5, theirs, ours, supersedes=(mine.id, yours.id), resolves=conflict_id(SLOT, yours.id))
    assert live_and_conflict([*words, last]) == (ids(theirs), None)


def test_a_resolution_is_inert_until_its_winner_is_held() -> None:
    ours, ghost = fact(1, "x"), fact(2, "never seen", origin=ORIGINS[1])
    by_force = resolution(3, ghost, ours, origin=ORIGINS[1])
    assert live_and_conflict([ours, by_force]) == (ids(ours), None)
    assert live_and_conflict([ours, by_force, ghost]) == (ids(ghost), None)


def test_a_resolution_is_inert_until_the_conflict_it_names_is_one_of_the_slot() -> None:
    ours, theirs = fact(1, "x"), fact(2, "y", origin=ORIGINS[1])
    first = resolution(3, ours, theirs)
    second = resolution(4, theirs, ours, supersedes=(first.id,), resolves=conflict_id(SLOT, first.id))
    assert live_and_conflict([ours, theirs, second])[1] == conflict_id(SLOT)
    assert live_and_conflict([ours, theirs, second, first]) == (ids(theirs), None)


def test_old_facts_of_a_wiped_node_that_come_home_outrank_what_it_said_meanwhile() -> None:
    ahead, meanwhile = fact(1, "before the wipe", at=500), fact(2, "after it", at=20)
    ledger = fill([meanwhile, ahead])
    assert not ledger.live(meanwhile)
    assert ledger.ended_by(meanwhile) == msgspec.structs.replace(ahead, seq=2)


# --- a slot of many values, and voided words: in the definition ---


def many(words: Sequence[Fact]) -> SlotState:
    return state_of(words, cardinality="many")


def test_in_a_slot_of_many_an_authors_notes_stand_side_by_side_and_contradict_nobodys() -> None:
    notes = [fact(1, "x"), fact(2, "y"), fact(3, "z", **BY_B)]
    assert (many(notes).live, many(notes).conflict) == (tuple(notes), None)


def test_in_a_slot_of_many_a_retraction_ends_the_note_it_names_or_all() -> None:
    notes = [fact(1, "x"), fact(2, "y")]
    named = fact(3, "x", confidence=0.0)
    assert many([*notes, named]).live == (notes[1],)
    assert many([*notes, retraction(3)]).live == ()


def test_in_a_slot_of_many_who_takes_back_all_its_notes_denies_nobodys_though_one_was_taken_back_before() -> None:
    theirs = fact(1, "z", **BY_B)
    words = [theirs, fact(2, "x"), fact(3, "y"), fact(4, "y", confidence=0.0), retraction(5)]
    assert (many(words).live, many(words).conflict) == ((theirs,), None)


def test_in_a_slot_of_many_a_denial_of_everything_outlives_a_note_of_the_denier() -> None:
    ours, own = fact(1, "x"), fact(3, "y", **BY_B)
    denial = retraction(2, **BY_B)
    assert many([ours, denial, own]).denials == (denial,)
    assert many([ours, denial, fact(3, "x", **BY_B)]).denials == ()


def test_in_a_slot_of_many_the_operator_takes_back_the_value_it_names() -> None:
    notes = [fact(1, "x"), fact(2, "y"), fact(3, "x", source="agent:b")]
    named = fact(4, "x", source=ORIGINS[0], confidence=0.0)
    assert many([*notes, named]).live == (notes[1],)


def test_a_voided_word_counts_for_nothing_and_what_it_ended_is_the_last_word_again() -> None:
    bonn, rome = fact(1, "Bonn"), fact(2, "Rome")
    assert evaluate(SLOT, [bonn, rome], [], T0_MS * 1000, voided={(rome.origin, rome.id)}).live == (bonn,)


# --- order and cost ---


def test_of_facts_that_tie_in_everything_else_the_content_decides_which_is_best() -> None:
    members = [fact(n, text, at=1) for n, text in enumerate(("x", "y", "z"), 1)]
    by_content = sorted(members, key=lambda member: member.cid8)
    assert best_two(members) == best_two(members[::-1]) == (by_content[2], by_content[1])
    surer = fact(9, "w", at=0, confidence=1.0)
    assert best_two([*members, msgspec.structs.replace(surer, stamp=members[0].stamp + 1)])[0].text == "w"


def test_a_denial_claims_something_else_than_every_value() -> None:
    assert claim(retraction(1)) not in {claim(fact(2, text)) for text in ("retracted", "", "x")}


def hostile_words(count: int) -> Iterator[Fact]:
    """Words, denials, resolutions and operator's retractions of one slot by somebody who means harm, half of them in
    descending order of stamps."""
    for number in range(2, count + 2):
        at = number if number % 2 else 2 * count - number
        source = (f"agent:{number % 7}", f"agent:{number}", ORIGINS[1])[number % 3]
        by: dict[str, Any] = {"origin": ORIGINS[1], "source": source, "at": at}
        match number % 5:
            case 0 | 1:
                yield fact(number, str(number), **by)
            case 2 | 3:
                yield retraction(number, **by)
            case _:
                name = conflict_id(SLOT, str(number) if number % 2 else "")
                yield resolution(number, fact(number - 4, "no"), fact(number - 3, "no"), resolves=name, **by)


@pytest.mark.parametrize("cardinality", ["one", "many"])
def test_ten_thousand_words_of_a_hostile_writer_stay_cheap_to_keep_and_end_nothing_of_anybody(
    cardinality: Cardinality,
) -> None:
    # Quadratic bookkeeping would take minutes.
    victim = fact(1, "truth")
    ledger = fill([victim], cardinality=cardinality)
    for each in hostile_words(10_000):
        append(ledger, each)
    append(ledger, fact(20_000, "last", at=30_000, **BY_B))
    assert ledger.live(victim)
    assert len(ledger.contested) == (cardinality == "one")


def test_in_a_slot_of_many_ten_thousand_authors_who_deny_all_and_speak_of_everything_stay_cheap_to_keep() -> None:
    # Looking at each pair of a denial and a value would be 6 million steps for each of the last words.
    notes = [fact(n, f"note {n % 50}", source=f"agent:{n % 50}", at=0) for n in range(50)]
    ledger = fill(notes, cardinality="many")
    deniers: list[dict[str, Any]] = [{"source": f"denier:{n}", "origin": ORIGINS[1]} for n in range(3_000)]
    for number, denier in enumerate(deniers, 100):
        append(ledger, retraction(number, at=number, **denier))
    for number, denier in enumerate(deniers, 10_000):
        append(ledger, fact(number, f"note {number % 2}", at=number, **denier))
    assert sum(map(ledger.contradicted, ledger.facts_of(SLOT)[:50])) == 50
    for number in range(20_000, 24_000):
        append(
            ledger, fact(number, f"note {number % 2}", at=number, confidence=float(number % 4 > 1), source="agent:0")
        )
    assert ledger.live(ledger.log[7])
