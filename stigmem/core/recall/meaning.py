"""What facts mean, as vectors of small integers: how like a question each fact of a scope is.

Theory
------
A text stands for a direction in a space of some hundred dimensions, so that texts about the same thing point the same
way though they share no word. Where the directions come from is a port's affair (`stigmem.node.ports.Meaning`); here
they are kept and compared. A static model has one direction for each word, and a text is the sum of its words. Common
words would drown the telling ones, so each word counts by how rare it is among the facts of the same scope (the weight
of BM25, `WordIndex.weight_of`), and words that nearly every sentence has count nothing. On conversations that took the
recall of the vectors alone from .42 to .58 (docs/recall.md).

A vector is a direction only, so its numbers are scaled to -127..127 and rounded. Likeness is the cosine in thousandths.

Example: "automobile for sale" and "she sold her car" share no stem; their vectors have a likeness of some hundreds.

Invariants
1. Likenesses are integers made of integers: products of vectors are below 2^24 up to 1,024 dimensions, and so exact in
   single precision whatever the order of addition; of more dimensions they are made in double precision. They are the
   same on every machine for the same vectors.
2. Nothing of one scope takes part in another's vectors: the weights are those of the index whose facts they are.
3. A table grows at its end, in the order of the index's numbers. A reader keeps what it began with.

Warts: weights move as facts come, and a fact keeps those of the moment at which its vector was made; so a table is made
anew when its scope has doubled. A word that no fact had counts as the rarest.

Sources: S. Arora, Y. Liang, T. Ma, "A simple but tough-to-beat baseline for sentence embeddings", ICLR 2017, for sums
weighted by rareness.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from stigmem.core.fact import Fact
from stigmem.core.recall.stems import stem
from stigmem.core.recall.word_index import WordIndex
from stigmem.core.recall.words import STOP_WORDS, plain_words

if TYPE_CHECKING:  # as in the word index
    import numpy as np
    from numpy.typing import NDArray

    Likenesses = NDArray[np.int64]

__all__ = ["DIMENSIONS_MAX", "LEAST", "WHOLE", "Passage", "VectorTable", "fact_passage", "passage"]

DIMENSIONS_MAX: Final = 4_096
_SINGLE_MAX: Final = 1_024
"""Dimensions up to which a product of two vectors is below 2^24."""
WHOLE: Final = 1_000
"""The likeness of two texts that point the same way."""
LEAST: Final = 300
"""A fact that is less like the question than this is not found by what it means: two texts about nothing in common
have up to that much."""
_FACTS_PER_STEP: Final = 10_000
"""About three milliseconds of 256 dimensions."""
_ROOM_MIN: Final = 64


class Passage(NamedTuple):
    """A text to be given a vector, with its words and what each counts."""

    text: str
    words: tuple[tuple[str, float], ...]


def passage(text: str, index: WordIndex) -> Passage:
    """A text as the facts of an index weigh it."""
    weights: dict[str, float] = {}
    for word in plain_words(text):
        stemmed = stem(word)
        if stemmed not in STOP_WORDS:
            weights[word] = weights.get(word, 0.0) + index.weight_of(stemmed)
    return Passage(text, tuple(weights.items()))


def fact_passage(fact: Fact, index: WordIndex) -> Passage:
    """What a fact means: its entity, relation and value."""
    return passage(f"{fact.entity} {fact.relation} {fact.text}", index)


class VectorTable:
    """The vectors of the facts of one index, in its order."""

    def __init__(self, dimensions: int) -> None:
        import numpy as np

        self.dimensions = dimensions
        self.count = 0
        self._vectors = np.zeros((_ROOM_MIN, dimensions), dtype=np.int8)
        self._lengths = np.zeros(_ROOM_MIN)

    def extend(self, vectors: Sequence[bytes]) -> None:
        """Add the vectors of the next facts, a signed byte a dimension."""
        import numpy as np

        end = self.count + len(vectors)
        if end > len(self._vectors):
            room = max(end, 2 * len(self._vectors))
            self._vectors, held = np.zeros((room, self.dimensions), dtype=np.int8), self._vectors
            self._lengths, lengths = np.zeros(room), self._lengths
            self._vectors[: self.count], self._lengths[: self.count] = held[: self.count], lengths[: self.count]
        added = np.frombuffer(b"".join(vectors), dtype=np.int8).reshape(-1, self.dimensions)
        self._vectors[self.count : end] = added
        self._lengths[self.count : end] = np.sqrt((added.astype(np.int64) ** 2).sum(axis=1))
        self.count = end

    def likenesses(self, question: bytes) -> Generator[None, None, Likenesses]:
        """How like the question each fact is, by number, from 0 to WHOLE. Yields where other work may go on."""
        import numpy as np

        vectors, lengths, count = self._vectors, self._lengths, self.count
        precision: type[np.floating] = np.float32 if self.dimensions <= _SINGLE_MAX else np.float64
        asked: NDArray[np.floating] = np.frombuffer(question, dtype=np.int8).astype(precision)
        length = float(np.sqrt((asked.astype(np.float64) ** 2).sum()))
        found = np.zeros(count, dtype=np.int64)
        if not length:
            return found
        for begin in range(0, count, _FACTS_PER_STEP):
            end = min(begin + _FACTS_PER_STEP, count)
            products = vectors[begin:end].astype(precision) @ asked
            cosines = products.astype(np.float64) / np.maximum(lengths[begin:end], 1.0) / length
            found[begin:end] = np.rint(np.maximum(cosines, 0.0) * WHOLE)
            yield
        return found
