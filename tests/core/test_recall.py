"""Recall in words: stems, dates, the index and its scores, and what fits a budget."""

from __future__ import annotations

from collections.abc import Generator
from itertools import permutations
from typing import TypeVar

import pytest

from stigmem.core.fact import Fact
from stigmem.core.hlc import Stamp
from stigmem.core.recall.dates import NamedDate, named_dates
from stigmem.core.recall.packing import Packed, pack, token_estimate
from stigmem.core.recall.search import Parts, Search
from stigmem.core.recall.stems import stem
from stigmem.core.recall.word_index import RUN_GAP_MS, View, WordIndex
from stigmem.core.recall.words import query_words, subject_words, words_of

START_MS = 1_700_000_000_000
T = TypeVar("T")


def said(
    text: str, second: float = 0.0, *, entity: str = "talk:one", source: str = "person:ada", origin: str = "n"
) -> Fact:
    """A fact with this text, so many seconds after the start."""
    ms = START_MS + int(second * 1000)
    return Fact(
        stamp=Stamp(ms << 20), origin=origin, id=f"{origin}/{second}", entity=entity, relation=f"talk:turn-{second}",
        scope="public", source=source, kind="text", text=text, interpret_as="content", confidence=1.0,
        timestamp_us=ms * 1000, valid_until=None,
    )  # fmt: skip


def index_of(*facts: Fact) -> WordIndex:
    index = WordIndex()
    for fact in facts:
        index.add(fact)
    return index


def asked(view: View, query: str, *, neighbours: bool = True) -> Search:
    search = Search(view, query, neighbours=neighbours)
    for _ in search.steps():
        pass
    return search


def best(index: WordIndex, query: str, *, neighbours: bool = True) -> list[str]:
    """Texts found, best first."""
    return [index.facts[number].text for number in asked(index.view(), query, neighbours=neighbours).hits(10)]


def outcome(work: Generator[None, None, T]) -> T:
    while True:
        try:
            next(work)
        except StopIteration as end:
            found: T = end.value
            return found


@pytest.mark.parametrize(
    "forms",
    ["paint paints painted painting", "buy bought", "child children", "hop hopping hopped", "relate relational",
     "hopeful hope", "argue arguing argued", "pony ponies", "agree agreed"],
)  # fmt: skip
def test_forms_of_a_word_have_one_stem(forms: str) -> None:
    stems = {stem(form) for form in forms.split()}
    assert len(stems) == 1


def test_words_that_only_look_alike_keep_their_stems() -> None:
    assert stem("pump7") == "pump7"
    assert len({stem(word) for word in ("sing", "sky", "thing", "feed", "caress")}) == 5


def test_a_uri_accents_and_scripts_without_spaces_are_found_by_their_parts() -> None:
    assert list(words_of("stigmem://lab.example/device/pump-7")) == ["stigmem", "lab", "exampl", "devic", "pump", "7"]
    assert list(words_of("Kvaløya, café")) == ["kvaløya", "cafe"]
    assert list(words_of("東京都")) == ["東京", "京都"]
    assert list(words_of("Ada’s don't")) == ["ada", "dont"]


def test_a_question_of_nothing_but_common_words_is_asked_with_them() -> None:
    assert query_words("who are you") == {stem("who"): 1, stem("are"): 1, stem("you"): 1}
    assert query_words("who owns the pump") == {stem("owns"): 1, "pump": 1}


def test_who_speaks_is_the_source_the_entity_or_the_name_before_a_colon() -> None:
    found = subject_words(said("Grace Hopper: I painted it", entity="talk:first-2", source="agent:recorder"))
    assert found == [stem(word) for word in ("talk", "first", "agent", "recorder", "grace", "hopper")]
    assert stem("note") not in subject_words(said("A long sentence that is no name: note it"))


def test_dates_are_read_in_the_forms_people_write() -> None:
    assert named_dates("on 7 July, 2023") == [NamedDate(2023, 7, 7)]
    assert named_dates("July 7th, 2023?") == [NamedDate(2023, 7, 7)]
    assert named_dates("since 2023-07-07") == [NamedDate(2023, 7, 7)]
    assert named_dates("in July 2023, and in May") == [NamedDate(2023, 7, None), NamedDate(None, 5, None)]
    assert named_dates("what may I do on 45 July and 2023-19-01") == []


def test_the_answer_to_a_question_is_found_by_the_words_of_the_question() -> None:
    index = index_of(
        said("The weather was grey", 0),
        said("Where did you spend the summer?", 10),
        said("In Kvaloya, with my sister", 20, source="person:eve"),
        said("Pumps need oil", 20 + RUN_GAP_MS / 1000 + 1),
    )
    assert best(index, "spend summer")[:2] == ["Where did you spend the summer?", "In Kvaloya, with my sister"]
    assert best(index, "spend summer", neighbours=False) == ["Where did you spend the summer?"]
    assert "Pumps need oil" not in best(index, "spend summer")


def test_what_somebody_said_is_preferred_when_the_question_names_them() -> None:
    index = index_of(
        said("I painted a lake", 0, source="person:ada"), said("I painted a lake", 4000, source="person:eve")
    )
    search = asked(index.view(), "what did Eve paint")
    assert index.facts[search.hits(1)[0]].source == "person:eve"


def test_a_day_that_the_question_names_is_preferred() -> None:
    day_s = 86_400.0
    index = index_of(*(said("We met for tea", number * day_s) for number in range(5)))
    (first, *_) = asked(index.view(), "tea on 16 November, 2023").hits(5)
    assert index.facts[first].timestamp.startswith("2023-11-16")


def test_the_order_of_arrival_changes_no_score() -> None:
    facts = [said(text, at) for at, text in enumerate(("Where is it?", "At home", "The pump is broken", "At home"))]
    wanted: list[tuple[str, Parts]] | None = None
    for order in permutations(facts):
        index = index_of(*order)
        search = asked(index.view(), "pump at home")
        found = [(index.facts[number].id, search.parts(number)) for number in search.hits(10)]
        wanted = wanted or found
        assert found == wanted


def test_a_view_shows_the_index_as_it_was_while_that_grows() -> None:
    index = index_of(*(said(f"pump {number}", number * 5000) for number in range(20)))
    view = index.view()
    search = Search(view, "pump 3", neighbours=True)
    steps = search.steps()
    next(steps)
    for number in range(20, 40):
        index.add(said(f"pump {number} 3", number * 5000))
    for _ in steps:
        pass
    assert max(search.hits(50)) < 20
    assert len(asked(index.view(), "pump").hits(50)) == 40


def test_parts_sum_to_the_score_and_the_best_fact_has_the_whole_of_it() -> None:
    index = index_of(said("Did Ada oil the pump?", 0), said("Yes, in November 2023", 5), said("Ada sings", 9))
    search = asked(index.view(), "Did Ada oil it in November 2023")
    found = [search.parts(number) for number in search.hits(10)]
    for parts in found:
        summed = parts.words + parts.surroundings + parts.answer + parts.date + parts.subject
        assert summed == pytest.approx(parts.total)
    assert found[0].lexical == 1.0
    assert all(0.0 < parts.lexical <= 1.0 for parts in found)


def test_a_scope_of_one_fact_and_an_empty_one_answer() -> None:
    assert best(index_of(said("pump")), "pump") == ["pump"]
    assert best(index_of(), "pump") == []


# --- packing ---


def packed(costs: list[int], scores: list[float], budget: int, *words: str) -> Packed:
    return outcome(pack(costs, scores, budget, lambda at: frozenset(words[at].split())))


def test_everything_is_taken_that_fits() -> None:
    assert packed([5, 6], [1.0, 0.5], 11, "a", "b") == Packed([0, 1], 11, truncated=False)


def test_what_does_not_fit_is_skipped_and_not_a_reason_to_stop() -> None:
    assert packed([5, 60, 6], [1.0, 0.9, 0.5], 11, "a", "b", "c") == Packed([0, 2], 11, truncated=True)
    assert packed([5], [1.0], 1, "a") == Packed([], 0, truncated=True)


def test_a_second_thing_goes_before_the_first_said_again() -> None:
    chosen = packed([5, 5, 5], [1.0, 0.99, 0.9], 10, "pump is broken", "pump is broken", "valve leaks")
    assert chosen.places == [0, 2]


def test_a_fact_takes_at_least_one_token_and_else_a_quarter_of_its_characters() -> None:
    fact = said("x" * 100)
    assert token_estimate(fact) == len(f"{fact.entity} {fact.relation} {fact.text} {fact.source}") // 4


def test_a_month_that_the_question_names_without_a_year_is_preferred_in_every_year() -> None:
    month_s = 30 * 86_400.0
    index = index_of(*(said("We met for tea", number * month_s) for number in range(25)))
    search = asked(index.view(), "tea in March")
    months = [index.facts[place].timestamp[:7] for place in search.hits(3)]
    assert sorted(months)[:2] == ["2024-03", "2025-03"]
