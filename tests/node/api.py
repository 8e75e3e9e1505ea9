"""Short ways to ask a node on the bench: callers with and without rights, facts, peers with tokens."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from stigmem.core.declaration import ACTIVE
from stigmem.core.keys import ED25519, STAND_IN, Signer
from stigmem.core.ledger import Ledger
from stigmem.core.manifest import certified_node_id
from stigmem.core.records import OriginRow, PeerRow
from stigmem.core.scopes import SCOPES
from stigmem.core.token import mint
from stigmem.core.wire import Request, Response
from stigmem.node.callers import PERMISSIONS, Principal
from stigmem.node.cursors import PageCursorCodec
from stigmem.node.identity import Identity
from stigmem.node.replication.page_server import PageServer
from stigmem.node.settings import NodeSettings
from tests.node.still import Bench

NOW_MS = 1_795_161_344_000
SEED = bytes(range(32))
WRITER = Principal("agent:writer", frozenset({"read", "write"}), key_id="writer")
ADMIN = Principal("user:admin", frozenset(PERMISSIONS), key_id="admin")


def caller(*permissions: str, scopes: tuple[str, ...] = SCOPES, entity: str = "agent:caller") -> Principal:
    """Somebody who holds a key with these permissions and scopes."""
    return Principal(entity, frozenset(permissions), frozenset(scopes), key_id=entity)


def saying(text: str = "ok", **members: Any) -> dict[str, Any]:
    """The members of a write."""
    value = {"type": "string", "v": text}
    return {"entity": "stigmem://lab.example/device/pump-7", "relation": "maint:status", "value": value,
            "source": "agent:writer", "scope": "public"} | members  # fmt: skip


async def ask(
    bench: Bench,
    method: str,
    target: str,
    body: Any = None,
    *,
    by: Principal | None = WRITER,
    headers: dict[str, str] | None = None,
) -> Response:
    """The answer to a request; a body that is no bytes goes as JSON."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return await bench.ask(Request(method, target, headers or {}, data), by)


def read(response: Response, status: int = 200) -> Any:
    """The JSON of an answer that has the status expected."""
    assert response.status == status, (response.status, response.body)
    return msgspec.json.decode(response.body) if response.body else None


class NoEntropy:
    """For parts that make up nothing."""

    def token(self, size: int) -> bytes:
        raise AssertionError("nothing is made up here")

    def stream(self, name: str) -> NoEntropy:
        return self


def page_server(ledger: Ledger, node_id: str) -> PageServer:
    """The part of a node that serves pages of a ledger, and nothing around it."""
    settings = NodeSettings(seed=SEED, node_id=node_id, node_url="http://a.sim", suite=STAND_IN)
    return PageServer(ledger, Identity(settings, NoEntropy()), PageCursorCodec(SEED), lambda _: "", lambda _: None)


class Peer:
    """Another node: its key, its row in our journal, and the tokens it presents."""

    def __init__(
        self, bench: Bench, number: int, *, dialect: str = "2.1+", scopes: tuple[str, ...] = ("public",)
    ) -> None:
        self._bench = bench
        self.signer: Signer = ED25519.signer(bytes([number]) * 32)
        self.node_id = certified_node_id(self.signer.public_key)
        self.peer_id = f"peer-{number}"
        url = f"http://peer-{number}.example"
        self.scopes = scopes
        self._spent = 0
        bench.records += [
            PeerRow(self.peer_id, self.node_id, url, self.signer.public_key, scopes, ACTIVE, dialect),
            OriginRow(self.node_id, self.signer.public_key, "pinned"),
        ]

    def token(self, nonce: str | None = None) -> str:
        """A token for the node on the bench."""
        self._spent += 1
        return mint(
            self.signer, issuer=self.node_id, audience=self._bench.node.node_id, scopes=self.scopes,
            nonce=nonce or f"{self.peer_id}/{self._spent}", now_ms=self._bench.wall_ms,
        )  # fmt: skip

    async def ask(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Response:
        """The node's answer to a request of this peer."""
        bearer = {"authorization": f"Bearer {token or self.token()}"}
        return await ask(self._bench, method, target, body, by=None, headers=bearer | (headers or {}))
