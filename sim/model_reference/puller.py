"""The reference's one loop of pulls (contract, 3.3 and 3.6).

Every interval, one active peer after the other: a page of a hundred facts is asked for and taken in fact by fact, then
the cursor is saved if it moved, then tombstones are asked for. Whether there is more is not looked at.

    429                               rest here, 2 s doubling to 300 s with a fifth of jitter, and ask again
    another status, no answer         the cursor stays; on to the next peer
    an error while a page is taken in the cycle is over: the rest of the page, the other peers and the cursor are left

Where the contract does not say what happens, the kinder reading is taken: a body that is no JSON counts as no answer.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

import msgspec

from sim.model_reference.facts import Aborted
from sim.model_reference.node import ReferenceNode
from sim.model_reference.store import Peer
from sim.model_reference.tokens import make_token
from stigmem.core.wire import Request, Response
from stigmem.node.ports import JournalFull, Unreachable

__all__ = ["PullLoop"]

_LIMIT: Final = 100
_TIMEOUT_NS: Final = 30_000_000_000
_REST_NS: Final = 2_000_000_000
_REST_NS_MAX: Final = 300_000_000_000
_BODY_BYTES_MAX: Final = 1 << 40
"""None, that is."""


class PullLoop:
    """The loop of one life of a node."""

    def __init__(self, node: ReferenceNode) -> None:
        self._node = node
        self.aborts: dict[str, int] = {}
        """Reason -> how many cycles it ended."""

    async def run(self) -> None:
        """For ever, the first time an interval after the start."""
        node = self._node
        while True:
            await node.clock.sleep(node.identity.pull_interval_ns)
            try:
                for peer in list(node.store.peers.values()):
                    if peer.status == "active":
                        await self._pull(peer)
                        await self._ask_for_tombstones(peer)
            except Aborted as error:
                reason = str(error).partition(":")[0]
                self.aborts[reason] = self.aborts.get(reason, 0) + 1
            except JournalFull:
                self.aborts["disk_full"] = self.aborts.get("disk_full", 0) + 1

    async def _pull(self, peer: Peer) -> None:
        cursor = self._node.store.cursors.get(peer.peer_id)
        query = f"?limit={_LIMIT}" + ("" if cursor is None else f"&cursor={quote(str(cursor), safe='')}")
        rest_ns = _REST_NS
        while True:
            answer = await self._ask(peer, "/v1/federation/facts" + query)
            if answer is None or answer.status != 429:
                break
            jitter = 0.8 + 0.4 * int.from_bytes(self._node.entropy.token(4), "big") / (1 << 32)
            await self._node.clock.sleep(int(rest_ns * jitter))
            rest_ns = min(2 * rest_ns, _REST_NS_MAX)
        body = _json(answer)
        if body is None:
            return
        if not isinstance(body, dict) or not isinstance(body.get("facts"), list):
            raise Aborted("malformed: facts is no list")
        for record in body["facts"]:  # as many as there are
            await self._node.ingest(record, peer.node_id)
        if body.get("cursor") is not None and body["cursor"] != cursor:
            await self._node.commit(cursor=(peer.peer_id, body["cursor"]))

    async def _ask_for_tombstones(self, peer: Peer) -> None:
        body = _json(await self._ask(peer, "/v1/federation/tombstones"))
        if isinstance(body, dict) and body.get("cursor") is not None:
            raise Aborted("tombstone_cursor")  # its table of cursors does not take this direction

    async def _ask(self, peer: Peer, target: str) -> Response | None:
        node = self._node
        token = make_token(
            node.identity.signer,
            issuer=node.identity.node_id,
            audience=peer.node_id,
            scopes=peer.scopes,
            nonce=node.uuid(),
            now_ms=node.now_ms,
        )
        headers = {"authorization": f"Bearer {token}", "stigmem-verify": "full"}
        try:
            return await node.transport.request(
                peer.node_url, Request("GET", target, headers), _TIMEOUT_NS, _BODY_BYTES_MAX
            )
        except Unreachable:
            return None


def _json(answer: Response | None) -> Any:
    if answer is None or answer.status != 200:
        return None
    try:
        return msgspec.json.decode(answer.body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
