"""A request as its handler sees it: routed, let in and decoded.

Handlers get this and the transaction, and nothing else that is not in their constructor. How it comes to be is
`stigmem.node.api.call`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stigmem.core.wire import Request, Response
from stigmem.node.callers import Caller, PeerCaller, Principal

__all__ = ["ApiRequest"]


class ApiRequest:
    """One request to one operation."""

    __slots__ = ("body", "facts", "ignored", "params", "peer", "principal", "query", "reply_to", "request")

    request: Request
    """As the carrier handed it in."""
    params: dict[str, str]
    """The parameters of the path, decoded."""
    query: Any
    """The query as the operation's type (`Operation.query`), None where it has none."""
    body: Any
    """The body as the operation's type (`Operation.body`), None where it has none."""
    principal: Principal
    """The local caller; the anonymous one when a peer asks, or nobody was asked who it is."""
    peer: PeerCaller | None
    """The peer that asks; None when a local caller does."""
    reply_to: Callable[[Response], None]
    """The carrier's callback, which takes the response. A handler does not call it; by it a caller that has gone is
    recognised (`Node.withdraw`)."""
    facts: int
    """How many facts the page holds that the handler made for a peer; for `NodeEvents.served`."""

    ignored: list[str]
    """A sentence for each member of the body that was not read; joins the member `warnings` of the answer."""

    @property
    def caller(self) -> Caller:
        return self.principal if self.peer is None else self.peer

    def need_peer(self) -> PeerCaller:
        """The peer that asks. Raises ValueError, a bug of ours, where the operation is not for peers."""
        if self.peer is None:
            raise ValueError("an operation of peers was called without one")
        return self.peer
