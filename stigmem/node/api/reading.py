"""What every operation that derives something from facts needs: a charge, a task that works in slices, and the facts.

The work of such an answer may be long, so it is never done in the writer's turn: `Reader.answer` has a task make it
from committed state, at most RECALLS_MAX of a kind at one time.

The facts are those of one room: the node's own of a scope, or those of a garden whose member the caller is. Each has a
ledger and indexes of its own, so that nothing of one takes part in what is derived from another, not even as a count.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final, NamedTuple

from msgspec import UNSET, UnsetType

from stigmem.core import limits
from stigmem.core.fact import Fact
from stigmem.core.gardens import Garden
from stigmem.core.known_facts import KnownFacts
from stigmem.core.ledger import Ledger
from stigmem.core.past import PastFacts
from stigmem.core.wire import Response
from stigmem.node.api.background import Background, ConcurrencyLimit
from stigmem.node.api.facts import check_scope_parameter
from stigmem.node.api.garden_access import READING, garden_of_facts
from stigmem.node.api.points_of_time import PointRecord, PointsOfTime
from stigmem.node.api.read_indexes import ReadIndexes
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import Outcome
from stigmem.node.quotas import Quotas
from stigmem.node.responses import busy
from stigmem.node.transaction import Transaction

__all__ = ["Reader", "Room", "When"]

_GARDENS_MAX: Final = 64
"""Gardens whose indexes are kept; one more makes the oldest anew when it is asked for."""


class Room(NamedTuple):
    """Whose facts an answer is made from. `garden`: None for the node's own."""

    scope: str
    ledger: Ledger
    indexes: ReadIndexes
    garden: Garden | None


class When(NamedTuple):
    """The instant of an answer, now or another one: what was known, and how sure a fact was read to be. `now_us`: the
    instant, in microseconds since the epoch; `record`: how the answer names it, where one was asked for."""

    known: KnownFacts
    confidence: Callable[[Fact], float]
    now_us: int
    record: PointRecord | UnsetType = UNSET


class Reader:
    """Makes derived answers for the operations of several API classes."""

    def __init__(
        self,
        *,
        quotas: Quotas,
        background: Background,
        indexes: ReadIndexes,
        confidence: Callable[[Fact, int], float],
        points: PointsOfTime,
    ) -> None:
        """`confidence`: how sure a fact is read to be at an instant, in microseconds since the epoch."""
        self._quotas = quotas
        self._confidence = confidence
        self._background = background
        self._points = points
        self.indexes = indexes
        self.ledger = indexes.ledger
        self._gardens: dict[str, ReadIndexes] = {}

    def begin(self, call: ApiRequest, txn: Transaction, scope: str, garden_uri: str | None = None) -> Room:
        """Charge a read of a scope, or of a garden whatever the scope, to its caller. Raises Refusal 400, 403, 404
        and 429."""
        self.charge_read(call, txn)
        if garden_uri is None:
            check_scope_parameter(call.principal, scope)
            return Room(scope, self.ledger, self.indexes, None)
        garden = garden_of_facts(txn, call.principal, garden_uri, READING)
        check_scope_parameter(call.principal, garden.row.scope)
        return Room(garden.row.scope, garden.ledger, self._of_garden(garden), garden)

    def _of_garden(self, garden: Garden) -> ReadIndexes:
        """The indexes of a garden; those that were asked for least lately are made anew when they are asked for."""
        name = garden.row.garden_id
        indexes = self._gardens.pop(name, None)
        if indexes is None or indexes.ledger is not garden.ledger:
            indexes = self.indexes.of(garden.ledger)
        self._gardens[name] = indexes
        if len(self._gardens) > _GARDENS_MAX:
            del self._gardens[next(iter(self._gardens))]
        return indexes

    def charge_read(self, call: ApiRequest, txn: Transaction) -> None:
        """Charge a read to its caller. Raises Refusal 429."""
        self._quotas.charge(txn, call.principal, "fact_read")

    def charge_write(self, call: ApiRequest, txn: Transaction) -> None:
        """Charge a write to its caller. Raises Refusal 429."""
        self._quotas.charge(txn, call.principal, "fact_write")

    def when(self, as_of: str | None, txn: Transaction, ledger: Ledger | None = None) -> When:
        """The instant that a request names, of the node's ledger or another one. Raises Refusal 400."""
        ledger, at_us = ledger or self.ledger, txn.now_us
        known: KnownFacts = ledger
        record: PointRecord | UnsetType = UNSET
        if as_of is not None:
            point, record = self._points.as_of(as_of, ledger)
            known, at_us = PastFacts(ledger, point), point.at_us
        return When(known, lambda fact: self._confidence(fact, at_us), at_us, record)

    async def prepare(self, when: When, facts: Iterable[Fact] | None = None, *, scope: str = "") -> None:
        """Judge long slots of a past in slices, before an answer asks about facts or, without them, about a scope."""
        if isinstance(when.known, PastFacts):
            known = when.known
            await self.indexes.in_slices(known.prepare_scope(scope) if facts is None else known.prepare(facts))

    def answer(self, kind: str, make: Callable[[], Awaitable[Response]]) -> Outcome:
        """Have a task make the response. `kind`: what is made, as a word for a sentence."""
        full = busy(f"too many answers of this kind ({kind}) are in the making")
        return self._background.answer(make, ConcurrencyLimit(kind, "", limits.RECALLS_MAX, full))
