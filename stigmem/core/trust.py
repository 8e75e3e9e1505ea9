"""The trust class of a fact: what kind of knowledge it is to a reader of this node (spec/facts.md, 7).

Four classes, stated or derived. What the author states when it writes stands. What nobody stated is derived, by the
first of these that holds:

    stale-risk   it has expired, or less than a tenth of its time is left, or its confidence has faded to half
    reported     another node said it
    (default)    the class that the schema of its relation names for facts that were written here
    inferred     it was derived from other facts (`derived_from`)
    observed     it was written here, and is fresh

A class is no part of a fact: it is in no content id, is signed by nobody and crosses no link, so what an author at
another node stated about its knowledge is, here, a report. It changes with time, and is told as of the instant that an
answer is about. Nothing but readers goes by it: it settles no conflict and ranks nothing.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

from stigmem.core.fact import Fact
from stigmem.core.known_facts import KnownFacts

__all__ = ["TRUST_CLASSES", "TrustClass", "is_stale", "trust_class"]

TrustClass: TypeAlias = Literal["observed", "inferred", "reported", "stale-risk"]
TRUST_CLASSES: Final[tuple[TrustClass, ...]] = get_args(TrustClass)

_LAST_PART: Final = 10
"""A fact that expires is stale in the last tenth of its time: a lease of an hour in its last six minutes."""
_FADED: Final = 0.5
"""A confidence that has faded to this part of what was stated is one half-life old."""


def trust_class(
    fact: Fact, known: KnownFacts, confidence: float, *, stated: str | None, default: TrustClass | None
) -> str:
    """The class of a fact at the horizon of what is known. `confidence`: how sure it is read to be then. `stated`: by
    its author, at this node; `default`: by the schema of its relation."""
    if stated is not None:
        return stated
    if is_stale(fact, known, confidence):
        return "stale-risk"
    if fact.received_from is not None:
        return "reported"
    if default is not None:
        return default
    return "inferred" if fact.derived_from else "observed"


def is_stale(fact: Fact, known: KnownFacts, confidence: float) -> bool:
    """Whether a fact has expired or soon does, or is believed half as much as it was said to be."""
    if fact.confidence > 0.0 and confidence <= _FADED * fact.confidence:
        return True
    ends_us = known.expires_us(fact)
    if ends_us is None:
        return False
    return _LAST_PART * (ends_us - known.horizon_us) <= ends_us - fact.timestamp_us
