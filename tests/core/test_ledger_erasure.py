"""Erasing facts of a ledger: nothing of them is found, in whatever order facts and tombstones come, and what they did
to others stays (spec/erasure.md)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from stigmem.core.contradiction import Cardinality
from stigmem.core.erasure import ERASED, Erasures, is_husk
from stigmem.core.fact import Fact
from stigmem.core.ledger import Ledger
from stigmem.core.records import RevocationRow, TombstoneRow, decode_record, encode_record
from stigmem.core.resolution import conflict_id
from stigmem.core.tombstone import Revocation, Tombstone
from tests.builders import SLOT, T0_MS, fact, resolution, retraction
from tests.core.histories import Histories, append, derived, expected

NOW_US = T0_MS * 1000
KEY = "ab" * 32
OTHER = ("user:bo", "memory:role", "public")


def tombstone(entity: str, *, scope: str = "*", legal_hold: bool = False, number: int = 1) -> TombstoneRow:
    made = Tombstone(
        id=f"tomb_{number}", entity_uri=entity, scope=scope, signed_by="stigmem:node:a", signature="",
        created_at="2026-06-01T12:00:00Z", legal_hold=legal_hold,
    )  # fmt: skip
    return TombstoneRow(made, KEY, NOW_US)


def revocation(number: int = 1) -> RevocationRow:
    made = Revocation(
        id=f"tombrevoke_{number}", tombstone_id=f"tomb_{number}", signed_by="stigmem:node:a", signature="",
        created_at="2026-06-01T13:00:00Z",
    )  # fmt: skip
    return RevocationRow(made, NOW_US)


class Book:
    """A ledger and its tombstones."""

    def __init__(self, cardinality: Cardinality = "one") -> None:
        self.erasures = Erasures()
        self.ledger = Ledger(erasures=self.erasures, cardinality=lambda _: cardinality)
        self.ledger.advance(NOW_US)

    def add(self, *facts: Fact) -> None:
        for each in facts:
            append(self.ledger, each)

    def bury(self, entity: str, **how: Any) -> None:
        row = tombstone(entity, **how)
        if self.erasures.apply_tombstone(row):
            self.ledger.erase(row.tombstone)

    def names(self) -> list[str]:
        """Every name and text that the indexes of the ledger know."""
        found = [*self.ledger.by_entity, *self.ledger.by_source, *self.ledger.by_reference]
        found += [text for each in self.ledger.by_stamp for text in (each.entity, each.source, each.text)]
        for slot, held in self.ledger._slots.items():
            words = [held] if isinstance(held, Fact) else held.facts
            found += [slot[0], *(text for word in words for text in (word.source, word.text))]
        return [*found, *(text for each in self.ledger.log for text in (each.entity, each.source, each.text))]


def about(subject: tuple[object, ...], erased: dict[tuple[str, str], Fact]) -> tuple[object, ...]:
    """What is said of a slot, without what is said of husks."""
    live, contradicted, ended, conflict = subject
    assert isinstance(live, list)
    assert isinstance(contradicted, list)
    assert isinstance(ended, list)
    return (
        [each for each in live if each not in erased],
        [each for each in contradicted if each not in erased],
        [each for each in ended if each[:2] not in erased],
        conflict,
    )


@pytest.mark.parametrize("cardinality", ["one", "many"])
@pytest.mark.parametrize("how", ["source", "value"])
def test_the_ledger_equals_the_definition_wherever_among_the_arrivals_the_tombstone_comes(
    histories: Histories, how: str, cardinality: Cardinality
) -> None:
    """In the definition an erased word stands as it was said, but as one that is over."""
    for draw, drawn, resolutions in histories:
        words = drawn
        if how == "value":
            chosen = [draw.random() < 0.4 and not word.is_retraction for word in drawn]
            words = [
                msgspec.structs.replace(word, kind="ref", text="user:ada") if is_chosen else word
                for word, is_chosen in zip(drawn, chosen, strict=True)
            ]
        book, entity = Book(cardinality), "agent:a" if how == "source" else "user:ada"
        everything = [*words, *resolutions]
        draw.shuffle(everything)
        at = draw.randint(0, len(everything))
        book.add(*everything[:at])
        book.bury(entity)
        for each in everything[at:]:
            book.add(each)
            if draw.random() < 0.3:
                book.ledger.advance((T0_MS + draw.randint(-1, 25)) * 1000)
        erased = {(w.origin, w.id): w for w in everything if book.erasures.covering(w) is not None}
        assert entity not in book.names()
        assert [(each.origin, each.id) for each in book.ledger.log] == [(each.origin, each.id) for each in everything]
        left = [word for word in words if (word.origin, word.id) not in erased]
        if not left:
            assert all(is_husk(each) for each in book.ledger.facts_of(SLOT))
            continue
        over = [
            msgspec.structs.replace(word, valid_until=None if word.is_retraction else "1970-01-01T00:00:00Z")
            for word in words
            if (word.origin, word.id) in erased
        ]
        of_both = expected([*left, *over], resolutions, [], book.ledger.horizon_us, cardinality=cardinality)
        assert isinstance(of_both, tuple)
        assert about(derived(book.ledger), erased) == about(of_both, erased)


def test_a_start_from_husks_leads_to_the_same_as_the_erasure_did(histories: Histories) -> None:
    for draw, words, resolutions in histories:
        book = Book()
        everything = [*words, *resolutions]
        draw.shuffle(everything)
        book.add(*everything)
        book.bury("agent:a")
        again = Book()
        again.bury("agent:a")
        assert not again.ledger.unwritten
        for each in book.ledger.log:
            record = decode_record(encode_record(each))
            assert isinstance(record, Fact)
            again.ledger.add(record)
        assert again.ledger.log == book.ledger.log
        assert derived(again.ledger) == derived(book.ledger)
        assert not again.ledger.unwritten
        assert sorted(again.names()) == sorted(book.names())


def test_facts_go_by_entity_by_source_by_value_and_by_what_was_resolved_about_them() -> None:
    book = Book()
    ada = ("user:ada", "memory:role", "public")
    first, second = fact(1, "x", slot=ada), fact(2, "y", slot=ada, origin="stigmem:node:b")
    book.add(
        first, second, resolution(3, first, second, at=5, resolves=conflict_id(ada)),
        fact(4, "z", source="user:ada"), fact(5, "user:ada", kind="ref", slot=OTHER), fact(6, "kept", slot=OTHER),
    )  # fmt: skip
    assert [each.seq for each in book.ledger.covered("user:ada")] == [1, 2, 3, 4, 5]
    assert book.ledger.conflict_log.set_of(conflict_id(ada)) is not None
    book.bury("user:ada")
    assert "user:ada" not in book.names()
    assert [each.quarantine for each in book.ledger.log] == [ERASED] * 5 + [None]
    assert [each.text for each in book.ledger.by_stamp] == ["kept"]
    assert list(book.ledger.exported(("public",), 0)) == [book.ledger.log[5]]
    assert book.ledger.conflict_log.set_of(conflict_id(ada)) is None
    assert book.ledger.find(first.id) == []
    assert book.ledger.with_cid(first.cid) == []
    assert [book.ledger.is_erased(each.origin, each.id) for each in (first, second)] == [True, True]
    assert not book.ledger.is_erased(book.ledger.log[5].origin, book.ledger.log[5].id)
    assert sorted(book.ledger.unwritten) == [1, 2, 3, 4, 5]


def test_a_word_that_is_erased_still_ends_the_one_before_it() -> None:
    book = Book()
    bo, ada = fact(1, "user:bo", kind="ref"), fact(2, "user:ada", kind="ref")
    book.add(bo, ada)
    book.bury("user:ada")
    held = book.ledger.get(bo.id)
    assert held is not None
    assert not book.ledger.live(held)
    ending = book.ledger.ended_by(held)
    assert ending is not None
    assert is_husk(ending)


@pytest.mark.parametrize(("named", "denied"), [("x", ["x"]), ("y", ["y"]), ("retracted", ["x", "y"]), ("z", [])])
def test_an_erased_retraction_denies_the_value_that_it_names_where_there_are_many(
    named: str, denied: list[str]
) -> None:
    said = [fact(number, text, origin="stigmem:node:b", source="agent:b") for number, text in ((1, "x"), (2, "y"))]
    for order in ((0, 1, 2, 3), (3, 2, 1, 0), (2, 3, 0, 1)):
        book = Book("many")
        for number in order:
            if number == 3:
                book.bury("agent:a")
            else:
                book.add([*said, fact(3, named, source="agent:a", confidence=0.0, at=9)][number])
        assert derived(book.ledger)[1] == [(each.origin, each.id) for each in said if each.text in denied]


def test_what_does_not_fit_its_relation_is_no_word_beside_what_was_erased_either() -> None:
    erasures = Erasures()
    ledger = Ledger(erasures=erasures, fits=lambda word: word.text != "misfit")
    ledger.advance(NOW_US)
    misfit, fitting = fact(1, "misfit", source="agent:b"), fact(2, "x", source="agent:c", at=1)
    for each in (misfit, fitting, fact(3, "y", source="agent:a", at=2)):
        append(ledger, each)
    row = tombstone("agent:a")
    erasures.apply_tombstone(row)
    ledger.erase(row.tombstone)
    assert derived(ledger) == ([(fitting.origin, fitting.id)], [], [], None)


def test_a_retraction_that_is_erased_still_denies_and_an_assertion_contradicts_nobody_any_more() -> None:
    denied, contradicted = Book(), Book()
    kept = fact(1, "x", origin="stigmem:node:b", source="agent:b")
    denied.add(kept, retraction(2, source="agent:a"))
    contradicted.add(kept, fact(2, "y", source="agent:a"))
    for book in (denied, contradicted):
        assert SLOT in book.ledger.contested
        book.bury("agent:a")
    assert SLOT in denied.ledger.contested
    assert SLOT not in contradicted.ledger.contested
    assert contradicted.ledger.live(contradicted.ledger.log[0])


def test_what_an_erased_author_had_resolved_stays_settled() -> None:
    book = Book()
    x, y = fact(1, "x", source="agent:x"), fact(2, "y", source="agent:y", origin="stigmem:node:b")
    book.add(x, y, resolution(3, x, y, at=5, source="user:judge"))
    assert SLOT not in book.ledger.contested
    book.bury("user:judge")
    assert "user:judge" not in book.names()
    assert SLOT not in book.ledger.contested
    assert [book.ledger.live(each) for each in book.ledger.log[:2]] == [True, False]


def test_a_tombstone_of_one_scope_leaves_the_others_alone() -> None:
    book = Book()
    slots = [("user:ada", "memory:role", scope) for scope in ("public", "team")]
    book.add(*(fact(number, "x", slot=slot) for number, slot in enumerate(slots)))
    book.bury("user:ada", scope="team")
    assert [each.quarantine for each in book.ledger.log] == [None, ERASED]


def test_a_legal_hold_suppresses_and_gives_back_all_when_it_is_revoked(histories: Histories) -> None:
    for draw, words, resolutions in histories:
        book, plain = Book(), Book()
        everything = [*words, *resolutions]
        draw.shuffle(everything)
        at = draw.randint(0, len(everything))
        plain.add(*everything)
        book.add(*everything[:at])
        book.bury("agent:a", legal_hold=True)
        book.add(*everything[at:])
        assert "agent:a" not in book.names()
        assert not book.ledger.unwritten
        book.erasures.apply_revocation(revocation())
        book.ledger.restore()
        assert book.ledger.log == plain.ledger.log
        assert derived(book.ledger) == derived(plain.ledger)
        assert sorted(book.names()) == sorted(plain.names())


def test_after_a_revocation_the_entity_may_be_written_of_and_what_was_erased_stays_erased() -> None:
    book = Book()
    book.add(fact(1, "x"))
    book.bury(SLOT[0])
    book.erasures.apply_revocation(revocation())
    assert book.ledger.restore() == []
    book.add(fact(2, "y"))
    assert [each.quarantine for each in book.ledger.log] == [ERASED, None]
    assert book.ledger.live(book.ledger.log[1])


def test_names_are_compared_as_they_are_normalised() -> None:
    book = Book()
    book.add(fact(1, "x", slot=("user:ada", "r", "public")))
    book.bury("User:Ada")
    assert book.ledger.log[0].quarantine == ERASED


def test_a_tombstone_that_was_revoked_before_it_came_covers_nothing_and_is_new_only_once() -> None:
    erasures = Erasures()
    assert erasures.apply_revocation(revocation()) is None
    assert not erasures.apply_tombstone(tombstone("agent:a"))
    assert erasures.covering(fact(1, source="agent:a")) is None
    assert erasures.apply_tombstone(tombstone("agent:a", number=2))
    assert not erasures.apply_tombstone(tombstone("agent:a", number=2))
    assert erasures.covering(fact(1, source="agent:a")) is not None
