"""The conflict set of one slot, kept up to date fact by fact: who stands, who is denied, what is settled.

`stigmem.core.contradiction.evaluate` says what the answer is, by looking at everything each time. `ConflictSet` gives
the same answer at every moment for O(log n) a fact, and property tests hold the two equal. Reading and writing
resolution facts is `stigmem.core.resolution`; how a conflict is listed is `stigmem.core.conflicts`. `ConflictLog`, at
the end, remembers in which order this node met the conflicts.

Theory
------
A slot is an entity, a relation and a scope. What several writers say about it, without having heard of each other,
is a *multi-value register*: it keeps every value that no other one has replaced, and leaves the choice to people.
Dynamo called the values siblings. Three kinds of facts thin them out, and none of them deletes anything:

* A **retraction** (confidence 0) is the remove of an *observed-remove set*, with one change. There a remove names the
  adds that its author has seen. Here it names nobody, and the order of stamps tells whom it meets: everything earlier
  that has its source or its origin node, which are its *authors*. It ends these for good, whatever comes later.
* A **denial** is a retraction that had nothing of its own to take back: it comes right after nothing, or after another
  retraction, in the words of its source and of its origin. Against another organisation's facts it ends nothing. It
  *contradicts* the earlier ones that stand, so that nobody erases silently what somebody else knows.
* A **resolution** names the facts it covers and which of them wins. While it is in force (no other one supersedes it)
  the others are *settled against*. Resolutions form a small history by the ids that they supersede, as versions do
  in a version vector: two that were made apart from each other are both in force, and then both winners stand.

A fact *stands* (is live) when it is an assertion that is not expired, not ended and not settled against. The conflict
is open when two distinct values stand, or when a denial is later than some fact that stands.

Why each of these costs O(log n):

* *Ended* compares a fact with the latest retraction of each of its two authors: two look-ups. A new retraction ends
  a prefix of what stands by these authors, and each fact is ended once, so the walk over the prefix is paid for by
  the facts in it.
* *Denial* depends on the word just before a retraction, of the same author. A new word can therefore change the
  nature of one retraction an author only: the one right behind it in the order of stamps.
* *Settled* is two counters a fact: resolutions in force that name it winner, and that cover it without doing so.
  A resolution changes as many counters as it covers facts, at most RESOLUTION_COVERS_MAX.
* *Saying the same again* (`saying`) needs the facts that count and have a given content, however often it was said
  and taken back before: an index of them by content, kept once there are too many to look through.
* *Open by denial* needs the earliest fact that stands and the latest denial, which are two ends of sorted containers.
* *Open by values* needs to know whether there is a second value: a look through the facts while they are few, and
  counters a value after that.

Example
-------
Source a of node A says `city = Bonn` (stamp 1), source b of node B says `city = Rome` (2): both stand, the conflict is
open under the id that follows from the slot alone. A person at A resolves for Bonn (3): Rome is settled against, the
conflict is closed. b retracts (4): its last word before was Rome, so that this is a withdrawal; nothing else changes.
b retracts again (5): its last word before was a retraction, so that this is a denial. Bonn is denied and the
conflict is open again, under the id that follows from the slot and resolution 3. Had 4 not reached a node yet, 5 would
be a withdrawal there; when 4 comes, it lies right before 5 in b's words, and 5 becomes a denial.

Invariants
----------
1. Equal sets of facts and an equal horizon give equal states, whatever the order of arrival.
2. `live` is a subset of `facts`; both are in the order of stamps. `live is facts` until the first fact that does not
   stand: most slots never need the second container.
3. `_Overrides` exists from the first retraction or resolution on. It knows every word that was said before.
4. A retraction is in `denials` if and only if it withdraws nothing, is not expired and is not settled against.
5. For each fact id, `_wins` and `_losses` count the resolutions that have effect, that nobody supersedes, and that
   cover it: as winner, or not.
6. A resolution that waits (its winner is not held, or the conflict it names is not known) is filed under the one
   thing that it waits for first, and counts for nothing.

Known warts
-----------
* Source *or* origin: a retraction by one agent ends what another agent of the same node said earlier, and whoever
  writes under a borrowed source ends what that source said elsewhere (LIMITATIONS.md).
* A late word can turn a denial into a withdrawal and so close a conflict that people have seen. Its id returns if the
  conflict does.
* Resolutions that supersede each other in a circle, which takes two dishonest writers, are none of them in force. The
  latest of all of them then names the conflict.

Sources: G. DeCandia et al., "Dynamo: Amazon's Highly Available Key-value Store", SOSP 2007 (siblings); M. Shapiro,
N. Preguiça, C. Baquero, M. Zawirski, "A comprehensive study of Convergent and Commutative Replicated Data Types",
INRIA RR-7506, 2011 (multi-value register, observed-remove set); D. S. Parker et al., "Detection of Mutual Inconsistency
in Distributed Systems", IEEE TSE 1983 (version vectors). The rules themselves are spec/contradiction.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Reversible
from itertools import islice, takewhile
from typing import Final, TypeAlias

import msgspec

from stigmem.core import sorted_facts
from stigmem.core.contradiction import claim
from stigmem.core.fact import Fact
from stigmem.core.fact_index import FactIndex
from stigmem.core.resolution import Resolution, conflict_id
from stigmem.core.sorted_facts import SortedFacts

__all__ = ["ConflictLog", "ConflictSet", "Settlement", "authors"]

_VALUES_LOOKED_THROUGH_MAX: Final = 16
"""Standing facts up to which a look through them is cheaper than counters a value: about a microsecond."""

Content: TypeAlias = tuple[str, str, str, str, str, float]
"""Origin, source, value type, canonical text, interpretation and confidence: what a content id covers within one slot,
and whose it is."""
Author: TypeAlias = tuple[str, str]
"""("source", source) or ("origin", node id)."""


def authors(fact: Fact) -> tuple[Author, Author]:
    """Whose word a fact is: that of its source and that of its origin node. A retraction ends earlier words of both."""
    return ("source", fact.source), ("origin", fact.origin)


def _content(fact: Fact) -> Content:
    return fact.origin, fact.source, fact.kind, fact.text, fact.interpret_as, fact.confidence


class Settlement(msgspec.Struct, gc=False):
    """What became of a conflict: the latest resolution of it, and the ids of all facts that any of them covers (the
    keys of `covers`, in order of arrival)."""

    latest: Resolution
    covers: dict[str, None]


class ConflictSet:
    """The facts of one slot and their derived state. Only the ledger changes it, in the writer's batch; quarantined
    and reserved facts never come here."""

    __slots__ = ("_contents", "_identity", "_overrides", "_values", "facts", "key", "live")

    def __init__(self, key: tuple[str, str, str]) -> None:
        """`key`: entity, relation, scope."""
        self.key = key
        self.facts: SortedFacts = []
        self.live: SortedFacts = self.facts
        """The assertions that stand; the same object as `facts` until the first fact that does not (invariant 2)."""
        self._values: dict[tuple[str, str], int] | None = None
        """Standing facts for each distinct value, kept once there are too many to look through."""
        self._contents: dict[Content, SortedFacts] | None = None
        """Standing facts for each content, kept once there are too many to look through and somebody asked."""
        self._overrides: _Overrides | None = None
        self._identity = ("", "")
        """The latest resolution and the conflict id that follows from it, once asked for."""

    # --- reading ---

    @property
    def is_open(self) -> bool:
        """Whether two distinct values stand, or a standing fact is denied."""
        if self._values is not None:
            if len(self._values) > 1:
                return True
        elif self.live:
            first = self.live[0]
            if any(
                (fact.text != first.text or fact.kind != first.kind) and claim(fact) != claim(first)
                for fact in self.live
            ):
                return True
        overrides = self._overrides
        return bool(overrides and overrides.denials and self.live and self.live[0] < overrides.denials[-1])

    @property
    def conflict(self) -> str | None:
        """Id of the open conflict, or None."""
        if not self.is_open:
            return None
        last = self._overrides.last if self._overrides else ""
        if self._identity[0] != last or not self._identity[1]:
            self._identity = (last, conflict_id(self.key, last))
        return self._identity[1]

    def denials(self) -> list[Fact]:
        """Retractions that deny a standing fact of somebody else, oldest first."""
        overrides = self._overrides
        if overrides is None or not overrides.denials or not self.live:
            return []
        return list(sorted_facts.since(overrides.denials, self.live[0]))

    def members(self) -> list[Fact]:
        """The conflict set, by origin stamp; meaningful while the conflict is open."""
        return sorted([*self.live, *self.denials()])

    def settlement(self, conflict: str) -> Settlement | None:
        """What resolutions made of a conflict, or None when there is no resolution of it."""
        return self._overrides.settlements.get(conflict) if self._overrides else None

    def resolutions_in_force(self) -> list[str]:
        """Ids of the resolutions that nobody supersedes; the next resolution supersedes these."""
        overrides = self._overrides
        if overrides is None:
            return []
        return [name for name in overrides.resolutions if name not in overrides.superseded]

    def superseded(self, fact: Fact) -> bool:
        """Whether a retraction with a greater stamp ended the fact, or a resolution in force settled against it. A
        retraction is never ended."""
        overrides = self._overrides
        if overrides is None:
            return False
        return overrides.settled(fact.id) if fact.is_retraction else overrides.blocks(fact)

    def saying(self, draft: Fact) -> Iterator[Fact]:
        """Facts of the draft's source and origin with the draft's content that count, newest first: assertions that
        stand, or retractions that are neither expired nor settled against."""
        wanted = _content(draft)
        found: Reversible[Fact]
        if draft.is_retraction:
            found = self._overrides.counting.get(wanted, []) if self._overrides is not None else []
        elif self._contents is None and len(self.live) <= _VALUES_LOOKED_THROUGH_MAX:
            found = [fact for fact in self.live if _content(fact) == wanted]
        else:
            if self._contents is None:
                self._contents = {}
                for fact in self.live:
                    self._file_content(fact)
            found = self._contents.get(wanted, [])
        return iter(reversed(found))

    def stands_since(self, fact: Fact) -> Fact | None:
        """The first standing assertion with a greater stamp than a fact, or None: retracting once more would be aimed
        at it."""
        return next(sorted_facts.since(self.live, fact), None)

    def contradicted(self, fact: Fact) -> bool:
        """Whether the fact takes part in the open conflict."""
        if not self.is_open:
            return False
        if not fact.is_retraction:
            return sorted_facts.contains(self.live, fact)
        overrides = self._overrides
        if overrides is None or not self.live or not self.live[0] < fact:
            return False
        return sorted_facts.contains(overrides.denials, fact)

    # --- growing ---

    def add(self, fact: Fact, *, horizon_us: int) -> None:
        """Take in a fact of this slot that is not in it yet. `horizon_us`: the instant up to which expiry is applied,
        in microseconds since the epoch."""
        expired = _expired(fact, horizon_us)
        overrides = self._overrides
        if overrides is None:
            if self.live is self.facts and not fact.is_retraction and not expired:
                self.facts = self.live = sorted_facts.add(self.facts, fact)
                self._count_value(fact, 1)
                if self._contents is not None:
                    self._file_content(fact)
                return
            if fact.is_retraction:
                overrides = self._with_overrides()
        self._fork()
        self.facts = sorted_facts.add(self.facts, fact)
        if overrides is None:
            if not expired:
                self._activate(fact)
            return
        overrides.by_id.add(fact.id, fact)
        if fact.is_retraction:
            for ended in overrides.retract(fact, expired=expired):
                self._deactivate(ended)
        else:
            overrides.note_assertion(fact)
            if not expired:
                self._activate_unless_blocked(fact)
        self._apply(overrides.arrived(fact.id), horizon_us)

    def expire(self, fact: Fact) -> None:
        """The fact's time has passed."""
        if not fact.is_retraction:
            if sorted_facts.contains(self.live, fact):
                self._deactivate(fact)
        elif self._overrides is not None:
            self._overrides.expire(fact)

    def revive(self, fact: Fact) -> None:
        """The clock was set back to before the fact's expiry."""
        if fact.is_retraction:
            self._with_overrides().revive(fact)
        else:
            self._activate_unless_blocked(fact)

    def resolve(self, resolution: Resolution, *, horizon_us: int) -> None:
        """Take in a resolution of this slot; `horizon_us` as in `add`."""
        waiting = self._with_overrides().conflict_known(conflict_id(self.key, resolution.fact.id))
        self._apply([resolution, *waiting], horizon_us)

    def mention(self, resolution: Resolution, *, horizon_us: int) -> None:
        """A resolution is held that has no effect on this node: others may build on the conflict that follows from
        it."""
        self._apply(self._with_overrides().conflict_known(conflict_id(self.key, resolution.fact.id)), horizon_us)

    # --- keeping ---

    def _with_overrides(self) -> _Overrides:
        if self._overrides is None:
            self._overrides = _Overrides(self.facts, self.live, conflict_id(self.key))
        return self._overrides

    def _apply(self, resolutions: list[Resolution], horizon_us: int) -> None:
        if not resolutions:
            return
        overrides = self._with_overrides()
        for resolution in resolutions:
            if overrides.waits(resolution):
                continue
            for fact_id in overrides.resolve(resolution):
                for fact in overrides.by_id.get(fact_id):
                    self._reconsider(overrides, fact, expired=_expired(fact, horizon_us))

    def _fork(self) -> None:
        if self.live is self.facts:
            self.live = self.facts.copy()

    def _count_value(self, fact: Fact, step: int) -> None:
        value = claim(fact)
        if self._values is not None:
            left = self._values.get(value, 0) + step
            if left:
                self._values[value] = left
            else:
                del self._values[value]
        elif len(self.live) > _VALUES_LOOKED_THROUGH_MAX:
            self._values = {}
            for each in self.live:
                self._count_value(each, 1)

    def _file_content(self, fact: Fact) -> None:
        if self._contents is not None:
            content = _content(fact)
            self._contents[content] = sorted_facts.add(self._contents.get(content, []), fact)

    def _activate(self, fact: Fact) -> None:
        self._fork()
        self.live = sorted_facts.add(self.live, fact)
        self._count_value(fact, 1)
        self._file_content(fact)
        if self._overrides is not None:
            self._overrides.activate(fact)

    def _deactivate(self, fact: Fact) -> None:
        self._fork()
        self.live = sorted_facts.remove(self.live, fact)
        self._count_value(fact, -1)
        if self._contents is not None:
            content = _content(fact)
            self._contents[content] = sorted_facts.remove(self._contents[content], fact)
            if not self._contents[content]:
                del self._contents[content]
        if self._overrides is not None:
            self._overrides.deactivate(fact)

    def _activate_unless_blocked(self, fact: Fact) -> None:
        blocked = self._overrides is not None and self._overrides.blocks(fact)
        if not blocked and not sorted_facts.contains(self.live, fact):
            self._activate(fact)

    def _reconsider(self, overrides: _Overrides, fact: Fact, *, expired: bool) -> None:
        """The number of resolutions for or against a fact has changed."""
        if fact.is_retraction:
            overrides.review(fact)
        elif not expired and not overrides.settled(fact.id):
            self._activate_unless_blocked(fact)
        elif sorted_facts.contains(self.live, fact):
            self._deactivate(fact)


def _expired(fact: Fact, horizon_us: int) -> bool:
    return fact.valid_until is not None and (fact.expires_us or 0) <= horizon_us


class _Overrides:
    """The retractions and resolutions of one slot, and its standing facts by author: what thins the siblings out."""

    __slots__ = (
        "_all", "_expired", "_in_force", "_known_conflicts", "_latest_retraction", "_live", "_losses", "_waiting",
        "_wins", "_words", "by_id", "counting", "denials", "last", "resolutions", "settlements", "superseded",
    )  # fmt: skip

    def __init__(self, facts: Iterable[Fact], live: Iterable[Fact], first_conflict: str) -> None:
        """Begin with the assertions, oldest first, of a slot that had neither retraction nor resolution yet, those of
        them that stand, and the id of the slot's first conflict."""
        self.by_id: FactIndex[str] = FactIndex()
        """The facts of the slot; several of one id only if an origin used another's."""
        self._latest_retraction: dict[Author, Fact] = {}
        self._words: dict[Author, SortedFacts] = {}
        """All that was said: the word before a retraction tells whether it withdraws something or denies it."""
        self._expired: dict[tuple[str, str], None] = {}
        """(origin, id) of retractions whose time has passed."""
        self._live: dict[Author, SortedFacts] = {}
        self.denials: SortedFacts = []
        """Retractions with nothing of their own to take back (invariant 4)."""
        self.counting: dict[Content, SortedFacts] = {}
        """By content, retractions that are neither expired nor settled against, whether they deny or withdraw."""
        self._losses: dict[str, int] = {}
        self._wins: dict[str, int] = {}
        """Fact id -> resolutions in force (invariant 5)."""
        self.superseded: dict[str, None] = {}
        """Ids of resolutions that another one supersedes, also of those not held yet."""
        self.resolutions: dict[str, Resolution] = {}
        """Resolutions that have or had effect, by the id of their fact."""
        self.settlements: dict[str, Settlement] = {}
        """Conflict id -> what became of it."""
        self._known_conflicts: dict[str, None] = {first_conflict: None}
        """Ids of the conflicts that the slot has or had."""
        self._waiting: dict[str, list[Resolution]] = {}
        """Conflict id or fact id -> resolutions that are inert until it is known here."""
        self._in_force: SortedFacts = []
        self._all: SortedFacts = []
        """The facts of the resolutions that nobody supersedes, and of all."""
        self.last = ""
        """Id of the latest resolution in force; when they supersede each other in a circle, of the latest at all;
        empty while there is none."""
        for fact in facts:
            self.by_id.add(fact.id, fact)
            self._file(fact)
        for fact in live:
            self.activate(fact)

    # --- who stands ---

    def blocks(self, fact: Fact) -> bool:
        """Whether an assertion was ended by a retraction or settled against."""
        return self.settled(fact.id) or self.ended(fact)

    def ended(self, fact: Fact) -> bool:
        return any((last := self._latest_retraction.get(each)) is not None and fact < last for each in authors(fact))

    def settled(self, fact_id: str) -> bool:
        """Whether a resolution in force names another winner, and none names this one."""
        return self._losses.get(fact_id, 0) > 0 and self._wins.get(fact_id, 0) == 0

    def activate(self, fact: Fact) -> None:
        """The fact stands now."""
        for each in authors(fact):
            self._live[each] = sorted_facts.add(self._live.get(each, []), fact)

    def deactivate(self, fact: Fact) -> None:
        """The fact, which stood, stands no longer."""
        for each in authors(fact):
            self._live[each] = sorted_facts.remove(self._live[each], fact)

    # --- retractions ---

    def note_assertion(self, fact: Fact) -> None:
        """A new assertion: come late, it turns the next retraction of its authors from a denial into a withdrawal."""
        for following in self._file(fact):
            self.review(following)

    def retract(self, fact: Fact, *, expired: bool) -> list[Fact]:
        """A new retraction; the standing facts that it ends."""
        if expired:
            self._expired[fact.origin, fact.id] = None
        ended: dict[tuple[str, str], Fact] = {}
        for each in authors(fact):
            last = self._latest_retraction.get(each)
            if last is None or last < fact:
                self._latest_retraction[each] = fact
                for standing in takewhile(lambda other: other < fact, self._live.get(each, ())):
                    ended[standing.origin, standing.id] = standing
        for following in self._file(fact):  # come late, it may have taken back what this one seemed to
            self.review(following)
        self.review(fact)
        return list(ended.values())

    def expire(self, fact: Fact) -> None:
        """A retraction's time has passed: it denies nothing any more; what it ended stays ended."""
        self._expired[fact.origin, fact.id] = None
        self.review(fact)

    def revive(self, fact: Fact) -> None:
        """The clock was set back to before a retraction's expiry."""
        self._expired.pop((fact.origin, fact.id), None)
        self.review(fact)

    def review(self, fact: Fact) -> None:
        """Count a retraction among the denials unless it withdraws something, has expired or was settled against."""
        over = (fact.origin, fact.id) in self._expired or self.settled(fact.id)
        content = _content(fact)
        counting = self.counting.get(content, [])
        if over and sorted_facts.contains(counting, fact):
            self.counting[content] = sorted_facts.remove(counting, fact)
        elif not over and not sorted_facts.contains(counting, fact):
            self.counting[content] = sorted_facts.add(counting, fact)
        if over or self._withdraws(fact):
            if sorted_facts.contains(self.denials, fact):
                self.denials = sorted_facts.remove(self.denials, fact)
        elif not sorted_facts.contains(self.denials, fact):
            self.denials = sorted_facts.add(self.denials, fact)

    def _withdraws(self, fact: Fact) -> bool:
        """Whether the last word of a retraction's source, or of its origin node, before it was an assertion."""
        before = (next(sorted_facts.descending(self._words[each], fact), None) for each in authors(fact))
        return any(word is not None and not word.is_retraction for word in before)

    def _file(self, fact: Fact) -> list[Fact]:
        """File a word under its authors; the retractions that it comes just before."""
        following = []
        for each in authors(fact):
            words = self._words[each] = sorted_facts.add(self._words.get(each, []), fact)
            if words[-1] is not fact:
                following += [word for word in islice(sorted_facts.since(words, fact), 1, 2) if word.is_retraction]
        return following

    # --- resolutions ---

    def conflict_known(self, conflict: str) -> list[Resolution]:
        """The slot has or had this conflict; the resolutions that waited for it."""
        self._known_conflicts[conflict] = None
        return self._waiting.pop(conflict, [])

    def arrived(self, fact_id: str) -> list[Resolution]:
        """A fact is held now; the resolutions that waited for it."""
        return self._waiting.pop(fact_id, [])

    def waits(self, resolution: Resolution) -> bool:
        """Whether the resolution is inert for now; then it is kept until what it waits for is known.

        Otherwise anybody could settle against facts for a winner that nobody has ever seen, or under the name of a
        conflict where no one would look for it.
        """
        if resolution.resolves not in self._known_conflicts:
            self._waiting.setdefault(resolution.resolves, []).append(resolution)
            return True
        if not self.by_id.count(resolution.winner):
            self._waiting.setdefault(resolution.winner, []).append(resolution)
            return True
        return False

    def resolve(self, resolution: Resolution) -> list[str]:
        """Give a resolution effect; the ids of the facts whose standing it may change. None of them if it has effect
        already."""
        name = resolution.fact.id
        if name in self.resolutions:
            return []
        self.resolutions[name] = resolution
        self._all = sorted_facts.add(self._all, resolution.fact)
        settlement = self.settlements.get(resolution.resolves)
        if settlement is None:
            settlement = self.settlements[resolution.resolves] = Settlement(resolution, {})
        elif settlement.latest.fact < resolution.fact:
            settlement.latest = resolution
        settlement.covers.update(dict.fromkeys(resolution.covers))
        touched: dict[str, None] = {}
        if name not in self.superseded:
            self._in_force = sorted_facts.add(self._in_force, resolution.fact)
            self._count(resolution, 1)
            touched.update(dict.fromkeys(resolution.covers))
        for older in resolution.supersedes:
            if older not in self.superseded and older in self.resolutions:
                self._in_force = sorted_facts.remove(self._in_force, self.resolutions[older].fact)
                self._count(self.resolutions[older], -1)
                touched.update(dict.fromkeys(self.resolutions[older].covers))
            self.superseded[older] = None
        self.last = (self._in_force or self._all)[-1].id
        return list(touched)

    def _count(self, resolution: Resolution, step: int) -> None:
        for fact_id in resolution.covers:
            counts = self._wins if fact_id == resolution.winner else self._losses
            counts[fact_id] = counts.get(fact_id, 0) + step


class ConflictLog:
    """Conflict ids in the order in which this node first met them, each with its set: what a listing of conflicts
    pages through.

    Local and append-only, so that a conflict keeps its place when it is settled or when an older fact moves the moment
    of its detection: a page that is asked for afterwards can neither repeat nor lose it (spec/queries.md).
    """

    __slots__ = ("_ids", "_sets")

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._sets: dict[str, ConflictSet] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, conflict: str, conflict_set: ConflictSet) -> None:
        """Note the id of a conflict that a set has or had; nothing happens if it is known."""
        if conflict not in self._sets:
            self._sets[conflict] = conflict_set
            self._ids.append(conflict)

    def set_of(self, conflict: str) -> ConflictSet | None:
        """The set of a conflict, or None when this node never met it."""
        return self._sets.get(conflict)

    def newest_first(self, below: int) -> Iterator[tuple[int, str, ConflictSet]]:
        """Place (0 is the first), id and set, from the place before `below` down to the first."""
        for place in range(min(below, len(self._ids)) - 1, -1, -1):
            conflict = self._ids[place]
            yield place, conflict, self._sets[conflict]
