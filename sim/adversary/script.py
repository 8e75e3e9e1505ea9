"""A scripted peer: an address, a real key and a handshake around an adversary's script.

It registers at its victims and is approved there, mints real tokens and signs real envelopes; what it serves
is up to the script. What its victims owe for it is kept in `sim.observation.obligations` and looked for by checkers.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote

import msgspec

from sim.adversary.author import Author, Entry, members, raw_page
from sim.adversary.base import Adversary
from sim.diagnostics.errors import Violation
from sim.observation.obligations import Obligation, Obligations
from sim.world.clocks import EPOCH_NS
from sim.world.rpc import send_request
from stigmem.core.declaration import ACTIVE, PENDING, declare
from stigmem.core.keys import ED25519, STAND_IN, fingerprint
from stigmem.core.page import entry_name
from stigmem.core.scopes import SCOPES, crossing
from stigmem.core.timestamps import format_us
from stigmem.core.token import mint
from stigmem.core.wire import JSON_TYPE, Request, Response, decode_request, encode, json_response

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation
    from stigmem.core.ledger import Ledger

__all__ = ["PeerScript"]

_AGAIN_NS: Final = 5_000_000_000
_MANIFESTS: Final = "/v1/federation/manifest/"


class PeerScript(Author):
    """The host of an adversary."""

    def __init__(self, simulation: Simulation, adversary: Adversary) -> None:
        self.simulation = simulation
        self.adversary = adversary
        self.name = adversary.node
        self.victims = tuple(adversary.peers or simulation.plan.nodes[:1])
        suite = STAND_IN if simulation.scenario.scenario.signatures == "stand-in" else ED25519
        seed = hashlib.blake2b(
            f"{simulation.seed}/{self.name}".encode(), digest_size=32, person=b"adversary key"
        ).digest()
        rng = simulation.random(f"adversary/{self.name}")
        super().__init__(
            suite.signer(seed), f"http://{self.name}.sim", adversary.dialect, rng,
            lambda: (EPOCH_NS + simulation.world.now) // 1_000_000,
        )  # fmt: skip
        self.scopes = tuple(simulation.scenario.federation.scopes)
        granted = crossing(self.scopes, allow_team=simulation.scenario.federation.allow_team)
        self.usual_scope = next((scope for scope in reversed(SCOPES) if scope in granted), "public")
        self.hostile = True
        self.served = 0
        """Answers to pulls so far, over all victims."""
        self.obligations = Obligations()
        self.notes: dict[str, Any] = {}
        """What the script remembers."""
        self._waiting: dict[str, deque[Entry]] = {}
        self._last: dict[str, list[Entry]] = {}
        simulation.directory[self.url] = self

    # --- life ---

    def begin(self) -> None:
        """Become a peer of the victims and start to act."""
        for victim in self.victims:
            self._join(victim)
        self.adversary.act(self)

    def stop(self) -> None:
        """From now on serve nothing and do nothing: the faults have ended."""
        self.hostile = False

    def every(self, period_ns: int, action: Callable[[int], None], number: int = 0) -> None:
        """Call `action(0)`, `action(1)`... once a period for as long as the peer is hostile."""
        if self.hostile:
            if number:
                action(number - 1)
            self.simulation.world.after(period_ns, lambda _: self.every(period_ns, action, number + 1))

    def ledger(self, victim: str) -> Ledger | None:
        """A look into a victim's ledger, for lies that need to know the truth; None while the machine is off."""
        node = self.simulation.machines[victim].node
        return None if node is None else node.state.ledger

    def read_to_the_end(self, victim: str) -> bool:
        """Whether a victim has come to the end of what we serve since it knows us."""
        node = self.simulation.machines[victim].node
        row = None if node is None else node.state.peer_of(self.node_id)
        held = None if node is None or row is None else node.state.cursors.get(row.peer_id)
        return held is not None and held.drained

    def witness(self, victim: str, sentence: str) -> None:
        """Report that a victim did what no node may do to a hostile peer's request."""
        self.simulation.violated(
            Violation("hostile-requests", victim, self.simulation.world.now, f"{sentence} (to {self.name})")
        )

    def _join(self, victim: str) -> None:
        """Be an approved peer of the victim, now and again after it lost its disk."""
        if victim in self.simulation.gone:
            return
        node = self.simulation.machines[victim].node
        row = None if node is None else node.state.peer_of(self.node_id)
        if row is not None and row.status == PENDING:
            body = msgspec.json.encode({"pubkey_fingerprint": fingerprint(self.signer.public_key)})
            request = Request("POST", f"/v1/federation/peers/{row.peer_id}/approve", JSON_TYPE, body)
            self.simulation.console(victim, request, lambda _: None)
        elif row is None or row.status != ACTIVE:
            declaration = declare(
                self.signer, node_id=self.node_id, node_url=self.url, scopes=self.scopes,
                signed_at=format_us(self.now_ms * 1_000),
            )  # fmt: skip
            request = Request("POST", "/v1/federation/peers", JSON_TYPE, msgspec.json.encode(declaration))
            self.obligations.receipts.pop(victim, None)
            self.adversary.introduced(self, victim)
            self.ask(victim, request, lambda answer: self._registered(victim, answer))
        self.simulation.world.after(_AGAIN_NS, lambda _: self._join(victim))

    def _registered(self, victim: str, answer: Response | str) -> None:
        peer_id = members(answer).get("peer_id") if isinstance(answer, Response) and answer.status == 201 else None
        if peer_id is not None:
            body = msgspec.json.encode({"pubkey_fingerprint": fingerprint(self.signer.public_key)})
            request = Request("POST", f"/v1/federation/peers/{peer_id}/approve", JSON_TYPE, body)
            self.simulation.console(victim, request, lambda _: None)

    # --- asking ---

    def ask(self, victim: str, request: Request, then: Callable[[Response | str], None]) -> None:
        """Send a request to a victim."""
        send_request(
            self.simulation.network,
            self.simulation.directory,
            self.name,
            self.simulation.machines[victim].url,
            request,
            then,
        )

    def token(
        self, victim: str, *, nonce: str | None = None, scopes: tuple[str, ...] | None = None, at_ms: int | None = None
    ) -> str:
        """A genuine peer token for a victim."""
        node = self.simulation.machines[victim].node
        return mint(
            self.signer,
            issuer=self.node_id,
            audience=node.node_id if node is not None else "",
            scopes=scopes or self.scopes,
            nonce=nonce or self.uuid(),
            now_ms=self.now_ms if at_ms is None else at_ms,
        )

    def authorised(self, method: str, target: str, token: str, body: bytes = b"") -> Request:
        """A request with a peer token."""
        headers = {"authorization": f"Bearer {token}", "accept": "application/json"}
        return Request(method, target, headers | JSON_TYPE if body else headers, body)

    # --- answering ---

    def receive(self, asker: str, data: bytes, reply: Callable[[bytes], None], refuse: Callable[[], None]) -> None:
        """A request from a victim."""
        try:
            request = decode_request(data)
        except ValueError:
            refuse()
            return
        path, _, query = request.target.partition("?")
        if path == "/v1/federation/facts":
            self.obligations.receive(asker, parse_qs(query).get("cursor", [""])[0])
            answer = self.adversary.answer(self, asker, request) if self.hostile else self.page(asker, [])
            self.served += 1
            delay = self.adversary.delay(self, asker) if self.hostile else 0
        else:
            answer, delay = self._document(asker, path), 0
        if answer is not None:
            frame = encode(answer)
            self.simulation.world.after(delay, lambda _: reply(frame))

    def _document(self, asker: str, path: str) -> Response | None:
        if path == "/.well-known/stigmem":
            return json_response(200, self.discovery())
        if path == "/.well-known/stigmem-manifest.json":
            return json_response(200, self.manifest())
        found = None
        if path.startswith(_MANIFESTS) and self.hostile:
            found = self.adversary.vouch(self, asker, unquote(path.removeprefix(_MANIFESTS)))
        return found or json_response(404, {"detail": "Not Found"})

    def waiting(self, victim: str) -> deque[Entry]:
        """What is left to serve of the batch at hand."""
        return self._waiting.setdefault(victim, deque())

    def remember(self, victim: str, batch: list[Entry]) -> list[Entry]:
        """Keep a batch for `again`."""
        self._last[victim] = batch
        return batch

    def again(self, victim: str) -> list[Entry]:
        """The batch remembered, once."""
        return self._last.pop(victim, [])

    def page(self, victim: str, entries: list[Entry], *, cursor: Any = ..., has_more: Any = False) -> Response:
        """A page in the peer's dialect; without a `cursor` it gets a new one, by which its receipt is known."""
        raw = [entry if isinstance(entry, bytes) else msgspec.json.encode(entry) for entry in entries]
        if cursor is ... and raw:
            cursor = f"{self.name}:{self.served}"
        if isinstance(cursor, str):
            self.obligations.serve(victim, cursor, [entry_name(entry) for entry in raw])
        return raw_page(raw, cursor=None if cursor is ... else cursor, has_more=has_more, bare=self.dialect == "0.5")

    def expect(self, victim: str, fact_id: str, *codes: str) -> None:
        """Announce a fact that the victim must refuse with one of these codes, or must keep when there is none."""
        self.obligations.announce(Obligation(self.name, victim, fact_id, codes))

    def due(self) -> list[Obligation]:
        """What victims owe for the pages that they stored; nothing on a wire that flips bits, where a good fact may
        arrive as a bad one."""
        corrupted = self.simulation.scenario.network.corrupt or any(
            fault.__struct_config__.tag == "corrupt" for fault in self.simulation.scenario.fault
        )
        return [] if corrupted else self.obligations.due()
