"""The vectors of facts, made while the node does other things, and how like a question facts are.

For each index of words there is one table of vectors (`stigmem.core.recall.meaning`), filled in the order of the index
by a task that begins with the first question. A question waits for it while no more than WAITED_FOR facts are missing;
else it is answered with the vectors that are there, and the facts behind them are found by their words alone. Where the
vectors depend on how rare words are, the table is made anew once the index has doubled, and the old one serves until
the new one is whole.

What fails (an endpoint that does not answer) costs likeness and never an answer: the question is answered by words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from stigmem.core.recall.meaning import DIMENSIONS_MAX, VectorTable, fact_passage, passage
from stigmem.core.recall.word_index import WordIndex
from stigmem.node.api.read_indexes import ReadIndexes
from stigmem.node.ports import Clock, Meaning, MeaningFailed

if TYPE_CHECKING:  # the library behind it is imported where it is used
    from stigmem.core.recall.meaning import Likenesses

__all__ = ["Meanings"]

WAITED_FOR: Final = 2_000
"""Facts whose vectors a question waits for: some tenths of a second."""
_PER_SLICE: Final = 64


class _Vectors:
    """The table of one index, and the one that is being made."""

    def __init__(self) -> None:
        self.table: VectorTable | None = None
        self.made_at = 0
        """How many facts the index had when the table was begun."""
        self.is_growing = False


class Meanings:
    """Vectors of the facts of every index that was asked."""

    def __init__(self, *, meaning: Meaning | None, clock: Clock, on_failure: Callable[[MeaningFailed], None]) -> None:
        """`on_failure` is told when texts could not be given vectors."""
        self._meaning = meaning
        self._clock = clock
        self._on_failure = on_failure
        self._vectors: WeakKeyDictionary[WordIndex, _Vectors] = WeakKeyDictionary()

    async def likenesses(self, indexes: ReadIndexes, scope: str, query: str) -> Likenesses | None:
        """How like a question the facts of a scope are, by their numbers in its index; None where that is not known.
        The index has followed its ledger."""
        if self._meaning is None:
            return None
        index = indexes.words(scope)
        vectors = self._vectors.setdefault(index, _Vectors())
        try:
            await self._follow(vectors, index)
            table = vectors.table
            if table is None or not table.count:
                return None
            asked = (await self._meaning.vectors([passage(query, index)]))[0]
        except MeaningFailed as failure:
            self._on_failure(failure)
            return None
        if len(asked) != table.dimensions:  # another model answers now
            vectors.table, vectors.made_at = None, 0
            return None
        return await indexes.in_slices(table.likenesses(asked))

    async def _follow(self, vectors: _Vectors, index: WordIndex) -> None:
        """Have the table grow to the index: here while little is missing, else by a task."""
        missing = len(index.facts) - (vectors.table.count if vectors.table else 0)
        doubled = self._is_weighted and len(index.facts) >= 2 * vectors.made_at
        if vectors.is_growing or not (missing or doubled):
            return
        vectors.is_growing = True
        if (len(index.facts) if doubled else missing) <= WAITED_FOR:
            await self._grow(vectors, index, anew=doubled)
        else:
            self._clock.spawn("meaning", lambda: self._grow_in_background(vectors, index, anew=doubled))

    @property
    def _is_weighted(self) -> bool:
        return self._meaning is not None and self._meaning.is_weighted

    async def _grow_in_background(self, vectors: _Vectors, index: WordIndex, *, anew: bool) -> None:
        try:
            await self._grow(vectors, index, anew=anew)
        except MeaningFailed as failure:
            self._on_failure(failure)

    async def _grow(self, vectors: _Vectors, index: WordIndex, *, anew: bool) -> None:
        meaning = self._meaning
        table, begun_at = (None, len(index.facts)) if anew else (vectors.table, vectors.made_at)
        try:
            while meaning is not None and (table.count if table else 0) < len(index.facts):
                begin = table.count if table else 0
                facts = index.facts[begin : begin + _PER_SLICE]
                made = await meaning.vectors([fact_passage(fact, index) for fact in facts])
                dimensions = len(made[0])
                if not 0 < dimensions <= DIMENSIONS_MAX or any(len(vector) != dimensions for vector in made):
                    raise MeaningFailed("dimensions", f"a vector has 1 to {DIMENSIONS_MAX} dimensions, all the same")
                if table is None:
                    table = VectorTable(dimensions)
                elif dimensions != table.dimensions:
                    vectors.table, vectors.made_at = None, 0  # the next question begins with the model that answers now
                    raise MeaningFailed("dimensions", "another model answers than the one that made the vectors so far")
                table.extend(made)
                if not vectors.table:
                    vectors.table = table
                await self._clock.checkpoint()
            vectors.table, vectors.made_at = table, begun_at
        finally:
            vectors.is_growing = False
