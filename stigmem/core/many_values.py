"""The conflict set of a slot of many values: each author says each value for itself, and only a denial contradicts.

What every conflict set has and can be asked is `stigmem.core.conflict_set`; what holds is said by
`stigmem.core.contradiction`, and property tests hold the two equal. Slots of one value are `stigmem.core.one_value`.

Theory
------
A slot of many is one register for each *(author, value)*: a **cell**. A word that names a value belongs to one cell and
ends what that cell said before. On top of that there are retractions that name no value, which **sweep**: they are
about every cell of their author. The last sweep of an author that stands denies each value that others say, except
those values about which its author has said something since: in those it is *shadowed*.

So a live fact of value v, whose author said it first at `first`, is denied when

* some author's cell of v has as its last word a retraction that withdrew nothing, later than `first`; or
* some standing sweep that is not shadowed in v is later than `first`.

The first is asked of each value by itself: its earliest `first` against its latest denial. The second would be a walk
through all pairs of sweeps and values whenever one of them changes. It is counted instead. Let M be the earliest
`first` of each value with anything live. Then

    reached  = number of pairs (sweep, value) with M of the value before the sweep
    shadowed = those of these pairs in which the sweep is shadowed in the value

and a fact is denied by some sweep exactly if `reached > shadowed`. Both are kept by ranks in sorted containers: an M
that moves changes each by a difference of two ranks, a sweep that comes or goes by one rank and its own shadows. Each
shadow was paid for by the word that cast it, and is taken away once, when the next sweep of that author comes.

Which sweep is the latest that is not shadowed in v (asked for a single fact) is found by bisection: from some place in
the sorted sweeps on, all are shadowed, and that is so where as many sweeps as shadowed ones follow.

Example
-------
a says x and y (1, 2); b, who never said anything, retracts `null` (3): a sweep, which withdraws nothing, and so denies
x and y. M is {1, 2}, reached 2, shadowed 0: open. b says x (4): x is shadowed, b's sweep still denies y: 2 > 1. b says
y (5): 2 = 2, closed. c says z (6): z came after the sweep, which does not reach it.

Invariants
----------
1. Equal sets of words and an equal horizon give equal states, whatever the order of arrival.
2. `cell.standing` is None or the last word of the cell; `live` and the denials of the values are exactly these.
3. `_sweeps` are the standing sweeps, at most one an author: its last. For each, `value.shadowed` has it exactly where
   its author said something later.
4. `_reached` and `_shadowed` are what the theory says.

A wart: a resolution that settles against a sweep, or lets it stand again, costs as many steps as the sweep has shadows.
"""

from __future__ import annotations

from itertools import islice, takewhile

from stigmem.core import sorted_facts
from stigmem.core.conflict_set import ConflictSet
from stigmem.core.contradiction import Author, Claim, author_of, is_operators_retraction, sweeps, value_of
from stigmem.core.fact import Fact, Slot
from stigmem.core.sorted_facts import SortedFacts

__all__ = ["ManyValuesSet"]


class _Cell:
    """What one author said about one value."""

    __slots__ = ("asserted", "filed", "first", "standing", "taken_back", "words")

    def __init__(self) -> None:
        self.words: SortedFacts = []
        self.first: Fact | None = None
        """The first assertion."""
        self.asserted: Fact | None = None
        self.taken_back: Fact | None = None
        """The last assertion, and the last retraction."""
        self.standing: Fact | None = None
        """The last word, while it is live or an active denial."""
        self.filed: Fact | None = None
        """The first assertion as it is filed with the value, while the last word is live."""

    @property
    def last(self) -> Fact:
        word: Fact = self.words[-1]
        return word

    def add(self, word: Fact) -> None:
        self.words = sorted_facts.add(self.words, word)
        if word.is_retraction:
            self.taken_back = word if self.taken_back is None else max(self.taken_back, word)
            return
        self.asserted = word if self.asserted is None else max(self.asserted, word)
        self.first = word if self.first is None else min(self.first, word)


class _Speaker:
    """What one author said in the slot."""

    __slots__ = ("cells", "first", "last", "shadows", "standing", "standing_sweep", "sweeps")

    def __init__(self, word: Fact) -> None:
        self.cells: dict[Claim, _Cell] = {}
        self.sweeps: SortedFacts = []
        self.first: Fact | None = None
        """The first assertion."""
        self.last = word
        """The last word."""
        self.standing: SortedFacts = []
        """What stands in the cells."""
        self.standing_sweep: Fact | None = None
        self.shadows: dict[Claim, None] = {}
        """The values about which the author said something after its last sweep; none before there is one."""


class _Value:
    """What is said about one value."""

    __slots__ = ("denials", "earliest", "firsts", "is_denied", "live", "shadowed")

    def __init__(self) -> None:
        self.live: SortedFacts = []
        self.firsts: SortedFacts = []
        """Of each live fact the first assertion of its author."""
        self.earliest: Fact | None = None
        """The earliest of these, as it is filed in the set."""
        self.denials: SortedFacts = []
        """Active denials that name the value."""
        self.is_denied = False
        """Whether one of these denies a live fact."""
        self.shadowed: SortedFacts = []
        """Standing sweeps that are shadowed here."""


class _Origin:
    """What one origin node said in the slot, of whatever source."""

    __slots__ = ("first", "first_of", "named", "standing", "standing_of", "sweeps")

    def __init__(self) -> None:
        self.first: Fact | None = None
        self.first_of: dict[Claim, Fact] = {}
        """The first assertion, of anything and of each value."""
        self.named: dict[Claim, SortedFacts] = {}
        self.sweeps: SortedFacts = []
        """The operator's retractions of a value, and of everything."""
        self.standing: SortedFacts = []
        self.standing_of: dict[Claim, SortedFacts] = {}
        """What stands, sweeps included; and what stands of each value."""


class ManyValuesSet(ConflictSet):
    """The words of a slot of many values and their derived state."""

    __slots__ = (
        "_denied", "_earliest", "_origins", "_reached", "_shadowed", "_speakers", "_sweeps", "_values",
    )  # fmt: skip

    cardinality = "many"

    def __init__(self, key: Slot) -> None:
        super().__init__(key)
        self._speakers: dict[Author, _Speaker] = {}
        self._values: dict[Claim, _Value] = {}
        self._origins: dict[str, _Origin] = {}
        self._sweeps: SortedFacts = []
        self._earliest: SortedFacts = []
        """The earliest first assertion of each value with anything live."""
        self._reached = 0
        self._shadowed = 0
        self._denied = 0
        """How many values are denied by a retraction that names them."""

    # --- reading ---

    @property
    def is_open(self) -> bool:
        return self._denied > 0 or self._reached > self._shadowed

    def denials(self) -> list[Fact]:
        named = [
            denial
            for value in self._values.values()
            if value.is_denied and value.earliest is not None
            for denial in sorted_facts.since(value.denials, value.earliest)
        ]
        return sorted([*named, *(sweep for sweep in self._sweeps if self._reaches(sweep))])

    def members(self) -> list[Fact]:
        return sorted([*(fact for fact in self.live if self.contradicted(fact)), *self.denials()])

    def ended_by(self, fact: Fact) -> Fact | None:
        speaker = self._speakers.get(author_of(fact))
        if speaker is None:
            return None
        origin = self._origins[fact.origin]
        ending = [speaker.sweeps, origin.sweeps]
        if not sweeps(fact):
            value = value_of(fact)
            cell = speaker.cells.get(value)
            ending += [[] if cell is None else cell.words, origin.named.get(value, [])]
        found = [word for words in ending if (word := _after(words, fact)) is not None]
        return min(found, default=None)

    def before(self, fact: Fact) -> Fact | None:
        speaker = self._speakers.get(author_of(fact))
        if speaker is None:
            return None
        if sweeps(fact):
            return next(sorted_facts.descending(speaker.sweeps, fact), None)
        cell = speaker.cells.get(value_of(fact))
        return None if cell is None else next(sorted_facts.descending(cell.words, fact), None)

    def words_of(self, fact: Fact) -> SortedFacts:
        speaker = self._speakers.get(author_of(fact))
        if speaker is None:
            return self._with_voided(fact, [])
        if sweeps(fact):
            cells = list(speaker.cells.values())
        else:
            cells = [cell] if (cell := speaker.cells.get(value_of(fact))) is not None else []
        return self._with_voided(fact, sorted([*speaker.sweeps, *(word for cell in cells for word in cell.words)]))

    def last_word(self, draft: Fact) -> Fact | None:
        speaker = self._speakers.get(author_of(draft))
        if speaker is None:
            return None
        if sweeps(draft):
            return speaker.last
        cell = speaker.cells.get(value_of(draft))
        return max([*speaker.sweeps[-1:], *([] if cell is None else [cell.last])], default=None)

    def stands(self, fact: Fact) -> bool:
        speaker = self._speakers.get(author_of(fact))
        if speaker is None:
            return False
        if sweeps(fact):
            return speaker.standing_sweep is not None and speaker.standing_sweep == fact
        cell = speaker.cells.get(value_of(fact))
        return cell is not None and cell.standing is not None and cell.standing == fact

    def stands_since(self, fact: Fact) -> Fact | None:
        if sweeps(fact):
            return next(sorted_facts.since(self.live, fact), None)
        value = self._values.get(value_of(fact))
        return None if value is None else next(sorted_facts.since(value.live, fact), None)

    def contradicted(self, fact: Fact) -> bool:
        if not self.stands(fact):
            return False
        if sweeps(fact):
            return self._reaches(fact)
        value = self._values[value_of(fact)]
        if fact.is_retraction:
            return value.earliest is not None and value.earliest < fact
        first = self._speakers[author_of(fact)].cells[value_of(fact)].filed
        if first is None:
            return False
        sweep = self._latest_sweep(value)
        return (bool(value.denials) and first < value.denials[-1]) or (sweep is not None and first < sweep)

    def _reaches(self, sweep: Fact) -> bool:
        """Whether a standing sweep denies some live fact."""
        speaker = self._speakers[author_of(sweep)]
        earliest = (self._values[each].earliest for each in speaker.shadows)
        return sorted_facts.rank(self._earliest, sweep) > sum(first is not None and first < sweep for first in earliest)

    def _latest_sweep(self, value: _Value) -> Fact | None:
        """The latest standing sweep that is not shadowed in a value."""
        standing, shadowed = self._sweeps, value.shadowed
        low, high = 0, len(standing)
        while low < high:  # the least place from which on all are shadowed
            middle = (low + high) // 2
            following = len(shadowed) - sorted_facts.rank(shadowed, standing[middle])
            if len(standing) - middle == following:
                high = middle
            else:
                low = middle + 1
        return standing[low - 1] if low else None

    # --- growing ---

    def expiry_passed(self, fact: Fact, *, horizon_us: int) -> None:
        self._refresh_word(fact, horizon_us)

    # --- keeping ---

    def _take_in(self, word: Fact, horizon_us: int) -> None:
        speaker = self._speakers.get(author_of(word))
        if speaker is None:
            speaker = self._speakers[author_of(word)] = _Speaker(word)
        speaker.last = max(speaker.last, word)
        origin = self._origins.get(word.origin)
        if origin is None:
            origin = self._origins[word.origin] = _Origin()
        if sweeps(word):
            self._take_in_sweep(speaker, origin, word, horizon_us)
            return
        value = value_of(word)
        self._values.setdefault(value, _Value())
        cell = speaker.cells.setdefault(value, _Cell())
        cell.add(word)
        if speaker.sweeps and speaker.sweeps[-1] < word and value not in speaker.shadows:
            speaker.shadows[value] = None
            if speaker.standing_sweep is not None:
                self._shadow(speaker.standing_sweep, value, 1)
        if not word.is_retraction:
            self._note_assertion(speaker, origin, word, horizon_us)
        elif is_operators_retraction(word):
            origin.named[value] = sorted_facts.add(origin.named.get(value, []), word)
            self._end_before(word, origin.standing_of.get(value, []), horizon_us)
        self._refresh(speaker, value, horizon_us)

    def _take_in_sweep(self, speaker: _Speaker, origin: _Origin, word: Fact, horizon_us: int) -> None:
        if not speaker.sweeps or speaker.sweeps[-1] < word:
            if speaker.standing_sweep is not None:
                self._hide_sweep(speaker, speaker.standing_sweep)
            touched = speaker.shadows if speaker.sweeps else speaker.cells
            speaker.shadows = {value: None for value in touched if word < speaker.cells[value].last}
            speaker.sweeps = sorted_facts.add(speaker.sweeps, word)
            self._end_before(word, speaker.standing, horizon_us)
        else:
            speaker.sweeps = sorted_facts.add(speaker.sweeps, word)
        if is_operators_retraction(word):
            origin.sweeps = sorted_facts.add(origin.sweeps, word)
            self._end_before(word, origin.standing, horizon_us)
        self._refresh_sweep(speaker, horizon_us)

    def _note_assertion(self, speaker: _Speaker, origin: _Origin, word: Fact, horizon_us: int) -> None:
        """An assertion that is the first of its author, or of its node, can make a withdrawal of a denial."""
        value = value_of(word)
        if speaker.first is None or word < speaker.first:
            speaker.first = word
            self._refresh_sweep(speaker, horizon_us)
        operator = self._speakers.get((word.origin, word.origin))
        if origin.first is None or word < origin.first:
            origin.first = word
            if operator is not None:
                self._refresh_sweep(operator, horizon_us)
        if value not in origin.first_of or word < origin.first_of[value]:
            origin.first_of[value] = word
            if operator is not None and value in operator.cells:
                self._refresh(operator, value, horizon_us)

    def _end_before(self, word: Fact, standing: SortedFacts, horizon_us: int) -> None:
        """A word ends everything before it of what stands; each is ended once."""
        for each in list(takewhile(lambda other: other < word, standing)):
            self._refresh_word(each, horizon_us)

    def _refresh_word(self, word: Fact, horizon_us: int) -> None:
        speaker = self._speakers.get(author_of(word))
        if speaker is None:
            return
        if sweeps(word):
            self._refresh_sweep(speaker, horizon_us)
        elif value_of(word) in speaker.cells:
            self._refresh(speaker, value_of(word), horizon_us)

    def _refresh(self, speaker: _Speaker, value: Claim, horizon_us: int) -> None:
        """Bring what is shown of a cell up to date."""
        cell = speaker.cells[value]
        word, shown = cell.last, cell.standing
        now = word if self._should_stand(speaker, value, cell, horizon_us) else None
        if shown is not now:
            if shown is not None:
                self._hide(speaker, value, cell, shown)
            if now is not None:
                self._show(speaker, value, cell, now)
        elif now is not None and cell.filed is not None and cell.filed is not cell.first:
            self._file_first(self._values[value], cell, cell.first)  # a word that came late is the first now

    def _should_stand(self, speaker: _Speaker, value: Claim, cell: _Cell, horizon_us: int) -> bool:
        word, origin = cell.last, self._origins[cell.last.origin]
        if not self._counts(word, horizon_us):
            return False
        if any(ending and word < ending[-1] for ending in (speaker.sweeps, origin.sweeps, origin.named.get(value))):
            return False
        if not word.is_retraction:
            return True
        if is_operators_retraction(word):
            first = origin.first_of.get(value)
            return first is None or word < first
        return len(cell.words) < 2 or cell.words[-2].is_retraction

    def _counts(self, word: Fact, horizon_us: int) -> bool:
        if word.valid_until is not None and (word.expires_us or 0) <= horizon_us:
            return False
        return self._resolutions is None or not self._resolutions.settled(word.id)

    def _show(self, speaker: _Speaker, value: Claim, cell: _Cell, word: Fact) -> None:
        of_value, origin = self._values[value], self._origins[word.origin]
        cell.standing = word
        speaker.standing = sorted_facts.add(speaker.standing, word)
        origin.standing = sorted_facts.add(origin.standing, word)
        origin.standing_of[value] = sorted_facts.add(origin.standing_of.get(value, []), word)
        if word.is_retraction:
            of_value.denials = sorted_facts.add(of_value.denials, word)
            self._judge(of_value)
        else:
            self.live = sorted_facts.add(self.live, word)
            of_value.live = sorted_facts.add(of_value.live, word)
            self._file_first(of_value, cell, cell.first)

    def _hide(self, speaker: _Speaker, value: Claim, cell: _Cell, word: Fact) -> None:
        of_value, origin = self._values[value], self._origins[word.origin]
        cell.standing = None
        speaker.standing = sorted_facts.remove(speaker.standing, word)
        origin.standing = sorted_facts.remove(origin.standing, word)
        origin.standing_of[value] = sorted_facts.remove(origin.standing_of[value], word)
        if word.is_retraction:
            of_value.denials = sorted_facts.remove(of_value.denials, word)
            self._judge(of_value)
        else:
            self.live = sorted_facts.remove(self.live, word)
            of_value.live = sorted_facts.remove(of_value.live, word)
            self._file_first(of_value, cell, None)

    def _file_first(self, value: _Value, cell: _Cell, first: Fact | None) -> None:
        """File the first assertion of a cell with its value, in the place of what was filed; None takes it away."""
        if cell.filed is not None:
            value.firsts = sorted_facts.remove(value.firsts, cell.filed)
        if first is not None:
            value.firsts = sorted_facts.add(value.firsts, first)
        cell.filed = first
        earliest = value.firsts[0] if value.firsts else None
        if earliest is not value.earliest:
            if value.earliest is not None:
                self._count_earliest(value, value.earliest, -1)
                self._earliest = sorted_facts.remove(self._earliest, value.earliest)
            if earliest is not None:
                self._count_earliest(value, earliest, 1)
                self._earliest = sorted_facts.add(self._earliest, earliest)
            value.earliest = earliest
        self._judge(value)

    def _count_earliest(self, value: _Value, earliest: Fact, step: int) -> None:
        self._reached += step * (len(self._sweeps) - sorted_facts.rank(self._sweeps, earliest))
        self._shadowed += step * (len(value.shadowed) - sorted_facts.rank(value.shadowed, earliest))

    def _judge(self, value: _Value) -> None:
        denied = bool(value.denials) and value.earliest is not None and value.earliest < value.denials[-1]
        self._denied += denied - value.is_denied
        value.is_denied = denied

    # --- sweeps ---

    def _refresh_sweep(self, speaker: _Speaker, horizon_us: int) -> None:
        """Bring what is shown of an author's last sweep up to date."""
        if not speaker.sweeps:
            return
        word, shown = speaker.sweeps[-1], speaker.standing_sweep
        now = word if self._sweep_should_stand(speaker, word, horizon_us) else None
        if shown is not now:
            if shown is not None:
                self._hide_sweep(speaker, shown)
            if now is not None:
                self._show_sweep(speaker, now)

    def _sweep_should_stand(self, speaker: _Speaker, word: Fact, horizon_us: int) -> bool:
        origin = self._origins[word.origin]
        if not self._counts(word, horizon_us) or (origin.sweeps and word < origin.sweeps[-1]):
            return False
        first = origin.first if is_operators_retraction(word) else speaker.first
        return first is None or word < first

    def _show_sweep(self, speaker: _Speaker, word: Fact) -> None:
        speaker.standing_sweep = word
        self._sweeps = sorted_facts.add(self._sweeps, word)
        origin = self._origins[word.origin]
        origin.standing = sorted_facts.add(origin.standing, word)
        self._reached += sorted_facts.rank(self._earliest, word)
        for value in speaker.shadows:
            self._shadow(word, value, 1)

    def _hide_sweep(self, speaker: _Speaker, word: Fact) -> None:
        speaker.standing_sweep = None
        self._sweeps = sorted_facts.remove(self._sweeps, word)
        origin = self._origins[word.origin]
        origin.standing = sorted_facts.remove(origin.standing, word)
        self._reached -= sorted_facts.rank(self._earliest, word)
        for value in speaker.shadows:
            self._shadow(word, value, -1)

    def _shadow(self, sweep: Fact, value: Claim, step: int) -> None:
        """A standing sweep is shadowed in a value from now on (1), or no longer (-1)."""
        of_value = self._values[value]
        change = sorted_facts.add if step > 0 else sorted_facts.remove
        of_value.shadowed = change(of_value.shadowed, sweep)
        if of_value.earliest is not None and of_value.earliest < sweep:
            self._shadowed += step

    # --- resolutions ---

    def _is_spent(self, winner: Fact) -> bool:
        if sweeps(winner):
            return False
        value = value_of(winner)
        speaker, origin = self._speakers[author_of(winner)], self._origins[winner.origin]
        cell = speaker.cells[value]
        if winner.is_retraction:
            return cell.asserted is not None and winner < cell.asserted
        if cell.taken_back is not None and winner < cell.taken_back:
            return True
        return any(
            ending and winner < ending[-1] for ending in (speaker.sweeps, origin.sweeps, origin.named.get(value))
        )


def _after(words: SortedFacts, fact: Fact) -> Fact | None:
    """The first of some words after a fact."""
    following = islice(sorted_facts.since(words, fact), 2)
    return next((word for word in following if (word.origin, word.id) != (fact.origin, fact.id)), None)
