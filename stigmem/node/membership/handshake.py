"""Handshakes: how two nodes become peers (federation 2.2, spec/identity.md).

Our side: `register_at` sends our declaration to another node, whose operator approves it. The other side: a
declaration that came is checked against what its address serves, in the background, and `RegistrationOutcome` is the
command that decides on it. `LearnDialect` takes over what an approved peer says it speaks now. Nothing here decides
about facts; the keys of origins are `stigmem.node.membership.origin_keys`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from stigmem.core import limits
from stigmem.core.declaration import (
    ACTIVE,
    CERTIFYING,
    PENDING,
    REJECTED,
    Declaration,
    Discovery,
    declare,
    verify_declaration,
)
from stigmem.core.errors import Refusal, Rejection, StigmemError
from stigmem.core.records import PeerRow
from stigmem.core.timestamps import format_us
from stigmem.core.wire import JSON_TYPE, Request, Response, json_response
from stigmem.node.identity import Identity
from stigmem.node.mailbox import Delivered, Mailbox
from stigmem.node.membership.origin_keys import fetch_document
from stigmem.node.ports import Clock, Transport
from stigmem.node.responses import render
from stigmem.node.resync import read_again, reserve_cursors
from stigmem.node.settings import NodeSettings
from stigmem.node.transaction import Transaction

__all__ = ["Handshakes", "LearnDialect", "RegistrationOutcome"]

_RICHNESS: Final = ("0.5", "2.1", CERTIFYING)


class Handshakes:
    """Registrations of this node at others, and of others at this node."""

    def __init__(
        self, *, identity: Identity, settings: NodeSettings, clock: Clock, transport: Transport, mailbox: Mailbox
    ) -> None:
        self._identity = identity
        self._settings = settings
        self._clock = clock
        self._transport = transport
        self._mailbox = mailbox
        self._checking = 0

    @property
    def has_room(self) -> bool:
        """Whether one more registration can be checked now: each asks an address of a stranger's choice."""
        return self._checking < limits.PENDING_PEERS_MAX

    # --- our side ---

    async def register_at(
        self, url: str, *, scopes: tuple[str, ...] | None = None, headers: dict[str, str] | None = None
    ) -> Response:
        """Send our declaration to the node at `url`; its answer as it came, whatever its status. `scopes`: what we
        declare, by default all that the settings offer; `headers`: to join those of the request (a key of the other
        node). Raises Unreachable."""
        declaration = declare(
            self._identity.signer,
            node_id=self._identity.node_id,
            node_url=self._settings.node_url,
            scopes=self._settings.scopes if scopes is None else scopes,
            signed_at=format_us(self._clock.wall_ns() // 1_000),
        )
        request = Request("POST", "/v1/federation/peers", JSON_TYPE | (headers or {}), msgspec.json.encode(declaration))
        # The other node fetches our discovery document before it answers: twice the time of one fetch.
        timeout_ns = 2 * self._settings.discovery_timeout_ns
        return await self._transport.request(url, request, timeout_ns, limits.DISCOVERY_BYTES_MAX)

    # --- the other side ---

    def check_registration(self, row: PeerRow, declaration: Declaration, answer: Callable[[Response], None]) -> None:
        """Verify a declaration in the background and give its request the answer of the command that decides on it."""

        async def check() -> None:
            try:
                found = await self._fetch_discovery(row.node_url)
            finally:
                self._checking -= 1
            outcome = RegistrationOutcome(row, declaration, found)
            self._mailbox.put(Delivered(outcome, answer, partial(_not_stored, answer)))

        self._checking += 1
        self._clock.spawn("verify-declaration", check)

    async def _fetch_discovery(self, url: str) -> Discovery | None:
        body = await fetch_document(self._transport, url, "/.well-known/stigmem", self._settings.discovery_timeout_ns)
        try:
            return None if body is None else msgspec.json.decode(body, type=Discovery)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None

    async def ask_dialect(self, row: PeerRow) -> None:
        """Read an approved peer's discovery document again, because its pages are of another dialect than the one it
        was registered with: the document may have been damaged on its way. Only a richer dialect is taken over; a
        poorer one has no signatures, and whoever stands between us could ask for that."""
        found = await self._fetch_discovery(row.node_url)
        if found is None or found.node_id != row.node_id or found.federation_pubkey != row.public_key:
            return
        if _RICHNESS.index(found.dialect) > _RICHNESS.index(row.dialect):
            self._mailbox.put(Delivered(LearnDialect(row, found.dialect)))  # else the next bad page asks again


class RegistrationOutcome:
    """The command that decides on a declaration by what its address served; its result is the answer to the request
    that brought it."""

    def __init__(self, row: PeerRow, declaration: Declaration, found: Discovery | None) -> None:
        self._row = row
        self._declaration = declaration
        self._found = found

    def stage(self, txn: Transaction) -> Response:
        txn.reserve("peer", self._row.node_id)  # somebody may have revoked or deleted it in this very batch
        row = txn.state.peers.get(self._row.peer_id)
        if row is None or row != self._row:
            return render(Refusal(409, "registration_overtaken", "another registration came between"))
        try:
            verify_declaration(
                self._declaration,
                self._found,
                txn.settings.suite,
                now_ms=txn.now_ms,
                fresh=txn.settings.require_fresh_declarations,
            )
        except Rejection as rejection:
            row = msgspec.structs.replace(row, status=REJECTED, reason=rejection.code)
            txn.audit("peer_rejected", row.peer_id, node_id=row.node_id, reason=rejection.code)
        else:
            dialect = self._found.dialect if self._found is not None else "0.5"
            row = msgspec.structs.replace(row, status=PENDING, dialect=dialect)
            txn.audit("peer_registered", row.peer_id, node_id=row.node_id, dialect=dialect)
        txn.add(row)
        return json_response(201, {"peer_id": row.peer_id, "status": row.status, "verified_at": None})


def _not_stored(answer: Callable[[Response], None], error: StigmemError) -> None:
    answer(render(Refusal(507, error.code, error.message)))


class LearnDialect:
    """The command that takes over what a peer's discovery document says now; nothing happens when the peer has changed
    meanwhile. The peer is read again from its beginning, because what it served so far could not be read for what it
    was."""

    def __init__(self, row: PeerRow, dialect: str) -> None:
        self._row = row
        self._dialect = dialect

    def stage(self, txn: Transaction) -> None:
        txn.reserve("peer", self._row.node_id)
        reserve_cursors(txn)
        row = txn.state.peers.get(self._row.peer_id)
        if row == self._row and row.status == ACTIVE:
            txn.add(msgspec.structs.replace(row, dialect=self._dialect))
            txn.audit("peer_dialect_changed", row.peer_id, node_id=row.node_id, was=row.dialect, dialect=self._dialect)
            read_again(txn, row.peer_id)
