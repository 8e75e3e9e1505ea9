"""`python -m bench.recall` (or `make bench-recall`): how well and how fast a node recalls.

Quality is recall@5, recall@10 and nDCG@10 of the whole ranking against plain BM25 on three sets (`bench.recall_sets`),
with the 95 % interval of the difference in recall@10 from a paired bootstrap over questions. So that no number flatters
the constants that were tuned, each fold is measured with the constants that are best on the other folds, out of a small
grid around the chosen ones. Then each part of the ranking is left out once.

Speed is the time of one question against a scope of a hundred thousand facts, and what the index weighs.

Nothing is asserted: a slow machine is no failure, and a set that is not there is told and left out.
"""

from __future__ import annotations

import argparse
import math
import random
import re
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from bench.recall_sets import CONVERSATIONS, Corpus, Question, conversations, documents, expectations
from stigmem.core.fact import Fact
from stigmem.core.ledger import Ledger
from stigmem.core.recall import ranking
from stigmem.core.recall.meaning import Passage, VectorTable, fact_passage, passage
from stigmem.core.recall.ranking import Ranker, Weights
from stigmem.core.recall.word_index import TUNED, Tuning, WordIndex
from stigmem.core.recall.words import words_of
from stigmem.core.references import ReferenceIndex
from stigmem.host.meaning import missing_extra, static_vectors

__all__ = ["Scores", "interval", "main", "measure", "plain", "score"]

_STOPPED: Final = re.compile(
    r"\b(?:a|an|and|are|as|at|be|but|by|for|if|in|into|is|it|no|not|of|on|or|such|that|the|their|then|there|these|they"
    r"|this|to|was|will|with)\b",
    re.IGNORECASE,
)
"""Lucene's stop words."""
_RESAMPLES: Final = 2_000
_GRID: Final = {
    "saturation": (0.9, 1.5), "length_share": (0.5, 0.9), "surroundings": (0.6, 1.5), "answer": (0.2, 0.6),
    "date": (4.0, 12.0), "subject": (0.3, 1.0), "meaning": (0.8, 1.8),
}  # fmt: skip
"""One constant at a time takes these instead of the chosen value."""

Rank = Callable[[str], Sequence[str]]
"""Takes a question and gives ids of facts, best first."""
Vectors = Callable[[Sequence[Passage]], list[bytes]]
"""Gives vectors to texts."""

T = TypeVar("T")


class Scores(NamedTuple):
    """Of one question or the mean of several: recall@5, recall@10, nDCG@10."""

    recall5: float
    recall10: float
    ndcg10: float


def score(ranked: Sequence[str], answers: frozenset[str]) -> Scores:
    """What a ranking is worth to a question."""
    hits = [name in answers for name in ranked[:10]]
    gained = sum(1.0 / math.log2(place + 2) for place, hit in enumerate(hits) if hit)
    ideal = sum(1.0 / math.log2(place + 2) for place in range(min(10, len(answers))))
    return Scores(sum(hits[:5]) / len(answers), sum(hits) / len(answers), gained / ideal)


def mean(scores: Iterable[Scores]) -> Scores:
    return Scores(*(sum(column) / len(column) for column in zip(*scores, strict=True)))


def plain(corpus: Corpus) -> Rank:
    """Plain BM25 as Lucene has it: k1 1.2, b 0.75, 33 stop words and an English stemmer."""
    texts = [Counter(_telling(text)) for text in corpus.texts]
    lengths = [sum(each.values()) for each in texts]
    average = sum(lengths) / len(lengths)
    holding: dict[str, list[int]] = {}
    for place, words in enumerate(texts):
        for word in words:
            holding.setdefault(word, []).append(place)

    def rank(query: str) -> list[str]:
        total = [0.0] * len(texts)
        for word in _telling(query):
            places = holding.get(word, [])
            weight = math.log(1.0 + (len(texts) - len(places) + 0.5) / (len(places) + 0.5))
            for place in places:
                count = texts[place][word]
                total[place] += weight * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * lengths[place] / average))
        return [corpus.facts[place].id for place in sorted(range(len(texts)), key=lambda at: -total[at])[:10]]

    return rank


def _telling(text: str) -> Iterator[str]:
    """The stems of a text without Lucene's stop words."""
    return words_of(_STOPPED.sub(" ", text))


def node(corpus: Corpus, tuning: Tuning = TUNED, make: Vectors | None = None) -> Rank:
    """The ranking of a node; by meaning too where something makes vectors."""
    ledger, index, references = Ledger(), WordIndex(tuning), ReferenceIndex()
    for number, fact in enumerate(corpus.facts, 1):
        ledger.add(_numbered(fact, number))
        index.add(ledger.log[-1])
        references.add(ledger.log[-1])
    now_us = max(fact.timestamp_us for fact in corpus.facts)
    table = None
    if make is not None:
        vectors = make([fact_passage(fact, index) for fact in index.facts])
        table = VectorTable(len(vectors[0]))
        table.extend(vectors)

    def rank(query: str) -> list[str]:
        question = ranking.Question(
            query=query, scope="local", weights=Weights(), depth=2, min_confidence=0.1, neighbours=True, limit=100,
            now_us=now_us,
        )  # fmt: skip
        ranker = Ranker(
            ledger=ledger, view=index.view(), references=references, confidence=lambda fact: fact.confidence,
            question=question,
            likenesses=table and done(table.likenesses(make([passage(query, index)])[0])),
        )  # fmt: skip
        return [each.fact.id for each in done(ranker.rank())]

    return rank


def done(work: Generator[None, None, T]) -> T:
    """The result of work in steps."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result


def _numbered(fact: Fact, number: int) -> Fact:
    import msgspec

    return msgspec.structs.replace(fact, seq=number)


def measure(corpora: Sequence[Corpus], of: Callable[[Corpus], Rank]) -> list[tuple[Question, Scores]]:
    """The scores of every question."""
    found: list[tuple[Question, Scores]] = []
    for corpus in corpora:
        rank = of(corpus)
        found += ((question, score(rank(question.text), question.answers)) for question in corpus.questions)
    return found


def interval(pairs: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Mean of the differences second minus first, and the middle 95 % of it over resampled questions."""
    differences = [second - first for first, second in pairs]
    chance = random.Random(1)
    sums = sorted(sum(chance.choices(differences, k=len(differences))) for _ in range(_RESAMPLES))
    low, high = sums[_RESAMPLES // 40], sums[-_RESAMPLES // 40]
    return tuple(each / len(differences) for each in (sum(differences), low, high))  # type: ignore[return-value]


def left_out(corpora: Sequence[Corpus], make: Vectors | None) -> Iterator[tuple[str, Tuning, list[Scores]]]:
    """For each fold the constants that are best on the others, and its scores with them."""
    tuned = _GRID if make else {name: values for name, values in _GRID.items() if name != "meaning"}
    grid = [TUNED, *(TUNED._replace(**{name: value}) for name, values in tuned.items() for value in values)]
    of_tuning = [measure(corpora, lambda corpus, tuning=tuning: node(corpus, tuning, make)) for tuning in grid]  # type: ignore[misc]
    for fold in dict.fromkeys(question.fold for question, _ in of_tuning[0]):
        others = [sum(s.recall10 + s.ndcg10 for q, s in rows if q.fold != fold) for rows in of_tuning]
        best = max(range(len(grid)), key=others.__getitem__)
        yield fold, grid[best], [s for q, s in of_tuning[best] if q.fold == fold]


def report(name: str, corpora: Sequence[Corpus], make: Vectors | None, *, quick: bool) -> Iterator[str]:
    """The table of one set; with `make`, of a node that goes by meaning too."""
    before, after = measure(corpora, plain), measure(corpora, lambda corpus: node(corpus, TUNED, make))
    facts, questions = sum(len(corpus.facts) for corpus in corpora), len(before)
    yield f"\n## {name}{', words and meaning' if make else ''}: {questions} questions, {facts} facts\n"
    yield "| ranking | recall@5 | recall@10 | nDCG@10 |\n|---|---|---|---|"
    yield _row("plain BM25", mean(s for _, s in before))
    yield _row("the node", mean(s for _, s in after))
    difference = interval([(b.recall10, a.recall10) for (_, b), (_, a) in zip(before, after, strict=True)])
    if not quick:
        folds = list(left_out(corpora, make))
        scores = [each for _, _, rows in folds for each in rows]
        yield _row("the node, constants from the other folds", mean(scores))
        ordered = {id(q): b for q, b in before}
        firsts = [ordered[id(q)] for fold, _, _ in folds for q, _ in before if q.fold == fold]
        honest = interval([(b.recall10, a.recall10) for b, a in zip(firsts, scores, strict=True)])
        for label, tuning in _without():
            rows = measure(corpora, lambda corpus, tuning=tuning: node(corpus, tuning, make))  # type: ignore[misc]
            yield _row(f"without {label}", mean(s for _, s in rows))
        yield "\nrecall@10 above plain BM25, each fold with the constants of the others: " + _told(honest)
        if len(folds) <= 10:
            yield "By left-out fold: " + ", ".join(
                f"{fold} {mean(rows).recall10:.3f} ({mean(b for q, b in before if q.fold == fold).recall10:.3f})"
                for fold, _, rows in folds
            )
    yield "recall@10 above plain BM25: " + _told(difference)


def _without() -> Iterator[tuple[str, Tuning]]:
    for name in ("surroundings", "answer", "date", "subject", "meaning"):
        yield name, TUNED._replace(**{name: 0.0})


def _row(name: str, scores: Scores) -> str:
    return f"| {name} | {scores.recall5:.3f} | {scores.recall10:.3f} | {scores.ndcg10:.3f} |"


def _told(found: tuple[float, float, float]) -> str:
    return f"{found[0]:+.3f} (95 % {found[1]:+.3f} to {found[2]:+.3f})"


def speed(facts: int, make: Vectors | None) -> Iterator[str]:
    """How long a question takes in a scope of so many facts, and what the index weighs."""
    chance = random.Random(7)
    vocabulary = [f"{a}{b}{c}" for a in "bdfglmnprst" for b in ("an", "or", "ed", "il", "um") for c in "aeioukrst"]
    weights = [1.0 / (rank + 1) for rank in range(len(vocabulary))]
    index, weighed_index, ledger = WordIndex(), WordIndex(), Ledger()
    for number in range(1, facts + 1):
        ledger.add(_fact_of(number, " ".join(chance.choices(vocabulary, weights, k=12))))
    tracemalloc.start()
    for fact in ledger.log[: facts // 10]:
        weighed_index.add(fact)
    weighed = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    begin = time.perf_counter()
    for fact in ledger.log:
        index.add(fact)
    built = time.perf_counter() - begin
    times = []
    view = index.view()
    for _ in range(300):
        question = ranking.Question(
            query=" ".join(chance.sample(vocabulary, 3)), scope="local", weights=Weights(), depth=2,
            min_confidence=0.1, neighbours=True, limit=100, now_us=ledger.log[-1].timestamp_us,
        )  # fmt: skip
        begin = time.process_time()
        for _ in Ranker(ledger=ledger, view=view, references=ReferenceIndex(), confidence=lambda _: 1.0,
                        question=question).rank():  # fmt: skip
            pass
        times.append(time.process_time() - begin)
    times.sort()
    yield f"\n## Speed: three words against {facts:,} facts of twelve words\n"
    yield f"p50 {1e3 * times[len(times) // 2]:.1f} ms, p99 {1e3 * times[int(len(times) * 0.99)]:.1f} ms"
    yield f"index: {facts / built:,.0f} facts/s, about {weighed / (facts // 10):,.0f} bytes a fact"
    if make is not None:
        yield from meaning_speed(index, make, [" ".join(chance.sample(vocabulary, 3)) for _ in range(100)])


def meaning_speed(index: WordIndex, make: Vectors, questions: Sequence[str]) -> Iterator[str]:
    """What meaning adds to that."""
    part = index.facts[: len(index.facts) // 10]
    begin = time.process_time()
    vectors = make([fact_passage(fact, index) for fact in part])
    made = time.process_time() - begin
    table = VectorTable(len(vectors[0]))
    for _ in range(len(index.facts) // len(part)):
        table.extend(vectors)
    times = []
    for question in questions:
        begin = time.process_time()
        done(table.likenesses(make([passage(question, index)])[0]))
        times.append(time.process_time() - begin)
    times.sort()
    yield f"meaning adds p50 {1e3 * times[len(times) // 2]:.1f} ms, p99 {1e3 * times[int(len(times) * 0.99)]:.1f} ms"
    yield f"vectors: {len(part) / made:,.0f} facts/s, {table.dimensions} bytes a fact, up to twice that while it grows"


def _fact_of(number: int, text: str) -> Fact:
    from stigmem.core.hlc import stamp

    ms = 1_700_000_000_000 + number * 60_000
    return Fact(
        stamp=stamp(ms, 0), origin="stigmem:node:bench", id=str(number), entity=f"device:{number % 1_000}",
        relation=f"note:{number}", scope="local", source="agent:bench", kind="text", text=text, interpret_as="content",
        confidence=1.0, timestamp_us=ms * 1_000, valid_until=None, seq=number,
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.recall", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--conversations", type=Path, default=CONVERSATIONS, help="a file as the one of the first set")
    parser.add_argument("--quick", action="store_true", help="no left-out folds, nothing left out, ten thousand facts")
    parser.add_argument("--no-speed", action="store_true", help="quality only")
    given = parser.parse_args(arguments)
    sets = {
        "Expectations of this project's scenarios": [expectations()],
        "Documents of this project, in other words": [documents()],
    }
    if given.conversations.is_file():
        sets = {"Conversations": conversations(given.conversations)} | sets
    else:
        print(f"Conversations are left out: there is no {given.conversations.name} (see docs/recall.md).")
    ways: list[Vectors | None] = [None]
    if missing_extra() is None:
        ways.append(static_vectors())
    else:
        print("Meaning is left out: the extra [semantic] is not installed.")
    for name, corpora in sets.items():
        for make in ways:
            for line in report(name, corpora, make, quick=given.quick):
                print(line, flush=True)
    if not given.no_speed:
        for line in speed(10_000 if given.quick else 100_000, ways[-1]):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
