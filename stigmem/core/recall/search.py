"""The words of a question against the facts of a scope: which facts answer it, and how well.

Theory
------
The score of a fact is a sum of parts, so that an answer can say what it is made of:

* **words**: BM25 of the fact's own words;
* **surroundings**: BM25 of the same words over the fact with its two neighbours in time on each side, as if the five
  were one text. It counts as much as the fact's own words;
* **answer**: a fact that follows one which ends with a question mark gets ANSWER of what that one has so far: who asks
  "Where did you go?" has said the words of the question, and who answers has not;
* **date**: a fact written on a day that the question names gets DATE, one of the month half of it;
* **subject**: of all this, a fact that is about or from somebody whom the question names gets a SUBJECT more; of
  several names each counts for its part.

The best fact has `lexical` 1, the others their share of its score. What a request turns off with `include_neighbors`
are the parts that come from other facts.

The constants here and the two of BM25 are the five that were tuned, on conversations; docs/recall.md has the numbers,
those of each left-out conversation, and what did not help.

Invariants
1. Only sums, products and quotients of doubles, element by element, and the logarithm of the C library: the same facts
   give the same scores in whatever order they came, up to the order of addition of a word's parts, which is fixed.
2. Facts with equal scores stand in the order of their stamps, newest first.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nlargest
from typing import TYPE_CHECKING, Final, NamedTuple

from stigmem.core.recall.dates import NamedDate, named_dates
from stigmem.core.recall.word_index import SATURATION, View
from stigmem.core.recall.words import query_words

if TYPE_CHECKING:
    from stigmem.core.recall.word_index import Floats, Numbers

__all__ = ["Parts", "Search"]

ANSWER: Final = 0.4
DATE: Final = 8.0
SUBJECT: Final = 0.6
_DENSE_SHARE: Final = 8
"""A word that more than one fact in eight has is worked out for all facts: that costs less than sorting its places."""


class Parts(NamedTuple):
    """What the score of a fact is the sum of (`total`); `lexical` is its share of the best fact's."""

    words: float
    surroundings: float
    answer: float
    date: float
    subject: float
    total: float
    lexical: float


class Search:
    """One question to one view. `steps` does the work, a piece at a time; then `hits` and `parts` tell the outcome."""

    def __init__(self, view: View, query: str, *, neighbours: bool) -> None:
        """`neighbours`: whether facts may be found by those beside them."""
        import numpy as np

        self._view = view
        self._neighbours = neighbours
        self._words = query_words(query)
        self._dates = named_dates(query)
        zeros = np.zeros(view.count + 1)
        self._own, self._around, self._answer, self._date = zeros, zeros.copy(), zeros.copy(), zeros.copy()
        self._share = zeros.copy()
        self._sum = self._total = zeros

    def steps(self) -> Iterator[None]:
        """Each step looks up one word; the last puts the parts together."""
        for word, times in self._words.items():
            self._look_up(word, times)
            yield
        self._put_together()
        yield

    def hits(self, most: int) -> list[int]:
        """Numbers of the best facts, best first; fewer than `most` only when no more were found."""
        import numpy as np

        total, facts = self._total, self._view.facts
        found = np.flatnonzero(total > 0.0)
        if len(found) > most:
            bound = float(np.partition(total[found], len(found) - most)[len(found) - most])
            above = found[total[found] > bound]
            level = nlargest(most - len(above), found[total[found] == bound].tolist(), key=facts.__getitem__)
            found = np.concatenate((above, np.array(level, dtype=np.int64)))
        return sorted(found.tolist(), key=lambda number: (total[number], facts[number]), reverse=True)

    @property
    def found(self) -> int:
        """How many facts have a score."""
        return int((self._total > 0.0).sum())

    def parts(self, number: int) -> Parts:
        """What the score of a fact is made of."""
        total, plain = float(self._total[number]), float(self._sum[number])
        return Parts(
            words=float(self._own[number]),
            surroundings=float(self._around[number]),
            answer=float(self._answer[number]),
            date=float(self._date[number]),
            subject=total - plain,
            total=total,
            lexical=total / (float(self._total.max()) or 1.0),
        )

    # --- the parts ---

    def _look_up(self, word: str, times: int) -> None:
        view = self._view
        numbers, counts = view.postings(word)
        if not len(numbers):
            return
        weight = times * view.weight(len(numbers)) * (SATURATION + 1.0)
        self._own[numbers] += weight * counts / (counts + view.penalty[numbers])
        if self._neighbours:
            self._look_around(numbers, counts, times)

    def _look_around(self, numbers: Numbers, counts: Floats, times: int) -> None:
        import numpy as np

        view = self._view
        own = np.zeros(view.count + 1)
        own[numbers] = counts
        near = view.neighbours
        if len(numbers) * _DENSE_SHARE > view.count:
            places = np.arange(view.count)
        else:  # who has a neighbour among these is a neighbour of one of these
            places = np.unique(np.concatenate((numbers, *(each[numbers] for each in near))))
            places = places[places >= 0]
        sums = own[places]
        for each in near:
            sums = sums + own[each[places]]
        places, sums = places[sums > 0.0], sums[sums > 0.0]
        weight = times * view.weight(len(places)) * (SATURATION + 1.0)
        self._around[places] += weight * sums / (sums + view.surroundings_penalty[places])

    def _put_together(self) -> None:
        import numpy as np

        view = self._view
        base = self._own + self._around
        if self._neighbours:
            asked = np.flatnonzero(view.asking & (base > 0.0))
            answers = view.following[asked]
            self._answer[answers[answers >= 0]] = ANSWER * base[asked[answers >= 0]]
        for date in self._dates:
            self._date = np.maximum(self._date, self._dated(date))
        names = [about for word in self._words if len(about := view.about(word))]
        for about in names:
            self._share[about] += 1.0 / len(names)
        self._sum = base + self._answer + self._date
        self._total = self._sum * (1.0 + SUBJECT * self._share)

    def _dated(self, date: NamedDate) -> Floats:
        import numpy as np

        view = self._view
        if date.year is None:
            month = (view.months - 1) % 12 + 1 == date.month
        else:
            month = view.months == 12 * date.year + date.month
        day = month & (view.days == date.day) if date.day is not None else np.zeros(view.count + 1, dtype=bool)
        half = DATE / 2.0
        # The place after the last fact stands for none, and has no date.
        found = np.where(day, DATE, np.where(month, half, 0.0))
        found[-1] = 0.0
        return found
