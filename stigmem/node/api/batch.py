"""Many assertions in one request: one answer per fact, all or nothing if the caller asks for it (http-api 3.3).

Every fact goes the way of a single one (`stigmem.node.api.assertion`). With an idempotency key the answer is kept in
the journal beside the facts, so that a caller who does not know whether the first request arrived can send it again.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, UnsetType

from stigmem.core import limits
from stigmem.core.errors import Refusal
from stigmem.core.json_members import repeated_member, repeated_outer_member
from stigmem.core.records import Receipt
from stigmem.core.wire import JSON_TYPE, Response
from stigmem.node.api.assertion import AssertRequest, Draft, draft_fact, write_fact
from stigmem.node.api.feedback_guard import FeedbackGuard, session_of
from stigmem.node.api.input_errors import errors_in, ignored_members, unreadable
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import Operation, Outcome, lenient, repeated
from stigmem.node.identity import Identity
from stigmem.node.quotas import Quotas
from stigmem.node.transaction import Transaction

__all__ = ["OPERATIONS", "BatchApi"]

_requests: Final = msgspec.json.Decoder(AssertRequest)
_MEMBERS: Final = (b'"facts"', b'"atomic"', b'"idempotency_key"')
_ABORTED: Final = "this fact is well, but the batch was to be stored as a whole and another one is not"


class BatchRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/facts/batch`; each of `facts` is read by itself, so that a bad one costs only itself."""

    facts: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=limits.BATCH_FACTS_MAX)]
    atomic: bool = False
    idempotency_key: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.IDEMPOTENCY_KEY_CHARS_MAX)] | None = (
        None
    )


class BatchError(msgspec.Struct, omit_defaults=True):
    """Why a fact was not taken."""

    code: str
    message: str
    field: str | None = None


class BatchResult(msgspec.Struct, omit_defaults=True, gc=False):
    """What became of the fact at one place of the request; `status` is `accepted` or `rejected`."""

    index: int
    status: str
    fact_id: str | UnsetType = UNSET
    error: BatchError | UnsetType = UNSET
    warnings: list[str] = []
    """Members of the fact that were not read."""


class BatchAnswer(msgspec.Struct):
    """Counts, and one result per fact in the order of the request."""

    accepted: int
    rejected: int
    results: list[BatchResult]


class BatchApi:
    """Many assertions in one request."""

    def __init__(self, *, identity: Identity, quotas: Quotas, guard: FeedbackGuard) -> None:
        self._identity = identity
        self._quotas = quotas
        self._guard = guard

    def post_batch(self, call: ApiRequest, txn: Transaction) -> Outcome:
        request: BatchRequest = call.body
        if _twice(call.request.body) and (member := repeated_outer_member(call.request.body)) is not None:
            raise repeated(member)
        name = _receipt_name(call, request)
        if name:
            txn.reserve("receipt", name)
        session = session_of(call.request)
        receipt = _receipt(call, txn, name) if name else None
        is_repeated = receipt is not None and bool(receipt.response)
        self._quotas.charge(txn, call.principal, "fact_write", 1 if is_repeated else max(1, len(request.facts)))
        if receipt is not None and receipt.response:
            return Response(200, JSON_TYPE, receipt.response)
        drafts = [self._draft(call, txn, raw, session) for raw in request.facts]
        if request.atomic and any(isinstance(draft, BatchError) for draft in drafts):
            drafts = [
                draft if isinstance(draft, BatchError) else BatchError("batch_aborted", _ABORTED) for draft in drafts
            ]
        results = [_result(call, txn, index, draft) for index, draft in enumerate(drafts)]
        for result, raw in zip(results, request.facts, strict=True):
            result.warnings = ignored_members(AssertRequest, raw)
        accepted = sum(result.status == "accepted" for result in results)
        body = msgspec.json.encode(BatchAnswer(accepted, len(results) - accepted, results))
        if receipt is not None:
            txn.add(msgspec.structs.replace(receipt, response=body))
        return Response(200, JSON_TYPE, body)

    def _draft(self, call: ApiRequest, txn: Transaction, raw: msgspec.Raw, session: str) -> Draft | BatchError:
        """One fact of the request, checked; nothing is staged before all of them are."""
        try:
            request = _requests.decode(raw)
            if (member := repeated_member(bytes(raw))) is not None:
                raise repeated(member)
            draft = draft_fact(txn, call.principal, request, self._identity)
            self._guard.check(session, call.principal, request, txn, draft.garden)
        except msgspec.ValidationError as error:
            refusal = unreadable("body", errors_in("body", AssertRequest, lenient(raw), error))
            return BatchError(refusal.code, refusal.message, refusal.field)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            return BatchError("json_invalid", f"this is no valid JSON: {error}")
        except Refusal as refusal:
            return BatchError(refusal.code, refusal.message, refusal.field)
        return draft


def _twice(body: bytes) -> bool:
    """Whether a member of the request may be there twice."""
    return any(body.count(name) > 1 for name in _MEMBERS)


def _result(call: ApiRequest, txn: Transaction, index: int, draft: Draft | BatchError) -> BatchResult:
    if isinstance(draft, BatchError):
        return BatchResult(index, "rejected", error=draft)
    return BatchResult(index, "accepted", write_fact(txn, call.principal, draft).fact.id)


def _receipt_name(call: ApiRequest, request: BatchRequest) -> str:
    """The name of the request's idempotency key among those of all callers; empty when it has none."""
    if request.idempotency_key is None:
        return ""
    caller = call.principal
    # Another key of the same entity may do less: it must not be answered what it could not have written.
    rights = ",".join((*sorted(caller.permissions), *sorted(caller.scopes)))
    text = f"{caller.entity_uri}\n{rights}\n{request.idempotency_key}"
    return hashlib.sha256(text.encode()).hexdigest()


def _receipt(call: ApiRequest, txn: Transaction, name: str) -> Receipt:
    """What a key was answered before, or a receipt still without an answer. Raises Refusal 409."""
    body_hash = hashlib.sha256(call.request.body).hexdigest()
    held = txn.state.receipts.get(name)
    if held is None or txn.now_us - held.at_us > limits.RECEIPT_LIFE_S * 1_000_000:
        return Receipt(name, body_hash, b"", txn.now_us)
    if held.body_hash != body_hash:
        message = "this idempotency key was used for another request; use a new one for each batch"
        raise Refusal(409, "idempotency_key_reused", message, field="idempotency_key")
    return held


OPERATIONS = (
    Operation(
        "assert_facts", "POST", "/v1/facts/batch", "write", BatchApi.post_batch,
        "Assert up to 500 facts, each or all of them",
        body=BatchRequest, answer=BatchAnswer, refusals=(400, 401, 403, 409, 413, 422, 429, 503, 507), tags=("facts",),
        reads_once=False,
    ),
)  # fmt: skip
