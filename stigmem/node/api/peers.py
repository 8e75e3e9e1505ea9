"""Operations on peers that people call: register, approve, list, get, narrow, revoke, delete (federation 2.2).

A peer's life is the transition table of `stigmem.core.declaration`; the address it declares is checked by
`stigmem.node.membership.handshake`, and a person compares the key's fingerprint before anything flows. What strangers
may have us do meanwhile is bounded here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, UnsetType

from stigmem.core import limits
from stigmem.core.declaration import ACTIVE, PENDING, REJECTED, REVOKED, UNVERIFIED, Declaration, step
from stigmem.core.errors import Refusal, invalid
from stigmem.core.keys import fingerprint
from stigmem.core.records import CursorRow, OriginRow, PeerRow
from stigmem.core.scopes import crossing, ordered
from stigmem.core.timestamps import format_us
from stigmem.core.wire import Response, json_response
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import AfterCommit, InBackground, Operation, Outcome
from stigmem.node.api.visibility import has_every_scope
from stigmem.node.identity import Identity
from stigmem.node.membership.handshake import Handshakes
from stigmem.node.quotas import Quotas
from stigmem.node.replication.lag import LagMonitor, PeerProgress
from stigmem.node.responses import fingerprint_refused, quota_exceeded
from stigmem.node.resync import read_again_for_key, read_again_for_origin, reserve_cursors
from stigmem.node.transaction import Transaction
from stigmem.node.unknown_origins import admit_origin

__all__ = ["OPERATIONS", "PeersApi"]


class PeerRecord(msgspec.Struct):
    """A peer as the client library reads it: one of four states."""

    peer_id: str
    node_id: str
    node_url: str
    status: str
    allowed_scopes: list[str]
    established_at: str | None
    state: str = ""
    """The exact state: the four literals of `status` fold two waiting states into one."""
    pubkey_fingerprint: str = ""
    dialect: str = ""
    exchange: PeerExchange | None = None
    """Null for a peer that is not read."""


class PullError(msgspec.Struct):
    """Why the last pull from a peer brought no page."""

    code: str
    message: str
    at: str


class PeerExchange(msgspec.Struct):
    """How reading an active peer goes, since this process began. Null where that has not happened yet."""

    last_contact_at: str | None
    """When the peer last answered or asked something."""
    last_page_at: str | None
    """When a page of it was last good."""
    lag_s: float
    """For how long it is known to have more than was taken from it, in seconds; 0 when it is not."""
    next_pull_at: str | None
    """When it will be asked again; null while it is being asked."""
    last_error: PullError | None
    """Null when the last pull brought a page."""
    failures: dict[str, int]
    """Code of a reason -> pulls that brought no page."""
    facts_taken: int | None
    facts_waiting: int | None
    """Facts of it that are ahead of this node's clock, and become visible when they are due. Null, as `facts_taken`,
    for a caller to whom some scope is closed: they count facts of all."""
    awaits_approval: bool = False
    """Whether its operator has not approved this node yet, by its last answer."""
    over_quota: list[str] | UnsetType = UNSET
    """Quotas of what is taken in that it exceeded in this window, as `peer_facts`; what exceeds waits at the peer. Left
    out when there are none, and for a caller to whom some scope is closed."""
    quota_until: str | UnsetType = UNSET
    """When that window is over."""


class PeersAnswer(msgspec.Struct):
    """Every peer row."""

    peers: list[PeerRecord]


class RegisterAnswer(msgspec.Struct):
    """What comes of a declaration."""

    peer_id: str
    status: str
    verified_at: str | None = None


class ApproveRequest(msgspec.Struct):
    """The fingerprint that a person compared."""

    pubkey_fingerprint: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class PeerChange(msgspec.Struct):
    """Body of `PATCH /v1/federation/peers/{peer}`: the scopes that stay, each of them one that the peer declared."""

    allowed_scopes: Annotated[tuple[str, ...], msgspec.Meta(max_length=16)]


class ApproveAnswer(msgspec.Struct):
    """An approved peer."""

    peer_id: str
    node_id: str
    status: str
    approved_at: str


def peer_record(row: PeerRow) -> PeerRecord:
    """A peer row as responses carry it."""
    return PeerRecord(
        peer_id=row.peer_id,
        node_id=row.node_id,
        node_url=row.node_url,
        status=row.status if row.status in (ACTIVE, REJECTED, REVOKED) else UNVERIFIED,
        allowed_scopes=sorted(row.scopes),
        established_at=None if row.established_us is None else format_us(row.established_us),
        state=row.status,
        pubkey_fingerprint=fingerprint(row.public_key),
        dialect=row.dialect,
    )


def _exchange(row: PeerRow, progress: PeerProgress, txn: Transaction, waiting: int, *, counted: bool) -> PeerExchange:
    def at(then_ns: int | None) -> str | None:
        """An instant of the monotonic clock by the wall clock as it is now."""
        return None if then_ns is None else format_us(txn.now_us + (then_ns - txn.monotonic_ns) // 1_000)

    since, failure, held = progress.behind_since_ns, progress.failure, txn.state.cursors.get(row.peer_id)
    return PeerExchange(
        last_contact_at=at(progress.contact_ns),
        last_page_at=at(progress.page_ns),
        lag_s=0.0 if since is None else max(0, txn.monotonic_ns - since) / 1e9,
        next_pull_at=at(progress.next_pull_ns),
        last_error=None if failure is None else PullError(failure.code, failure.sentence, at(failure.at_ns) or ""),
        failures=dict(progress.failures),
        facts_taken=(0 if held is None else held.taken) if counted else None,
        facts_waiting=waiting if counted else None,
        awaits_approval=progress.awaits_approval,
        **(_quota(row, txn) if counted else {}),
    )


def _quota(row: PeerRow, txn: Transaction) -> dict[str, Any]:
    exceeded = txn.state.intake.waiting(row.node_id, txn.now_us)
    if not exceeded:
        return {}
    dimensions = [f"{each.whose}_{each.dimension}" for each in exceeded]
    return {"over_quota": dimensions, "quota_until": format_us(txn.state.intake.ends_us(txn.now_us))}


class PeersApi:
    """Peers, as people register and approve them."""

    def __init__(self, *, identity: Identity, quotas: Quotas, handshakes: Handshakes, lag: LagMonitor) -> None:
        self._identity = identity
        self._quotas = quotas
        self._handshakes = handshakes
        self._lag = lag

    def post_peer(self, call: ApiRequest, txn: Transaction) -> Outcome:
        declaration: Declaration = call.body
        if declaration.node_id == self._identity.node_id:
            raise Refusal(409, "own_node_id", "this is the node's own id")
        if not _is_address(declaration.node_url):
            message = "node_url must be an http or https address, without user, query or fragment"
            raise invalid("node_url", message, given=declaration.node_url)
        txn.reserve("peer", declaration.node_id)
        txn.reserve("registration", "")
        held = txn.state.peer_of(declaration.node_id)
        if step(held.status if held else "", "register") is None:
            status = held.status if held else ""
            raise Refusal(409, "peer_already_registered", f"peer already registered (status={status})")
        self._charge_registration(call, txn)
        self._make_room(call, txn, held)
        row = PeerRow(
            peer_id=held.peer_id if held else self._identity.new_uuid(),
            node_id=declaration.node_id,
            node_url=declaration.node_url.rstrip("/"),
            public_key=declaration.federation_pubkey,
            scopes=ordered(declaration.allowed_scopes),
            status=UNVERIFIED,
            dialect="0.5",
        )
        txn.add(row)

        return InBackground(partial(self._handshakes.check_registration, row, declaration))

    def post_approve(self, call: ApiRequest, txn: Transaction) -> Outcome:
        row = _row(call, txn)
        if row.status != PENDING:
            raise Refusal(409, "peer_not_pending", f"peer is not pending approval (status={row.status})")
        for scope in crossing(row.scopes, allow_team=txn.settings.allow_team):
            call.principal.need_scope(scope)  # whoever lets a peer read a scope must be able to read it
        request: ApproveRequest = call.body
        reserve_cursors(txn)
        if request.pubkey_fingerprint != fingerprint(row.public_key):
            txn.audit("peer_approval_failed", row.peer_id, given=request.pubkey_fingerprint)
            return AfterCommit(fingerprint_refused)
        approved = msgspec.structs.replace(row, status=ACTIVE, established_us=txn.now_us)
        txn.add(approved)
        admit_origin(txn, row.node_id, call.principal.entity_uri)
        known = txn.state.key_of_origin(row.node_id)
        txn.add(OriginRow(row.node_id, row.public_key, "pinned"))
        read_again_for_origin(txn, row.node_id)
        if known not in (None, "", row.public_key):
            read_again_for_key(txn)  # somebody had vouched for another key
        txn.add(
            CursorRow(
                peer_id=row.peer_id,
                cursor=None,
                watermark=txn.state.ledger.last_seq,
                drained=False,
                updated_us=txn.now_us,
            )
        )
        txn.audit("peer_approved", row.peer_id, node_id=row.node_id, by=call.principal.entity_uri)
        answer = ApproveAnswer(row.peer_id, row.node_id, ACTIVE, format_us(txn.now_us))
        return AfterCommit(lambda: json_response(200, answer))

    def patch_peer(self, call: ApiRequest, txn: Transaction) -> Outcome:
        """Narrow what a link carries. Wider than the peer signed for it can only become by a new declaration."""
        row, request = _row(call, txn), call.body
        unknown = next((scope for scope in request.allowed_scopes if scope not in row.scopes), None)
        if unknown is not None:
            declared = ", ".join(row.scopes) or "none"
            message = f"allowed_scopes can only become fewer ({declared} now); to add one the peer registers anew"
            raise invalid("allowed_scopes", message, given=unknown)
        scopes = ordered(request.allowed_scopes)
        if scopes != row.scopes:
            txn.add(msgspec.structs.replace(row, scopes=scopes))
            txn.audit(
                "peer_changed", row.peer_id, node_id=row.node_id, by=call.principal.entity_uri,
                scopes=list(scopes), before=list(row.scopes),
            )  # fmt: skip
        return AfterCommit(lambda: json_response(200, peer_record(txn.state.peers[row.peer_id])))

    def post_revoke(self, call: ApiRequest, txn: Transaction) -> Outcome:
        row = _row(call, txn)
        if step(row.status, "revoke") is None:
            raise Refusal(409, "peer_not_revocable", f"peer cannot be revoked (status={row.status})")
        txn.add(msgspec.structs.replace(row, status=REVOKED))
        txn.audit("peer_revoked", row.peer_id, node_id=row.node_id, by=call.principal.entity_uri)
        return AfterCommit(lambda: json_response(200, peer_record(txn.state.peers[row.peer_id])))

    def delete_peer(self, call: ApiRequest, txn: Transaction) -> Outcome:
        row = _row(call, txn)
        if step(row.status, "delete") is None:
            raise Refusal(409, "peer_not_deletable", f"revoke the peer first (status={row.status})")
        txn.add(row.deleted())
        txn.audit("peer_deleted", row.peer_id, node_id=row.node_id, by=call.principal.entity_uri)
        return AfterCommit(lambda: Response(204))

    def get_peers(self, call: ApiRequest, txn: Transaction) -> Outcome:
        waiting = Counter(peer_id for peer_id, _ in txn.state.deferred)
        rows = txn.state.peers.values()
        return json_response(200, PeersAnswer([self._with_exchange(row, call, txn, waiting) for row in rows]))

    def get_peer(self, call: ApiRequest, txn: Transaction) -> Outcome:
        row = txn.state.peers.get(call.params["peer"])
        if row is None:
            raise Refusal(404, "peer_not_found", "peer not found")
        waiting = sum(peer_id == row.peer_id for peer_id, _ in txn.state.deferred)
        return json_response(200, self._with_exchange(row, call, txn, {row.peer_id: waiting}))

    def _with_exchange(
        self, row: PeerRow, call: ApiRequest, txn: Transaction, waiting: Mapping[str, int]
    ) -> PeerRecord:
        record = peer_record(row)
        progress = self._lag.of(row.peer_id)
        if progress is not None:
            counted = has_every_scope(call.principal)
            record.exchange = _exchange(row, progress, txn, waiting.get(row.peer_id, 0), counted=counted)
        return record

    def _charge_registration(self, call: ApiRequest, txn: Transaction) -> None:
        """Each registration has us ask an address of somebody else's choice, and costs an audit row. Raises Refusal
        429."""
        who = call.principal.entity_uri
        wait_s = self._quotas.wait_s(
            "registration", who, float(limits.PENDING_PEERS_MAX), limits.REGISTRATIONS_PER_S, txn.monotonic_ns
        )
        if wait_s:
            raise quota_exceeded("registration", who, wait_s)

    def _make_room(self, call: ApiRequest, txn: Transaction, held: PeerRow | None) -> None:
        """Room for one more that waits, and for its row unless it has one: a full table gives up its oldest rejected
        row.

        Raises Refusal 503 when there is none.
        """
        rows = txn.state.peers.values()
        waiting = sum(row.status in (UNVERIFIED, PENDING) for row in rows if row is not held)
        crowded = held is None and len(rows) >= limits.PEERS_MAX
        spare = None
        if crowded:
            spare = next((row for row in rows if row.status == REJECTED and txn.try_reserve("peer", row.node_id)), None)
        full = crowded and spare is None
        if waiting >= limits.PENDING_PEERS_MAX or full or not self._handshakes.has_room:
            raise Refusal(503, "too_many_peers", "too many registrations are waiting", headers=(("retry-after", "60"),))
        if spare is not None:
            txn.add(spare.deleted())
            txn.audit(
                "peer_deleted", spare.peer_id, node_id=spare.node_id, by=call.principal.entity_uri, to_make_room=True
            )


def _row(call: ApiRequest, txn: Transaction) -> PeerRow:
    row = txn.state.peers.get(call.params["peer"])
    if row is None:
        raise Refusal(404, "peer_not_found", "peer not found")
    txn.reserve("peer", row.node_id)
    return row


# --- whether a declaration is looked at ---


def _is_address(url: str) -> bool:
    """Whether well-known paths can be appended to a text and still be asked of the host that it shows."""
    try:
        parts = urlsplit(url)
        plain = parts.port is None or parts.port > 0
    except ValueError:
        return False
    plain = plain and url.isprintable() and not any(char in url for char in " ?#@\\")
    return plain and parts.scheme in ("http", "https") and bool(parts.hostname)


OPERATIONS = (
    Operation(
        "register_peer", "POST", "/v1/federation/peers", "federate", PeersApi.post_peer,
        "Declare yourself to this node",
        body=Declaration, answer=RegisterAnswer, status=201,
        refusals=(401, 403, 404, 409, 413, 422, 429, 503, 507), tags=("federation",),
    ),
    Operation(
        "list_peers", "GET", "/v1/federation/peers", "federate", PeersApi.get_peers, "Every peer", answer=PeersAnswer,
        refusals=(401, 403, 404, 503), tags=("federation",),
    ),
    Operation(
        "approve_peer", "POST", "/v1/federation/peers/{peer}/approve", "admin:federation", PeersApi.post_approve,
        "Approve a pending peer by its key's fingerprint", body=ApproveRequest, answer=ApproveAnswer,
        refusals=(400, 401, 403, 404, 409, 413, 422, 503, 507), tags=("federation",),
    ),
    Operation(
        "revoke_peer", "POST", "/v1/federation/peers/{peer}/revoke", "admin:federation", PeersApi.post_revoke,
        "Stop exchanging with a peer", answer=PeerRecord, refusals=(401, 403, 404, 409, 503, 507), tags=("federation",),
    ),
    Operation(
        "change_peer", "PATCH", "/v1/federation/peers/{peer}", "admin:federation", PeersApi.patch_peer,
        "Narrow the scopes that a link carries", body=PeerChange, answer=PeerRecord,
        refusals=(401, 403, 404, 413, 422, 503, 507), tags=("federation",),
    ),
    Operation(
        "get_peer", "GET", "/v1/federation/peers/{peer}", "federate", PeersApi.get_peer,
        "One peer", answer=PeerRecord,
        refusals=(401, 403, 404, 503), tags=("federation",),
    ),
    Operation(
        "delete_peer", "DELETE", "/v1/federation/peers/{peer}", "admin:federation", PeersApi.delete_peer,
        "Forget a rejected or revoked peer", status=204, refusals=(401, 403, 404, 409, 503, 507), tags=("federation",),
    ),
)  # fmt: skip
