"""Facts that their origin voids: who may, what it takes, and that the order of arrival makes no difference.

A node whose clock was a day ahead for five seconds had facts that no peer took for a day, and no way to take them back.
"""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from stigmem.core import limits
from stigmem.core.canonical import compact
from stigmem.core.fact import Fact
from stigmem.core.ledger import Ledger
from stigmem.core.resolution import conflict_id
from stigmem.core.uris import VOID_PREFIX
from stigmem.core.voiding import RELATION, read_voiding
from tests.builders import SLOT, fact, refused, resolution, retraction, voiding
from tests.core.received import LINK, ORIGIN, Draft, Receiver

DAY_MS = 86_400_000
TOO_LONG = "x" * (limits.VOID_NOTE_CHARS_MAX + 1)
A, B = "stigmem:node:a", "stigmem:node:b"


def ledger_of(*facts: Fact) -> Ledger:
    ledger = Ledger()
    for seq, each in enumerate(facts, 1):
        ledger.add(msgspec.structs.replace(each, seq=seq))
    while ledger.slots_to_rederive:
        ledger.rederive(1)
    return ledger


def standing(ledger: Ledger) -> list[str]:
    return [each.text for each in ledger.by_stamp if each.slot == SLOT and ledger.live(each)]


# --- what it takes ---


def test_a_voided_fact_stays_and_stands_for_nobody() -> None:
    one = fact(1, "one", at=DAY_MS)
    ledger = ledger_of(one, voiding(2, one))
    assert standing(ledger) == []
    assert [each.id for each in ledger.find(one.id)] == [one.id]
    by = ledger.voided_by(one)
    assert by is not None
    assert by.entity.startswith(VOID_PREFIX)


def test_what_a_voided_word_had_superseded_is_said_again() -> None:
    before, ahead = fact(1, "Bonn"), fact(2, "Rome", at=DAY_MS)
    ledger = ledger_of(before, ahead)
    assert standing(ledger) == ["Rome"]
    assert standing(ledger_of(before, ahead, voiding(3, ahead))) == ["Bonn"]


def test_what_is_said_after_a_voided_word_counts_although_its_stamp_is_earlier() -> None:
    ahead, later = fact(1, "Rome", at=DAY_MS), fact(3, "Paris", at=3)
    assert standing(ledger_of(ahead, later)) == ["Rome"]
    assert standing(ledger_of(ahead, voiding(2, ahead), later)) == ["Paris"]


def test_a_conflict_with_a_voided_word_is_none() -> None:
    mine, theirs = fact(1, "x", at=DAY_MS), fact(2, "y", origin="stigmem:node:b")
    assert ledger_of(mine, theirs).contested
    ledger = ledger_of(mine, theirs, voiding(3, mine))
    assert not ledger.contested
    assert standing(ledger) == ["y"]


def test_a_voided_retraction_takes_nothing_back() -> None:
    said, taken = fact(1, "x"), retraction(2, at=DAY_MS)
    assert standing(ledger_of(said, taken)) == []
    assert standing(ledger_of(said, taken, voiding(3, taken))) == ["x"]


def test_a_voided_resolution_settles_nothing() -> None:
    mine, theirs = fact(1, "x"), fact(2, "y", origin="stigmem:node:b")
    settled = resolution(3, mine, theirs, at=DAY_MS)
    assert not ledger_of(mine, theirs, settled).contested
    ledger = ledger_of(mine, theirs, settled, voiding(4, settled))
    assert set(standing(ledger)) == {"x", "y"}
    assert ledger.contested


def test_a_fact_that_says_what_was_voided_is_a_new_fact() -> None:
    ahead = fact(1, "x", at=DAY_MS)
    ledger = ledger_of(ahead, voiding(2, ahead))
    assert ledger.repeated(fact(3, "x"), ahead.cid) is None


# --- whose, and how far ---


def test_nobody_voids_the_facts_of_another_origin() -> None:
    theirs = fact(1, "theirs", origin="stigmem:node:b")
    forged = voiding(2, theirs, origin="stigmem:node:a", source="stigmem:node:a")
    ledger = ledger_of(theirs, forged)
    assert standing(ledger) == ["theirs"]
    assert ledger.voided_by(theirs) is None


def test_a_record_in_somebody_elses_name_voids_nothing() -> None:
    one = fact(1, "one")
    for changes in ({"source": "agent:a"}, {"source": "stigmem:node:b"}):
        assert standing(ledger_of(one, voiding(2, one, **changes))) == ["one"]


def test_a_record_reaches_back_so_far_and_no_further() -> None:
    one = fact(1, "one", at=0)
    assert standing(ledger_of(one, voiding(2, one, at=limits.VOID_REACH_MS))) == []
    assert standing(ledger_of(one, voiding(2, one, at=limits.VOID_REACH_MS + 1))) == ["one"]


def test_a_record_cannot_be_voided() -> None:
    one = fact(1, "one", at=DAY_MS)
    record = voiding(2, one)
    ledger = ledger_of(one, record, voiding(3, record))
    assert standing(ledger) == []
    assert ledger.voided_by(record) is None


@pytest.mark.parametrize("count", [1, limits.VOIDED_MAX])
def test_a_record_names_as_many_facts_as_it_may(count: int) -> None:
    assert refused(lambda: read_voiding(voiding(1, *(fact(n + 2) for n in range(count))))) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"derived_from": ""},
        {"derived_from": compact([{"voids": 0}]).decode()},
        {"derived_from": compact([{"voids": 2}, {"fact_id": "a"}]).decode()},
        {"derived_from": compact([{"voids": 2}, {"fact_id": "a"}, {"fact_id": "a"}]).decode()},
        {"derived_from": compact([{"voids": 1}, {"hash": "a"}]).decode()},
        {"derived_from": compact([{"voids": 1}, {"fact_id": 1}]).decode()},
        {"derived_from": compact([{"note": "x"}, {"fact_id": "a"}]).decode()},
        {"derived_from": compact([{"voids": 1, "note": TOO_LONG}, {"fact_id": "a"}]).decode()},
        {"derived_from": compact([{"voids": 1_001}, *({"fact_id": str(n)} for n in range(1_001))]).decode()},
        {"relation": "other:relation"},
        {"confidence": 0.0},
        {"valid_until": "2030-01-01T00:00:00Z"},
    ],
)  # fmt: skip
def test_a_record_that_is_not_well_formed_is_refused_and_voids_nothing(changes: dict[str, Any]) -> None:
    one = fact(1, "one")
    record = voiding(2, one, **changes)
    assert refused(lambda: read_voiding(record)) == "malformed_fact"
    assert standing(ledger_of(one, record)) == ["one"]


# --- the order of arrival ---


@pytest.mark.parametrize("seed", range(60))
def test_nodes_that_hold_the_same_facts_and_records_show_the_same(seed: int) -> None:
    draw = random.Random(seed)
    facts = [
        fact(n, draw.choice("xyz"), at=draw.choice((n, n + DAY_MS)), origin=draw.choice((A, B)),
             source=draw.choice(("agent:a", "agent:b")), confidence=draw.choice((1.0, 1.0, 0.0)))
        for n in range(1, 12)
    ]  # fmt: skip
    facts.append(resolution(20, facts[0], facts[1], resolves=conflict_id(SLOT)))
    records = [voiding(30 + n, each) for n, each in enumerate(draw.sample(facts, 5))]
    shown = set()
    for _ in range(4):
        arriving = [*facts, *records]
        draw.shuffle(arriving)
        ledger = ledger_of(*arriving)
        open_now = sorted(filter(None, (each.conflict for each in ledger.contested.values())))
        shown.add((tuple(standing(ledger)), tuple(open_now)))
    without = ledger_of(*(each for each in facts if each.id not in {name for r in records for name in _names(r)}))
    assert shown == {(tuple(standing(without)), next(iter(shown))[1])}


def _names(record: Fact) -> tuple[str, ...]:
    found = read_voiding(record)
    assert found is not None
    return found.names


# --- at the door of a peer ---


def test_a_peer_takes_the_record_of_an_origin_and_refuses_what_it_names() -> None:
    receiver, one = Receiver(), fact(1, "one", origin=ORIGIN)
    named = Draft.of(one)
    record = voiding(2, msgspec.structs.replace(one, id=named.fact["id"]))
    assert receiver.take(Draft.of(record)) is None
    assert receiver.take(named) == "voided"
    assert receiver.take(Draft.of(fact(3, "another", origin=ORIGIN))) is None


def test_a_record_in_an_agents_name_is_refused_at_the_door() -> None:
    record = voiding(2, fact(1, "one", origin=ORIGIN), source=f"{ORIGIN}/agent")
    assert Receiver().take(Draft.of(record)) == "source_not_owned"


def test_the_record_travels_under_the_one_reserved_name_that_nodes_take_from_each_other() -> None:
    record = voiding(1, fact(2))
    assert record.entity.startswith("stigmem:resolution:")
    assert record.relation == RELATION
    assert not record.relation.startswith("stigmem:")


@pytest.mark.parametrize("dialect", ["0.5", "2.1", "2.1+"])
def test_the_record_is_taken_in_every_dialect(dialect: str) -> None:
    receiver, one = Receiver(), fact(1, "one", origin=ORIGIN)
    record = voiding(2, one)
    assert receiver.take(Draft.of(record), LINK._replace(dialect=dialect)) is None
    assert receiver.ledger.voided(one)
