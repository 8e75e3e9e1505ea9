"""Facts that a peer brings instead of waiting to be asked: `POST /v1/federation/facts/push` (federation 3.9).

Off by default. Each fact is judged by itself, by the rules of a pulled one and two more: a peer may bring only what it
wrote itself and in its own name. Checking is done away from the writer, storing is a command for it.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, UnsetType

from stigmem.core import limits
from stigmem.core.declaration import ACTIVE
from stigmem.core.errors import Refusal, Rejection
from stigmem.core.fact import Fact
from stigmem.core.ingest import PeerLink, check_scope
from stigmem.core.page import decode_entry, entry_name
from stigmem.core.wire import Response, json_response
from stigmem.node.api.background import Background, ConcurrencyLimit
from stigmem.node.api.peer_auth import bearer
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import Operation, Outcome
from stigmem.node.callers import PeerCaller
from stigmem.node.intake_quota import Exceeded
from stigmem.node.mailbox import Mailbox, NotStored
from stigmem.node.ports import Clock
from stigmem.node.quotas import Quotas, slow_down_status
from stigmem.node.replication.page_ingest import Arrival, Ingestion, IngestPage, Refused
from stigmem.node.replication.page_verifier import EntryVerifier
from stigmem.node.replication.puller import Pullers
from stigmem.node.responses import quota_exceeded
from stigmem.node.transaction import Transaction

__all__ = ["OPERATIONS", "PushApi"]

_FACTS_PER_CHECKPOINT: Final = 25
_QUOTA: Final = "quota_exceeded"
_ERRORS: Final = {
    "scope_violation": "scope_not_permitted",
    "source_not_owned": "source_not_owned",
    "cid_mismatch": "cid_mismatch",
    "hlc_skew": "hlc_skew",
    "quota_exceeded": "quota_exceeded",
}
"""What the contract calls the refusals that it names; every other one is an `ingest_error`."""


class PushRequest(msgspec.Struct):
    """Body of a push: bare records of dialect 0.5, or entries with origin and signature."""

    facts: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=limits.PUSH_FACTS_MAX)]


class PushError(msgspec.Struct):
    """Why a fact was not taken; `reason` is the exact code, `fact_id` null when it has none."""

    fact_id: str | None
    error: str
    reason: str
    index: int


class PushAnswer(msgspec.Struct):
    """What became of a push; facts that are held already count as accepted."""

    accepted: int
    rejected: int
    errors: list[PushError]


class _Shape(msgspec.Struct):
    fact: msgspec.Raw | UnsetType = UNSET


class IngestPush:
    """The command that stores pushed facts: no cursor moves, nothing is kept for another try, and each fact that is
    not taken has an error of its own."""

    def __init__(self, page: IngestPage, quotas: Quotas) -> None:
        self._page = page
        self._quotas = quotas

    def stage(self, txn: Transaction) -> tuple[list[PushError], float] | None:
        """What was not taken, and the seconds after which more may come; None when the peer was revoked meanwhile."""
        row = txn.state.peers.get(self._page.peer_id)
        if row is None or row.status != ACTIVE:
            return None
        ingestion = _PushIngestion(self._page, txn, self._quotas)
        ingestion.run()
        return ingestion.errors, _window_s(txn)


class _PushIngestion(Ingestion):
    def __init__(self, page: IngestPage, txn: Transaction, quotas: Quotas) -> None:
        super().__init__(page, txn)
        self._quotas = quotas
        self._code = ""
        self._index = 0
        self.errors: list[PushError] = []

    def take(self, arrival: Arrival) -> Fact | None:
        repeated, self._code = self._repeated, "origin_unresolvable"
        fact = super().take(arrival)
        if fact is None and self._repeated == repeated:
            name = entry_name(arrival.raw)
            error = _ERRORS.get(self._code, "ingest_error")
            self.errors.append(PushError(None if name.startswith("sha256:") else name, error, self._code, self._index))
        self._index += 1
        return fact

    def wait(self, arrival: Arrival, fact: Fact, exceeded: Exceeded) -> None:
        self._code = _QUOTA  # it stays with its sender, which was told

    def reject(self, refused: Refused, raw: bytes) -> None:
        self._code = refused.rejection.code
        known = self._txn.state.letters.get(self._peer_id, {}).get(refused.name, ())
        # A pulled page costs us a request; pushed ones come as fast as their sender likes.
        if self._code not in known and self._quotas.may_audit(self._peer_id, self._txn.monotonic_ns):
            super().reject(refused, raw)

    def due_ms(self, rejection: Rejection) -> int | None:
        return None  # its sender was told, and can bring it again when it is due


def check_offered(call: ApiRequest, txn: Transaction) -> None:
    """What is refused whoever asks. Raises Refusal 405 when push is off, 401 for capability tokens."""
    if not txn.settings.push:
        raise Refusal(405, "push_disabled", "push replication not enabled on this node")
    if bearer(call.request) is None and "x-stigmem-capability" in call.request.headers:
        message = "this node trusts no capability token, whatever its signature: present a peer token"
        raise Refusal(401, "capability_not_supported", message)


class PushApi:
    """Facts that peers bring."""

    def __init__(
        self,
        *,
        quotas: Quotas,
        verifier: EntryVerifier,
        mailbox: Mailbox,
        background: Background,
        pullers: Pullers,
        clock: Clock,
    ) -> None:
        self._quotas = quotas
        self._verifier = verifier
        self._mailbox = mailbox
        self._background = background
        self._pullers = pullers
        self._clock = clock

    def post_push(self, call: ApiRequest, txn: Transaction) -> Outcome:
        peer = call.need_peer()
        peer_id, settings, status = peer.row.peer_id, txn.settings, slow_down_status(peer.row)
        self._pullers.peer_seen(peer_id)
        wait_s = self._quotas.wait_s(
            "federation_push", peer_id, settings.pull_burst, settings.pull_rate_per_s, txn.monotonic_ns
        )
        if wait_s:
            raise quota_exceeded("federation_push", peer.row.node_id, wait_s, status=status)
        if txn.state.intake.is_spent(peer.row.node_id, txn.now_us):
            raise quota_exceeded("federation_intake", peer.row.node_id, _window_s(txn), status=status)
        facts = [bytes(raw) for raw in call.body.facts]

        async def answer() -> Response:
            return await self._take_in(peer, facts)

        full = quota_exceeded("federation_push", peer.row.node_id, 1.0, status=status)
        return self._background.answer(answer, ConcurrencyLimit("push", peer_id, limits.PUSHES_PER_PEER_MAX, full))

    async def _take_in(self, peer: PeerCaller, facts: list[bytes]) -> Response:
        """Check facts, have the writer take them, and say what became of each. Raises Refusal."""
        arrivals: list[Arrival] = []
        for number, raw in enumerate(facts, 1):
            arrivals.append(self._checked(PeerLink(peer.row.node_id, _dialect(peer, raw), peer.scopes), raw))
            if number % _FACTS_PER_CHECKPOINT == 0:
                await self._clock.checkpoint()
        link = PeerLink(peer.row.node_id, peer.row.dialect, peer.scopes)
        page = IngestPage(peer.row.peer_id, link, self._verifier.policy, arrivals, place=None)
        try:
            outcome = await self._mailbox.submit(IngestPush(page, self._quotas))
        except NotStored as failure:
            raise Refusal(507, failure.code, failure.message, headers=(("retry-after", "5"),)) from failure
        if outcome is None:
            raise Refusal(401, "peer_not_approved", "peer_not_approved")
        errors, wait_s = outcome
        if facts and all(error.reason == _QUOTA for error in errors) and len(errors) == len(facts):
            status = slow_down_status(peer.row)
            raise quota_exceeded("federation_intake", peer.row.node_id, wait_s, status=status)
        return json_response(202, PushAnswer(len(facts) - len(errors), len(errors), errors))

    def _checked(self, link: PeerLink, raw: bytes) -> Arrival:
        """The stateless checks of one fact: those of push, then those of every fact."""
        try:
            entry = decode_entry(raw, link.dialect)
            check_scope(entry.fact.scope, link)
            if entry.origin is not None and entry.origin.node_id != link.sender:
                raise Rejection("origin_not_sender", "a peer pushes only what it wrote itself")
            if entry.fact.source != link.sender:
                raise Rejection("source_not_owned", "the source of a pushed fact is its sender", field="source")
        except Rejection as rejection:
            return Arrival(raw, Refused(entry_name(raw), rejection, link.sender))
        return self._verifier.verify_raw(link, raw)


def _window_s(txn: Transaction) -> float:
    """Until a peer whose quota is spent may bring more."""
    return (txn.state.intake.ends_us(txn.now_us) - txn.now_us) / 1e6


def _dialect(peer: PeerCaller, raw: bytes) -> str:
    """How to read one fact: as its sender's dialect has it, and entries also from those who need not sign."""
    if peer.row.dialect != "0.5":
        return peer.row.dialect
    try:
        return "0.5" if msgspec.json.decode(raw, type=_Shape).fact is UNSET else "2.1"
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return "0.5"


OPERATIONS = (
    Operation(
        "push_facts", "POST", "/v1/federation/facts/push", "peer", PushApi.post_push, "Facts that a peer brings",
        body=PushRequest, answer=PushAnswer, status=202, refusals=(401, 403, 405, 413, 422, 429, 503, 507),
        tags=("federation",), before=check_offered, reads_once=False,
    ),
)  # fmt: skip
