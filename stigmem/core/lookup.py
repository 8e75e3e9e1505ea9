"""Which entity a name means, where the name is not exactly one: likeness of informal names (http-api 3.14, layer 3).

Only names of the form `type:id` are compared, and only with entities of the same type. The likeness of two ids is the
greatest of three, from 0 to 1: the share of words that both have (words end at `.`, `-`, `_`, `/` and blanks); 0.3 when
the first letters agree, 0.5 when the first two do; and the ratio of matching stretches of characters (Ratcliff and
Obershelp, as in `difflib`). So `user:j-smith` is like `user:smith.j` by its words and like `user:jsmith` by its
letters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from difflib import SequenceMatcher
from heapq import nsmallest
from typing import Final

import msgspec

from stigmem.core.ledger import Ledger

__all__ = ["Candidate", "likeness", "similar_entities", "split_informal"]

COMPARED_MAX: Final = 5_000
"""Names that one question is compared with, some hundred milliseconds of work."""
_SLICE: Final = 50
_DIVIDERS: Final = re.compile(r"[.\-_/\s]+")
_INFORMAL: Final = re.compile(r"([^:/\s]+):(?!//)(.+)", re.DOTALL)


class Candidate(msgspec.Struct, frozen=True):
    """An entity whose name is like the one asked for. `score`: from 0 to 1."""

    uri: str
    score: float
    match_note: str


def split_informal(uri: str) -> tuple[str, str] | None:
    """Type and id of an informal name, or None for names of another form."""
    found = _INFORMAL.fullmatch(uri)
    return None if found is None or uri.startswith("stigmem:") else (found[1], found[2])


def likeness(first: str, second: str) -> tuple[float, str]:
    """How like two ids are, and in what."""
    words, others = ({word for word in _DIVIDERS.split(each) if word} for each in (first, second))
    shared = len(words & others) / (len(words | others) or 1)
    begun = 0.5 if first[:2] == second[:2] and len(first) > 1 else 0.3 if first[:1] == second[:1] else 0.0
    ratio = SequenceMatcher(None, first, second, autojunk=False).ratio()
    return max((min(1.0, shared), "words"), (begun, "first letters"), (ratio, "characters"))


def similar_entities(
    ledger: Ledger, uri: str, *, top: int, threshold: float, is_known: Callable[[str], bool]
) -> Generator[None, None, list[Candidate]]:
    """The entities most like an informal name, best first, ties by name. `is_known`: whether the caller may know of an
    entity; of others nothing is said. Empty for names of another form. Yields between comparisons."""
    asked = split_informal(uri)
    if asked is None:
        return []
    kind, wanted = asked
    found: list[Candidate] = []
    compared = 0
    for number, name in enumerate(list(ledger.by_entity)):
        if number % (_SLICE * 20) == 0:
            yield
        if not name.startswith(kind + ":") or name == uri or not is_known(name):
            continue
        compared += 1
        if compared > COMPARED_MAX:
            break
        if compared % _SLICE == 0:
            yield
        score, note = likeness(wanted, name[len(kind) + 1 :])
        if score >= threshold:
            found.append(Candidate(name, round(score, 6), f"alike in {note}"))
    return nsmallest(top, found, key=lambda each: (-each.score, each.uri))
