"""A peer token opens the door once: on one node no nonce is accepted twice, in whatever token it comes (S-06)."""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from sim.check.base import Checker, CheckResult, Served
from sim.ports import Observed
from stigmem.core.keys import decode_base64
from stigmem.core.wire import Request

__all__ = ["Tokens"]

_KEPT_NS: Final = 2 * 3_600_000_000_000
"""Twice the longest life of a token: an older one is refused for its age, which the node's own clock decides."""
_SERVED: Final = (200, 202)
"""A page, or what became of a push."""


class _Payload(msgspec.Struct):
    nonce: str


_payloads: Final = msgspec.json.Decoder(_Payload)


class Tokens(Checker):
    """Whatever is answered 200, 202 or 403 has spent its nonce; what comes with it later is not served."""

    name = "tokens-once"

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self._spent: dict[str, dict[str, None]] = {}
        """Node -> nonces that were accepted there."""
        self._order: deque[tuple[int, str, str]] = deque()
        self.count = 0
        self.refused = 0

    def on_disk_wiped(self, machine: str) -> None:
        self._spent.pop(machine, None)

    def on_response(self, served: Served) -> None:
        machine, asker, request, response = served
        if not request.target.startswith("/v1/federation/") or response.status not in (*_SERVED, 401, 403):
            return
        nonce = _nonce(request)
        if nonce is None:
            return
        spent = self._spent.setdefault(machine, {})
        if response.status == 401:
            self.refused += nonce in spent
            return
        if nonce in spent and response.status in _SERVED:
            self.fail(machine, f"accepted a spent token of {asker} for {request.target}")
        self.count += 1
        spent[nonce] = None
        now = self.observed.now_ns
        self._order.append((now, machine, nonce))
        while self._order[0][0] < now - _KEPT_NS:
            _, name, old = self._order.popleft()
            self._spent.get(name, {}).pop(old, None)

    def result(self) -> CheckResult:
        return self.holds_of(self.count, f"{self.count} tokens spent, {self.refused} refused the second time")


def _nonce(request: Request) -> str | None:
    """The nonce of a request's peer token; None when it carries none that can be read."""
    parts = request.headers.get("authorization", "").partition(" ")[2].split(".")
    if len(parts) != 3:
        return None
    try:
        return _payloads.decode(decode_base64(parts[1])).nonce
    except (msgspec.MsgspecError, ValueError):
        return None
