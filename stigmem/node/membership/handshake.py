"""The steward: handshakes with other nodes, and the keys of origins.

It fetches what a registration claims, sends our own declarations, and learns manifests; every outcome goes to
the writer as a message. It decides nothing about facts.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

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
from stigmem.core.manifest import Manifest, certified_node_id, parse_manifest, speaks_for, verify_manifest
from stigmem.core.records import OriginRow, PeerRow
from stigmem.core.timestamps import format_us
from stigmem.core.wire import JSON_TYPE, Request, Response, json_response
from stigmem.node.mailbox import Delivered, NotStored
from stigmem.node.membership.origin_keys import LearnOriginKey
from stigmem.node.ports import Unreachable
from stigmem.node.responses import render
from stigmem.node.resync import read_again, reserve_cursors
from stigmem.node.transaction import Transaction

if TYPE_CHECKING:
    from stigmem.node.node import Node

__all__ = ["Handshakes", "LearnDialect", "RegistrationOutcome"]

_BIND_REST_NS: Final = 10_000_000_000
_TIMEOUT_NS: Final = int(limits.DISCOVERY_TIMEOUT_S * 1e9)
_LEARNED_CHARS_MAX: Final = 8_192
"""A manifest that a peer serves for somebody else, who may be anybody: room for a dozen rotations, and no more."""
_RICHNESS: Final = ("0.5", "2.1", CERTIFYING)


class Handshakes:
    """Talks to other nodes about identity."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._checking = 0
        self._bind_after: dict[str, int] = {}
        """Peer -> when to ask for its manifest again, on the monotonic clock."""

    @property
    def has_room(self) -> bool:
        """Whether one more registration can be checked now: each asks an address of a stranger's choice."""
        return self._checking < limits.PENDING_PEERS_MAX

    # --- our side of a handshake ---

    async def register_at(
        self, url: str, *, scopes: tuple[str, ...] | None = None, headers: dict[str, str] | None = None
    ) -> Response:
        """Send our declaration to the node at `url`; its answer as it came. Raises Unreachable."""
        node = self._node
        declaration = declare(
            node.signer,
            node_id=node.node_id,
            node_url=node.settings.node_url,
            scopes=node.settings.scopes if scopes is None else scopes,
            signed_at=format_us(node.context.clock.wall_ns() // 1_000),
        )
        request = Request("POST", "/v1/federation/peers", JSON_TYPE | (headers or {}), msgspec.json.encode(declaration))
        # The other node fetches our discovery document before it answers: twice the time of one fetch.
        return await node.context.transport.request(url, request, 2 * _TIMEOUT_NS, limits.DISCOVERY_BYTES_MAX)

    # --- the other side of a handshake ---

    def check_registration(self, row: PeerRow, declaration: Declaration, answer: Callable[[Response], None]) -> None:
        """Verify a declaration in the background and answer its request with the verdict."""

        async def check() -> None:
            try:
                found = await self._fetch_discovery(row.node_url)
            finally:
                self._checking -= 1
            outcome = RegistrationOutcome(row, declaration, found)
            self._node.mailbox.put(Delivered(outcome, answer, partial(_not_stored, answer)))

        self._checking += 1
        self._node.context.clock.spawn("verify-declaration", check)

    async def _fetch_discovery(self, url: str) -> Discovery | None:
        body = await self._fetch(url, "/.well-known/stigmem")
        try:
            return None if body is None else msgspec.json.decode(body, type=Discovery)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None

    async def _fetch(self, url: str, path: str) -> bytes | None:
        request = Request("GET", path, {"accept": "application/json"})
        try:
            response = await self._node.context.transport.request(url, request, _TIMEOUT_NS, limits.DISCOVERY_BYTES_MAX)
        except Unreachable:
            return None
        return response.body if response.status == 200 else None

    async def ask_dialect(self, row: PeerRow) -> None:
        """Read an approved peer's discovery document again, because its pages are of another dialect than the one it
        was registered with: the document may have been damaged on its way. Only a richer dialect is taken over; a
        poorer one has no signatures, and whoever stands between us could ask for that."""
        found = await self._fetch_discovery(row.node_url)
        if found is None or found.node_id != row.node_id or found.federation_pubkey != row.public_key:
            return
        if _RICHNESS.index(found.dialect) > _RICHNESS.index(row.dialect):
            self._node.mailbox.put(Delivered(LearnDialect(row, found.dialect)))  # else the next bad page asks again

    # --- keys of origins ---

    async def bind(self, row: PeerRow) -> None:
        """Fetch an approved peer's manifest until there is a good one, which relays vouch for the peer with. A bad one
        unbinds the peer's facts meanwhile, an absent one leaves the key that the operator approved."""
        node = self._node
        held, now_ns = node.state.origins.get(row.node_id), node.context.clock.monotonic_ns()
        if row.dialect == "0.5" or held is None or held.manifest:
            return
        if self._bind_after.get(row.peer_id, now_ns) > now_ns:
            return
        self._bind_after[row.peer_id] = now_ns + _BIND_REST_NS
        body = await self._fetch(row.node_url, "/.well-known/stigmem-manifest.json")
        if body is None:
            return
        manifest = self._read(body)
        good = manifest is not None and speaks_for(manifest, row.node_id, row.public_key)
        key, text = (row.public_key, body.decode()) if good else ("", "")
        await self._tell(OriginRow(row.node_id, key, "pinned", manifest=text), row.peer_id)

    async def learn_origin(self, origin: str, body: bytes, by: PeerRow) -> None:
        """Consider a manifest that a peer gave us for an origin that is not our peer (spec/identity.md, 3)."""
        manifest = self._read(body)
        if manifest is None or not speaks_for(manifest, origin) or origin == self._node.node_id:
            return
        if certified_node_id(manifest.public_key) == origin:
            how = "certified"
        elif self._node.settings.origin_keys == "vouched":
            how = "vouched"
        else:
            return
        text = msgspec.json.encode(manifest).decode()
        if len(text) <= _LEARNED_CHARS_MAX:
            await self._tell(OriginRow(origin, manifest.public_key, how, by.node_id, text), by.peer_id)

    def _read(self, body: bytes) -> Manifest | None:
        """A manifest that verifies and has not expired, or None."""
        try:
            manifest = parse_manifest(msgspec.json.decode(body))
            verify_manifest(manifest, self._node.settings.suite)
        except (Rejection, msgspec.MsgspecError, ValueError, RecursionError):
            return None
        return None if manifest.expired(self._node.context.clock.wall_ns() // 1_000) else manifest

    async def _tell(self, row: OriginRow, peer_id: str) -> None:
        with suppress(NotStored):  # the next page that needs the key asks for it again
            await self._node.mailbox.submit(LearnOriginKey(row, peer_id))


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
