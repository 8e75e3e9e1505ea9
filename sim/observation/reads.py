"""What a client was shown of an entity, and between which two moments of its node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

__all__ = ["Moment", "Question", "Read", "ShownFact"]


class Question(NamedTuple):
    """What a client asks: the facts about an entity, in one scope or, with None, in all; so many on a page."""

    entity: str
    scope: str | None
    limit: int


class Moment(NamedTuple):
    """A node when it is asked or has answered: how many facts it holds, and the instants between which it judges what
    has expired, in microseconds since the epoch: its ledger's horizon and its machine's wall clock."""

    seq: int
    early_us: int
    late_us: int


class ShownFact(msgspec.Struct):
    """A fact as an answer carries it, as far as somebody looks at it."""

    id: str
    entity: str
    relation: str
    scope: str
    source: str
    confidence: float
    hlc: str


class Read(NamedTuple):
    """All pages of an answer, in their order."""

    node: str
    question: Question
    begun: Moment
    ended: Moment
    shown: Sequence[ShownFact]
