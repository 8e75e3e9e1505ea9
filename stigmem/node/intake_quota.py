"""How much of a peer, and of an origin, is taken in within a window of time.

An approved peer may write what it likes, and all of it is kept for good. So what comes in has a quota, by facts, bytes,
distinct origins and distinct entities a window for each peer, and by facts and bytes for each origin, whoever brings
them. What exceeds it waits: at its sender, who keeps it, and is asked for it again when the window is over.

How it works
------------
There is no counter that a restart could lose. A window is a part of the wall clock (with a length of a day: from
midnight UTC to the next), and what came in since its beginning is counted from the ledger itself, whose batches are
recorded with their instants (`stigmem.core.horizons`). The count is kept in memory and goes on from where it was; the
first question in a window, or after a start, counts what is there.

    facts    those that are stored here and came from a peer; repetitions and refused ones are not stored
    bytes    their texts in UTF-8: entity, relation, source, value, provenance
    origins  distinct ones among them
    entities distinct ones among them

Example: a quota of 1,000 facts, and north has brought 950 when the window is at its middle. A puller asks north for
50, and then rests. At the end of the window it goes on where it stopped.

Invariants
----------
1. Nothing is lost by a quota. A page of which something waits keeps its cursor; where an origin is what exceeds, the
   rest of the page is taken and reading is set back to this page when the window is over.
2. The quota of a peer delays that peer alone, and the quota of an origin that origin alone.
3. A fact that is longer than all that a window allows is taken when it is the first of its window, or it never would.
4. What comes home to the node that wrote it (its disk was lost) never waits.
5. An excess is told once a window for each dimension of a peer and of an origin.

Known warts
-----------
* What a relay took in of others counts against its own quota at the next node: with the same quotas everywhere, and
  several floods, its own facts wait there too. So the quota of an origin belongs below that of a peer.
* Windows do not slide: twice the quota may come around the end of one.
* When the wall clock was set back past the beginning of a window, facts stored under the later time count again.
* A fact that was admitted from quarantine counts twice, since it is stored twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from stigmem.core.fact import Fact
from stigmem.core.field_types import check_field_types
from stigmem.core.horizons import Horizons
from stigmem.core.ledger import Ledger

__all__ = ["NO_INTAKE_LIMITS", "Dimension", "Exceeded", "IntakeLimits", "IntakeQuota", "Tally"]

Dimension = Literal["facts", "bytes", "origins", "entities", "quarantine"]
_S_US: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeLimits:
    """What is taken in within a window; 0 is no limit."""

    window_s: float = 86_400.0
    peer_facts: int = 0
    peer_bytes: int = 0
    peer_origins: int = 0
    peer_entities: int = 0
    origin_facts: int = 0
    origin_bytes: int = 0

    def __post_init__(self) -> None:
        check_field_types(self)

    @property
    def any(self) -> bool:
        """Whether anything is limited at all."""
        of_peer = self.peer_facts or self.peer_bytes or self.peer_origins or self.peer_entities
        return bool(of_peer or self.origin_facts or self.origin_bytes)


NO_INTAKE_LIMITS: Final = IntakeLimits()


class Exceeded(NamedTuple):
    """Which quota a fact exceeds."""

    whose: Literal["peer", "origin"]
    name: str
    """Node id of the peer or the origin."""
    dimension: Dimension
    most: int


class _Taken:
    """What came of one peer or origin; `under` is what was committed before, for what a transaction stages."""

    __slots__ = ("_entities", "_origins", "_under", "bytes", "facts")

    def __init__(self, under: _Taken | None = None) -> None:
        self._under = under
        self.facts: int = 0 if under is None else under.facts
        self.bytes: int = 0 if under is None else under.bytes
        self._origins: set[str] = set()
        self._entities: set[str] = set()

    def add(self, fact: Fact, *, names: bool) -> None:
        """Count a fact; `names`: its origin and entity too."""
        self.facts += 1
        self.bytes += _size_bytes(fact)
        if names:
            if not self.has_origin(fact.origin):
                self._origins.add(fact.origin)
            if not self.has_entity(fact.entity):
                self._entities.add(fact.entity)

    @property
    def origins(self) -> int:
        return len(self._origins) + (0 if self._under is None else self._under.origins)

    @property
    def entities(self) -> int:
        return len(self._entities) + (0 if self._under is None else self._under.entities)

    def has_origin(self, origin: str) -> bool:
        return origin in self._origins or (self._under is not None and self._under.has_origin(origin))

    def has_entity(self, entity: str) -> bool:
        return entity in self._entities or (self._under is not None and self._under.has_entity(entity))


class Tally:
    """What came of each peer and each origin."""

    def __init__(self, under: Tally | None = None) -> None:
        self._under = under
        self._peers: dict[str, _Taken] = {}
        self._origins: dict[str, _Taken] = {}

    def add(self, fact: Fact) -> None:
        """Count a fact that a peer brought."""
        if fact.received_from is not None:
            self._make(self._peers, fact.received_from, self.peer).add(fact, names=True)
            self._make(self._origins, fact.origin, self.origin).add(fact, names=False)

    def peer(self, node_id: str) -> _Taken:
        return self._peers.get(node_id) or (_Taken() if self._under is None else _Taken(self._under.peer(node_id)))

    def origin(self, node_id: str) -> _Taken:
        return self._origins.get(node_id) or (_Taken() if self._under is None else _Taken(self._under.origin(node_id)))

    @staticmethod
    def _make(table: dict[str, _Taken], name: str, find: Callable[[str], _Taken]) -> _Taken:
        taken = table.get(name)
        if taken is None:
            taken = table[name] = find(name)
        return taken


class IntakeQuota:
    """The quotas of one node, and how much of each is used."""

    def __init__(self, limits: IntakeLimits, *, ledger: Ledger, horizons: Horizons) -> None:
        self.limits = limits
        self._ledger = ledger
        self._horizons = horizons
        self._window_us = max(1, int(limits.window_s * _S_US))
        self._begins_us: int | None = None
        self._counted_seq = 0
        self._tally = Tally()
        self._told: dict[Exceeded, None] = {}
        """What was exceeded in this window."""

    def ends_us(self, now_us: int) -> int:
        """When the window of an instant is over, in microseconds since the epoch."""
        return (now_us // self._window_us + 1) * self._window_us

    def _begin_us(self, now_us: int) -> int:
        return now_us - now_us % self._window_us

    def tally(self, now_us: int) -> Tally:
        """What was committed in the window of an instant."""
        begins_us = self._begin_us(now_us)
        if begins_us != self._begins_us:
            self._begins_us = begins_us
            self._counted_seq = self._horizons.last_before(begins_us, self._ledger.last_seq)
            self._tally = Tally()
            self._told = {}
        for seq in range(self._counted_seq, self._ledger.last_seq):
            self._tally.add(self._ledger.log[seq])
        self._counted_seq = self._ledger.last_seq
        return self._tally

    def exceeded(self, fact: Fact, sender: str, staged: Tally) -> Exceeded | None:
        """Which quota a fact of this sender exceeds, after what was committed and `staged`; None when there is room."""
        limits, taken, size_bytes = self.limits, staged.peer(sender), _size_bytes(fact)
        by_size = _by_size(taken, size_bytes, facts_max=limits.peer_facts, bytes_max=limits.peer_bytes)
        if by_size is not None:
            return Exceeded("peer", sender, *by_size)
        if limits.peer_origins and taken.origins >= limits.peer_origins and not taken.has_origin(fact.origin):
            return Exceeded("peer", sender, "origins", limits.peer_origins)
        if limits.peer_entities and taken.entities >= limits.peer_entities and not taken.has_entity(fact.entity):
            return Exceeded("peer", sender, "entities", limits.peer_entities)
        of_origin = staged.origin(fact.origin)
        by_size = _by_size(of_origin, size_bytes, facts_max=limits.origin_facts, bytes_max=limits.origin_bytes)
        return None if by_size is None else Exceeded("origin", fact.origin, *by_size)

    def room_facts(self, sender: str, now_us: int) -> int | None:
        """How many more facts of a peer may come in this window; None for any number."""
        most = self.limits.peer_facts
        return max(0, most - self.tally(now_us).peer(sender).facts) if most else None

    def is_spent(self, sender: str, now_us: int) -> bool:
        """Whether nothing more of a peer is taken in this window, whatever it is about."""
        limits = self.limits
        if not (limits.peer_facts or limits.peer_bytes):
            return False
        taken = self.tally(now_us).peer(sender)
        return _by_size(taken, 1, facts_max=limits.peer_facts, bytes_max=limits.peer_bytes) is not None

    # --- telling ---

    def is_told(self, exceeded: Exceeded, now_us: int) -> bool:
        """Whether this was told in this window already; from now on it is."""
        self.tally(now_us)
        if exceeded in self._told:
            return True
        self._told[exceeded] = None
        return False

    def waiting(self, node_id: str, now_us: int) -> list[Exceeded]:
        """What this peer or origin exceeded in this window, since this process began."""
        told = self._told if self._begins_us == self._begin_us(now_us) else {}
        return [each for each in told if each.name == node_id]


def _by_size(taken: _Taken, size_bytes: int, *, facts_max: int, bytes_max: int) -> tuple[Dimension, int] | None:
    if facts_max and taken.facts >= facts_max:
        return "facts", facts_max
    if bytes_max and taken.facts and taken.bytes + size_bytes > bytes_max:
        return "bytes", bytes_max
    return None


def _size_bytes(fact: Fact) -> int:
    texts = (fact.entity, fact.relation, fact.source, fact.text, fact.derived_from)
    return sum(len(text) if text.isascii() else len(text.encode()) for text in texts)
