"""Which peer is asking, and whether it may, before any work is done (federation 2.6).

A peer presents a token with every request, good for one; what is wrong with one is a Refusal with the exact detail of
the contract, and an audit row, of which each peer and all strangers together cause only so many a minute. API keys are
recognised by the table in `stigmem.node.api.api_keys`.
"""

from __future__ import annotations

from typing import Final

from stigmem.core import limits
from stigmem.core.declaration import ACTIVE
from stigmem.core.errors import Refusal, Rejection
from stigmem.core.records import PeerRow
from stigmem.core.scopes import crossing
from stigmem.core.token import Token, check_token, read_token
from stigmem.core.wire import CLOCK_HEADER, Request
from stigmem.node.callers import PeerCaller
from stigmem.node.identity import Identity
from stigmem.node.quotas import Quotas, slow_down_status
from stigmem.node.responses import quota_exceeded
from stigmem.node.transaction import Transaction

__all__ = ["PEER_URI_HEADER", "PeerAuthenticator", "bearer"]

PEER_URI_HEADER: Final = "x-stigmem-internal-peer-uri"
"""URIs of the certificate that the connection was made with; set by the carrier, never by who sends the request."""


def bearer(request: Request) -> str | None:
    """The credential of an `Authorization: Bearer` header; the scheme in any case."""
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else None


class PeerAuthenticator:
    """Recognises peers by their tokens."""

    def __init__(self, *, identity: Identity, quotas: Quotas) -> None:
        self._identity = identity
        self._quotas = quotas

    def peer(self, txn: Transaction, request: Request) -> PeerCaller:
        """The peer behind a request's token; spends the nonce. Raises Refusal 401 or 403 (federation 2.6)."""
        credential = bearer(request)
        if credential is None:
            raise Refusal(401, "peer_token_required", "peer token required")
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
                audience=self._identity.node_id,
                now_ms=txn.now_ms,
            )
            self._check_certificate(txn, request, row)
            spent = txn.state.nonces.spend(claims.nonce, row.peer_id, claims.exp, txn.now_ms)
        except Rejection as rejection:
            if rejection.code == "too_many_tokens":
                if self._quotas.may_audit(row.peer_id, txn.monotonic_ns):
                    txn.audit("quota_breach", row.peer_id, dimension="peer_tokens")
                raise quota_exceeded("peer_tokens", row.node_id, 60.0, status=slow_down_status(row)) from rejection
            self._audit_refusal(txn, row.peer_id, rejection)
            raise _unauthorised(rejection.code, txn) from rejection
        if not txn.try_reserve("nonce", claims.nonce):
            replay = Rejection("nonce_already_seen", "this token was presented before")
            self._audit_refusal(txn, row.peer_id, replay)
            raise _unauthorised(replay.code, txn)
        txn.add(spent)
        scopes = crossing(row.scopes, claims.scopes, allow_team=txn.settings.allow_team)
        if not scopes:
            raise Refusal(403, "no_permitted_scopes", "no permitted scopes")
        return PeerCaller(row, scopes)

    def _registered(self, txn: Transaction, token: Token) -> PeerRow:
        row = txn.state.peer_of(token.issuer)
        if row is None:
            if self._quotas.may_audit("", txn.monotonic_ns):
                claimed = token.issuer.encode(errors="replace").decode()  # lone surrogates have no bytes to hash
                txn.audit("rejected_token", claimed, reason="peer_not_found", iss=claimed)
            raise _unauthorised("peer not registered", txn)
        if row.status != ACTIVE:
            if self._quotas.may_audit(row.peer_id, txn.monotonic_ns):
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
        if self._quotas.may_audit(row.peer_id, txn.monotonic_ns):
            txn.audit("san_mismatch", row.peer_id, presented=presented[: limits.NODE_ID_CHARS_MAX])
        raise _unauthorised("san_mismatch", txn)

    def _audit_refusal(self, txn: Transaction, peer_id: str, rejection: Rejection) -> None:
        if self._quotas.may_audit(peer_id, txn.monotonic_ns):
            event = "replay_attempt" if rejection.code == "nonce_already_seen" else "rejected_token"
            txn.audit(event, peer_id, reason=rejection.code)


def _unauthorised(detail: str, txn: Transaction) -> Refusal:
    # Our clock goes with the refusal: a peer whose clock differs can aim its next token at ours.
    return Refusal(401, detail.replace(" ", "_"), detail, headers=((CLOCK_HEADER, str(txn.now_ms)),))
