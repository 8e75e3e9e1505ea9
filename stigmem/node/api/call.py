"""A request on its way: routed, authenticated, decoded and answered in the writer's turn.

`Call` is the submission, one object from the mailbox to the answer, whoever carried the request; `Dispatcher` is what
all calls of a node share. Reads answer from committed state; what a handler returns instead of a response says when
and by whom the answer is made (`stigmem.node.api.routing`). A caller always gets an answer, and only one.

The order of a call's checks is part of the contract, since each tells the caller something:

1. who it is, for every path under `/v1/` that is not the federation's: a stranger does not learn which routes exist;
2. whether there is such a route, and whether the node offers it at all (`Operation.before`);
3. for a peer's operation, its token, which is spent; for an operator's view of the federation, the key;
4. whether query and body can be read;
5. whether the key permits it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from stigmem.core.errors import Refusal, StigmemError
from stigmem.core.wire import Request, Response, split_target
from stigmem.node.api.api_keys import ApiKeys
from stigmem.node.api.input_errors import ignored_members
from stigmem.node.api.peer_auth import PeerAuthenticator, bearer
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import (
    AfterCommit,
    BoundHandler,
    InBackground,
    Operation,
    Outcome,
    Router,
    read_body,
    read_query,
)
from stigmem.node.callers import ANONYMOUS, Principal
from stigmem.node.events import NodeEvents
from stigmem.node.responses import busy, internal_error, render, with_warnings
from stigmem.node.transaction import RetryNextBatch, Transaction

__all__ = ["Call", "Dispatcher"]

_UNSTAGED: Final = Response(500)


class Dispatcher:
    """Finds the handler of a request, lets in who may come in, and calls it."""

    def __init__(
        self,
        *,
        router: Router,
        handlers: Mapping[str, BoundHandler],
        api_keys: ApiKeys,
        peer_auth: PeerAuthenticator,
        events: NodeEvents,
    ) -> None:
        """`handlers`: the handler of each operation of the router, by the operation's name."""
        self._router = router
        self._handlers = handlers
        self._api_keys = api_keys
        self._peer_auth = peer_auth
        self.events = events

    def handle(self, call: Call, txn: Transaction) -> Outcome:
        """What the operation makes of a call. Raises Refusal and RetryNextBatch."""
        path = call.request.target.partition("?")[0]
        federated = path.startswith("/v1/federation/")
        if path.startswith("/v1/") and not federated:
            self._authenticate(call, txn)
        operation = self._route(call, path, txn)
        if operation.before is not None:
            operation.before(call, txn)
        access = operation.permission
        by_peer = access == "peer" or (access == "peer|read" and self._has_token(call, txn))
        closed = federated and not txn.settings.federation and not _is_view(operation)
        if by_peer:
            if closed:
                raise _federation_disabled()
            call.peer = self._peer_auth.peer(txn, call.request)
        elif federated:
            self._authenticate(call, txn)
        if operation.body is not None and not by_peer:
            call.ignored = ignored_members(operation.body, call.request.body)
        call.query = read_query(operation, split_target(call.request.target)[1], by_peer=by_peer)
        call.body = read_body(operation, call.request.body)
        if not by_peer and access not in ("open", "any"):
            call.principal.need(access.removeprefix("peer|"))
        if closed:
            raise _federation_disabled()
        return self._handlers[operation.name](call, txn)

    def _route(self, call: Call, path: str, txn: Transaction) -> Operation:
        try:
            call.operation, call.params = self._router.find(call.request.method, path)
        except Refusal:
            if path.startswith("/v1/"):
                self._authenticate(call, txn)
            raise
        return call.operation

    def _has_token(self, call: Call, txn: Transaction) -> bool:
        """Whether the credential is a peer's token: three parts, and no key of ours that looks like that."""
        secret = bearer(call.request) or ""
        return secret.count(".") == 2 and self._api_keys.digest(secret) not in txn.state.keys

    def _authenticate(self, call: Call, txn: Transaction) -> None:
        if call.is_vouched_for:
            return
        secret = bearer(call.request)
        if secret:
            found = self._api_keys.who(secret, txn.state.keys, txn.now_us)
            if found is not None:
                call.principal = found
                return
        if txn.settings.auth_required:
            reason = "bearer credential missing" if not secret else "invalid or expired key"
            raise Refusal(401, "unauthorised", reason)
        call.principal = ANONYMOUS


class Call(ApiRequest):
    """One request in the mailbox; its answer takes the response and is called exactly once."""

    __slots__ = ("_dispatcher", "_outcome", "is_vouched_for", "leans_on_records", "operation")

    def __init__(
        self,
        dispatcher: Dispatcher,
        request: Request,
        answer: Callable[[Response], None],
        principal: Principal | None = None,
    ) -> None:
        """`principal`: who calls, where the carrier has authenticated its caller itself; None to look at the key."""
        self.request = request
        self.params = {}
        self.query = None
        self.body = None
        self.principal = principal or ANONYMOUS
        self.peer = None
        self.facts = 0
        self.ignored = []
        self.operation: Operation | None = None
        self.is_vouched_for = principal is not None
        self.leans_on_records = False
        self._dispatcher = dispatcher
        self.reply_to = answer
        self._outcome: Outcome = _UNSTAGED

    def stage(self, txn: Transaction) -> None:
        savepoint, leans = txn.savepoint(), False
        try:
            self._outcome = self._dispatcher.handle(self, txn)
            # A write whose fact an earlier request of this batch staged leans on the batch without a record of its own.
            leans = self.operation is not None and self.operation.permission == "write"
        except RetryNextBatch:
            raise
        except Refusal as refusal:
            self._outcome = render(refusal)
        except Exception as bug:  # a bug of ours must cost one answer, not the node
            txn.rollback(savepoint)
            self._dispatcher.events.bug(bug)
            self._outcome = internal_error()
        self.leans_on_records = leans or len(txn.records) > savepoint.records

    def release(self) -> None:
        outcome = self._outcome
        try:
            if isinstance(outcome, AfterCommit):
                outcome = outcome.make()
            elif isinstance(outcome, InBackground):
                outcome.begin(self.reply)
                return
        except Refusal as refusal:
            outcome = render(refusal)
        except Exception as bug:
            self._dispatcher.events.bug(bug)
            outcome = internal_error()
        self.reply(outcome)

    def fail(self, error: StigmemError) -> None:
        self.reply(render(Refusal(507, error.code, error.message, headers=(("retry-after", "5"),))))

    def reply(self, response: Response) -> None:
        """Answer the request; called once, by whoever has the response."""
        events = self._dispatcher.events
        if self.ignored:
            response = with_warnings(response, self.ignored)
        try:
            events.served(self.request, self.caller, response, self.facts)
        except Exception as bug:  # a listener must not keep anybody from an answer
            events.bug(bug)
        self.reply_to(response)

    def refuse_busy(self) -> None:
        """Answer that the mailbox is full; instead of being staged."""
        self.reply_to(render(busy("this node's mailbox is full")))


def _is_view(operation: Operation) -> bool:
    """Whether an operator may look at it also while federation is off: peers, and what happened with them."""
    return operation.method == "GET" and operation.permission == "federate"


def _federation_disabled() -> Refusal:
    # Not 404: the routes are there, and the published suite asks them on a node without federation (http-api 9.2).
    return Refusal(403, "federation_disabled", "federation is disabled on this node")
