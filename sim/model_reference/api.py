"""What a node of the model answers (contract, 2.2 to 2.7, 3.1 and 3.7): registration, pages, and what clients ask.

Clients get what the workloads of a scenario need: a write, the list of conflicts, and the resolution of one. Everything
else is 404.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

import msgspec

from sim.model_reference.facts import StoredFact, content_id, page_record, value_text
from sim.model_reference.node import ReferenceNode, scopes_of
from sim.model_reference.store import Peer
from sim.model_reference.tokens import Refused, issuer_of, verified_claims
from stigmem.core.declaration import Declaration, signed_bytes
from stigmem.core.keys import decode_base64, fingerprint
from stigmem.core.wire import Request, Response, json_response, split_target
from stigmem.node.ports import JournalFull, Unreachable

__all__ = ["ReferenceApi"]

_DISCOVERY_NS: Final = 5_000_000_000
_BODY_BYTES_MAX: Final = 1 << 40
_WINDOW_MS: Final = 300_000
_PEERS: Final = "/v1/federation/peers"
_PAGE_MAX: Final = 500


class _Failed(Exception):
    """A request that is answered with a status and a reason."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class ReferenceApi:
    """The routes of one life of a node."""

    def __init__(self, node: ReferenceNode) -> None:
        self._node = node
        self._named: dict[str, tuple[str, str]] = {}
        """Conflicts that were listed in this life, by the ids that were shown."""

    async def answer(self, request: Request) -> Response:
        """The answer to a request."""
        path, pairs = split_target(request.target)
        try:
            return await self._route(request, path)(request, path, dict(pairs))
        except _Failed as error:
            return json_response(error.status, {"detail": str(error)})
        except Refused as error:
            return json_response(401, {"detail": str(error)})
        except JournalFull:
            return json_response(500, {"detail": "Internal Server Error"})
        except (KeyError, TypeError, ValueError, AttributeError, msgspec.MsgspecError) as error:
            return json_response(422, {"detail": f"{error!r:.200}"})

    def _route(self, request: Request, path: str) -> Callable[[Request, str, dict[str, str]], Awaitable[Response]]:
        known = {
            "GET /.well-known/stigmem": self._discovery,
            "GET /v1/federation/facts": self._page,
            "GET /v1/federation/tombstones": self._tombstones,
            "GET /v1/conflicts": self._conflicts,
            "POST /v1/facts": self._write,
            f"POST {_PEERS}": self._register,
        }
        found = known.get(f"{request.method} {path}")
        if found is None and request.method == "POST" and path.startswith(_PEERS) and path.endswith("/approve"):
            return self._approve
        if found is None and request.method == "POST" and path.startswith("/v1/conflicts/"):
            return self._resolve
        return found or self._absent

    async def _absent(self, request: Request, path: str, query: dict[str, str]) -> Response:
        raise _Failed(404, "Not Found")

    # --- peers ---

    async def _discovery(self, request: Request, path: str, query: dict[str, str]) -> Response:
        me = self._node.identity
        return json_response(
            200,
            {
                "version": "1.0", "node_id": me.node_id, "node_url": me.url, "auth": "required",
                "federation": "enabled", "federation_pubkey": me.signer.public_key, "federation_version": "0.5",
            },
        )  # fmt: skip

    async def _register(self, request: Request, path: str, query: dict[str, str]) -> Response:
        node = self._node
        declared = msgspec.json.decode(request.body, type=Declaration)
        known = node.store.peers.get(declared.node_id)
        if known is not None:
            raise _Failed(409, f"peer already registered (status={known.status})")
        peer = Peer(
            peer_id=node.uuid(),
            node_id=declared.node_id,
            node_url=declared.node_url,
            public_key=declared.federation_pubkey,
            scopes=sorted(declared.allowed_scopes),
            status="pending_verification",
        )
        await node.commit(peer=peer)
        served_key = await self._served_key(declared.node_url)
        is_signed = node.identity.suite.verify(
            declared.federation_pubkey, signed_bytes(declared), decode_base64(declared.declaration_sig)
        )
        is_good = is_signed and served_key == declared.federation_pubkey
        peer.status = "pending_approval" if is_good else "rejected"
        await node.commit(peer=peer)
        return json_response(201, {"peer_id": peer.peer_id, "status": peer.status, "verified_at": None})

    async def _served_key(self, url: str) -> Any:
        """The key at an address, None when there is no answer: then the peer is rejected for good."""
        request = Request("GET", "/.well-known/stigmem")
        try:
            answer = await self._node.transport.request(url, request, _DISCOVERY_NS, _BODY_BYTES_MAX)
            document = msgspec.json.decode(answer.body) if answer.status == 200 else None
        except (Unreachable, msgspec.MsgspecError, ValueError):
            return None
        return document.get("federation_pubkey") if isinstance(document, dict) else None

    async def _approve(self, request: Request, path: str, query: dict[str, str]) -> Response:
        peer_id = path.removeprefix(f"{_PEERS}/").removesuffix("/approve")
        peer = next((each for each in self._node.store.peers.values() if each.peer_id == peer_id), None)
        if peer is None:
            raise _Failed(404, "peer not found")
        if peer.status != "pending_approval":
            raise _Failed(409, f"peer is not pending approval (status={peer.status})")
        if msgspec.json.decode(request.body)["pubkey_fingerprint"] != fingerprint(peer.public_key):
            raise _Failed(400, "fingerprint mismatch")
        active = msgspec.structs.replace(peer, status="active")
        await self._node.commit(peer=active)
        return json_response(200, {"peer_id": peer_id, "node_id": peer.node_id, "status": "active"})

    # --- pages ---

    async def _page(self, request: Request, path: str, query: dict[str, str]) -> Response:
        peer, claimed = await self._asker(request)
        scopes = scopes_of(peer.scopes, allow_team=self._node.identity.allow_team).intersection(claimed)
        if not scopes:
            raise _Failed(403, "no permitted scopes")
        if "scope" in query and query["scope"] not in scopes:
            raise _Failed(403, "scope not permitted for this peer")
        wanted = frozenset([query["scope"]]) if "scope" in query else frozenset[str](scopes)
        limit, cursor = int(query.get("limit", "100")), query.get("cursor")
        if not 1 <= limit <= _PAGE_MAX:
            raise _Failed(422, "limit is from 1 to 500")
        facts, has_more = self._node.store.page(wanted, cursor, limit)
        end = facts[-1].hlc if facts else cursor
        return json_response(200, {"facts": list(map(page_record, facts)), "cursor": end, "has_more": has_more})

    async def _tombstones(self, request: Request, path: str, query: dict[str, str]) -> Response:
        raise _Failed(401, "tombstone:read capability required")  # to the token of a peer, which is what asks

    async def _asker(self, request: Request) -> tuple[Peer, list[str]]:
        """The peer whose token a request bears, and the scopes in it. The nonce is spent. Raises Refused."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind != "Bearer":
            raise Refused("peer token required")
        node = self._node
        peer = node.store.peers.get(issuer_of(token))
        if peer is None:
            raise Refused("peer not registered")
        if peer.status != "active":
            raise Refused("peer_not_approved")
        now_ms = node.now_ms
        claims = verified_claims(
            token, node.identity.suite, peer.public_key, audience=node.identity.node_id, now_ms=now_ms
        )
        nonce = str(claims["nonce"])
        if nonce in node.store.nonces:
            raise Refused("nonce_already_seen")
        await node.commit(nonce=(nonce, max(int(claims["exp"]), now_ms + _WINDOW_MS), now_ms))
        return peer, [str(scope) for scope in claims.get("scopes", ())]

    # --- clients ---

    async def _write(self, request: Request, path: str, query: dict[str, str]) -> Response:
        body = msgspec.json.decode(request.body)
        fact = self._asserted(body, body["entity"], body["value"], body["source"])
        await self._node.insert(fact)
        return json_response(201, page_record(fact))

    def _asserted(self, body: dict[str, Any], entity: str, value: dict[str, Any], source: str) -> StoredFact:
        """A fact of this node, stamped now: before the transaction that stores it."""
        node = self._node
        confidence, text = float(body.get("confidence", 1.0)), value_text(value)
        hashed = {
            "entity": entity, "relation": body["relation"], "source": source, "scope": body["scope"],
            "confidence": confidence, "value_type": value["type"], "value_v": text,
        }  # fmt: skip
        return StoredFact(
            id=node.uuid(),
            entity=entity,
            relation=body["relation"],
            source=source,
            scope=body["scope"],
            kind=value["type"],
            text=text,
            interpret_as=value.get("interpret_as", "content"),
            confidence=confidence,
            timestamp=datetime.fromtimestamp(node.now_ms / 1e3, UTC).isoformat(timespec="microseconds"),
            hlc=node.stamps.tick(),
            valid_until=body.get("valid_until"),
            cid=content_id(hashed),
            received_from=None,
            derived=bool(body.get("derived_from")),
        )

    async def _conflicts(self, request: Request, path: str, query: dict[str, str]) -> Response:
        store, limit = self._node.store, int(query.get("limit", "50"))
        found = [
            {
                "conflict_id": self._name(newer, older), "fact_a": page_record(store.facts[newer]),
                "fact_b": page_record(store.facts[older]), "status": "unresolved",
            }
            for newer, older in islice(store.open_pairs(), limit)
        ]  # fmt: skip
        has_more = store.open_conflicts > limit
        return json_response(200, {"conflicts": found, "cursor": None, "has_more": has_more})

    def _name(self, newer: str, older: str) -> str:
        """The id of a conflict: another one on every node, as the reference draws them at random."""
        digest = hashlib.blake2b(f"{self._node.identity.node_id} {newer} {older}".encode(), digest_size=16).hexdigest()
        name = f"stigmem:conflict:{digest}"
        self._named[name] = (newer, older)
        return name

    async def _resolve(self, request: Request, path: str, query: dict[str, str]) -> Response:
        store = self._node.store
        conflict_id = path.removeprefix("/v1/conflicts/").removesuffix("/resolve")
        pair = self._named.get(conflict_id)
        if pair is None:
            raise _Failed(404, "conflict not found")
        if pair in store.closed:
            raise _Failed(409, "conflict already resolved")
        asked = msgspec.json.decode(request.body)
        winner = store.facts[asked.get("winning_fact_id") or pair[0]]
        value = asked.get("new_value") or page_record(winner)["value"]
        body = {"relation": winner.relation, "scope": winner.scope}
        fact = self._asserted(body, f"stigmem:resolution:{conflict_id}", value, winner.source)
        fact.cid = None  # as the reference serves resolutions
        await self._node.insert(fact, settled=pair)
        return json_response(200, {"resolution_fact_id": fact.id, "conflict_status": "resolved"})
