"""The gate: who is asking, and whether they may, before any work is done.

Peer tokens, permissions and rates. Answers by raising a Refusal with the exact detail of the contract and
staging the audit row that goes with it; API keys are recognised by the table in `stigmem.node.api.api_keys`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from stigmem.core import limits
from stigmem.core.declaration import ACTIVE
from stigmem.core.errors import Refusal, Rejection
from stigmem.core.records import PeerRow
from stigmem.core.scopes import crossing
from stigmem.core.token import Token, check_token, read_token
from stigmem.core.token_bucket import TokenBucket
from stigmem.core.wire import Request
from stigmem.node.responses import quota_exceeded
from stigmem.node.transaction import Transaction

__all__ = ["CLOCK_HEADER", "PEER_URI_HEADER", "PeerAuthenticator", "PeerCaller", "bearer", "slow_down"]

CLOCK_HEADER: Final = "x-stigmem-now"
"""Wall clock in ms that a 401 carries."""
PEER_URI_HEADER: Final = "x-stigmem-internal-peer-uri"
"""URIs of the certificate that the connection was made with; set by the carrier, never by who sends the request."""


class PeerCaller(NamedTuple):
    """An authenticated peer and the scopes that this request may touch."""

    row: PeerRow
    scopes: tuple[str, ...]


def bearer(request: Request) -> str | None:
    """The credential of an `Authorization: Bearer` header; the scheme in any case."""
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else None


class PeerAuthenticator:
    """Authentication of peers, with bounded memory of how often they and strangers come."""

    def __init__(self, node_id: str) -> None:
        self._node_id = node_id
        self._pulls: dict[str, TokenBucket] = {}
        self._stranger_rows: dict[str, TokenBucket] = {}
        self.suppressed = 0
        """Audit rows not written because strangers caused too many; reported by the keeper."""

    def peer(self, txn: Transaction, request: Request) -> PeerCaller:
        """The peer behind a request's token; spends the nonce. Raises Refusal 401 or 403 (federation 2.6)."""
        credential = bearer(request)
        if credential is None:
            raise Refusal(401, "peer_token_required", "peer token required", style="text")
        try:
            token = read_token(credential)
        except Rejection as rejection:
            raise _unauthorised(rejection.code, txn) from rejection
        row = self._registered(txn, token)
        try:
            claims = check_token(
                token,
                txn.settings.suite,
                row.public_key,
                issuer=row.node_id,
                audience=self._node_id,
                now_ms=txn.now_ms,
            )
            self._check_certificate(txn, request, row)
            spent = txn.state.nonces.spend(claims.nonce, row.peer_id, claims.exp, txn.now_ms)
        except Rejection as rejection:
            if rejection.code == "too_many_tokens":
                if self.may_audit(row.peer_id, txn.monotonic_ns):
                    txn.audit("quota_breach", row.peer_id, dimension="peer_tokens")
                raise quota_exceeded("peer_tokens", row.node_id, 60.0, status=slow_down(row)) from rejection
            self._audit_refusal(txn, row.peer_id, rejection)
            raise _unauthorised(rejection.code, txn) from rejection
        if not txn.try_reserve("nonce", claims.nonce):
            replay = Rejection("nonce_already_seen", "this token was presented before")
            self._audit_refusal(txn, row.peer_id, replay)
            raise _unauthorised(replay.code, txn)
        txn.add(spent)
        scopes = crossing(row.scopes, claims.scopes, allow_team=txn.settings.allow_team)
        if not scopes:
            raise Refusal(403, "no_permitted_scopes", "no permitted scopes", style="text")
        return PeerCaller(row, scopes)

    def _registered(self, txn: Transaction, token: Token) -> PeerRow:
        row = txn.state.peer_of(token.issuer)
        if row is None:
            if self.may_audit("", txn.monotonic_ns):
                claimed = token.issuer.encode(errors="replace").decode()  # lone surrogates have no bytes to hash
                txn.audit("rejected_token", claimed, reason="peer_not_found", iss=claimed)
            raise _unauthorised("peer not registered", txn)
        if row.status != ACTIVE:
            if self.may_audit(row.peer_id, txn.monotonic_ns):
                txn.audit(
                    "rejected_token", row.peer_id, reason="peer_not_approved", iss=token.issuer, status=row.status
                )
            raise _unauthorised("peer_not_approved", txn)
        return row

    def _check_certificate(self, txn: Transaction, request: Request, row: PeerRow) -> None:
        """With mutual TLS, the certificate of the connection must name the peer whose token came over it (S-20)."""
        presented = request.headers.get(PEER_URI_HEADER, "")
        if not txn.settings.mtls or row.node_id in presented.split():
            return
        if self.may_audit(row.peer_id, txn.monotonic_ns):
            txn.audit("san_mismatch", row.peer_id, presented=presented[: limits.NODE_ID_CHARS_MAX])
        raise _unauthorised("san_mismatch", txn)

    def _audit_refusal(self, txn: Transaction, peer_id: str, rejection: Rejection) -> None:
        if self.may_audit(peer_id, txn.monotonic_ns):
            event = "replay_attempt" if rejection.code == "nonce_already_seen" else "rejected_token"
            txn.audit(event, peer_id, reason=rejection.code)

    def may_audit(self, who: str, monotonic_ns: int) -> bool:
        """Whether one more row of what somebody causes by asking may be written now: rationed per peer or principal,
        and over all unknown names together, since anybody can call himself anything. What exceeds it is counted."""
        bucket = self._stranger_rows.get(who)
        if bucket is None:
            per_minute = float(limits.STRANGER_AUDIT_ROWS_PER_MINUTE)
            bucket = self._stranger_rows[who] = TokenBucket(per_minute, per_minute / 60.0, monotonic_ns)
        if bucket.take(monotonic_ns) == 0.0:
            return True
        self.suppressed += 1
        return False

    def charge_pull(self, txn: Transaction, caller: PeerCaller) -> None:
        """Take one pull from the peer's bucket; raises Refusal 429, or 503 toward dialect 0.5."""
        row = caller.row
        bucket = self._pulls.get(row.peer_id)
        if bucket is None:
            settings = txn.settings
            bucket = TokenBucket(settings.pull_burst, settings.pull_rate_per_s, txn.monotonic_ns)
            self._pulls[row.peer_id] = bucket
        wait_s = bucket.take(txn.monotonic_ns)
        if wait_s:
            raise quota_exceeded("federation_pull", row.node_id, wait_s, status=slow_down(row))


def slow_down(row: PeerRow) -> int:
    """The status that tells a peer to come back later."""
    # A 429 stops a reference subscriber for all of its peers (federation 0.2).
    return 503 if row.dialect == "0.5" else 429


def _unauthorised(detail: str, txn: Transaction) -> Refusal:
    # Our clock goes with the refusal: a peer whose clock differs can aim its next token at ours.
    return Refusal(401, detail, detail, style="text", headers=((CLOCK_HEADER, str(txn.now_ms)),))
