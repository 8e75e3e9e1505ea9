"""What spec/contradiction.md says of a slot, sentence by sentence, as slow as it reads.

Nothing of `stigmem.core.contradiction`, of the ledger or of its slots is used: facts are read member by member, values
are compared by code of its own, and each question looks through all words again. It agrees with the definition that the
node has (`evaluate`) only where both follow the page.
"""

from __future__ import annotations

import json
import unicodedata
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from stigmem.core.fact import Fact

__all__ = ["EVERYTHING", "Name", "Oracle", "Verdict"]

Name = tuple[str, str]
"""(origin, id) of a fact."""
Verdict = tuple[list[Name], list[Name], list[tuple[str, str, str]], str | None]
"""Live facts, members of the open conflict, (origin, id, id of the word that ended it), id of the open conflict."""
EVERYTHING = "everything"
"""What a sweep is about."""


class Oracle:
    """One slot, at one instant. Every method is a sentence of the page; the tests replace them one by one with wrong
    ones, and see that this is noticed."""

    def __init__(self, facts: Iterable[Fact], idle: frozenset[str], voided: set[Name], now_us: int, many: bool) -> None:
        """`idle`: origins whose resolutions this node's operator gives no effect. `voided`: by their origin."""
        self.many = many
        self.now_us = now_us
        held = {(fact.origin, fact.id): fact for fact in facts}
        is_resolution = {name: fact.entity.startswith("stigmem:resolution:") for name, fact in held.items()}
        self.words = sorted(
            (fact for name, fact in held.items() if not is_resolution[name] and name not in voided), key=self.place
        )
        self.heard = [fact for name, fact in held.items() if is_resolution[name]]
        self.applied = [fact for fact in self.heard if (fact.origin, fact.id) not in voided and fact.origin not in idle]
        slots = {(word.entity, word.relation, word.scope) for name, word in held.items() if not is_resolution[name]}
        self.slot = next(iter(slots), ("", "", ""))

    # --- words (sections 1 and 7) ---

    def place(self, fact: Fact) -> tuple[int, str, str]:
        return (fact.stamp, fact.origin, fact.id)

    def author(self, word: Fact) -> tuple[str, str]:
        return (word.source, word.origin)

    def retracts(self, word: Fact) -> bool:
        return word.confidence == 0

    def value(self, word: Fact) -> tuple[str, str]:
        if word.kind == "number" and float(word.text) == 0:
            return ("number", "0.0")
        if word.kind in ("string", "text", "ref"):
            return (word.kind, unicodedata.ucd_3_2_0.normalize("NFC", word.text))
        return (word.kind, word.text)

    def claim(self, word: Fact) -> Any:
        return "not so" if self.retracts(word) else self.value(word)

    def about(self, word: Fact) -> Any:
        """What a word is about: in a slot of one value everything, and so is a sweep."""
        sweeps = self.retracts(word) and (
            word.kind == "null" or (word.kind in ("string", "text") and word.text == "retracted")
        )
        return EVERYTHING if not self.many or sweeps else self.value(word)

    def covers(self, word: Fact, what: Any) -> bool:
        return self.about(word) in (EVERYTHING, what)

    # --- later words (section 2) ---

    def operators(self, word: Fact) -> bool:
        return self.retracts(word) and word.source == word.origin

    def may_end(self, word: Fact, other: Fact) -> bool:
        """Whether a word speaks for the author of an earlier one."""
        later = self.place(word) > self.place(other)
        own = self.author(word) == self.author(other)
        return later and (own or (self.operators(word) and word.origin == other.origin))

    def ending(self, other: Fact) -> Fact | None:
        """The first word that ended another one."""
        found = [word for word in self.words if self.may_end(word, other) and self.covers(word, self.about(other))]
        return found[0] if found else None

    # --- denial (sections 3 and 7) ---

    def withdraws(self, retraction: Fact) -> bool:
        earlier = [word for word in self.words if self.place(word) < self.place(retraction)]
        own = [word for word in earlier if self.author(word) == self.author(retraction)]
        if self.operators(retraction):
            said = [w for w in earlier if w.origin == retraction.origin and not self.retracts(w)]
            if self.many:
                return any(self.covers(retraction, self.about(word)) for word in said)
            return any(not self.ended_before(word, retraction) for word in said)
        if not self.many:
            return own != [] and not self.retracts(own[-1])
        if self.about(retraction) == EVERYTHING:
            return any(not self.retracts(word) for word in own)
        of_value = [word for word in own if self.about(word) == self.about(retraction)]
        return of_value != [] and not self.retracts(of_value[-1])

    def ended_before(self, word: Fact, instant: Fact) -> bool:
        by = self.ending(word)
        return by is not None and self.place(by) < self.place(instant)

    def first_said(self, fact: Fact) -> Fact:
        return next(
            word for word in self.words
            if self.author(word) == self.author(fact) and self.claim(word) == self.claim(fact)
        )  # fmt: skip

    def shaken_off(self, denial: Fact, fact: Fact) -> bool:
        """Whether what was said since has ended a denial, as far as it is about the value of this fact."""
        for word in self.words:
            if not self.may_end(word, denial) or not self.covers(word, self.about(fact)):
                continue
            if self.author(word) == self.author(denial) or self.covers(word, self.about(denial)):
                return True
        return False

    def denies(self, denial: Fact, fact: Fact) -> bool:
        return (
            self.retracts(denial)
            and not self.withdraws(denial)
            and self.counts(denial)
            and self.author(denial) != self.author(fact)
            and self.place(self.first_said(fact)) < self.place(denial)
            and self.covers(denial, self.about(fact))
            and not self.shaken_off(denial, fact)
        )

    # --- resolution (section 4) ---

    def head(self, resolution: Fact) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(resolution.derived_from)[0]
        return found

    def covered(self, resolution: Fact) -> list[str]:
        return [entry["fact_id"] for entry in json.loads(resolution.derived_from)[1:]]

    def effective(self) -> list[Fact]:
        """Those that are not inert."""
        known = {self.conflict_name(""), *(self.conflict_name(each.id) for each in self.heard)}
        winners = {word.id for word in self.words}
        return [
            each for each in self.applied
            if self.head(each)["winner"] in winners and self.head(each)["resolves"] in known
        ]  # fmt: skip

    def in_force(self) -> list[Fact]:
        effective = self.effective()
        superseded = {name for each in effective for name in self.head(each)["supersedes"]}
        return [each for each in effective if each.id not in superseded]

    def spent(self, resolution: Fact) -> bool:
        winner = self.head(resolution)["winner"]
        return any(
            self.may_end(word, won) and self.covers(word, self.about(won)) and self.claim(word) != self.claim(won)
            for won in self.words if won.id == winner for word in self.words
        )  # fmt: skip

    def settled(self, fact: Fact) -> bool:
        in_force = self.in_force()
        if any(self.head(each)["winner"] == fact.id for each in in_force):
            return False
        return any(fact.id in self.covered(each) and not self.spent(each) for each in in_force)

    # --- what follows (sections 1 and 5) ---

    def counts(self, word: Fact) -> bool:
        expired = word.expires_us is not None and word.expires_us <= self.now_us
        return not expired and not self.settled(word)

    def live(self) -> list[Fact]:
        return [
            word for word in self.words
            if not self.retracts(word) and self.ending(word) is None and self.counts(word)
        ]  # fmt: skip

    def conflict_name(self, last: str) -> str:
        namespace = uuid.uuid5(uuid.NAMESPACE_URL, "stigmem:conflict")
        text = json.dumps([*self.slot, last], separators=(",", ":"), ensure_ascii=False)
        return "stigmem:conflict:" + str(uuid.uuid5(namespace, text))

    def last_resolution(self) -> str:
        found: Sequence[Fact] = self.in_force() or self.effective()
        return max(found, key=self.place).id if found else ""

    def verdict(self) -> Verdict:
        live = self.live()
        denials = [word for word in self.words if any(self.denies(word, fact) for fact in live)]
        values = {self.claim(fact) for fact in live}
        is_open = denials != [] or (not self.many and len(values) > 1)
        disputed = live if not self.many else [f for f in live if any(self.denies(d, f) for d in denials)]
        ended = [(word.origin, word.id, by.id) for word in self.words if (by := self.ending(word)) is not None]
        return (
            sorted((fact.origin, fact.id) for fact in live),
            sorted((fact.origin, fact.id) for fact in (*disputed, *denials)) if is_open else [],
            sorted(ended),
            self.conflict_name(self.last_resolution()) if is_open else None,
        )
