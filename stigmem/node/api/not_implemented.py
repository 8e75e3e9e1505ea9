"""Operations of the contract that this node does not offer: each answers 501 with the reason, to callers it knows.

An operation leaves this list when it gets a handler of its own. What the contract calls absent by default is not here;
it is simply not found.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from stigmem.core.errors import Refusal
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import Handler, Operation, Outcome
from stigmem.node.transaction import Transaction

__all__ = ["OPERATIONS", "NotImplementedApi"]

_CAPABILITIES: Final = "this node trusts no capability token; a peer presents a peer token, everybody else an API key"


class _Absent(NamedTuple):
    name: str
    method: str
    path: str
    reason: str


_ABSENT: Final = (
    _Absent("exchange_oidc_token", "POST", "/v1/auth/oidc/exchange", "this node has no tie to an identity provider"),
    _Absent("create_capability_token", "POST", "/v1/federation/capability-tokens", _CAPABILITIES),
    _Absent("verify_capability_token", "POST", "/v1/federation/capability-tokens/verify", _CAPABILITIES),
    _Absent("revoke_capability_token", "POST", "/v1/federation/capability-tokens/{token}/revoke", _CAPABILITIES),
)


class NotImplementedApi:
    """Has nothing: what an operation that is not offered answers stands beside its name."""


def _refusing(reason: str) -> Handler:
    def refuse(_api: NotImplementedApi, call: ApiRequest, _txn: Transaction) -> Outcome:
        path = call.request.target.partition("?")[0][:256]
        raise Refusal(501, "not_implemented", f"this node does not offer {call.request.method} {path}: {reason}")

    return refuse


OPERATIONS = tuple(
    Operation(
        each.name,
        each.method,
        each.path,
        "any",
        _refusing(each.reason),
        f"Not offered: {each.reason}",
        status=501,
        refusals=(401, 503),
        tags=("later",),
        takes_any_query=True,
    )
    for each in _ABSENT
)
