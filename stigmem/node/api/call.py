"""A request as a message: routed, authenticated, decoded and answered in the writer's turn.

One Call per request, whoever carried it. Reads answer from committed state; writes answer after their turn's
commit. A caller always gets an answer, and only one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from stigmem.core.errors import Refusal, StigmemError
from stigmem.core.wire import Request, Response, split_target
from stigmem.node.api.api_keys import ANONYMOUS, Principal
from stigmem.node.api.peer_auth import PeerCaller, bearer
from stigmem.node.api.routing import AfterCommit, InBackground, Operation, Outcome, read_body, read_query
from stigmem.node.responses import busy, internal_error, render
from stigmem.node.transaction import RetryNextBatch, Transaction

if TYPE_CHECKING:
    from stigmem.node.node import Node

__all__ = ["Call"]

_UNSTAGED: Final = Response(500)


class Call:
    """One request in the mailbox; `answer` takes its response and is called exactly once."""

    __slots__ = (
        "_given", "_outcome", "answer", "body", "leans_on_records", "node", "operation", "params", "peer", "principal",
        "query", "request",
    )  # fmt: skip

    def __init__(
        self,
        node: Node,
        request: Request,
        answer: Callable[[Response], None],
        principal: Principal | None = None,
    ) -> None:
        self.node = node
        self.request = request
        self.answer = answer
        self.operation: Operation | None = None
        self.params: dict[str, str] = {}
        self.query: Any = None
        self.body: Any = None
        self._given = principal
        self.principal: Principal = principal or ANONYMOUS
        self.peer: PeerCaller | None = None
        self._outcome: Outcome = _UNSTAGED
        self.leans_on_records = False

    def stage(self, txn: Transaction) -> None:
        savepoint, leans = txn.savepoint(), False
        try:
            self._outcome = self._handle(txn)
            # A write whose fact an earlier request of this batch staged leans on the batch without a record of its own.
            leans = self.operation is not None and self.operation.permission == "write"
        except RetryNextBatch:
            raise
        except Refusal as refusal:
            self._outcome = render(refusal)
        except Exception as bug:  # a bug of ours must cost one answer, not the node
            txn.rollback(savepoint)
            self.node.report_bug(bug)
            self._outcome = internal_error()
        self.leans_on_records = leans or len(txn.records) > savepoint.records

    def release(self) -> None:
        outcome = self._outcome
        try:
            if isinstance(outcome, AfterCommit):
                outcome = outcome.make()
            elif isinstance(outcome, InBackground):
                outcome.begin(self.answer)
                return
        except Refusal as refusal:
            outcome = render(refusal)
        except Exception as bug:
            self.node.report_bug(bug)
            outcome = internal_error()
        self.answer(outcome)

    def fail(self, error: StigmemError) -> None:
        self.answer(render(Refusal(507, error.code, error.message, headers=(("retry-after", "5"),))))

    def refuse_busy(self) -> None:
        """Answer that the mailbox is full."""
        self.answer(render(busy("this node's mailbox is full")))

    def _handle(self, txn: Transaction) -> Outcome:
        path = self.request.target.partition("?")[0]
        federated = path.startswith("/v1/federation/")
        if path.startswith("/v1/") and not federated:
            self._authenticate(txn)  # before routing: a stranger does not learn which routes exist
        operation = self._route(path, txn)
        if operation.before is not None:
            operation.before(self, txn)
        by_peer = operation.permission == "peer" or (operation.permission == "peer|read" and self._has_token(txn))
        closed = federated and not txn.settings.federation and not _is_view(operation)
        if by_peer:
            if closed:
                raise _federation_disabled()
            self.peer = self.node.peer_auth.peer(txn, self.request)
        elif federated:
            self._authenticate(txn)
        self.query = read_query(operation, split_target(self.request.target)[1])
        self.body = read_body(operation, self.request.body)
        if not by_peer and operation.permission not in ("open", "any"):
            self.principal.need(operation.permission.removeprefix("peer|"))
        if closed:
            raise _federation_disabled()
        return operation.handler(self, txn)

    def _route(self, path: str, txn: Transaction) -> Operation:
        try:
            self.operation, self.params = self.node.router.find(self.request.method, path)
        except Refusal:
            if path.startswith("/v1/"):
                self._authenticate(txn)
            raise
        return self.operation

    def _has_token(self, txn: Transaction) -> bool:
        """Whether the credential is a peer's token: three parts, and no key of ours that looks like that."""
        secret = bearer(self.request) or ""
        return secret.count(".") == 2 and self.node.api_keys.digest(secret) not in txn.state.keys

    def _authenticate(self, txn: Transaction) -> None:
        if self._given is not None:
            return
        secret = bearer(self.request)
        if secret:
            found = self.node.api_keys.who(secret, txn.state.keys, txn.now_us)
            if found is not None:
                self.principal = found
                return
        if txn.settings.auth_required:
            reason = "bearer credential missing" if not secret else "invalid or expired key"
            raise Refusal(401, "unauthorised", reason, style="text")
        self.principal = ANONYMOUS


def _is_view(operation: Operation) -> bool:
    """Whether an operator may look at it also while federation is off: peers, and what happened with them."""
    return operation.method == "GET" and operation.permission == "federate"


def _federation_disabled() -> Refusal:
    # Not 404: the routes are there, and the published suite asks them on a node without federation (http-api 9.2).
    return Refusal(403, "federation_disabled", "federation is disabled on this node", style="text")
