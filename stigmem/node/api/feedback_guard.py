"""The session feedback guard: what a session read, it may not write back as if it were new (http-api 1.11).

A caller that names its session with the header `Stigmem-Session` has to give the provenance of what it writes into
a scope that it has read there. In memory and bounded: the guard helps agents not to quote themselves, and somebody
who wants to get around it can leave the header away.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from stigmem.core import limits
from stigmem.core.content_id import is_cid
from stigmem.core.errors import Refusal
from stigmem.core.gardens import Garden
from stigmem.core.ledger import Ledger
from stigmem.core.wire import Request
from stigmem.node.api.assertion import AssertRequest
from stigmem.node.callers import Principal
from stigmem.node.transaction import Transaction

__all__ = ["FeedbackGuard", "session_of"]

_HEADER: Final = "stigmem-session"


def session_of(request: Request) -> str:
    """The session that a request names; empty when it names none. Raises Refusal 400."""
    name = request.headers.get(_HEADER, "").strip()
    if len(name) > limits.SESSION_CHARS_MAX:
        message = f"Stigmem-Session has at most {limits.SESSION_CHARS_MAX} characters"
        raise Refusal(400, "session_too_long", message, field="Stigmem-Session")
    return name


class FeedbackGuard:
    """Scopes read, by session and caller; the session that was used least lately is forgotten first."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, str], frozenset[str]] = {}

    def note(self, session: str, caller: Principal, scopes: Iterable[str]) -> None:
        """Remember that facts of these scopes are about to be shown to a session; nothing for the empty session."""
        shown = frozenset(scopes)
        if not session or not shown:
            return
        key = (session, caller.entity_uri)
        self._read[key] = self._read.pop(key, frozenset()) | shown
        if len(self._read) > limits.SESSIONS_MAX:
            del self._read[next(iter(self._read))]

    def check(
        self, session: str, caller: Principal, request: AssertRequest, txn: Transaction, garden: Garden | None
    ) -> None:
        """Raises Refusal 403 for a write without provenance into a scope that the session has read. `garden`: where
        the fact would be written."""
        if not session or request.scope not in self._read.get((session, caller.entity_uri), frozenset()):
            return
        if request.write_mode == "summarize_with_provenance" and any(
            _resolves(entry, request.scope, ledger)
            for entry in request.derived_from
            for ledger in (txn.ledger, *(() if garden is None else (garden.ledger,)))
        ):
            return
        raise Refusal(
            403,
            "feedback_loop_provenance_required",
            f"this session has read scope {request.scope}: write with write_mode summarize_with_provenance and name in "
            "derived_from a fact of that scope",
            extra={"session_id": session, "scope": request.scope},
        )


def _resolves(entry: dict[str, Any], scope: str, ledger: Ledger) -> bool:
    """Whether a provenance entry names a fact of the scope that a ledger shows."""
    name, digest = entry.get("fact_id"), entry.get("hash")
    found = list(ledger.find(name)) if isinstance(name, str) else []
    if isinstance(digest, str) and is_cid(digest):
        found += ledger.with_cid(digest)
    return any(fact.scope == scope and fact.quarantine is None for fact in found)
