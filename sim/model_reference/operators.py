"""The operators of nodes of the model: for each link and each direction, the one side registers at the other over the
wire, and the other's operator approves. Tried again after a rest that doubles, while a side is off or cut off.

A registration whose address could not be asked at that moment is rejected for good (contract, 2.3), and no operator can
mend that but by wiping the disk; it is counted in `rejected`.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from functools import partial
from typing import Final

import msgspec

from sim.model_reference.machine import ReferenceMachine
from sim.topology.federation import Federation
from sim.world.rpc import Wire, send_request
from stigmem.core.declaration import declare
from stigmem.core.keys import fingerprint
from stigmem.core.scopes import SCOPES, Scope
from stigmem.core.timestamps import format_us
from stigmem.core.wire import JSON_TYPE, Request, Response

__all__ = ["ReferenceOperators"]

_REST_NS: Final = 5_000_000_000
_REST_NS_MAX: Final = 120_000_000_000
_STAGGER_NS: Final = 10_000_000


class ReferenceOperators:
    """Sees to it that every link is a pair of peers, as far as the rules let it."""

    def __init__(
        self,
        federation: Federation,
        machines: Mapping[str, ReferenceMachine],
        gone: Container[str],
        wire: Wire,
    ) -> None:
        self._federation = federation
        self._machines = machines
        self._gone = gone
        self._wire = wire
        self._rests: dict[tuple[str, str], int] = {}
        self._turns: dict[tuple[str, str], int] = {}

    def link_everyone(self) -> None:
        """Begin."""
        world = self._wire.network.world
        for number, (first, second) in enumerate(self._federation.links):
            for pair in ((first, second), (second, first)):
                world.after(number * _STAGGER_NS, lambda each: self._see_to(*each), pair)

    def link(self, name: str) -> None:
        """See to the links of a node that booted."""
        for other in self._federation.neighbours(name):
            for pair in ((name, other), (other, name)):
                self._rests.pop(pair, None)
                self._see_to(*pair)

    def status(self, newcomer: str, host: str) -> str:
        """What the one is at the other: "" where it is not known, or the host is off."""
        model = self._machines[host].model
        row = None if model is None else model.store.peers.get(self._machines[newcomer].node_id)
        return "" if row is None else row.status

    def rejected(self) -> list[tuple[str, str]]:
        """(newcomer, host) of registrations that were rejected, for good."""
        pairs = [(a, b) for link in self._federation.links for a, b in (link, link[::-1])]
        return [pair for pair in pairs if self.status(*pair) == "rejected"]

    def _see_to(self, name: str, at: str) -> None:
        if name in self._gone or at in self._gone:
            return
        status = self.status(name, at)
        if status == "pending_approval":
            self._approve(name, at)
        elif status == "":
            self._register(name, at)
        if status not in ("active", "rejected"):
            self._again(name, at)

    def _again(self, name: str, at: str) -> None:
        pair = (name, at)
        rest_ns = self._rests.get(pair, _REST_NS)
        self._rests[pair] = min(2 * rest_ns, _REST_NS_MAX)
        turn = self._turns[pair] = self._turns.get(pair, 0) + 1

        def look(_: object) -> None:
            if self._turns[pair] == turn:
                self._see_to(name, at)

        self._wire.network.world.after(rest_ns, look)

    def _register(self, name: str, at: str) -> None:
        newcomer, host = self._machines[name], self._machines[at]
        if newcomer.model is None:
            return
        granted = self._federation.scopes_on(name, at)
        scopes: tuple[Scope, ...] = tuple(scope for scope in SCOPES if scope in granted)
        declaration = declare(
            newcomer.signer,
            node_id=newcomer.node_id,
            node_url=newcomer.url,
            scopes=scopes,
            signed_at=format_us(newcomer.model.now_ms * 1_000),
        )
        request = Request("POST", "/v1/federation/peers", JSON_TYPE, msgspec.json.encode(declaration))
        send_request(self._wire, name, host.url, request, partial(self._registered, name, at))

    def _registered(self, name: str, at: str, _answer: Response | str) -> None:
        if self.status(name, at) == "pending_approval":
            self._approve(name, at)

    def _approve(self, name: str, at: str) -> None:
        host, newcomer = self._machines[at], self._machines[name]
        if host.model is None:
            return
        row = host.model.store.peers[newcomer.node_id]
        body = msgspec.json.encode({"pubkey_fingerprint": fingerprint(newcomer.signer.public_key)})
        host.console(Request("POST", f"/v1/federation/peers/{row.peer_id}/approve", JSON_TYPE, body), lambda _: None)
