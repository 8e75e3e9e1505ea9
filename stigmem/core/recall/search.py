"""The words of a question against the facts of a scope: which facts answer it, and how well.

Theory
------
The score of a fact is a sum of parts, so that an answer can say what it is made of:

* **words**: BM25 of the fact's own words;
* **surroundings**: BM25 of the same words over the fact with its two neighbours in time on each side, as if the five
  were one text (`surroundings`: it counts as much as the fact's own words);
* **answer**: a fact that follows one which ends with a question mark gets a share (`answer`) of what that one has so
  far: who asks "Where did you go?" has said the words of the question, and who answers has not;
* **date**: a fact written on a day that the question names gets `date`, one of the month half of it;
* **subject**: of all this, a fact that is about or from somebody whom the question names gets a share (`subject`) more;
  of several names each counts for its part.

The best fact has `lexical` 1, the others their share of its score. What a request turns off with `include_neighbors`
are the parts that come from other facts.

The numbers are `Tuning` (`stigmem.core.recall.word_index`), chosen by measuring on conversations; docs/recall.md tells
how, what each part brings, and what did not help.

Invariants
1. Only sums, products and quotients of doubles, element by element, and the logarithm of the C library: the same facts
   give the same scores in whatever order they came, up to the order of addition of a word's parts, which is fixed.
2. Facts with equal scores stand in the order of their stamps, newest first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import nlargest
from typing import TYPE_CHECKING, Final, NamedTuple

from stigmem.core.fact import Fact
from stigmem.core.recall.dates import NamedDate, named_dates
from stigmem.core.recall.word_index import View
from stigmem.core.recall.words import query_words

if TYPE_CHECKING:
    from stigmem.core.recall.word_index import Floats, Numbers

__all__ = ["Parts", "Search", "best_of"]

_DENSE_SHARE: Final = 8
"""A word that more than one fact in eight has is looked up for all facts at once."""


class Parts(NamedTuple):
    """What the score of a fact is the sum of (`total`); `lexical` is its share of the best fact's."""

    words: float
    surroundings: float
    answer: float
    date: float
    subject: float
    total: float
    lexical: float


def best_of(scores: Floats | Numbers, above: float, most: int, facts: Sequence[Fact]) -> list[int]:
    """Numbers of the facts whose score is above a bound, best first and at most `most` of them; equal ones newest
    first."""
    import numpy as np

    found = np.flatnonzero(scores > above)
    if len(found) > most:
        bound = float(np.partition(scores[found], len(found) - most)[len(found) - most])
        better = found[scores[found] > bound]
        level = nlargest(most - len(better), found[scores[found] == bound].tolist(), key=facts.__getitem__)
        found = np.concatenate((better, np.array(level, dtype=np.int64)))
    of = dict(zip(found.tolist(), scores[found].tolist(), strict=True))
    return sorted(of, key=lambda number: (of[number], facts[number]), reverse=True)


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
        self._best = 1.0

    def steps(self) -> Iterator[None]:
        """Each step looks up one word; the last puts the parts together."""
        for word, times in self._words.items():
            self._look_up(word, times)
            yield
        self._put_together()
        yield

    def hits(self, most: int) -> list[int]:
        """Numbers of the best facts, best first; fewer than `most` only when no more were found."""
        return best_of(self._total, 0.0, most, self._view.facts)

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
            lexical=total / self._best,
        )

    # --- the parts ---

    def _look_up(self, word: str, times: int) -> None:
        view = self._view
        numbers, counts = view.postings(word)
        if not len(numbers):
            return
        weight = times * view.weight(len(numbers)) * (view.tuning.saturation + 1.0)
        self._own[numbers] += weight * counts / (counts + view.penalty[numbers])
        if self._neighbours:
            self._look_around(numbers, counts, times)

    def _look_around(self, numbers: Numbers, counts: Floats, times: int) -> None:
        import numpy as np

        view = self._view
        own = np.zeros(view.count + 1)
        own[numbers] = counts
        sums = own.copy()
        for each in view.neighbours:
            if len(numbers) * _DENSE_SHARE > view.count:
                sums += own[each]
            else:  # who has one of these for a neighbour is a neighbour of it; no two of them are on the same side
                places = each[numbers]
                sums[places] += counts
        sums[-1] = 0.0  # the place of those that have no neighbour
        places = np.flatnonzero(sums > 0.0)
        sums = sums[places]
        weight = times * view.weight(len(places)) * (view.tuning.saturation + 1.0)
        self._around[places] += view.tuning.surroundings * weight * sums / (sums + view.surroundings_penalty[places])

    def _put_together(self) -> None:
        import numpy as np

        view = self._view
        base = self._own + self._around
        if self._neighbours:
            asked = np.flatnonzero(view.asking & (base > 0.0))
            answers = view.following[asked]
            self._answer[answers[answers >= 0]] = view.tuning.answer * base[asked[answers >= 0]]
        for date in self._dates:
            self._date = np.maximum(self._date, self._dated(date))
        names = [about for word in self._words if len(about := view.about(word))]
        for about in names:
            self._share[about] += 1.0 / len(names)
        self._sum = base + self._answer + self._date
        self._total = self._sum * (1.0 + view.tuning.subject * self._share)
        self._best = float(self._total.max()) or 1.0

    def _dated(self, date: NamedDate) -> Floats:
        import numpy as np

        view = self._view
        if date.year is None:
            month = (view.months - 1) % 12 + 1 == date.month
        else:
            month = view.months == 12 * date.year + date.month
        day = month & (view.days == date.day) if date.day is not None else np.zeros(view.count + 1, dtype=bool)
        worth = view.tuning.date
        # The place after the last fact stands for none, and has no date.
        found = np.where(day, worth, np.where(month, worth / 2.0, 0.0))
        found[-1] = 0.0
        return found
