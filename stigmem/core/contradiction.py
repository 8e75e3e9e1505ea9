"""What a contradiction is: the definition, as one pure function over the words of a slot.

This is the executable form of spec/contradiction.md, deliberately slow and plain. The ledger keeps the same answer up
to date in `stigmem.core.conflict_set`, and property tests hold the two equal for any order of arrival. Which facts are
words, and of which slot, is the ledger's decision; how a conflict is listed is `stigmem.core.conflicts`.

The rule in one sentence: an author does not contradict itself, and nobody else speaks for it. An *author* is a source
at its origin node, so the same agent name on two nodes is two authors, and a source that is claimed falsely is
another author. What follows:

1. A later word of an author ends its earlier ones. They stay readable. What a word ended stays ended, also when that
   word expires, is itself ended, or loses a resolution: "Rome until noon" after "Bonn" leaves nothing at noon, not
   Bonn. 2. The *operator* of a node may take back what its own node stated, by a retraction whose source is the node's
   own id. 3. Every retraction that takes nothing of its own author's back *denies* what other authors said before it.
   It ends nothing: it opens a conflict. A denial is not shaken off by saying the same again.
4. A resolution settles against what it covers until its winner's author says something else: then it is *spent*, since
   what people decided for is no longer said, and what it held down comes back. A winner that is only said again, as a
   lease is that is renewed, keeps its resolution.

A slot holds one value, or many (`cardinality`). In a slot of many an author's words about different values do not meet
each other, two values do not contradict each other, and a retraction concerns the value it names. One that names null
or the text "retracted" concerns all values: it *sweeps*.

Counter-examples that shaped it (each is a test in tests/core/test_contradiction.py)
------------------------------------------------------------------------------------
* b denies after a's x, and a says x again. Were a denial compared with the stamp of the live word, the second x would
  come after it, and any author would be rid of any denial by repeating itself. So it is compared with the *first* word
  that made the claim. That a said z between the two x does not help either.
* A resolution for a's x covers b's y, and a renews x every hour. Were a resolution spent whenever its winner is ended,
  each renewal would bring y back. So it is spent only by a word with another claim.
* a1 says x on node A, a2 says y there and takes it back, and the operator of A retracts: the last word of the node is
  a retraction, and yet the operator's took x back. Had it been taken for a denial, tidying up at home would open a
  conflict with every other organisation. So an operator's retraction withdraws when *any* author of its node had an
  assertion standing.
* b denies all values of a slot of many, and then says one of its own. Were the denial ended by that as a whole, adding
  a note would silently admit everything denied. So a denial that sweeps is ended value by value.
* The operator of A takes back one value of a slot of many. Were all words of its node ended, as in a slot of one value,
  forty notes would go with the one that is meant. So it ends the value it names, or all when it sweeps.
* An agent takes all its notes back, and does so again because the answer was lost. Judged by what stood just before it,
  the second retraction would deny everybody's notes. So in a slot of many a sweep denies only if its author (an
  operator's: its node) has never said anything there, and an operator's word on one value if its node has never said
  that value.
* b denies all values, and the operator of b's node takes back its own x. Were b's denial ended for x by that, every
  such word would have to be compared with every denial of everything. It is left as it is: neither says x.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import islice
from typing import Final, Literal, TypeAlias

import msgspec

from stigmem.core.fact import Fact, Slot, rank
from stigmem.core.lookalikes import comparable_text
from stigmem.core.resolution import Resolution, conflict_id

__all__ = [
    "Author", "Cardinality", "Claim", "SlotState", "author_of", "best_two", "claim", "detected_ms", "evaluate",
    "is_operators_retraction", "sweeps", "value_of",
]  # fmt: skip

Author: TypeAlias = tuple[str, str]
"""(source, origin node id)."""
Claim: TypeAlias = tuple[str, str]
"""(value type, canonical text), or two empty texts: "not so"."""
Cardinality = Literal["one", "many"]

_SWEEPING_TEXT: Final = "retracted"
"""What a retraction says that is meant for everything; it is also what our command line writes."""


class SlotState(msgspec.Struct, frozen=True):
    """The derived state of one slot at one instant.

    `live`: assertions that stand, by origin stamp. `denials`: retractions that deny a live fact of another author.
    `conflict`: the id of the open conflict, or None. `last`: id of the latest resolution in force (when they supersede
    each other in a circle, of the latest at all), or "". `ended_by`: (origin, id) of each word that is ended -> the
    first word that ended it: an assertion supersedes it, a retraction retracts it. `members`: every fact of the
    conflict set, by origin stamp: what is live and the denials; in a slot of many of what is live only what is denied.
    """

    live: tuple[Fact, ...]
    denials: tuple[Fact, ...]
    conflict: str | None
    last: str
    ended_by: Mapping[tuple[str, str], Fact]
    members: tuple[Fact, ...]


def author_of(word: Fact) -> Author:
    """Whose word a fact is."""
    return (word.source, word.origin)


def claim(word: Fact) -> Claim:
    """What a word claims: members of a conflict set contradict each other when their claims differ.

    A retraction claims "not so", which differs from every value, also from one that happens to be its text. What
    readers cannot tell apart is one claim (`stigmem.core.lookalikes`).
    """
    return ("", "") if word.confidence == 0.0 else value_of(word)


def value_of(word: Fact) -> Claim:
    """The value that a word names, whether it asserts or retracts it."""
    kind, text = word.kind, word.text
    # Text of ASCII alone is compared as it stands, and nearly all is: conflicts with many members ask this of each.
    return (kind, text) if text.isascii() and kind != "number" else (kind, comparable_text(kind, text))


def sweeps(word: Fact) -> bool:
    """Whether a retraction in a slot of many values is about all of them."""
    if not word.is_retraction:
        return False
    return word.kind == "null" or (word.kind in ("string", "text") and word.text == _SWEEPING_TEXT)


def is_operators_retraction(word: Fact) -> bool:
    """Whether a retraction speaks for the whole node it comes from. The API takes it from `admin` keys only."""
    return word.is_retraction and word.source == word.origin


def evaluate(
    slot: Slot,
    words: Iterable[Fact],
    resolutions: Iterable[Resolution],
    now_us: int,
    *,
    cardinality: Cardinality = "one",
    voided: Collection[tuple[str, str]] = (),
    unapplied: Iterable[Resolution] = (),
) -> SlotState:
    """The derived state of a slot, whatever the order and however often its words came.

    `words`: unreserved, unquarantined facts of the slot. `now_us`: the instant at which expiry is judged, in
    microseconds since the epoch. `voided`: (origin, id) of facts that their origin voided: they count for nothing,
    except that a voided resolution makes conflict ids known, as those of `unapplied` do.
    `unapplied`: resolutions held that this node's operator gives no effect; they only make conflict ids known.
    """
    names = {(word.origin, word.id): word for word in words}
    slot_words = _Words((word for name, word in names.items() if name not in voided), cardinality)
    heard = list(resolutions)
    applied = [each for each in heard if (each.fact.origin, each.fact.id) not in voided]
    by_id = _effective(slot, {word.id for word in slot_words.all}, applied, (*heard, *unapplied))
    superseded = {name for resolution in by_id.values() for name in resolution.supersedes}
    in_force = [resolution for name, resolution in by_id.items() if name not in superseded]
    unspent = [resolution for resolution in in_force if not slot_words.spends(resolution.winner)]
    lost = {fact_id for each in unspent for fact_id in each.covers} - {each.winner for each in in_force}

    def counts(word: Fact) -> bool:
        return (word.expires_us is None or word.expires_us > now_us) and word.id not in lost

    ended_by = {(word.origin, word.id): by for word in slot_words.all if (by := slot_words.ended_by(word)) is not None}
    live = tuple(
        word
        for word in slot_words.all
        if not word.is_retraction and counts(word) and (word.origin, word.id) not in ended_by
    )
    standing = [
        word for word in slot_words.all if word.is_retraction and counts(word) and not slot_words.withdraws(word)
    ]
    denials = tuple(denial for denial in standing if slot_words.denies(denial, live))
    last = max((resolution.fact for resolution in in_force or by_id.values()), default=None)
    last_id = last.id if last is not None else ""
    contested = cardinality == "one" and len({claim(fact) for fact in live}) > 1
    conflict = conflict_id(slot, last_id) if contested or denials else None
    disputed = live if cardinality == "one" else [each for each in live if slot_words.denied(each, denials)]
    members = tuple(sorted((*disputed, *denials)))
    return SlotState(live=live, denials=denials, conflict=conflict, last=last_id, ended_by=ended_by, members=members)


class _Words:
    """The words of a slot, oldest first, and what they do to each other."""

    def __init__(self, words: Iterable[Fact], cardinality: Cardinality) -> None:
        self.all = sorted(words)
        self._many = cardinality == "many"
        self._of_author: dict[Author, list[Fact]] = {}
        self._of_operator: dict[str, list[Fact]] = {}
        self._first: dict[tuple[Author, Claim], Fact] = {}
        for word in self.all:
            self._of_author.setdefault(author_of(word), []).append(word)
            self._first.setdefault((author_of(word), claim(word)), word)
            if is_operators_retraction(word):
                self._of_operator.setdefault(word.origin, []).append(word)

    def concerns(self, word: Fact, other: Fact) -> bool:
        """Whether a word is about what another one is about: in a slot of one value always."""
        if not self._many or sweeps(word):
            return True
        return not sweeps(other) and value_of(word) == value_of(other)

    def after(self, word: Fact) -> Iterator[Fact]:
        """Who may end a word, by doing so if it concerns it: its author later on, and the operator of its origin."""
        own, operators = self._of_author[author_of(word)], self._of_operator.get(word.origin, [])
        after = islice(own, bisect_right(own, word), None)
        theirs = islice(operators, bisect_right(operators, word), None)
        return merge(after, theirs) if operators else after

    def ended_by(self, word: Fact, before: Fact | None = None) -> Fact | None:
        """The first word that ended another one, among all or among those before a word."""
        found = next((each for each in self.after(word) if self.concerns(each, word)), None)
        return found if found is None or before is None or found < before else None

    def withdraws(self, retraction: Fact) -> bool:
        """Whether a retraction took an assertion back; one that did denies nobody."""
        by_operator = is_operators_retraction(retraction)
        own = self._of_author[author_of(retraction)]
        before = own[: bisect_left(own, retraction)]
        if by_operator:
            before = [each for each in self.all if each < retraction and each.origin == retraction.origin]
        if self._many and (by_operator or sweeps(retraction)):
            return any(not each.is_retraction and self.concerns(retraction, each) for each in before)
        if by_operator:
            taken_back = (each for each in before if not each.is_retraction)
            return any(self.ended_by(each, before=retraction) is None for each in taken_back)
        if self._many:
            before = [each for each in before if not sweeps(each) and value_of(each) == value_of(retraction)]
        return bool(before) and not before[-1].is_retraction

    def denies(self, denial: Fact, facts: Iterable[Fact]) -> bool:
        """Whether a retraction that withdraws nothing denies any of these live facts: one of another author, who made
        the claim before it, where nothing has ended the denial since, as far as it is about this claim. What the
        operator says about one value leaves a denial of everything by another author as it is."""
        ending = [
            each for each in self.after(denial) if author_of(each) == author_of(denial) or self.concerns(each, denial)
        ]
        return any(
            author_of(denial) != author_of(fact)
            and self._first[author_of(fact), claim(fact)] < denial
            and self.concerns(denial, fact)
            and not any(self.concerns(each, fact) for each in ending)
            for fact in facts
        )

    def denied(self, fact: Fact, denials: Iterable[Fact]) -> bool:
        """Whether one of these denials is about a live fact."""
        return any(self.denies(denial, (fact,)) for denial in denials)

    def spends(self, winner_id: str) -> bool:
        """Whether a word that says something else ended a winner. Where two origins use one id, either's end counts:
        nobody can tell whose the id is, and an open conflict is the lesser harm."""
        winners = [each for each in self.all if each.id == winner_id]
        return any(
            self.concerns(each, won) and claim(each) != claim(won) for won in winners for each in self.after(won)
        )


def _effective(
    slot: Slot, held: set[str], resolutions: list[Resolution], heard: Iterable[Resolution]
) -> dict[str, Resolution]:
    """Those that are not inert: their winner is held, and they name a conflict that the slot has or had."""
    if not resolutions:
        return {}
    names = {conflict_id(slot), *(conflict_id(slot, each.fact.id) for each in heard)}
    return {each.fact.id: each for each in resolutions if each.winner in held and each.resolves in names}


def best_two(members: Sequence[Fact]) -> tuple[Fact, Fact]:
    """The two facts a conflict shows on the wire: the best, and the best that contradicts it (when none does, as
    in the settlement of equal values, the second best)."""
    first = _best(members)
    said = claim(first)
    against = [fact for fact in members if claim(fact) != said]
    return first, _best(against or [fact for fact in members if fact is not first])


def _best(facts: Sequence[Fact]) -> Fact:
    # As max by rank, which hashes every fact; only those that tie with the best need hashing.
    top = max((fact.confidence, fact.stamp, fact.origin) for fact in facts)
    tied = [fact for fact in facts if (fact.confidence, fact.stamp, fact.origin) == top]
    return tied[0] if len(tied) == 1 else max(tied, key=rank)


def detected_ms(members: Sequence[Fact]) -> int:
    """Wall ms of the origin stamp with which the contradiction came into being: the first member, by stamp,
    that contradicts the one before it."""
    said = claim(members[0])
    return next((fact for fact in members if claim(fact) != said), members[0]).wall_ms
