"""Deriving slots anew: voided words count for nothing, whenever their origin says so, and no step is long."""

from __future__ import annotations

import random

from stigmem.core.contradiction import Cardinality
from stigmem.core.fact import Fact
from stigmem.core.ledger import Ledger
from stigmem.core.resolution import conflict_id
from stigmem.core.voiding import read_voiding
from tests.builders import SLOT, T0_MS, fact, resolution, retraction, voiding
from tests.core.histories import ORIGINS, Histories, append, derived, expected, fill

NOW_US = T0_MS * 1000


def through(ledger: Ledger) -> None:
    """Derive everything anew that waits."""
    while ledger.slots_to_rederive:
        ledger.rederive(3)


def void(ledger: Ledger, *facts: Fact) -> None:
    for each in facts:
        found = read_voiding(voiding(900, each))
        assert found is not None
        ledger.void(found)


def name(each: Fact) -> tuple[str, str]:
    return each.origin, each.id


def test_the_ledger_equals_the_definition_whenever_words_are_voided_or_a_relation_holds_many(
    histories: Histories,
) -> None:
    for draw, words, resolutions in histories:
        everything = [*words, *resolutions]
        to_void = draw.sample(everything, draw.randint(0, min(3, len(everything))))
        steps: list[tuple[str, Fact]] = [("add", each) for each in everything] + [("void", each) for each in to_void]
        draw.shuffle(steps)
        holds: list[Cardinality] = [draw.choice(("one", "many"))]
        ledger = Ledger(cardinality=lambda _, holds=holds: holds[-1])  # type: ignore[misc]
        ledger.advance(NOW_US)
        held: list[Fact] = []
        voided: list[tuple[str, str]] = []
        for step, each in steps:
            if step == "void":
                void(ledger, each)
                voided.append(name(each))
            else:
                append(ledger, each)
                held.append(each)
            ledger.rederive(draw.choice((0, 1, 1, 2, 50)))
            if draw.random() < 0.3:
                ledger.advance((T0_MS + draw.randint(-1, 25)) * 1000)
            if draw.random() < 0.15:
                holds.append(draw.choice(("one", "many")))
                ledger.reinterpret(SLOT[1])
            if draw.random() < 0.3:
                through(ledger)
            if not ledger.slots_to_rederive:
                said, about = [w for w in held if w in words], [r for r in held if r in resolutions]
                assert derived(ledger) == expected(
                    said, about, [], ledger.horizon_us, cardinality=holds[-1], voided=voided
                )
        through(ledger)
        assert derived(ledger) == expected(
            words, resolutions, [], ledger.horizon_us, cardinality=holds[-1], voided=voided
        )


def test_a_word_that_was_voided_before_it_came_never_counts() -> None:
    bonn, rome = fact(1, "Bonn"), fact(2, "Rome")
    ledger = fill([bonn])
    void(ledger, rome)
    append(ledger, rome)
    assert [each.text for each in ledger.facts_of(SLOT) if ledger.live(each)] == ["Bonn"]
    assert ledger.slots_to_rederive == 0


def test_a_voided_word_is_still_among_the_facts_and_in_the_words_of_its_author() -> None:
    bonn, rome = fact(1, "Bonn"), fact(2, "Rome")
    ledger = fill([bonn, rome])
    void(ledger, rome)
    through(ledger)
    assert [each.text for each in ledger.facts_of(SLOT)] == ["Bonn", "Rome"]
    assert [each.text for each in ledger.words_of(ledger.log[0])] == ["Bonn", "Rome"]
    assert ledger.overridden(ledger.log[1])


def test_a_voided_word_answers_no_write() -> None:
    rome = fact(1, "Rome")
    ledger = fill([rome])
    assert ledger.repeated(rome, rome.cid) is not None
    void(ledger, rome)
    through(ledger)
    assert ledger.repeated(rome, rome.cid) is None


def test_an_origin_voids_nothing_of_another_that_uses_the_same_id() -> None:
    ours, theirs = fact(1, "x"), fact(1, "x", origin=ORIGINS[1], source="agent:b")
    ledger = fill([ours, theirs])
    void(ledger, theirs)
    through(ledger)
    assert [each.origin for each in ledger.facts_of(SLOT) if ledger.live(each)] == [ours.origin]


def test_a_conflict_ends_when_one_side_is_voided_and_is_listed_no_more() -> None:
    ours, theirs = fact(1, "x"), fact(2, "y", origin=ORIGINS[1], source="agent:b")
    ledger = fill([ours, theirs])
    assert ledger.contested
    void(ledger, theirs)
    through(ledger)
    assert not ledger.contested


def test_what_others_decided_on_a_resolution_that_is_voided_later_still_holds() -> None:
    ours, theirs = fact(1, "x"), fact(2, "y", origin=ORIGINS[1], source="agent:b")
    hasty = resolution(3, theirs, ours, origin=ORIGINS[2])
    final = resolution(4, ours, theirs, supersedes=(hasty.id,), resolves=conflict_id(SLOT, hasty.id))
    ledger = fill([ours, theirs, hasty, final])
    void(ledger, hasty)
    through(ledger)
    assert [each.text for each in ledger.facts_of(SLOT) if ledger.live(each)] == ["x"]
    assert not ledger.contested


def test_readers_see_the_old_state_whole_until_the_new_one_is_complete() -> None:
    rome = fact(0, "Rome", at=0)
    words = [rome, *(fact(n, str(n), source=f"agent:{n}", origin=ORIGINS[1]) for n in range(1, 40))]
    ledger = fill(words)
    before = derived(ledger)
    other = fact(99, "z", slot=(SLOT[0], "other", SLOT[2]))
    append(ledger, other)
    void(ledger, words[7])
    for _ in range(3):
        ledger.rederive(10)
        assert derived(ledger)[1:] == before[1:]
    append(ledger, retraction(200, source="agent:3", origin=ORIGINS[1]))  # while it is under way
    through(ledger)
    said = [*words, retraction(200, source="agent:3", origin=ORIGINS[1])]
    assert derived(ledger) == expected(said, [], [], NOW_US, voided=[name(words[7])])


def test_a_step_takes_in_no_more_words_than_it_is_given_however_many_slots_wait() -> None:
    draw = random.Random(1)
    slots = [(f"stigmem://lab.example/device/{n}", SLOT[1], SLOT[2]) for n in range(30)]
    words = [fact(n, str(n), slot=slots[n % 30], source=f"agent:{draw.randint(0, 5)}") for n in range(600)]
    ledger = fill(words)
    void(ledger, *words[:60])
    assert ledger.slots_to_rederive == 30
    ledger.rederive(100)
    assert ledger.slots_to_rederive >= 25
    through(ledger)
    assert ledger.slots_to_rederive == 0
