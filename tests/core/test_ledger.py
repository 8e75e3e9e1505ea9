"""The ledger: equal facts give equal knowledge, expiry runs both ways, and what must not leave does not leave."""

from __future__ import annotations

import itertools
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stigmem.core.conflicts import ConflictBook
from stigmem.core.export_index import is_exportable
from stigmem.core.fact import Fact
from stigmem.core.hlc import stamp
from stigmem.core.ledger import Ledger
from stigmem.core.query import FactQuery, run_query
from stigmem.core.resolution import read_resolution
from stigmem.core.scopes import SCOPES
from stigmem.core.timestamps import format_us
from tests.builders import SLOT, T0_MS, fact, resolution
from tests.core.test_conflicts import ORIGINS, append, fill, histories, shown

NOW_MS = T0_MS + 30


def knowledge(ledger: Ledger) -> tuple[object, ...]:
    """Everything derived from a ledger's facts, in terms that do not depend on local order."""
    standing = sorted(
        (f.origin, f.id, ledger.live(f), ledger.contradicted(f), ledger.overridden(f), ledger.expired(f))
        for f in ledger.log
    )
    book = ConflictBook(ledger)
    default = [(f.origin, f.id) for f in run_query(ledger, FactQuery(limit=500)).facts]
    indexes = [
        sorted((key, [f.id for f in postings.get(key)]) for key in postings)
        for postings in (ledger.by_entity, ledger.by_relation, ledger.by_source, ledger.by_scope)
    ]
    served = sorted((f.origin, f.id) for f in ledger.exported(("team", "company", "public"), 0))
    return standing, sorted(map(shown, book.all())), default, indexes, served, ledger.next_expiry_us()


@given(histories(), st.randoms(use_true_random=False), st.lists(st.integers(0, 30), max_size=6), st.data())
def test_any_order_any_duplication_and_any_batching_give_the_same_knowledge(
    arrivals: list[Fact], order: random.Random, cuts: list[int], data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(arrivals), max_size=6)) if arrivals else []
    shuffled = [*arrivals, *again]
    order.shuffle(shuffled)
    second = Ledger()
    pieces = [0, *sorted(min(cut, len(shuffled)) for cut in cuts), len(shuffled)]
    for first_at, end in itertools.pairwise(pieces):
        second.advance((T0_MS + data.draw(st.integers(-5, 70))) * 1000)  # between two batches time passes, or runs back
        for each in shuffled[first_at:end]:
            if second.held(each.origin, each.id) is None:  # what ingest asks before it stores
                append(second, each)
    second.advance(NOW_MS * 1000)
    assert knowledge(second) == knowledge(fill(arrivals, NOW_MS))


@given(histories(), st.lists(st.integers(-5, 75), min_size=1, max_size=8))
def test_expiry_forwards_and_backwards_is_as_if_the_clock_had_always_stood_there(
    arrivals: list[Fact], walk: list[int]
) -> None:
    ledger = fill(arrivals)
    for instant in walk:
        ledger.advance((T0_MS + instant) * 1000)
        fresh = fill(arrivals, T0_MS + instant)
        assert knowledge(ledger) == knowledge(fresh)


@given(histories(), st.integers(-5, 75), st.integers(-5, 75))
def test_a_ledger_as_of_an_instant_knows_what_it_would_know_then_and_the_ledger_itself_stays(
    arrivals: list[Fact], now: int, instant: int
) -> None:
    ledger = fill(arrivals, T0_MS + now)
    before = knowledge(ledger)
    then = ledger.as_of((T0_MS + instant) * 1000)
    assert knowledge(then) == knowledge(fill(arrivals, T0_MS + instant))
    assert knowledge(ledger) == before


def test_a_ledger_in_which_nothing_expires_meanwhile_is_not_copied() -> None:
    ledger = fill([fact(1, valid_until=format_us((T0_MS + 5) * 1000))], T0_MS)
    assert ledger.as_of((T0_MS + 4) * 1000) is ledger
    assert ledger.as_of((T0_MS + 5) * 1000) is not ledger


def test_a_fact_expires_at_its_instant_and_not_before() -> None:
    until = (T0_MS + 5) * 1000
    ledger = fill([fact(1, valid_until=format_us(until))], T0_MS)
    (held,) = ledger.log
    ledger.advance(until - 1)
    assert (ledger.expired(held), ledger.live(held), ledger.next_expiry_us()) == (False, True, until)
    ledger.advance(until)
    assert (ledger.expired(held), ledger.live(held), ledger.next_expiry_us()) == (True, False, None)
    ledger.advance(until - 1)
    assert (ledger.expired(held), ledger.live(held), ledger.next_expiry_us()) == (False, True, until)


@pytest.mark.parametrize("text", ["2026-11-21T09:00:00Z", "2026-11-21T10:00:00+01:00", "2026-11-21 09:00"])
def test_expiry_compares_instants_and_keeps_the_writers_text(text: str) -> None:
    ledger = fill([fact(1, valid_until=text)], T0_MS)
    assert ledger.log[0].valid_until == text
    assert ledger.next_expiry_us() == ledger.log[0].expires_us == 1_795_251_600_000_000


def test_sequence_numbers_have_no_gap() -> None:
    ledger = Ledger()
    append(ledger, fact(1))
    for wrong in (0, 1, 3):
        with pytest.raises(ValueError, match="does not follow 1"):
            ledger.add(msgspec.structs.replace(fact(2), seq=wrong))
    assert (len(ledger), ledger.last_seq) == (1, 1)


def test_a_fact_is_found_by_its_ids() -> None:
    claimed, mine = fact(1, certified=False), fact(1, origin=ORIGINS[1])
    ledger = fill([claimed, mine])
    assert [f.origin for f in ledger.find(mine.id)] == [ORIGINS[0], ORIGINS[1]]
    got, held = ledger.get(mine.id), ledger.held(ORIGINS[0], mine.id)
    assert got is not None
    assert held is not None
    assert (got.origin, held.origin) == (ORIGINS[1], ORIGINS[0])  # the id proves whose it is
    assert [f.origin for f in ledger.with_cid(mine.cid)] == [ORIGINS[0], ORIGINS[1]]
    assert (ledger.get("absent"), ledger.held(ORIGINS[0], "absent"), list(ledger.find("absent"))) == (None, None, [])
    assert ledger.with_cid(fact(9, "other").cid) == []


# --- what leaves ---

LEAVES = {
    "scope": SCOPES,
    "interpret_as": ("content", "instruction"),
    "quarantine": (None, "why"),
    "derived_from": ("", '[{"fact_id":"a"}]'),
    "entity": ("user:a", "stigmem:conflict:a", "stigmem://lab.example/x/y"),
    "relation": ("memory:role", "stigmem:ttl"),
    "received_from": (None, ORIGINS[1]),
    "certified": (True, False),
    "signature": (b"s", None),
}


def forbidden(f: Fact, *, relay: bool) -> bool:
    """The leaks of federation 5, one by one, for facts that are no resolutions."""
    reserved = any(t.startswith("stigmem:") and not t.startswith("stigmem://") for t in (f.entity, f.relation))
    return (
        f.scope == "local"  # L1
        or (f.received_from is not None and f.scope != "public")  # L3
        or f.quarantine is not None  # L4
        or bool(f.derived_from)  # L4
        or reserved  # L6
        or f.interpret_as == "instruction"
        or (f.received_from is not None and not (relay and f.certified and f.signature))
    )


@pytest.mark.parametrize("relay", [True, False])
def test_exports_hold_what_may_leave_and_nothing_else(*, relay: bool) -> None:
    ledger = Ledger(relay=relay)
    for number, values in enumerate(itertools.product(*LEAVES.values()), 1):
        changes: dict[str, Any] = dict(zip(LEAVES, values, strict=True))
        append(ledger, msgspec.structs.replace(fact(number), **changes))
    left = {f.id for f in ledger.exported(("team", "company", "public"), 0)}
    assert left == {f.id for f in ledger.log if not forbidden(f, relay=relay)}
    assert left


@pytest.mark.parametrize("scopes", [("public",), ("team", "company"), ("team", "company", "public")])
def test_exports_come_in_local_order_after_a_number(scopes: tuple[str, ...]) -> None:
    ledger = Ledger()
    for number in range(1, 41):
        append(ledger, fact(number, slot=("user:a", "memory:n", SCOPES[number % 4])))
    numbers = [f.seq for f in ledger.log if f.scope in scopes]
    for after in range(42):
        assert [f.seq for f in ledger.exported(scopes, after)] == [seq for seq in numbers if seq > after]
    assert ledger.last_exported(scopes) == numbers[-1]
    assert (ledger.last_exported(("company",)), Ledger().last_exported(scopes)) == (38, 0)


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(SCOPES)), max_size=40), st.integers(-1, 31))
def test_a_cursor_that_is_a_stamp_means_the_first_fact_after_it(rows: list[tuple[int, str]], instant: int) -> None:
    ledger, scopes = Ledger(), ("company", "public")
    for number, (at, scope) in enumerate(rows):
        append(ledger, fact(number, at=at, slot=("user:a", "memory:n", scope)))
        if number == len(rows) // 2:
            ledger.first_after_stamp(scopes, stamp(T0_MS + instant, 0))  # asked for in between: nothing is stale later
    asked = stamp(T0_MS + instant, 0)
    newer = [f.seq for f in ledger.log if f.scope in scopes and f.stamp > asked]
    expected = newer[0] - 1 if newer else ledger.last_exported(scopes)
    assert ledger.first_after_stamp(scopes, asked) == expected


def test_a_resolution_travels_and_other_reserved_facts_do_not() -> None:
    first, second = fact(1, "x"), fact(2, "y", source="agent:b", origin=ORIGINS[1])
    settled = resolution(3, first, second)
    broken = msgspec.structs.replace(resolution(4, first, second), derived_from='[{"resolves":1}]')
    ledger = fill([first, settled, broken])
    assert [f.id for f in ledger.exported(("public",), 0)] == [first.id, settled.id]


def test_resolutions_of_others_are_kept_without_effect_when_they_are_not_trusted() -> None:
    first, second = fact(1, "x"), fact(2, "y", source="agent:b", origin=ORIGINS[1])
    settled = resolution(3, first, second, origin=ORIGINS[1])
    ledger = Ledger(resolvers=lambda origin: origin == ORIGINS[0])
    for each in (first, second, settled):
        append(ledger, each)
    assert ledger.get(settled.id) is not None
    assert SLOT in ledger.contested


@pytest.mark.parametrize(
    "derived", ['[{"resolves":1}]', '[{"resolves":"x","entity":"e","winner":"w"}]', "[1]", '[{"other":1}]', "{}"]
)
def test_what_a_caller_writes_under_a_resolutions_name_never_breaks_the_ledger(derived: str) -> None:
    odd = msgspec.structs.replace(resolution(3, fact(1), fact(2)), derived_from=derived)
    ledger = fill([fact(1, "x"), fact(2, "y", source="agent:b"), odd])
    assert ledger.get(odd.id) is not None
    assert SLOT in ledger.contested


def test_a_quarantined_fact_is_held_and_has_no_effect() -> None:
    held_back = fact(2, "y", source="agent:b", origin=ORIGINS[1], quarantine="why")
    ledger = fill([fact(1, "x"), held_back])
    assert ledger.get(held_back.id) is not None
    assert not ledger.live(ledger.log[1])
    assert not ledger.contested
    assert not is_exportable(ledger.log[1], relay=True, bookkeeping=False)


def test_conflicts_are_counted_each_time_one_opens() -> None:
    soon = format_us((T0_MS + 5) * 1000)
    ledger = fill([fact(1, "x", valid_until=soon), fact(2, "y", source="agent:b")], T0_MS)
    for instant, opened in ((5, 1), (0, 2), (5, 2)):
        ledger.advance((T0_MS + instant) * 1000)
        assert (ledger.conflicts_opened, bool(ledger.contested)) == (opened, instant == 0)


@given(histories())
def test_read_resolutions_and_their_facts_agree(arrivals: list[Fact]) -> None:
    for each in arrivals:
        found = read_resolution(each)
        assert (found is not None) == each.entity.startswith("stigmem:resolution:")
        if found is not None:
            assert found.winner in found.covers
            assert each.entity == "stigmem:resolution:" + found.resolves
