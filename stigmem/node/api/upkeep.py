"""Two short looks at how a node is (http-api 3.2, 3.16): the doctor of the contract, and the state of content ids.

`stigmem doctor` is another thing: it looks at settings, files and certificates, which a node does not see.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from stigmem.core.scopes import ordered
from stigmem.core.wire import json_response
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import Operation, Outcome
from stigmem.node.quotas import Quotas
from stigmem.node.transaction import Transaction

__all__ = ["OPERATIONS", "UpkeepApi"]


class DoctorAnswer(msgspec.Struct):
    """Whether the node answers, and how far gardens are closed: on this node always fully."""

    status: Literal["ok"] = "ok"
    memory_garden_acl_filtering: Literal["disabled", "enabled-partial", "enabled-full"] = "enabled-full"


class BackfillAnswer(msgspec.Struct):
    """How many facts have a content id. Every fact of this node has one from its writing on, so none is pending."""

    total_facts: int
    backfilled_facts: int
    pending_facts: int = 0
    backfill_complete: bool = True


class UpkeepApi:
    """How this node is."""

    def __init__(self, *, quotas: Quotas) -> None:
        self._quotas = quotas

    def get_doctor(self, call: ApiRequest, txn: Transaction) -> Outcome:
        return json_response(200, DoctorAnswer())

    def get_backfill(self, call: ApiRequest, txn: Transaction) -> Outcome:
        """Counts what the caller may read, and nothing that waits in quarantine."""
        self._quotas.charge(txn, call.principal, "fact_read")
        scopes, by_scope = ordered(call.principal.scopes), txn.ledger.by_scope
        total = sum(fact.quarantine is None for scope in scopes for fact in by_scope.get(scope))
        return json_response(200, BackfillAnswer(total, total))


OPERATIONS = (
    Operation(
        "doctor", "GET", "/v1/doctor", "any", UpkeepApi.get_doctor, "Whether the node answers",
        answer=DoctorAnswer, refusals=(401, 503), tags=("node",),
    ),
    Operation(
        "cid_backfill_status", "GET", "/v1/admin/cid-backfill/status", "read", UpkeepApi.get_backfill,
        "How many facts have a content id: all of them", answer=BackfillAnswer, refusals=(401, 403, 429, 503),
        tags=("node",),
    ),
)  # fmt: skip
