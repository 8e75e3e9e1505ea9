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
3. The object of a set stays the same: whoever keeps a reference to it sees the new state.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from stigmem.core.conflict_set import ConflictSet
from stigmem.core.fact import Fact, Slot
from stigmem.core.resolution import Resolution

__all__ = ["Rederivation", "Rederivations"]


class Rederivation:
    """One slot that is being derived anew."""

    def __init__(
        self, held: ConflictSet, *, is_voided: Callable[[Fact], bool], applies: Callable[[Resolution], bool]
    ) -> None:
        """`is_voided`: whether a word counts for nothing. `applies`: whether a resolution takes effect here."""
        self.held = held
        self._fresh = ConflictSet(held.key)
        self._is_voided = is_voided
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
            self._fresh.expiry_passed(fact, horizon_us=horizon_us)

    def step(self, words_max: int, *, horizon_us: int) -> int:
        """Take in at most so many words; how many were. `horizon_us`: as for a conflict set."""
        fresh, taken = self._fresh, 0
        while self._waiting and taken < words_max:
            each = self._waiting.popleft()
            taken += 1
            if isinstance(each, Fact):
                if self._is_voided(each):
                    fresh.add_voided(each)
                    continue
                fresh.add(each, horizon_us=horizon_us)
                if each.valid_until is not None:
                    self._taken_in[each.origin, each.id] = None
            elif self._applies(each):
                fresh.resolve(each, horizon_us=horizon_us)
            else:
                fresh.mention(each, horizon_us=horizon_us)
        if not self._waiting:
            self.held.take_over(fresh)
        return taken

    @property
    def is_done(self) -> bool:
        """Whether the set that readers see is the new one."""
        return not self._waiting


class Rederivations:
    """The slots that wait to be derived anew, in the order in which it was asked for, and the one that is under way."""

    def __init__(self, begin: Callable[[Slot], Rederivation | None]) -> None:
        """`begin`: starts with a slot; None when there is nothing to derive."""
        self._begin = begin
        self._waiting: dict[Slot, None] = {}
        self._current: Rederivation | None = None

    def __len__(self) -> int:
        """How many slots are not derived anew yet."""
        return len(self._waiting) + (self._current is not None)

    def ask(self, slots: Iterable[Slot]) -> None:
        """Have slots derived anew."""
        self._waiting.update(dict.fromkeys(slots))

    def of(self, slot: Slot) -> Rederivation | None:
        """What is under way for a slot, and so has to hear of what arrives."""
        current = self._current
        return current if current is not None and current.held.key == slot else None

    def step(self, words_max: int, *, horizon_us: int) -> list[ConflictSet]:
        """Go on by at most so many words; the sets that are derived anew now."""
        done: list[ConflictSet] = []
        while words_max > 0:
            if self._current is None:
                if not self._waiting:
                    break
                slot = next(iter(self._waiting))
                del self._waiting[slot]
                self._current = self._begin(slot)
                words_max -= 1  # a slot without words costs a little, too
                continue
            words_max -= self._current.step(words_max, horizon_us=horizon_us)
            if self._current.is_done:
                done.append(self._current.held)
                self._current = None
        return done
