"""One triple, kept up to date: which facts stand, and whether they contradict each other.

Equal to `stigmem.core.contradiction.evaluate` at every moment, at O(log n) a fact however hostile the
writer. What retractions and resolutions need is built when the first of them arrives: most triples never
see one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from typing import Final

from stigmem.core import runs
from stigmem.core.fact import Fact
from stigmem.core.resolution import Resolution, conflict_id
from stigmem.core.runs import Run

__all__ = ["Triple"]

_LOOK_THROUGH_MAX: Final = 16


class _Book:
    """What retractions and resolutions of one triple have said so far."""

    __slots__ = (
        "denials", "ends", "first", "live_by", "losses", "resolutions", "retractions", "superseded", "wins",
    )

    def __init__(self) -> None:
        self.ends: dict[tuple[str, str], Fact] = {}
        """Latest retraction per ("source", s) and ("origin", o)."""
        self.first: dict[tuple[str, str], Fact] = {}
        """Earliest assertion per source and per origin: tells a withdrawal from a denial."""
        self.live_by: dict[tuple[str, str], Run] = {}
        self.retractions: dict[tuple[str, str], Run] = {}
        """Retractions without an earlier assertion of their kin, so far."""
        self.denials: Run = []
        self.losses: dict[str, int] = {}
        """Fact id -> resolutions in force that cover it and name another winner."""
        self.wins: dict[str, int] = {}
        self.superseded: dict[str, None] = {}
        self.resolutions: dict[str, Resolution] = {}

    def settled(self, fact_id: str) -> bool:
        return self.losses.get(fact_id, 0) > 0 and self.wins.get(fact_id, 0) == 0

    def count(self, resolution: Resolution, step: int) -> None:
        """Put a resolution in force (step 1) or take it out (step -1)."""
        for fact_id in resolution.covers:
            tally = self.wins if fact_id == resolution.winner else self.losses
            tally[fact_id] = tally.get(fact_id, 0) + step

    def ended(self, fact: Fact) -> bool:
        return any((last := self.ends.get(kin)) is not None and fact < last for kin in _kin(fact))


def _kin(fact: Fact) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("source", fact.source), ("origin", fact.origin)


class Triple:
    """The facts of one (entity, relation, scope) and their derived state."""

    __slots__ = ("_book", "_last", "_values", "facts", "key", "live")

    def __init__(self, key: tuple[str, str, str]) -> None:
        self.key = key
        self.facts: Run = []
        self.live: Run = self.facts
        """The same object as `facts` until the first fact that does not stand: most triples never fork."""
        self._values: dict[tuple[str, str], int] | None = None
        """Standing facts per distinct value, kept once there are too many to look through."""
        self._book: _Book | None = None
        self._last = ""

    # --- reading ---

    @property
    def is_open(self) -> bool:
        """Whether two distinct values stand, or a standing fact is denied."""
        if self._values is not None:
            if len(self._values) > 1:
                return True
        elif self.live:
            first = self.live[0]
            if any(fact.text != first.text or fact.kind != first.kind for fact in self.live):
                return True
        book = self._book
        return bool(book and book.denials and self.live and self.live[0] < book.denials[-1])

    @property
    def conflict(self) -> str | None:
        """Id of the open conflict, or None."""
        return conflict_id(self.key, self._last) if self.is_open else None

    def denials(self) -> list[Fact]:
        """Retractions that deny a standing fact of somebody else."""
        book = self._book
        if book is None or not book.denials or not self.live:
            return []
        return list(book.denials[runs.position(book.denials, self.live[0]) :])

    def members(self) -> list[Fact]:
        """The conflict set, by origin stamp; meaningful while the conflict is open."""
        return sorted([*self.live, *self.denials()])

    def resolutions(self) -> list[Resolution]:
        """Every resolution of this triple, oldest first."""
        return sorted(self._book.resolutions.values(), key=lambda r: r.fact) if self._book else []

    def resolutions_in_force(self) -> list[str]:
        """Ids of the resolutions that nobody supersedes; the next resolution supersedes these."""
        book = self._book
        return [name for name in book.resolutions if name not in book.superseded] if book else []

    def superseded(self, fact: Fact) -> bool:
        """Whether a later retraction ended the fact, or a resolution in force settled against it."""
        book = self._book
        if book is None:
            return False
        return book.settled(fact.id) or (not fact.is_retraction and book.ended(fact))

    def kin_stands(self, fact: Fact) -> bool:
        """Whether an assertion with the fact's source or origin is live: retracting again would end it."""
        if self._book is None:
            return bool(self.live)
        return any(self._book.live_by.get(kin) for kin in _kin(fact))

    def contradicted(self, fact: Fact) -> bool:
        """Whether the fact takes part in the open conflict."""
        if not self.is_open:
            return False
        if not fact.is_retraction:
            return runs.contains(self.live, fact)
        book = self._book
        return bool(book and self.live and self.live[0] < fact and runs.contains(book.denials, fact))

    # --- growing ---

    def add(self, fact: Fact, *, expired: bool) -> None:
        """Take in a new fact of this triple."""
        if self.live is self.facts and not fact.is_retraction and not expired and self._book is None:
            self.facts = self.live = runs.add(self.facts, fact)
            self._tally(fact, 1)
            return
        self._fork()
        self.facts = runs.add(self.facts, fact)
        if fact.is_retraction:
            self._retract(fact, expired=expired)
        else:
            if self._book is not None:
                self._note_assertion(self._book, fact)
            if not expired:
                self._consider(fact)

    def expire(self, fact: Fact) -> None:
        """The fact's time has passed."""
        if fact.is_retraction:
            if self._book is not None and runs.contains(self._book.denials, fact):
                runs.remove(self._book.denials, fact)
        elif runs.contains(self.live, fact):
            self._leave(fact)

    def revive(self, fact: Fact) -> None:
        """The clock was set back to before the fact's expiry."""
        if fact.is_retraction:
            self._consider_denial(fact)
        else:
            self._consider(fact)

    def resolve(
        self, resolution: Resolution, find: Callable[[str], Iterable[Fact]], expired: Callable[[Fact], bool]
    ) -> None:
        """Take in a resolution; `find` gives the facts held under an id, `expired` whether one's time is up."""
        book = self._opened_book()
        name = resolution.fact.id
        if name in book.resolutions:
            return
        book.resolutions[name] = resolution
        last = book.resolutions.get(self._last)
        if last is None or last.fact < resolution.fact:
            self._last = name
        touched: dict[str, None] = {}
        if name not in book.superseded:
            book.count(resolution, 1)
            touched.update(dict.fromkeys(resolution.covers))
        for older in resolution.supersedes:
            if older not in book.superseded and older in book.resolutions:
                book.count(book.resolutions[older], -1)
                touched.update(dict.fromkeys(book.resolutions[older].covers))
            book.superseded[older] = None
        for fact in [fact for fact_id in touched for fact in find(fact_id) if fact.triple == self.key]:
            self._reconsider(book, fact, expired=expired(fact))

    # --- keeping ---

    def _fork(self) -> None:
        if self.live is self.facts:
            self.live = self.facts.copy()

    def _tally(self, fact: Fact, step: int) -> None:
        value = (fact.kind, fact.text)
        if self._values is not None:
            left = self._values.get(value, 0) + step
            if left:
                self._values[value] = left
            else:
                del self._values[value]
        elif len(self.live) > _LOOK_THROUGH_MAX:
            self._values = {}
            for each in self.live:
                self._tally(each, 1)

    def _enter(self, fact: Fact) -> None:
        self._fork()
        self.live = runs.add(self.live, fact)
        self._tally(fact, 1)
        if self._book is not None:
            for kin in _kin(fact):
                self._book.live_by[kin] = runs.add(self._book.live_by.get(kin, []), fact)

    def _leave(self, fact: Fact) -> None:
        self._fork()
        runs.remove(self.live, fact)
        self._tally(fact, -1)
        if self._book is not None:
            for kin in _kin(fact):
                runs.remove(self._book.live_by[kin], fact)

    def _consider(self, fact: Fact) -> None:
        book = self._book
        barred = book is not None and (book.ended(fact) or book.settled(fact.id))
        if not barred and not runs.contains(self.live, fact):
            self._enter(fact)

    def _consider_denial(self, fact: Fact) -> None:
        book = self._opened_book()
        withdrawal = any((first := book.first.get(kin)) is not None and first < fact for kin in _kin(fact))
        if not withdrawal and not book.settled(fact.id) and not runs.contains(book.denials, fact):
            book.denials = runs.add(book.denials, fact)

    def _note_assertion(self, book: _Book, fact: Fact) -> None:
        for kin in _kin(fact):
            first = book.first.get(kin)
            if first is None or fact < first:
                book.first[kin] = fact
                self._withdraw_later(book, kin, fact)

    def _withdraw_later(self, book: _Book, kin: tuple[str, str], fact: Fact) -> None:
        # An assertion that arrives late turns its kin's later "denials" into withdrawals; each turns once.
        pending = book.retractions.get(kin)
        while pending and fact < pending[-1]:
            retraction = pending[-1]
            del pending[-1]
            if runs.contains(book.denials, retraction):
                runs.remove(book.denials, retraction)

    def _retract(self, fact: Fact, *, expired: bool) -> None:
        book = self._opened_book()
        for kin in _kin(fact):
            last = book.ends.get(kin)
            if last is None or last < fact:
                book.ends[kin] = fact
                standing = book.live_by.get(kin)
                while standing and standing[0] < fact:
                    self._leave(standing[0])
            first = book.first.get(kin)
            if first is None or fact < first:
                book.retractions[kin] = runs.add(book.retractions.get(kin, []), fact)
        if not expired:
            self._consider_denial(fact)

    def _reconsider(self, book: _Book, fact: Fact, *, expired: bool) -> None:
        may_stand = not expired and not book.settled(fact.id)
        if fact.is_retraction:
            if may_stand:
                self._consider_denial(fact)
            elif runs.contains(book.denials, fact):
                runs.remove(book.denials, fact)
        elif may_stand:
            self._consider(fact)
        elif runs.contains(self.live, fact):
            self._leave(fact)

    def _opened_book(self) -> _Book:
        if self._book is None:
            self._book = book = _Book()
            for fact in self.facts:
                if not fact.is_retraction:
                    for kin in _kin(fact):
                        book.first.setdefault(kin, fact)
            for fact in self.live:
                for kin in _kin(fact):
                    book.live_by[kin] = runs.add(book.live_by.get(kin, []), fact)
        return self._book
