"""What every operation that derives something from facts needs: a charge, a task that works in slices, and the ledger.

The work of such an answer may be long, so it is never done in the writer's turn: `Reader.answer` has a task make it
from committed state, at most RECALLS_MAX of a kind at one time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from stigmem.core import limits
from stigmem.core.fact import Fact
from stigmem.core.wire import Response
from stigmem.node.api.background import Background, ConcurrencyLimit
from stigmem.node.api.facts import check_scope_parameter
from stigmem.node.api.read_indexes import ReadIndexes
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import Outcome
from stigmem.node.quotas import Quotas
from stigmem.node.responses import busy
from stigmem.node.transaction import Transaction

__all__ = ["Reader"]


class Reader:
    """Makes derived answers for the operations of several API classes."""

    def __init__(
        self, *, quotas: Quotas, background: Background, indexes: ReadIndexes, confidence: Callable[[Fact], float]
    ) -> None:
        """`confidence`: how sure a fact is read to be now."""
        self._quotas = quotas
        self.confidence = confidence
        self._background = background
        self.indexes = indexes
        self.ledger = indexes.ledger

    def begin(self, call: ApiRequest, txn: Transaction, scope: str) -> None:
        """Charge a read of a scope to its caller. Raises Refusal 400, 403 and 429."""
        self.charge_read(call, txn)
        check_scope_parameter(call.principal, scope)

    def charge_read(self, call: ApiRequest, txn: Transaction) -> None:
        """Charge a read to its caller. Raises Refusal 429."""
        self._quotas.charge(txn, call.principal, "fact_read")

    def charge_write(self, call: ApiRequest, txn: Transaction) -> None:
        """Charge a write to its caller. Raises Refusal 429."""
        self._quotas.charge(txn, call.principal, "fact_write")

    def answer(self, kind: str, make: Callable[[], Awaitable[Response]]) -> Outcome:
        """Have a task make the response. `kind`: what is made, as a word for a sentence."""
        full = busy(f"too many answers of this kind ({kind}) are in the making")
        return self._background.answer(make, ConcurrencyLimit(kind, "", limits.RECALLS_MAX, full))
