"""The conflict set of a slot of one value: a later word of an author ends its earlier ones, and two live values
contradict each other.

What every conflict set has and can be asked is `stigmem.core.conflict_set`; what holds is said by
`stigmem.core.contradiction`, and property tests hold the two equal.

Theory
------
What several authors say about a slot, without having heard of each other, is a *multi-value register*: it keeps every
value that no other one has replaced, and leaves the choice to people. Dynamo called the values siblings. Here a value
is replaced by its own author alone, so that the register is a map from authors to registers in which the last writer
wins; between authors nothing is lost. Retractions are the remove of an *observed-remove set* bound to the author, and
a retraction that had nothing of its own to take back contradicts instead of removing.

What keeps it cheap is one observation: **at most the last word of each author stands**. So the state of a slot is one
word an author, and a new word changes that of

* its own author: it becomes the last word, or it is ended on arrival. If it comes late it may also be the word just
  before the last one (which decides whether a retraction withdraws), or the first one with the last word's claim
  (which decides what a denial meets);
* for an operator's retraction, all authors of its origin whose last word is older. Each word is ended once;
* for a word that ends the winner of resolutions, the authors of what these cover: at most RESOLUTION_COVERS_MAX facts a
  resolution, and each resolution is spent once, which its own arrival paid for.

`_refresh` compares what an author's last word should be (live, an active denial, or neither) with what is shown of it,
and is the only place where anything begins or ends to stand. Everything else decides whom to refresh.

* *Open by values*: is there a second claim among what is live? A look through it while that is little, counters a
  claim after that.
* *Open by denial*: is the earliest first word of a live claim before the latest active denial? Two ends of sorted
  containers. An author with an active denial has nothing live (its last word is the denial), so that no author denies
  itself.
* *Spent*: did the winner's author say something with another claim after it? The greatest word with another claim than
  the last one (`edge`) answers it at once. All unspent winners of an author have one claim: were there two, the later
  would have spent the earlier. So a word spends none of them or a prefix.
* *The operator withdraws*: had any author of the origin an assertion as its last word between the operator's last two
  retractions? `answered` holds, for the latest retraction, the last word before it of each author, if it is an
  assertion. The retraction only moves forward, and each word is passed by it once.

Example
-------
Source a of node A says `city = Bonn` (stamp 1), source b of node B says `city = Rome` (2): both stand, the conflict is
open under the id that follows from the slot alone. A person at A resolves for Bonn (3): Rome is settled against, the
conflict is closed. a says Bonn again (4), as a lease is renewed: 1 is ended, 4 stands, and the resolution holds. a says
Paris (5): 4 is ended, the resolution is spent, Rome is back, and the conflict is open under the id that follows from
the slot and resolution 3. b retracts (6): its last word before was Rome, so that this is a withdrawal, and Paris is
alone. b retracts again (7): its last word before was a retraction, so that this is a denial: Paris is denied.

Invariants
----------
1. Equal sets of words and an equal horizon give equal states, whatever the order of arrival.
2. `voice.standing` is None or `voice.last`; `live` and `_denials` are exactly the standing words, sorted by stamp.
3. A word that is not its author's last one, or is older than its operator's latest retraction, never stands again.
4. `_firsts`, once there was a denial, has for each live fact the first word of its author with its claim.

Known warts
-----------
* Who loses by a resolution and repeats itself opens the next conflict: a new word was never seen by the resolver.
* A late word can turn a denial into a withdrawal and so close a conflict that people have seen. Its id returns if the
  conflict does.
* A word that never leaves its node (derived from others, an instruction) supersedes one that has travelled: at home the
  new one stands, elsewhere the old one does.

Sources: G. DeCandia et al., "Dynamo: Amazon's Highly Available Key-value Store", SOSP 2007 (siblings); M. Shapiro,
N. Preguiça, C. Baquero, M. Zawirski, "A comprehensive study of Convergent and Commutative Replicated Data Types",
INRIA RR-7506, 2011 (registers, observed-remove set). The rules themselves are spec/contradiction.md.
"""

from __future__ import annotations

from itertools import islice, takewhile
from typing import Final

from stigmem.core import sorted_facts
from stigmem.core.conflict_set import ConflictSet
from stigmem.core.contradiction import Author, Claim, author_of, claim, is_operators_retraction
from stigmem.core.fact import Fact, Slot
from stigmem.core.sorted_facts import SortedFacts

__all__ = ["OneValueSet"]

_LIVE_LOOKED_THROUGH_MAX: Final = 16
"""Live facts up to which a look through them is cheaper than counters a claim: about a microsecond."""


class _Voice:
    """The words of one author in the slot."""

    __slots__ = ("edge", "first", "firsts", "standing", "words")

    def __init__(self, word: Fact) -> None:
        self.words: SortedFacts = [word]
        self.firsts: dict[Claim, Fact] | None = None
        """The first word of each claim, kept from the second word on."""
        self.edge: Fact | None = None
        """The greatest word whose claim is not that of the last word."""
        self.first: Fact | None = None
        """The first word with the claim of the live one, as it is filed in the set; None when it is not filed."""
        self.standing: Fact | None = None
        """The last word, while it is live or an active denial; a word that was the last one for an instant during a
        change, until the change is through."""

    @property
    def last(self) -> Fact:
        word: Fact = self.words[-1]
        return word

    def first_said(self, word: Fact) -> Fact:
        """The first word with the claim of a word."""
        return word if self.firsts is None else self.firsts[claim(word)]

    def add(self, word: Fact) -> None:
        if self.firsts is None:
            self.firsts = {claim(self.last): self.last}
        said, last = claim(word), self.last
        first = self.firsts.get(said)
        if first is None or word < first:
            self.firsts[said] = word
        if last < word:
            if claim(last) != said:
                self.edge = last
        elif claim(last) != said and (self.edge is None or self.edge < word):
            self.edge = word
        self.words = sorted_facts.add(self.words, word)

    def before_last(self) -> Fact | None:
        return self.words[-2] if len(self.words) > 1 else None

    def changed_since(self, word: Fact) -> bool:
        """Whether the author said something with another claim after this word."""
        last = self.last
        return word < last and (claim(last) != claim(word) or (self.edge is not None and word < self.edge))


class _OriginWords:
    """The words of one origin node in the slot, of whatever source; kept once some operator has retracted."""

    __slots__ = ("answered", "retractions", "standing", "words")

    def __init__(self) -> None:
        self.words: SortedFacts = []
        self.retractions: SortedFacts = []
        """The operator's."""
        self.answered: SortedFacts = []
        """The last words of each source before the operator's latest retraction, those that are assertions."""
        self.standing: SortedFacts = []
        """Words that are live or active denials."""

    def withdraws(self) -> bool:
        """Whether the operator's latest retraction took an assertion back that nothing before it had ended."""
        if not self.answered:
            return False
        return len(self.retractions) < 2 or self.retractions[-2] < self.answered[-1]


class OneValueSet(ConflictSet):
    """The words of a slot of one value and their derived state."""

    __slots__ = ("_denials", "_firsts", "_origins", "_values", "_voices")

    cardinality = "one"

    def __init__(self, key: Slot) -> None:
        super().__init__(key)
        self._voices: dict[Author, _Voice] = {}
        self._denials: SortedFacts = []
        """Active denials."""
        self._firsts: SortedFacts | None = None
        """Of each live fact the first word of its author with its claim; kept from the first denial on."""
        self._values: dict[Claim, int] | None = None
        """Live facts of each claim, kept once there are too many to look through."""
        self._origins: dict[str, _OriginWords] | None = None

    # --- reading ---

    @property
    def is_open(self) -> bool:
        """Whether two distinct claims are live, or a live fact is denied."""
        if self._values is not None:
            if len(self._values) > 1:
                return True
        elif len(self.live) > 1:
            said = claim(self.live[0])
            if any(claim(fact) != said for fact in self.live):
                return True
        return bool(self._denials and self._firsts and self._firsts[0] < self._denials[-1])

    def denials(self) -> list[Fact]:
        """Retractions that deny a live fact of another author, oldest first."""
        if not self._denials or not self._firsts:
            return []
        return list(sorted_facts.since(self._denials, self._firsts[0]))

    def ended_by(self, fact: Fact) -> Fact | None:
        """The first word that ended a word of this slot, or None while it is its author's last word."""
        voice = self._voices.get(author_of(fact))
        if voice is None:
            return None
        found = next((word for word in islice(sorted_facts.since(voice.words, fact), 1, 2)), None)
        if self._origins is not None:
            for word in islice(sorted_facts.since(self._origins[fact.origin].retractions, fact), 2):
                if fact < word and (found is None or word < found):
                    return word
        return found

    def before(self, fact: Fact) -> Fact | None:
        """The word of the same author just before a word, or None."""
        voice = self._voices.get(author_of(fact))
        return None if voice is None else next(sorted_facts.descending(voice.words, fact), None)

    def words_of(self, fact: Fact) -> SortedFacts:
        return self._with_voided(fact, [] if (voice := self._voices.get(author_of(fact))) is None else voice.words)

    def last_word(self, draft: Fact) -> Fact | None:
        voice = self._voices.get(author_of(draft))
        return None if voice is None else voice.last

    def stands(self, fact: Fact) -> bool:
        """Whether the word is live, or a denial that counts."""
        voice = self._voices.get(author_of(fact))
        return voice is not None and voice.standing is not None and voice.standing == fact

    def stands_since(self, fact: Fact) -> Fact | None:
        """The first live fact with a greater stamp than a fact, or None: retracting once more would be aimed at it."""
        return next(sorted_facts.since(self.live, fact), None)

    def contradicted(self, fact: Fact) -> bool:
        """Whether the fact takes part in the open conflict."""
        if not self.stands(fact) or not self.is_open:
            return False
        return not fact.is_retraction or bool(self._firsts and self._firsts[0] < fact)

    # --- growing ---

    def expiry_passed(self, fact: Fact, *, horizon_us: int) -> None:
        voice = self._voices.get(author_of(fact))
        if voice is not None and voice.last == fact:
            self._refresh(voice, horizon_us)

    # --- keeping ---

    def _take_in(self, word: Fact, horizon_us: int) -> None:
        author = author_of(word)
        voice = self._voices.get(author)
        if voice is None:
            voice = self._voices[author] = _Voice(word)
        else:
            voice.add(word)
        if self._origins is not None:
            self._file_under_origin(word, voice, horizon_us)
        elif is_operators_retraction(word):
            self._keep_origins(horizon_us)
        self._refresh(voice, horizon_us)

    def _refresh_word(self, word: Fact, horizon_us: int) -> None:
        voice = self._voices[author_of(word)]
        if voice.last is word:
            self._refresh(voice, horizon_us)

    def _refresh(self, voice: _Voice, horizon_us: int) -> None:
        """Bring what is shown of an author's last word up to date: the one place where anything begins or ends to
        stand."""
        word, shown = voice.last, voice.standing
        now = word if self._should_stand(voice, word, horizon_us) else None
        if shown is not now:
            if shown is not None:
                self._hide(voice, shown)
            if now is not None:
                self._show(voice, now)
        elif now is not None and not now.is_retraction:
            self._move_first(voice, now)

    def _should_stand(self, voice: _Voice, word: Fact, horizon_us: int) -> bool:
        if word.valid_until is not None and (word.expires_us or 0) <= horizon_us:
            return False
        if self._resolutions is not None and self._resolutions.settled(word.id):
            return False
        origin = None if self._origins is None else self._origins.get(word.origin)
        if origin is not None and origin.retractions and word < origin.retractions[-1]:
            return False
        if not word.is_retraction:
            return True
        if origin is not None and is_operators_retraction(word):
            return not origin.withdraws()
        before = voice.before_last()
        return before is None or before.is_retraction

    def _show(self, voice: _Voice, word: Fact) -> None:
        voice.standing = word
        if word.is_retraction:
            self._denials = sorted_facts.add(self._denials, word)
            if self._firsts is None:
                self._firsts = []
                for fact in self.live:
                    other = self._voices[author_of(fact)]
                    other.first = other.first_said(fact)
                    self._firsts = sorted_facts.add(self._firsts, other.first)
        else:
            self.live = sorted_facts.add(self.live, word)
            self._count_claim(word, 1)
            if self._firsts is not None:
                voice.first = voice.first_said(word)
                self._firsts = sorted_facts.add(self._firsts, voice.first)
        if self._origins is not None:
            origin = self._origins[word.origin]
            origin.standing = sorted_facts.add(origin.standing, word)

    def _hide(self, voice: _Voice, word: Fact) -> None:
        voice.standing = None
        if word.is_retraction:
            self._denials = sorted_facts.remove(self._denials, word)
        else:
            self.live = sorted_facts.remove(self.live, word)
            self._count_claim(word, -1)
            if self._firsts is not None and voice.first is not None:
                self._firsts = sorted_facts.remove(self._firsts, voice.first)
                voice.first = None
        if self._origins is not None:
            origin = self._origins[word.origin]
            origin.standing = sorted_facts.remove(origin.standing, word)

    def _move_first(self, voice: _Voice, word: Fact) -> None:
        """A word that came late may be the first of its author with the claim of a live fact."""
        if self._firsts is None or voice.first is None:
            return
        first = voice.first_said(word)
        if first is not voice.first:
            self._firsts = sorted_facts.add(sorted_facts.remove(self._firsts, voice.first), first)
            voice.first = first

    def _count_claim(self, fact: Fact, step: int) -> None:
        said = claim(fact)
        if self._values is not None:
            left = self._values.get(said, 0) + step
            if left:
                self._values[said] = left
            else:
                del self._values[said]
        elif len(self.live) > _LIVE_LOOKED_THROUGH_MAX:
            self._values = {}
            for each in self.live:
                self._count_claim(each, 1)

    # --- the operator of an origin ---

    def _keep_origins(self, horizon_us: int) -> None:
        """The first retraction of any operator: file all words under their origins, once."""
        self._origins = {}
        for word in self._words():
            origin = self._origins.get(word.origin)
            if origin is None:
                origin = self._origins[word.origin] = _OriginWords()
            origin.words.append(word)
        for voice in self._voices.values():
            if voice.standing is not None:
                origin = self._origins[voice.standing.origin]
                origin.standing = sorted_facts.add(origin.standing, voice.standing)
        operators = next(word for word in self._words() if is_operators_retraction(word))
        self._advance_origin(self._origins[operators.origin], operators, horizon_us)

    def _file_under_origin(self, word: Fact, voice: _Voice, horizon_us: int) -> None:
        origins = self._origins
        if origins is None:
            return
        origin = origins.get(word.origin)
        if origin is None:
            origin = origins[word.origin] = _OriginWords()
        origin.words = sorted_facts.add(origin.words, word)
        latest = origin.retractions[-1] if origin.retractions else None
        if is_operators_retraction(word) and (latest is None or latest < word):
            self._advance_origin(origin, word, horizon_us)
            return
        if is_operators_retraction(word):
            origin.retractions = sorted_facts.add(origin.retractions, word)
        if latest is not None and word < latest:
            after = next(islice(sorted_facts.since(voice.words, word), 1, 2), None)
            if after is None or not after < latest:
                self._answer(origin, word)
            self._refresh(self._voices[author_of(latest)], horizon_us)

    def _advance_origin(self, origin: _OriginWords, retraction: Fact, horizon_us: int) -> None:
        """An operator's retraction is the latest of its origin: it ends all words before it. Each word is passed once
        here, and each standing word ended once."""
        words = sorted_facts.since(origin.words, origin.retractions[-1]) if origin.retractions else origin.words
        for word in takewhile(lambda each: each < retraction, words):
            self._answer(origin, word)
        origin.retractions = sorted_facts.add(origin.retractions, retraction)
        for word in list(takewhile(lambda each: each < retraction, origin.standing)):
            self._refresh(self._voices[author_of(word)], horizon_us)

    def _answer(self, origin: _OriginWords, word: Fact) -> None:
        """A word is the last of its author before the operator's latest retraction."""
        before = next(sorted_facts.descending(self._voices[author_of(word)].words, word), None)
        if before is not None and not before.is_retraction:
            origin.answered = sorted_facts.remove(origin.answered, before)
        if not word.is_retraction:
            origin.answered = sorted_facts.add(origin.answered, word)

    def _is_spent(self, winner: Fact) -> bool:
        """Whether a word that says something else has ended a word."""
        if self._voices[author_of(winner)].changed_since(winner):
            return True
        origin = None if self._origins is None else self._origins.get(winner.origin)
        ended = origin is not None and bool(origin.retractions) and winner < origin.retractions[-1]
        return ended and not winner.is_retraction
