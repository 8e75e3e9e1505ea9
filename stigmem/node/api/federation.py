"""Operations that peers call: pulling facts, fetching manifests, discovery (federation 1.3, 3.1).

Handlers only. Registration and approval, which people call, are `stigmem.node.api.peers`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from stigmem.core import limits
from stigmem.core.declaration import EXTENSIONS
from stigmem.core.errors import Refusal
from stigmem.core.manifest import parse_manifest
from stigmem.core.wire import JSON_TYPE, Response, json_response
from stigmem.node.api.peer_auth import PeerCaller
from stigmem.node.api.routing import Answer, InBackground, Operation, Outcome
from stigmem.node.replication.long_polls import LongPoll
from stigmem.node.replication.page_server import narrow
from stigmem.node.replication.pull_request import HOLDING_HEADER, held_by_asker
from stigmem.node.transaction import Transaction

if TYPE_CHECKING:
    from stigmem.node.api.call import Call

__all__ = ["OPERATIONS"]

NAMESPACES = ["stigmem:", "rel:", "memory:", "intent:", "roadmap:", "preference:", "garden:"]


class PullParameters(msgspec.Struct, kw_only=True):
    """Parameters of `GET /v1/federation/facts`. `wait`: seconds the answer may be held for news. `echo`: the peer
    reads from the beginning and may have lost its own facts: serve it those too."""

    scope: str | None = None
    cursor: Annotated[str, msgspec.Meta(max_length=limits.CURSOR_CHARS_MAX)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=limits.PAGE_LIMIT_MAX)] = limits.PULL_LIMIT_DEFAULT
    wait: Annotated[float, msgspec.Meta(ge=0.0, le=limits.PULL_WAIT_S_MAX)] = 0.0
    echo: bool = False


def get_facts(call: Call, txn: Transaction) -> Outcome:
    peer = call.peer
    if peer is None:
        raise ValueError("a pull reached its handler without a peer")
    given: PullParameters = call.query
    scopes = narrow(peer.scopes, given.scope)
    if not scopes:
        if call.node.peer_auth.may_audit(peer.row.peer_id, txn.monotonic_ns):
            asked = (given.scope or "")[:64]
            txn.audit("scope_violation", peer.row.peer_id, requested_scope=asked, permitted=sorted(peer.scopes))
        raise Refusal(403, "scope_not_permitted", "scope not permitted for this peer", style="text")
    node = call.node
    node.peer_seen(peer.row.peer_id)
    expected = node.last_cursor_sent.get(peer.row.peer_id)
    if given.cursor is None or given.cursor != expected:
        # Going on from our last page costs the peer nothing and is never refused; asking again or from the start is.
        node.peer_auth.charge_pull(txn, peer)
        node.lag.refuse_if_stale(txn, peer.row.peer_id)
    held = held_by_asker(call.request.headers.get(HOLDING_HEADER, ""))
    waits = given.wait > 0.0 and not node.page_server.has_news(peer.row, scopes, given.cursor, held)
    if waits and node.long_polls.room_for(peer.row.peer_id) and txn.try_reserve("wait", peer.row.peer_id):
        deadline_ns = txn.monotonic_ns + int(given.wait * 1e9)
        # Held once its nonce is stored, and not before: who could not be taken in is answered now, and only now.
        pull = LongPoll(call, peer, scopes, given.cursor, given.limit, held, deadline_ns)
        return InBackground(partial(_hold, call, pull))
    return answer_pull(call, txn, peer, scopes, given.cursor, given.limit, held)


def _hold(call: Call, pull: LongPoll, _answer: Answer) -> None:
    call.node.long_polls.add(pull)
    call.node.timers.wake()


def answer_pull(
    call: Call,
    txn: Transaction,
    peer: PeerCaller,
    scopes: tuple[str, ...],
    cursor: str | None,
    limit: int,
    held: frozenset[str],
) -> Response:
    """The page of a pull, with the lag header; a page with team facts is audited."""
    node = call.node
    served = node.page_server.page(peer.row, scopes, cursor, limit, txn.now_ms, echo=call.query.echo, held=held)
    if served.team:
        txn.audit("team_egress", peer.row.peer_id, count=served.team)
    if served.held:
        node.last_cursor_sent[peer.row.peer_id] = served.cursor
    else:
        node.last_cursor_sent.pop(peer.row.peer_id, None)
    lag_ms = node.lag.worst_ms(txn.monotonic_ns)
    if lag_ms > txn.settings.lag_warning_ms:
        return Response(200, JSON_TYPE | {"x-stigmem-replication-lag": str(lag_ms)}, served.body)
    return Response(200, JSON_TYPE, served.body)


def get_manifest(call: Call, txn: Transaction) -> Outcome:
    """The manifest of this node, or of an origin it knows: what relays vouch with."""
    name = call.params["node"]
    if name in (call.node.node_id, call.node.entity_uri):
        return json_response(200, call.node.manifest(txn.now_us))
    row = txn.state.origins.get(name)
    if row is None or not row.manifest or parse_manifest(msgspec.json.decode(row.manifest)).expired(txn.now_us):
        raise Refusal(404, "manifest_not_found", "manifest not found or expired", style="text")
    return Response(200, JSON_TYPE, row.manifest.encode())


def get_own_manifest(call: Call, txn: Transaction) -> Outcome:
    if not txn.settings.federation:
        raise Refusal(404, "federation_disabled", "federation is disabled on this node", style="text")
    return json_response(200, call.node.manifest(txn.now_us))


def get_discovery(call: Call, txn: Transaction) -> Outcome:
    settings, node = txn.settings, call.node
    document: dict[str, Any] = {
        "version": "1.0",
        "node_id": node.node_id,
        "node_url": settings.node_url,
        "auth": "required" if settings.auth_required else "none",
        "federation": "enabled" if settings.federation else "disabled",
        "source_attestation": settings.source_attestation,
        "namespaces": NAMESPACES,
        "spec": None,
        "cors": {"dev_localhost": False, "configured": False},
    }
    if settings.federation:
        document |= {
            "entity_uri": node.entity_uri,
            "federation_pubkey": node.signer.public_key,
            "federation_version": "2.1",
            "federation_extensions": list(EXTENSIONS),
            "federation_endpoints": {
                "peers": "/v1/federation/peers",
                "facts": "/v1/federation/facts",
                "push": "/v1/federation/facts/push" if settings.push else None,
            },
            "replication_lag_ms": node.lag.worst_ms(txn.monotonic_ns),
        }
    return json_response(200, document)


def get_health(call: Call, txn: Transaction) -> Outcome:
    return json_response(200, {"status": "ok"})


def get_tombstones(call: Call, txn: Transaction) -> Outcome:
    """Nothing is ever here; a non-null cursor would stop a reference subscriber for good (federation 0.2)."""
    return json_response(200, {"tombstones": [], "revocations": [], "cursor": None})


OPERATIONS = (
    Operation("health", "GET", "/healthz", "open", get_health, "Whether the node answers", answer=dict, tags=("node",)),
    Operation(
        "discovery", "GET", "/.well-known/stigmem", "open", get_discovery, "Who this node is and what it speaks",
        answer=dict, tags=("node",),
    ),
    Operation(
        "own_manifest", "GET", "/.well-known/stigmem-manifest.json", "open", get_own_manifest,
        "This node's signed manifest", answer=dict, refusals=(404,), tags=("federation",),
    ),
    Operation(
        "pull_facts", "GET", "/v1/federation/facts", "peer", get_facts, "Facts after a cursor, for a peer",
        query=PullParameters, answer=dict, refusals=(401, 403, 404, 422, 429, 503, 507), tags=("federation",),
    ),
    Operation(
        "pull_tombstones", "GET", "/v1/federation/tombstones", "peer", get_tombstones, "Tombstones: none",
        answer=dict, refusals=(401, 403, 404, 503, 507), tags=("federation",),
    ),
    Operation(
        "get_manifest", "GET", "/v1/federation/manifest/{node}", "peer|read", get_manifest,
        "The manifest of this node or of an origin it knows", answer=dict, refusals=(401, 403, 404, 503, 507),
        tags=("federation",),
    ),
)  # fmt: skip
