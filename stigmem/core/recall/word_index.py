"""An inverted index of the facts of one scope, with the order in which each node stated them.

Theory
------
For every word the index keeps the facts that have it and how often (a *posting*: number of the fact, count). From the
lengths of facts and the lengths of posting lists follow the statistics of BM25; as all of them are of one scope, they
say nothing about facts that a reader of this scope may not read. A fact that was ended or has expired stays in the
statistics, since its readers may still look at it; who searches leaves it out of what is found.

What is said in one breath belongs together: a question and its answer, the paragraphs of a page. So each fact is linked
to the one before and after it in time, by origin stamp, of the same origin node, where no more than RUN_GAP_MS lie
between. From these links follow the statistics of *surroundings*: the text of a fact with two before and two after it.
Links follow from the facts alone: two nodes with the same facts have the same, whatever the order of arrival.

Example: "Where did you spend the summer?" and "In Kvaloya, with my sister" share no word, and "Kvaloya" is found for
`spend summer` by its surroundings.

Invariants
1. A fact's number is its place in the order of arrival; it never changes, so posting lists only grow at their end.
2. A `View` shows the index as it was when it was taken, and stays right while the index grows: a search may be spread
   over many turns.
3. Numbers of links are -1 where there is none. Arrays of a view have one element more than there are facts, for a fact
   without words; so an index of -1 reads it, and no step asks whether there is a neighbour.

Warts: a fact that arrives late is put into its node's order by moving what is after it (8 bytes each); a view of a
scope that grew is made anew, about two milliseconds for a hundred thousand facts. Interleaved threads of one node
become neighbours of each other: nothing in a fact says which conversation it is part of.

Sources: S. Robertson, H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009).
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from stigmem.core.fact import Fact
from stigmem.core.recall.dates import day_of
from stigmem.core.recall.words import STOP_WORDS, fact_words, subject_words

if TYPE_CHECKING:  # the library is imported where it is used, so that a node that nobody asks starts without it
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Numbers = NDArray[np.int64]

__all__ = ["TUNED", "Tuning", "View", "WordIndex"]

RUN_GAP_MS: Final = 30 * 60_000
"""A longer silence of a node ends what belongs together."""
_COUNT_BITS: Final = 8
_COUNT_MAX: Final = (1 << _COUNT_BITS) - 1


class Tuning(NamedTuple):
    """The numbers that can be chosen by measuring (docs/recall.md); everything else is of the method or the contract.

    `saturation`: BM25's k1, how soon a word that is repeated adds nothing. `length_share`: BM25's b, how much a long
    fact pays for its length; both have their usual values. The others are of `stigmem.core.recall.search`: how much the
    surroundings count, the share of a question that its answer gets, what a date is worth, and what a name adds; the
    last is of `stigmem.core.recall.ranking`: what the likeness of meanings is multiplied by.
    """

    saturation: float = 1.2
    length_share: float = 0.75
    surroundings: float = 1.0
    answer: float = 0.4
    date: float = 8.0
    subject: float = 0.6
    meaning: float = 0.8


TUNED: Final = Tuning()


class WordIndex:
    """Facts of one scope by their words. Only grows; the caller adds each fact once."""

    def __init__(self, tuning: Tuning = TUNED) -> None:
        self.tuning = tuning
        self.facts: list[Fact] = []
        self.postings: dict[str, array[int]] = {}
        self.subjects: dict[str, array[int]] = {}
        self.lengths = array("i")
        self.previous = array("i")
        self.following = array("i")
        self.months = array("i")
        self.days = array("b")
        self.asking = array("b")
        self._threads: dict[str, list[int]] = {}
        self._view: View | None = None

    def add(self, fact: Fact) -> None:
        """Take in a fact of the scope."""
        number = len(self.facts)
        self.facts.append(fact)
        counts: dict[str, int] = {}
        for word in fact_words(fact):
            counts[word] = counts.get(word, 0) + 1
        for word, count in counts.items():
            held = self.postings.get(word)
            if held is None:
                held = self.postings[word] = array("Q")
            held.append(number << _COUNT_BITS | min(count, _COUNT_MAX))
        for word in subject_words(fact):
            subjects = self.subjects.get(word)
            if subjects is None:
                subjects = self.subjects[word] = array("Q")
            subjects.append(number)
        self.lengths.append(sum(count for word, count in counts.items() if word not in STOP_WORDS))
        year, month, day = day_of(fact.timestamp_us)
        self.months.append(12 * year + month)
        self.days.append(day)
        self.asking.append(fact.text.rstrip().endswith("?"))
        self._link(number, fact)

    def _link(self, number: int, fact: Fact) -> None:
        thread = self._threads.setdefault(fact.origin, [])
        at = len(thread)
        if thread and fact < self.facts[thread[-1]]:
            at = bisect_left(thread, fact, key=self.facts.__getitem__)
        before = thread[at - 1] if at else -1
        after = thread[at] if at < len(thread) else -1
        thread.insert(at, number)
        self.previous.append(-1)
        self.following.append(-1)
        self._join(before, number)
        self._join(number, after)

    def _join(self, first: int, second: int) -> None:
        near = first >= 0 <= second and self.facts[second].wall_ms - self.facts[first].wall_ms <= RUN_GAP_MS
        if first >= 0:
            self.following[first] = second if near else -1
        if second >= 0:
            self.previous[second] = first if near else -1

    def weight_of(self, word: str) -> float:
        """BM25's weight of a word now, by its stem; that of a word of one fact when no fact has it."""
        return _weight(max(1, len(self.facts)), max(1, len(self.postings.get(word, ()))))

    def view(self) -> View:
        """The index as it is now."""
        if self._view is None or self._view.count != len(self.facts):
            self._view = View(self)
        return self._view


def _weight(count: int, found: int) -> float:
    return math.log(1.0 + (count - found + 0.5) / (found + 0.5))


class View:
    """An index at one moment. Numbers of facts are below `count`; arrays have `count` + 1 elements (invariant 3)."""

    def __init__(self, index: WordIndex) -> None:
        import numpy as np

        def closed(values: array[int], last: int) -> Numbers:
            found = np.empty(len(values) + 1, dtype=np.int64)
            found[:-1] = np.frombuffer(values, dtype=values.typecode)
            found[-1] = last
            return found

        self.tuning = index.tuning
        self.facts = index.facts
        self.count = len(index.facts)
        self._postings = index.postings
        self._subjects = index.subjects
        self.previous = closed(index.previous, -1)
        self.following = closed(index.following, -1)
        self.months = closed(index.months, 0)
        self.days = closed(index.days, 0)
        self.asking = closed(index.asking, 0).astype(bool)
        self._lengths = closed(index.lengths, 0).astype(np.float64)

    @cached_property
    def neighbours(self) -> tuple[Numbers, ...]:
        """For each fact the two before and the two after it."""
        before, after = self.previous, self.following
        return before, before[before], after, after[after]

    @cached_property
    def penalty(self) -> Floats:
        """BM25's term for the length of each fact."""
        return self._penalty(self._lengths)

    @cached_property
    def surroundings_penalty(self) -> Floats:
        """As `penalty`, for each fact with its neighbours."""
        lengths = self._lengths.copy()
        for neighbour in self.neighbours:
            lengths += self._lengths[neighbour]
        return self._penalty(lengths)

    def _penalty(self, lengths: Floats) -> Floats:
        mean = float(lengths[:-1].sum()) / max(1, self.count) or 1.0
        share = self.tuning.length_share
        return self.tuning.saturation * (1.0 - share + share * lengths / mean)

    def postings(self, word: str) -> tuple[Numbers, Floats]:
        """The facts that have a word, by number, and how often they have it."""
        import numpy as np

        packed = self._until_now(self._postings.get(word), _COUNT_BITS)
        return packed >> _COUNT_BITS, (packed & _COUNT_MAX).astype(np.float64)

    def about(self, word: str) -> Numbers:
        """The facts that are about or from who has this name."""
        return self._until_now(self._subjects.get(word), 0)

    def weight(self, found: int) -> float:
        """BM25's weight of a word that `found` facts have."""
        return _weight(self.count, found)

    def _until_now(self, held: array[int] | None, shift: int) -> Numbers:
        import numpy as np

        if held is None:
            return np.empty(0, dtype=np.int64)
        end = bisect_left(held, self.count << shift)
        # A copy: an array with a view on it cannot grow.
        return np.array(held[:end], dtype=np.int64) if end < len(held) else np.frombuffer(held, np.int64).copy()
