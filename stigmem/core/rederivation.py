"""Deriving slots anew from their words, a bounded number of words at a time.

The state of a slot grows word by word (`stigmem.core.conflict_set`), which is enough as long as words only come. When
the *meaning* of words changes that are held already (their origin voids some, a relation holds many values from now
on, the operator admits other resolvers), the slot is derived anew from its words, by the one code that took them in.

How it works
------------
`Rederivation` fills a second, empty set beside the one that readers see, oldest word first, and puts it into that one's
place when it has caught up. The state in between is the old one, whole: nobody sees half a slot. What arrives meanwhile
is taken in by both. `Rederivations` is the queue of the slots that wait; a slot is in it once. One that is asked for
again while its turn has begun comes again afterwards, since the words already taken in went by the old meaning.

The cost is O(log n) a word, and the ledger's owner says how many words a step takes: a slot of a million words costs
many short steps and not one long one. Somebody who asks again and again for a slot of his own keeps that one busy, and
the others come in turn.

Invariants
----------
1. The set that readers see is the derivation of all words held, by the meaning as of the last finished turn or a
   later one.
2. When nothing waits, it is the derivation by the present meaning.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from stigmem.core.conflict_set import ConflictSet
from stigmem.core.fact import Fact, Slot
from stigmem.core.resolution import Resolution

__all__ = ["Rederivation", "Rederivations"]


class Rederivation:
    """One slot that is being derived anew."""

    def __init__(
        self,
        held: ConflictSet,
        fresh: ConflictSet,
        *,
        counts: Callable[[Fact], bool],
        applies: Callable[[Resolution], bool],
    ) -> None:
        """`fresh`: an empty set of the same slot. `counts`: whether a word counts for anything. `applies`: whether a
        resolution takes effect here."""
        self.fresh = fresh
        self._counts = counts
        self._applies = applies
        self._waiting: deque[Fact | Resolution] = deque((*held.facts, *held.resolutions()))
        self._taken_in: dict[tuple[str, str], None] = {}
        """Words with an expiry that the second set has: those alone whose time can pass before it is through."""

    def arrived(self, word: Fact | Resolution) -> None:
        """The slot that readers see has taken in one more."""
        self._waiting.append(word)

    def expiry_passed(self, fact: Fact, *, horizon_us: int) -> None:
        """As for a conflict set."""
        if (fact.origin, fact.id) in self._taken_in:
            self.fresh.expiry_passed(fact, horizon_us=horizon_us)

    def step(self, words_max: int, *, horizon_us: int) -> int:
        """Take in at most so many words; how many were. `horizon_us`: as for a conflict set."""
        fresh, taken = self.fresh, 0
        while self._waiting and taken < words_max:
            each = self._waiting.popleft()
            taken += 1
            if isinstance(each, Fact):
                if not self._counts(each):
                    fresh.add_voided(each)
                    continue
                fresh.add(each, horizon_us=horizon_us)
                if each.valid_until is not None:
                    self._taken_in[each.origin, each.id] = None
            elif self._applies(each):
                fresh.resolve(each, horizon_us=horizon_us)
            else:
                fresh.mention(each, horizon_us=horizon_us)
        return taken

    @property
    def is_done(self) -> bool:
        """Whether the second set has every word."""
        return not self._waiting


class Rederivations:
    """The slots that wait to be derived anew, in the order in which it was asked for, and the one that is under way."""

    def __init__(self, begin: Callable[[Slot], Rederivation | None]) -> None:
        """`begin`: starts with a slot; None when there is nothing to derive."""
        self._begin = begin
        self._waiting: dict[Slot, None] = {}
        self._asked: deque[Iterator[Slot | None]] = deque()
        """Slots that were asked for many at a time, still to be gathered."""
        self._current: Rederivation | None = None

    def __len__(self) -> int:
        """How much is not derived anew yet: slots, and gatherings of slots."""
        return len(self._waiting) + len(self._asked) + (self._current is not None)

    def ask(self, slot: Slot) -> None:
        """Have a slot derived anew."""
        self._waiting[slot] = None

    def ask_many(self, slots: Iterator[Slot | None]) -> None:
        """Have many slots derived anew, gathered step by step. None is a step that found no further slot."""
        self._asked.append(slots)

    def drop(self, slot: Slot) -> None:
        """A slot has been derived anew by somebody else."""
        self._waiting.pop(slot, None)
        if self.of(slot) is not None:
            self._current = None

    def of(self, slot: Slot) -> Rederivation | None:
        """What is under way for a slot, and so has to hear of what arrives."""
        current = self._current
        return current if current is not None and current.fresh.key == slot else None

    def step(self, words_max: int, *, horizon_us: int) -> list[ConflictSet]:
        """Go on by at most so many words; the sets that are complete
        now, to be put into the place of those that readers see."""
        done: list[ConflictSet] = []
        while words_max > 0:
            if self._current is None:
                if not self._waiting:
                    if not self._asked:
                        break
                    words_max -= 1
                    self._gather()
                    continue
                slot = next(iter(self._waiting))
                del self._waiting[slot]
                self._current = self._begin(slot)
                words_max -= 1  # a slot without words costs a little, too
                continue
            words_max -= self._current.step(words_max, horizon_us=horizon_us)
            if self._current.is_done:
                done.append(self._current.fresh)
                self._current = None
        return done

    def _gather(self) -> None:
        for slot in self._asked[0]:
            if slot is not None:
                self._waiting[slot] = None
            return
        self._asked.popleft()
