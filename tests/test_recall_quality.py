"""What recall is worth on the set made of this project's own scenarios, and the arithmetic of the measurement."""

from __future__ import annotations

import pytest

from bench.recall import Scores, interval, mean, measure, node, plain, score
from bench.recall_sets import documents, expectations


def test_recall_finds_more_of_what_a_scenario_expects_than_plain_bm25() -> None:
    corpus = expectations()
    before, after = (mean(scores for _, scores in measure([corpus], of)) for of in (plain, node))
    assert len(corpus.questions) > 50
    assert after.recall10 > before.recall10
    assert after.ndcg10 > before.ndcg10


def test_nearly_every_question_about_the_documents_still_has_its_paragraph() -> None:
    found = documents()
    assert len(found.questions) >= 50
    assert all(len(question.answers) <= 2 for question in found.questions)


def test_scores_are_those_of_the_books() -> None:
    ranked = ["x", "a", "y", "b"]
    assert score(ranked, frozenset("a")) == Scores(1.0, 1.0, pytest.approx(0.63093, abs=1e-5))
    assert score(ranked, frozenset("ac")).recall10 == 0.5
    assert score(["a"], frozenset("a")).ndcg10 == 1.0
    assert score([], frozenset("a")) == Scores(0.0, 0.0, 0.0)


def test_an_interval_holds_the_mean_and_is_a_point_where_nothing_varies() -> None:
    middle, low, high = interval([(0.0, 1.0), (1.0, 1.0), (0.0, 0.0), (0.5, 1.0)])
    assert low <= middle == 0.375 <= high
    assert interval([(0.0, 0.5)] * 5) == (0.5, 0.5, 0.5)
