"""Keys of origins: how a node comes to know whose signature a fact must bear, and which of two keys stands.

`OriginKeys` asks: an approved peer for its own manifest, and a peer that serves facts of another origin for that one's.
What it finds, and what comes with the first fact of an origin, it submits as `LearnOriginKeys`, the command that
decides (spec/identity.md, 3): what an operator pinned stands over what an id certifies, and that over what a peer
vouched for; among vouchers the first stands, and another's claim is recorded once. Who is a peer is
`stigmem.node.membership.handshake`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec

from stigmem.core import limits
from stigmem.core.errors import Rejection
from stigmem.core.manifest import Manifest, certified_node_id, parse_manifest, speaks_for, verify_manifest
from stigmem.core.records import DeadLetter, OriginRow, PeerRow
from stigmem.core.wire import Request
from stigmem.node.identity import Identity
from stigmem.node.mailbox import Mailbox, NotStored
from stigmem.node.ports import Clock, Transport, Unreachable
from stigmem.node.resync import read_again_for_key, read_again_for_origin, reserve_cursors
from stigmem.node.settings import NodeSettings
from stigmem.node.state import NodeState
from stigmem.node.transaction import Transaction

__all__ = ["LearnOriginKeys", "OriginKeys", "fetch_document"]

_WEIGHT: Final = {"vouched": 0, "certified": 1, "pinned": 2}
_BIND_REST_NS: Final = 10_000_000_000


async def fetch_document(transport: Transport, url: str, path: str, timeout_ns: int) -> bytes | None:
    """The body of a public document of another node; None when there is none or nobody answers in time."""
    request = Request("GET", path, {"accept": "application/json"})
    try:
        response = await transport.request(url, request, timeout_ns, limits.DISCOVERY_BYTES_MAX)
    except Unreachable:
        return None
    return response.body if response.status == 200 else None


class OriginKeys:
    """The keys of origins that this node knows, and the ways to learn more."""

    def __init__(
        self,
        *,
        identity: Identity,
        settings: NodeSettings,
        state: NodeState,
        clock: Clock,
        transport: Transport,
        mailbox: Mailbox,
    ) -> None:
        self._identity = identity
        self._settings = settings
        self._state = state
        self._clock = clock
        self._transport = transport
        self._mailbox = mailbox
        self._bind_after: dict[str, int] = {}
        """Peer -> when to ask for its manifest again, on the monotonic clock."""

    def key_of(self, origin: str) -> str | None:
        """The public key that speaks for an origin; None when none is known."""
        if origin == self._identity.node_id:
            return self._identity.signer.public_key
        return self._state.key_of_origin(origin) or None

    async def bind(self, row: PeerRow) -> None:
        """Fetch an approved peer's manifest until there is a good one, which relays vouch for the peer with. A bad one
        unbinds the peer's facts meanwhile, an absent one leaves the key that the operator approved."""
        held, now_ns = self._state.origins.get(row.node_id), self._clock.monotonic_ns()
        if row.dialect == "0.5" or held is None or held.manifest:
            return
        if self._bind_after.get(row.peer_id, now_ns) > now_ns:
            return
        self._bind_after[row.peer_id] = now_ns + _BIND_REST_NS
        timeout_ns = self._settings.discovery_timeout_ns
        body = await fetch_document(self._transport, row.node_url, "/.well-known/stigmem-manifest.json", timeout_ns)
        if body is None:
            return
        manifest = self._read(body)
        good = manifest is not None and speaks_for(manifest, row.node_id, row.public_key)
        key, text = (row.public_key, body.decode()) if good else ("", "")
        await self._submit([OriginRow(row.node_id, key, "pinned", manifest=text)], row.peer_id)

    async def learn(self, origin: str, body: bytes, by: PeerRow) -> None:
        """Consider a manifest that a peer gave us for an origin that is not our peer."""
        await self.learn_all([(origin, body)], by)

    async def learn_all(self, manifests: Sequence[tuple[str, bytes]], by: PeerRow) -> None:
        """The same for several origins, in one commit."""
        rows = [row for origin, body in manifests if (row := self._row_of(origin, body, by)) is not None]
        if rows:
            await self._submit(rows, by.peer_id)

    def _row_of(self, origin: str, body: bytes, by: PeerRow) -> OriginRow | None:
        manifest = self._read(body)
        if manifest is None or not speaks_for(manifest, origin) or origin == self._identity.node_id:
            return None
        if certified_node_id(manifest.public_key) == origin:
            how = "certified"
        elif self._settings.origin_keys == "vouched":
            how = "vouched"
        else:
            return None
        text = msgspec.json.encode(manifest).decode()
        if len(text) > limits.MANIFEST_CHARS_MAX:
            return None
        return OriginRow(origin, manifest.public_key, how, vouched_by=by.node_id, manifest=text)

    def _read(self, body: bytes) -> Manifest | None:
        """A manifest that verifies and has not expired, or None."""
        try:
            manifest = parse_manifest(msgspec.json.decode(body))
            verify_manifest(manifest, self._settings.suite)
        except (Rejection, msgspec.MsgspecError, ValueError, RecursionError):
            return None
        return None if manifest.expired(self._clock.wall_ns() // 1_000) else manifest

    async def _submit(self, rows: Sequence[OriginRow], peer_id: str) -> None:
        with suppress(NotStored):  # the next page that needs the key asks for it again
            await self._mailbox.submit(LearnOriginKeys(rows, peer_id))


class LearnOriginKeys:
    """The command that considers keys for origins, brought by the peer of that id; an origin is in it once."""

    def __init__(self, rows: Sequence[OriginRow], peer_id: str) -> None:
        self._rows = rows
        self._peer_id = peer_id

    def stage(self, txn: Transaction) -> None:
        reserve_cursors(txn)
        fresh = 0
        for row in self._rows:
            held = txn.state.origins.get(row.node_id)
            if held == row or (held is None and not _has_room(txn, row, fresh)):
                continue
            if held is not None and not _stands_over(row, held):
                if held.public_key not in ("", row.public_key):
                    self._report_conflict(txn, row.node_id)
                continue
            fresh += held is None
            txn.add(row)
            txn.audit("origin_key_learned", self._peer_id, origin=row.node_id, how=row.how)
            if row.public_key:
                read_again_for_origin(txn, row.node_id)
            if held is not None and held.public_key not in ("", row.public_key):
                read_again_for_key(txn)

    def _report_conflict(self, txn: Transaction, origin: str) -> None:
        name = f"origin:{origin}"
        if "origin_key_conflict" not in txn.state.letters.get(self._peer_id, {}).get(name, ()):
            txn.add(DeadLetter(self._peer_id, name, "origin_key_conflict"))
            txn.audit("origin_key_conflict", self._peer_id, origin=origin, kept=True)


def _stands_over(row: OriginRow, held: OriginRow) -> bool:
    if row.how == held.how == "pinned":
        return True
    return _WEIGHT[row.how] > _WEIGHT[held.how]


def _has_room(txn: Transaction, row: OriginRow, fresh: int) -> bool:
    """Whether one more origin may be remembered, after `fresh` that the same command brought. Keys cost nothing: a peer
    that serves facts of thousands of made-up nodes must not use up the room in which others' origins become known, so
    nobody brings more than is left."""
    state = txn.state
    left = limits.ORIGINS_MAX - len(state.origins) - fresh
    if row.how == "pinned":
        return left > 0
    return state.origins_vouched.get(row.vouched_by, 0) + fresh < left
