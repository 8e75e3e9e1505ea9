"""Routes of the contract that this node does not serve yet: each answers 501 and says so, to callers it knows.

A route leaves this list when it gets a handler of its own. Routes that the contract calls absent by default are not
here; they are simply not found.
"""

from __future__ import annotations

from typing import Final

from stigmem.core.errors import Refusal
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import Operation, Outcome
from stigmem.node.transaction import Transaction

__all__ = ["OPERATIONS", "NotImplementedApi"]

_ROUTES: Final = (
    ("create_intent", "POST", "/v1/intents"),
    ("get_intent", "GET", "/v1/intents/{intent}"),
    ("create_agent_key", "POST", "/v1/auth/agent-keys"),
    ("list_agent_keys", "GET", "/v1/auth/agent-keys"),
    ("delete_agent_key", "DELETE", "/v1/auth/agent-keys/{key}"),
    ("exchange_oidc_token", "POST", "/v1/auth/oidc/exchange"),
    ("create_capability_token", "POST", "/v1/federation/capability-tokens"),
    ("use_capability_token", "POST", "/v1/federation/capability-tokens/{path}"),
    ("create_tombstone", "POST", "/v1/tombstones"),
    ("get_tombstones", "GET", "/v1/tombstones/{uri}"),
    ("revoke_tombstone", "POST", "/v1/tombstones/{path}"),
    ("cid_backfill_status", "GET", "/v1/admin/cid-backfill/status"),
)


class NotImplementedApi:
    """The answer to every route that is not served yet."""

    def refuse(self, call: ApiRequest, txn: Transaction) -> Outcome:
        path = call.request.target.partition("?")[0][:256]
        raise Refusal(501, "not_implemented", f"this node does not offer {call.request.method} {path} yet")


OPERATIONS = tuple(
    Operation(
        name,
        method,
        path,
        "any",
        NotImplementedApi.refuse,
        "Not offered yet",
        status=501,
        refusals=(401, 503),
        tags=("later",),
        takes_any_query=True,
    )
    for name, method, path in _ROUTES
)
