"""How long a body may be, decided from the head of its request before any of it is read.

A carrier that read every body to its end would let strangers fill its memory and its time with bodies that the node
then refuses for want of a key. So it asks here first. The question is pure: it reads committed state, spends no nonce,
takes nothing from a quota, writes no audit row and decides nothing final. The batch in which the request is handled
authenticates it again, by every rule.

    who sends it                                        bytes
    anybody, to an operation that is open to all        OPEN_BODY_BYTES_MAX
    nobody that is known                                KEYLESS_BODY_BYTES_MAX
    the holder of a key, or anybody where no key is     REQUEST_BYTES_MAX
      asked for
    a peer, by a token that its key has signed          REQUEST_BYTES_MAX

What is said to a longer body depends on who could send it: to somebody known that it is too long, to anybody else that
a key is missing, in the words that the batch would use. A secret is looked up and not proven (Argon2id takes 20 ms): a
guess that is in the table is as good as the key.
"""

from __future__ import annotations

from typing import Final

from stigmem.core import limits
from stigmem.core.declaration import ACTIVE
from stigmem.core.errors import Refusal, Rejection
from stigmem.core.token import check_token, read_token
from stigmem.core.wire import CLOCK_HEADER, BodyBound, Request, Response
from stigmem.node.api.api_keys import ApiKeys
from stigmem.node.api.peer_auth import bearer
from stigmem.node.api.routing import Operation, Router
from stigmem.node.responses import render
from stigmem.node.settings import NodeSettings
from stigmem.node.state import NodeState

__all__ = ["HeadAdmission", "too_large"]


def too_large(bytes_max: int) -> Response:
    """The answer to a body that is longer than whoever sends it may send."""
    return render(Refusal(413, "body_too_large", f"a request has at most {bytes_max} bytes"))


_KNOWN: Final = BodyBound(limits.REQUEST_BYTES_MAX, too_large(limits.REQUEST_BYTES_MAX))
_OPEN: Final = BodyBound(limits.OPEN_BODY_BYTES_MAX, too_large(limits.OPEN_BODY_BYTES_MAX))


class HeadAdmission:
    """Bounds of bodies, by the committed state of one node."""

    def __init__(
        self, *, settings: NodeSettings, state: NodeState, api_keys: ApiKeys, router: Router, node_id: str
    ) -> None:
        self._settings = settings
        self._state = state
        self._api_keys = api_keys
        self._router = router
        self._node_id = node_id

    def bound(self, head: Request, wall_ns: int) -> BodyBound:
        """The bound for a request whose body is still to come; `head.body` is not looked at."""
        operation = self._operation(head)
        if operation is not None and operation.permission == "open":
            return _OPEN
        secret = bearer(head)
        if operation is not None and operation.permission == "peer":
            if self._is_peer(secret, wall_ns // 1_000_000):
                return _KNOWN
            clock = ((CLOCK_HEADER, str(wall_ns // 1_000_000)),)
            missing = Refusal(401, "peer_token_required", "peer token required", headers=clock)
            return BodyBound(limits.KEYLESS_BODY_BYTES_MAX, render(missing))
        if not self._settings.auth_required or self._is_key(secret, wall_ns // 1_000):
            return _KNOWN
        reason = "invalid or expired key" if secret else "bearer credential missing"
        return BodyBound(limits.KEYLESS_BODY_BYTES_MAX, render(Refusal(401, "unauthorised", reason)))

    def _operation(self, head: Request) -> Operation | None:
        try:
            return self._router.find(head.method, head.target.partition("?")[0])[0]
        except Refusal:
            return None

    def _is_key(self, secret: str | None, now_us: int) -> bool:
        if not secret:
            return False
        row = self._state.keys.get(self._api_keys.digest(secret))
        return row is not None and (row.expires_us is None or row.expires_us > now_us)

    def _is_peer(self, credential: str | None, now_ms: int) -> bool:
        """Whether a token is one that an approved peer has signed for us and may still use; its nonce is not spent."""
        try:
            token = read_token(credential or "")
            row = self._state.peer_of(token.issuer)
            if row is None or row.status != ACTIVE:
                return False
            check_token(
                token, self._settings.suite, row.public_key,
                issuer=row.node_id, audience=self._node_id, now_ms=now_ms,
            )  # fmt: skip
        except Rejection:
            return False
        return True
