"""Contradiction (spec/contradiction.md): the ledger against its plain definition, and each rule by name."""

from __future__ import annotations

import random
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from stigmem.core.contradiction import best_two, evaluate
from stigmem.core.fact import Fact
from stigmem.core.ledger import Ledger
from stigmem.core.resolution import conflict_id, read_resolution
from stigmem.core.timestamps import format_us
from tests.builders import SLOT, T0_MS, fact, resolution, retraction

SOURCES = ("agent:a", "agent:b", "agent:c")
ORIGINS = ("stigmem:node:a", "stigmem:node:b", "stigmem:node:c")


def fill(facts: list[Fact], now_us: int = T0_MS * 1000) -> Ledger:
    ledger = Ledger()
    ledger.advance(now_us)
    for number, each in enumerate(facts, 1):
        ledger.add(msgspec.structs.replace(each, seq=number))
    return ledger


def derived(ledger: Ledger) -> tuple[object, ...]:
    """What a ledger says of SLOT, in terms that do not depend on local order."""
    slot = ledger.slot(SLOT)
    facts = ledger.facts_of(SLOT)
    live = sorted(f.id for f in facts if ledger.live(f))
    contradicted = sorted(f.id for f in facts if ledger.contradicted(f))
    return live, contradicted, (slot.conflict if slot else None)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Fact], list[Fact]]:
    """Facts of one slot by several sources and nodes, and resolutions among them."""
    count = draw(st.integers(1, 12))
    facts = []
    for n in range(count):
        expiry = draw(st.one_of(st.none(), st.integers(0, 30)))
        facts.append(
            fact(
                n,
                draw(st.sampled_from(("x", "y", "z"))),
                at=draw(st.integers(0, 8)),
                source=draw(st.sampled_from(SOURCES)),
                origin=draw(st.sampled_from(ORIGINS)),
                confidence=draw(st.sampled_from((1.0, 0.5, 0.0))),
                valid_until=None if expiry is None else format_us((T0_MS + expiry) * 1000),
            )
        )
    resolutions: list[Fact] = []
    for n in range(draw(st.integers(0, 4))):
        ghost = fact(900 + n, "never seen", origin=ORIGINS[2])
        covered = draw(st.lists(st.sampled_from([*facts, ghost]), min_size=1, max_size=4, unique_by=lambda f: f.id))
        known = ["", *(f.id for f in resolutions), "nobody's"]
        older = draw(st.lists(st.sampled_from(resolutions), max_size=2)) if resolutions else []
        resolutions.append(
            resolution(
                100 + n,
                *covered,
                at=draw(st.integers(0, 20)),
                supersedes=tuple(dict.fromkeys(f.id for f in older)),
                resolves=conflict_id(SLOT, draw(st.sampled_from(known))),
                origin=draw(st.sampled_from(ORIGINS)),
            )
        )
    return facts, resolutions


@given(histories(), st.randoms(use_true_random=False), st.lists(st.integers(0, 40), max_size=4))
def test_the_ledger_equals_the_definition_for_any_order_of_arrival_and_any_walk_of_the_clock(
    history: tuple[list[Fact], list[Fact]], order: random.Random, instants: list[int]
) -> None:
    facts, resolutions = history
    arrivals = [*facts, *resolutions]
    order.shuffle(arrivals)
    ledger = fill(arrivals[: len(arrivals) // 2])
    for instant in instants:
        ledger.advance((T0_MS + instant) * 1000)
    for each in arrivals[len(arrivals) // 2 :]:
        ledger.add(msgspec.structs.replace(each, seq=len(ledger) + 1))
    for instant in (*instants, 10):
        now_us = (T0_MS + instant) * 1000
        ledger.advance(now_us)
        read = [r for r in map(read_resolution, resolutions) if r is not None]
        verdict = evaluate(SLOT, facts, read, now_us)
        live, contradicted, conflict = derived(ledger)
        assert live == sorted(f.id for f in verdict.live)
        assert conflict == verdict.conflict
        assert contradicted == (sorted(f.id for f in verdict.members) if verdict.conflict else [])


@given(histories(), st.randoms(use_true_random=False))
def test_any_order_gives_the_same_conflicts_and_winners(
    history: tuple[list[Fact], list[Fact]], order: random.Random
) -> None:
    arrivals = [*history[0], *history[1]]
    shuffled = arrivals.copy()
    order.shuffle(shuffled)
    now_us = (T0_MS + 15) * 1000
    assert derived(fill(arrivals, now_us)) == derived(fill(shuffled, now_us))


def test_a_triple_with_many_facts_stays_equal_to_the_definition() -> None:
    order = random.Random(5)
    facts = [
        fact(n, str(n % 3), source=SOURCES[n % 3], origin=ORIGINS[n % 2], confidence=float(n % 5 != 0))
        for n in range(400)
    ]
    order.shuffle(facts)
    ledger = fill(facts)
    verdict = evaluate(SLOT, facts, [], T0_MS * 1000)
    live, _, conflict = derived(ledger)
    assert (live, conflict) == (sorted(f.id for f in verdict.live), verdict.conflict)


# --- the rules, one by one ---


def test_two_distinct_live_values_open_one_conflict_that_lists_all_members() -> None:
    ledger = fill([fact(1, "x"), fact(2, "y", source="agent:b"), fact(3, "y", source="agent:c")])
    slot = ledger.slot(SLOT)
    assert slot is not None
    assert slot.conflict == conflict_id(SLOT)
    assert [f.text for f in slot.members()] == ["x", "y", "y"]


def test_equal_values_never_open_one() -> None:
    assert not fill([fact(1, "x"), fact(2, "x", source="agent:b", origin=ORIGINS[1])]).contested


def test_expiry_closes_and_never_opens() -> None:
    soon = format_us((T0_MS + 5) * 1000)
    ledger = fill([fact(1, "x", valid_until=soon), fact(2, "y")])
    assert ledger.contested
    ledger.advance((T0_MS + 5) * 1000)
    assert not ledger.contested


def test_a_retraction_ends_earlier_facts_of_its_source_on_any_node() -> None:
    ledger = fill([fact(1, "x"), retraction(2, origin=ORIGINS[1])])
    assert derived(ledger) == ([], [], None)


def test_a_retraction_ends_earlier_facts_of_its_node_by_any_source() -> None:
    ledger = fill([fact(1, "x"), retraction(2, source="agent:b")])
    assert derived(ledger) == ([], [], None)


def test_a_retraction_closes_a_conflict_that_it_makes_moot() -> None:
    ours, theirs = fact(1, "x"), fact(2, "y", source="agent:b", origin=ORIGINS[1])
    ledger = fill([ours, theirs, retraction(3, source="agent:b", origin=ORIGINS[1])])
    assert derived(ledger) == ([ours.id], [], None)


def test_a_retraction_of_another_organisations_fact_ends_nothing_and_opens_a_conflict() -> None:
    ours = fact(1, "x")
    denial = retraction(2, source="agent:b", origin=ORIGINS[1])
    live, contradicted, conflict = derived(fill([ours, denial]))
    assert live == [ours.id]
    assert contradicted == sorted([ours.id, denial.id])
    assert conflict == conflict_id(SLOT)


def test_a_retraction_does_not_deny_what_comes_after_it() -> None:
    assert not fill([retraction(1, source="agent:b", origin=ORIGINS[1]), fact(2, "x")]).contested


def test_a_retraction_after_ones_own_is_aimed_at_what_others_said_since() -> None:
    theirs = {"source": "agent:b", "origin": ORIGINS[1]}
    said, withdrawn, again = fact(1, "y", **theirs), retraction(2, **theirs), retraction(4, **theirs)
    ours = fact(3, "x")
    assert derived(fill([said, withdrawn, ours])) == ([ours.id], [], None)
    late = [again, ours, said, withdrawn]  # the first retraction comes last and turns the second into a denial
    for arrivals in (late, late[::-1]):
        assert derived(fill(arrivals)) == ([ours.id], sorted([ours.id, again.id]), conflict_id(SLOT))


def test_a_resolution_settles_what_it_names_and_a_newer_fact_opens_the_next_conflict() -> None:
    ours, theirs = fact(1, "x"), fact(2, "y", source="agent:b", origin=ORIGINS[1])
    settled = resolution(3, ours, theirs)
    ledger = fill([theirs, settled, ours])
    assert derived(ledger) == ([ours.id], [], None)
    again = fact(4, "y", source="agent:b", origin=ORIGINS[1])
    ledger.add(msgspec.structs.replace(again, seq=4))
    assert derived(ledger)[2] == conflict_id(SLOT, settled.id) != conflict_id(SLOT)


def test_resolutions_that_disagree_leave_both_winners_standing_until_one_supersedes_them() -> None:
    ours, theirs = fact(1, "x"), fact(2, "y", source="agent:b", origin=ORIGINS[1])
    mine = resolution(3, ours, theirs)
    yours = resolution(4, theirs, ours, origin=ORIGINS[1])
    ledger = fill([ours, theirs, yours, mine])
    assert derived(ledger)[2] == conflict_id(SLOT, yours.id)
    last = resolution(5, theirs, ours, supersedes=(mine.id, yours.id), resolves=conflict_id(SLOT, yours.id))
    ledger.add(msgspec.structs.replace(last, seq=5))
    assert derived(ledger) == ([theirs.id], [], None)


def test_a_resolution_is_inert_until_its_winner_is_held() -> None:
    ours, ghost = fact(1, "x"), fact(2, "never seen", origin=ORIGINS[1])
    by_force = resolution(3, ghost, ours, origin=ORIGINS[1])
    ledger = fill([ours, by_force])
    assert derived(ledger) == ([ours.id], [], None)
    ledger.add(msgspec.structs.replace(ghost, seq=3))
    assert derived(ledger) == ([ghost.id], [], None)


def test_a_resolution_is_inert_until_the_conflict_it_names_is_one_of_the_triple() -> None:
    ours, theirs = fact(1, "x"), fact(2, "y", origin=ORIGINS[1])
    first = resolution(3, ours, theirs)
    second = resolution(4, theirs, ours, supersedes=(first.id,), resolves=conflict_id(SLOT, first.id))
    ledger = fill([ours, theirs, second])
    assert derived(ledger)[2] == conflict_id(SLOT)
    ledger.add(msgspec.structs.replace(first, seq=4))
    assert derived(ledger) == ([theirs.id], [], None)


def test_of_facts_that_tie_in_everything_else_the_content_decides_which_is_best() -> None:
    members = [fact(n, text, at=1) for n, text in enumerate(("x", "y", "z"), 1)]
    by_content = sorted(members, key=lambda member: member.cid8)
    assert best_two(members) == best_two(members[::-1]) == (by_content[2], by_content[1])
    surer = fact(9, "w", at=0, confidence=1.0)
    assert best_two([*members, msgspec.structs.replace(surer, stamp=members[0].stamp + 1)])[0].text == "w"


def test_ten_thousand_facts_of_a_hostile_writer_stay_cheap_to_keep() -> None:
    # 10 000 values, retractions and resolutions on one slot: quadratic bookkeeping would take minutes.
    victim = fact(1, "truth")
    ledger = fill([victim])
    for n in range(2, 10_003):
        kind = (n + 1) % 3
        origin: dict[str, Any] = {"origin": ORIGINS[1], "source": f"agent:{n % 7}"}
        if kind == 0:
            each = fact(n, str(n), **origin)
        elif kind == 1:
            each = retraction(n, **origin)
        else:
            name = conflict_id(SLOT, str(n) if n % 2 else "")
            each = resolution(n, fact(n - 4, "no") if n % 5 else fact(n - 2, "no"), resolves=name, **origin)
        ledger.add(msgspec.structs.replace(each, seq=n))
    ledger.add(msgspec.structs.replace(fact(20_000, "last", origin=ORIGINS[1]), seq=len(ledger) + 1))
    assert ledger.live(victim)
    assert len(ledger.contested) == 1
