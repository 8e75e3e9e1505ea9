"""A scripted peer: an address, a real key and a handshake around an adversary's script.

It registers at its victims and is registered by them over the wire, mints real tokens and signs real
envelopes; what it serves is up to the script. It keeps a list of the bad facts that a victim fetched, which
the audit checker then looks for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from sim.adversary.base import Adversary
from sim.clocks import EPOCH_NS
from sim.post import post
from stigmem.core.declaration import EXTENSIONS, declare
from stigmem.core.envelope import TENANT, Origin, origin_bytes
from stigmem.core.fact import Fact, record_of
from stigmem.core.hlc import stamp
from stigmem.core.instants import format_us
from stigmem.core.keys import ED25519, STAND_IN, encode_base64, fingerprint
from stigmem.core.manifest import certified_node_id, make_manifest
from stigmem.core.token import mint
from stigmem.core.wire import JSON_TYPE, Request, Response, decode_request, encode, json_response

if TYPE_CHECKING:
    from sim.lab import Lab

__all__ = ["ScriptedPeer"]

_DAY_US = 86_400_000_000


class ScriptedPeer:
    """The host of an adversary."""

    def __init__(self, lab: Lab, adversary: Adversary) -> None:
        self.lab = lab
        self.adversary = adversary
        self.name = adversary.node
        self.url = f"http://{adversary.node}.sim"
        self.victims = tuple(adversary.peers or lab.plan.nodes[:1])
        self.chance = lab.random(f"adversary/{adversary.node}")
        suite = STAND_IN if lab.scenario.scenario.signatures == "stand-in" else ED25519
        self.signer = suite.signer(
            hashlib.blake2b(f"{lab.seed}/{self.name}".encode(), digest_size=32, person=b"adversary key").digest()
        )
        self.node_id = certified_node_id(self.signer.public_key)
        self.hostile = True
        self.served = 0
        self._owed: dict[tuple[str, str], tuple[str, ...]] = {}
        lab.directory[self.url] = self

    # --- clocks and names ---

    @property
    def now_ms(self) -> int:
        """True time: an adversary's own clock is right."""
        return (EPOCH_NS + self.lab.world.now) // 1_000_000

    def uuid(self) -> str:
        """A random id in the layout of version 4."""
        digits = f"{self.chance.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    # --- life ---

    def begin(self) -> None:
        """Introduce yourself to the victims, and they to you."""
        for victim in self.victims:
            self._join(victim)
        self.adversary.act(self)

    def stop(self) -> None:
        """From now on serve nothing: the faults have ended."""
        self.hostile = False

    def _join(self, victim: str) -> None:
        machine = self.lab.machines[victim]
        declaration = declare(
            self.signer,
            node_id=self.node_id,
            node_url=self.url,
            scopes=tuple(self.lab.scenario.federation.scopes),
            signed_at=format_us(self.now_ms * 1_000),
        )
        request = Request("POST", "/v1/federation/peers", JSON_TYPE, msgspec.json.encode(declaration))
        self.ask(victim, request, lambda answer: self._approved(victim, answer))
        if machine.node is None:
            self.lab.world.after(5_000_000_000, lambda _: self._join(victim))

    def _approved(self, victim: str, answer: Response | str) -> None:
        if not isinstance(answer, Response) or answer.status != 201:
            if not (isinstance(answer, Response) and answer.status == 409):
                self.lab.world.after(5_000_000_000, lambda _: self._join(victim))
            return
        peer_id = msgspec.json.decode(answer.body)["peer_id"]
        body = msgspec.json.encode({"pubkey_fingerprint": fingerprint(self.signer.public_key)})
        request = Request("POST", f"/v1/federation/peers/{peer_id}/approve", JSON_TYPE, body)
        self.lab.console(victim, request, lambda _: None)

    # --- the wire ---

    def ask(self, victim: str, request: Request, then: Callable[[Response | str], None]) -> None:
        """Send a request to a victim."""
        post(self.lab.network, self.lab.directory, self.name, self.lab.machines[victim].url, request, then)

    def token(self, victim: str, *, nonce: str | None = None, scopes: tuple[str, ...] | None = None, at_ms: int | None = None) -> str:
        """A genuine peer token for a victim."""
        node = self.lab.machines[victim].node
        return mint(
            self.signer,
            issuer=self.node_id,
            audience=node.node_id if node is not None else "",
            scopes=scopes or tuple(self.lab.scenario.federation.scopes),
            nonce=nonce or self.uuid(),
            now_ms=self.now_ms if at_ms is None else at_ms,
        )

    def receive(self, asker: str, data: bytes, reply: Callable[[bytes], None], refuse: Callable[[], None]) -> None:
        """A request from a victim."""
        try:
            request = decode_request(data)
        except ValueError:
            refuse()
            return
        path = request.target.partition("?")[0]
        if path == "/.well-known/stigmem":
            reply(encode(json_response(200, self._discovery())))
        elif path == "/.well-known/stigmem-manifest.json":
            reply(encode(json_response(200, self._manifest())))
        elif path == "/v1/federation/facts":
            answer = self.adversary.answer(self, asker, request) if self.hostile else self.page([])
            if answer is not None:
                self.served += 1
                reply(encode(answer))
        else:
            reply(encode(json_response(404, {"detail": "Not Found"})))

    def _discovery(self) -> dict[str, Any]:
        return {
            "version": "1.0", "node_id": self.node_id, "node_url": self.url, "auth": "required",
            "federation": "enabled", "federation_pubkey": self.signer.public_key, "federation_version": "2.1",
            "federation_extensions": list(EXTENSIONS), "entity_uri": self.url,
        }  # fmt: skip

    def _manifest(self) -> Any:
        issued = self.now_ms * 1_000 - _DAY_US
        return make_manifest(
            self.signer,
            entity_uri=self.url,
            entities=(self.url, self.node_id),
            issued_at=format_us(issued),
            expires_at=format_us(issued + 365 * _DAY_US),
        )

    # --- what scripts serve ---

    def fact(self, entity: str, relation: str, text: str, *, ahead_ms: int = 0, **changes: Any) -> Fact:
        """A complete and certified fact of this peer's own; `changes` are fields of Fact set before the id is
        made, so the lie is consistently signed."""
        members: dict[str, Any] = {
            "stamp": stamp(self.now_ms + ahead_ms, self.chance.randrange(1000)),
            "origin": self.node_id, "id": "", "entity": entity, "relation": relation, "scope": "public",
            "source": self.node_id, "kind": "string", "text": text, "interpret_as": "content", "confidence": 1.0,
            "timestamp_us": self.now_ms * 1_000, "valid_until": None,
        }  # fmt: skip
        draft = Fact(**(members | changes))
        return draft if draft.id else msgspec.structs.replace(draft, id=draft.certified_id())

    def entry(self, fact: Fact, *, cid: str | None = None, **changes: Any) -> dict[str, Any]:
        """The signed entry of a fact; `changes` are members of the record changed *after* signing."""
        digest = cid or fact.cid8
        origin = Origin(
            tenant=TENANT, node_id=fact.origin, allowed_scopes=[fact.scope], allowed_tenants=[TENANT], entity_uri=self.url
        )
        signature = self.signer.sign(origin_bytes(origin, fact.id, digest, fact.valid_until))
        record: dict[str, Any] = msgspec.to_builtins(record_of(fact, digest))
        return {
            "fact": record | changes,
            "origin": msgspec.to_builtins(origin),
            "origin_sig": encode_base64(signature),
            "origin_manifest": None,
            "origin_key_proof": None,
        }

    def page(self, entries: list[Any], *, cursor: str | None = None, has_more: bool = False) -> Response:
        """A page of dialect 2.1."""
        return json_response(200, {"v": 2, "facts": entries, "cursor": cursor, "has_more": has_more})

    def owe(self, victim: str, fact_id: str, *codes: str) -> None:
        """Remember that a victim was served a fact that it must refuse with one of these codes."""
        self._owed[victim, fact_id] = codes

    def owed(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """(victim, fact id, codes) of every bad fact served."""
        return [(victim, fact_id, codes) for (victim, fact_id), codes in self._owed.items()]
