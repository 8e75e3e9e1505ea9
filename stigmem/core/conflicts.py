"""Conflict records: the open and settled contradictions of a ledger, as the API lists them.

Records are derived at reading and never stored, so they cannot disagree with the facts. Writing a resolution
is `stigmem.node.api.conflicts`; what counts as a contradiction is `stigmem.core.contradiction`.

Of another point of time (`stigmem.core.past`) a node has no list of the conflicts that it met: those of other nodes, or
of before its start, were never in one. So `page_past` goes through the words that belong to the point, newest first,
and lists the conflicts of each slot at its last word. That order follows from the facts alone.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from heapq import merge
from itertools import islice
from typing import Final, Literal, NamedTuple

import msgspec

from stigmem.core import sorted_facts
from stigmem.core.conflict_set import ConflictSet
from stigmem.core.contradiction import best_two, detected_ms
from stigmem.core.erasure import is_husk, shown_husk
from stigmem.core.errors import Refusal, Rejection
from stigmem.core.fact import Fact, Slot, place
from stigmem.core.hlc import Stamp, format_stamp, parse_stamp
from stigmem.core.keys import decode_base64, encode_base64
from stigmem.core.known_facts import KnownFacts
from stigmem.core.ledger import Ledger
from stigmem.core.past import PastFacts
from stigmem.core.resolution import Resolution
from stigmem.core.scopes import SCOPES
from stigmem.core.timestamps import format_us

__all__ = ["Conflict", "ConflictBook", "find_past", "page_past"]

PLACES_SCANNED_MAX: Final = 20_000
"""Conflicts one page looks through, moot ones included: some tens of milliseconds of the writer's time."""
_WORDS_PER_STEP: Final = 200
"""Words of the past that are looked through before somebody else has a turn."""
_STEPS_MAX: Final = 1_000
"""Steps of one page about the past, as for queries (`stigmem.core.query`)."""
_ALL: Final = 1_000_000_000
"""More conflicts than a slot has: a cursor goes on below the word that it names."""


class Conflict(msgspec.Struct, frozen=True):
    """One conflict set as it is listed. `fact_a` and `fact_b` are the best fact and the best one that contradicts it.

    `members`: all facts of the set, oldest first. `detected_at`: ISO-8601 text. `resolved_by`: id of the latest
    resolution fact, None while the conflict is open; `note` is that resolution's, or empty.
    """

    id: str
    slot: tuple[str, str, str]
    status: Literal["unresolved", "resolved"]
    fact_a: Fact
    fact_b: Fact
    members: tuple[Fact, ...]
    detected_at: str
    resolved_by: str | None = None
    note: str = ""


class ConflictBook:
    """Looks conflicts up in a ledger and lists them, the one this node met last first. Reads only; called in the
    writer's batch, where the ledger stands still."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def get(self, conflict_id: str) -> Conflict | None:
        """The conflict with this id, or None when it never was or became moot."""
        conflict_set = self._ledger.conflict_log.set_of(conflict_id)
        return None if conflict_set is None else self._record(conflict_id, conflict_set)

    def all(self) -> list[Conflict]:
        """Every open or settled conflict."""
        return [conflict for _, conflict in self._below(len(self._ledger.conflict_log), None) if conflict is not None]

    def page(
        self, *, status: str | None, scopes: frozenset[str] | None, cursor: str | None, limit: int
    ) -> tuple[list[Conflict], str | None]:
        """One page of at most `limit` conflicts, and the cursor of the next page (None on the last).

        `status`: `unresolved` or `resolved`, None for both; any other text matches nothing. `scopes`: what the caller
        may read, None for all. `cursor`: one that this method gave out, or None for the first page.

        A conflict keeps its place for as long as the node runs, so a walk to the end shows each that existed at
        its start once. Raises Refusal 400 `invalid_cursor`.
        """
        below = _read_cursor(cursor) if cursor else len(self._ledger.conflict_log)
        rows: list[Conflict] = []
        place = below
        for scanned, (at, conflict) in enumerate(self._below(below, scopes)):
            wanted = conflict is not None and (status is None or conflict.status == status)
            if scanned == PLACES_SCANNED_MAX or (wanted and len(rows) == limit):
                return rows, _cursor(place)
            if wanted and conflict is not None:
                rows.append(conflict)
            place = at
        return rows, None

    def _below(self, below: int, scopes: frozenset[str] | None) -> Iterator[tuple[int, Conflict | None]]:
        """Places from `below` down that are of a scope asked for, and the conflict there unless it is moot."""
        for at, name, conflict_set in self._ledger.conflict_log.newest_first(below):
            if scopes is None or conflict_set.key[2] in scopes:  # others must show neither in a bound nor in a cursor
                yield at, self._record(name, conflict_set)

    def _record(self, name: str, conflict_set: ConflictSet) -> Conflict | None:
        return _listed(self._ledger, self._ledger, name, conflict_set)


# --- at another point of time ---


def page_past(
    past: PastFacts, *, status: str | None, scopes: frozenset[str] | None, cursor: str | None, limit: int
) -> Generator[None, None, tuple[list[Conflict], str | None]]:
    """As `ConflictBook.page`, at another point of time; yields where somebody else may go on. Conflicts come by the
    last word of their slots, newest first, of one slot the open one first. Raises Refusal 400 `invalid_cursor`."""
    begin = _read_place(cursor) if cursor else _Place(None, 0)
    rows: list[Conflict] = []
    end = begin
    for end in _walk(past, scopes, begin):
        if end.conflict is None:
            yield
        elif status is None or end.conflict.status == status:
            if len(rows) == limit:
                return rows, _place_cursor(end)
            rows.append(end.conflict)
    return rows, None if end.word is None else _place_cursor(end)


def find_past(
    past: PastFacts, conflict_id: str, *, scopes: frozenset[str] | None
) -> Generator[None, None, Conflict | None]:
    """The conflict with this id at another point of time, or None when there was none in these scopes (None for all);
    yields as `page_past`."""
    met = past.ledger.conflict_log.set_of(conflict_id)
    if met is not None:
        yield from past.prepare(met.facts[:1])
        return next((each for each in _of_slot(past, met.key) if each.id == conflict_id), None)
    for at in _walk(past, scopes, _Place(None, 0)):
        if at.conflict is None:
            yield
        elif at.conflict.id == conflict_id:
            return at.conflict
    return None


class _Place(NamedTuple):
    """Where a walk is: at a conflict, by its number in the slot that has `word` as its last one, or at no conflict
    because somebody else may go on. `word` None: before the first, or after the last."""

    word: Fact | None
    number: int
    conflict: Conflict | None = None


def _walk(past: PastFacts, scopes: frozenset[str] | None, begin: _Place) -> Iterator[_Place]:
    """Every conflict from a place on; ends at most _STEPS_MAX steps later."""
    seen: dict[Slot, None] = {}
    below = _above(past)
    if begin.word is not None:  # it comes again: nothing lies between an id and itself with the least character more
        below = place(begin.word.stamp, begin.word.origin, begin.word.id + "\0")
    for _ in range(_STEPS_MAX):
        words = list(islice(_words(past.ledger, scopes, below), _WORDS_PER_STEP))
        for word in words:
            if word.slot in seen or not past.holds(word) or past.ledger.slot(word.slot) is None:
                continue
            seen[word.slot] = None
            if _last_word(past, word.slot) is not word:
                continue  # its conflicts were listed at a later word, above
            for _ in past.prepare([word]):
                yield _Place(word, 0)
            first = begin.number if begin.word is not None and _is_at(word, begin.word) else 0
            for number, conflict in enumerate(_of_slot(past, word.slot)):
                if number >= first:
                    yield _Place(word, number, conflict)
        if len(words) < _WORDS_PER_STEP:
            yield _Place(None, 0)
            return
        below = words[-1]
        yield _Place(below, _ALL)


def _is_at(word: Fact, at: Fact) -> bool:
    return (word.stamp, word.origin, word.id) == (at.stamp, at.origin, at.id)


def _above(past: PastFacts) -> Fact | None:
    newest = past.point.stamp
    return None if newest is None else place(Stamp(newest + 1))


def _words(ledger: Ledger, scopes: frozenset[str] | None, below: Fact | None) -> Iterator[Fact]:
    """Every word that its reader may know of, newest first."""
    runs = [ledger.by_stamp] if scopes is None else [ledger.by_scope.get(scope) for scope in SCOPES if scope in scopes]
    rows = merge(*(sorted_facts.descending(run, below) for run in runs), reverse=True)
    return (fact for fact in rows if fact.quarantine is None and not fact.is_system)


def _last_word(past: PastFacts, slot: Slot) -> Fact | None:
    held = past.ledger.slot(slot)
    words = () if held is None else sorted_facts.descending(held.facts)
    return next((word for word in words if past.holds(word) and not is_husk(word)), None)


def _of_slot(past: PastFacts, slot: Slot) -> Iterator[Conflict]:
    """The conflicts of a slot: the open one, then those that were settled, the last one first."""
    conflict_set = past.slot(slot)
    if conflict_set is None:
        return
    is_open = [] if conflict_set.conflict is None else [conflict_set.conflict]
    for name in dict.fromkeys([*is_open, *(name for name, _ in conflict_set.settlements())]):
        conflict = _listed(past, past.ledger, name, conflict_set)
        if conflict is not None:
            yield conflict


# --- a conflict as it is listed ---


def _listed(known: KnownFacts, ledger: Ledger, name: str, conflict_set: ConflictSet) -> Conflict | None:
    """The conflict of a slot that has this id, open or settled; None when it became moot."""
    if conflict_set.conflict == name:
        return _record(name, conflict_set.key, conflict_set.members(), None)
    settlement = conflict_set.settlement(name)
    if settlement is None:
        return None
    found = (fact for fact_id in settlement.covers for fact in ledger.find(fact_id))
    members = sorted(fact for fact in found if fact.slot == conflict_set.key and _is_word(known, fact))
    if len(members) < 2:
        return None  # what the winner was preferred to has not reached this node yet
    return _record(name, conflict_set.key, members, settlement.latest)


def _is_word(known: KnownFacts, fact: Fact) -> bool:
    return fact.quarantine is None and known.holds(fact) and not known.voided(fact) and known.fits(fact)


def _record(name: str, slot: tuple[str, str, str], members: list[Fact], resolution: Resolution | None) -> Conflict:
    first, second = map(shown_husk, best_two(members))
    return Conflict(
        id=name,
        slot=slot,
        status="unresolved" if resolution is None else "resolved",
        fact_a=first,
        fact_b=second,
        members=tuple(map(shown_husk, members)),
        detected_at=format_us(detected_ms(members) * 1000),
        resolved_by=resolution.fact.id if resolution else None,
        note=resolution.note if resolution else "",
    )


def _cursor(place: int) -> str:
    return encode_base64(f"c:{place}".encode())


def _read_cursor(text: str) -> int:
    try:
        head, _, place = decode_base64(text).decode("ascii").partition(":")
    except ValueError:
        head, place = "", ""
    if head != "c" or not place.isdigit() or len(place) > 18:
        raise Refusal(400, "invalid_cursor", "the cursor is not one that this node gave out", field="cursor")
    return int(place)


def _place_cursor(at: _Place) -> str:
    word = at.word or place(Stamp(0))
    return encode_base64("\n".join(("p", format_stamp(word.stamp), word.origin, word.id, str(at.number))).encode())


def _read_place(text: str) -> _Place:
    try:
        head, stamp_text, origin, fact_id, number = decode_base64(text).decode().split("\n")
        if head != "p" or not (number.isdigit() and number.isascii()) or len(number) > len(str(_ALL)):
            raise ValueError("no place in a list of conflicts")
        return _Place(place(parse_stamp(stamp_text), origin, fact_id), int(number))
    except (ValueError, Rejection) as error:
        raise Refusal(400, "invalid_cursor", "the cursor is not one that this node gave out", field="cursor") from error
