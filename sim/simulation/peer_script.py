"""A hostile peer of a run: an adversary's script, with an address and a handshake around it (`sim.ports.PeerEnv`).

Three parts. `Author` writes under the peer's genuine key. `Surroundings` is the run around it: true time, a look into
nodes, operators who can be talked into things, and whom a violation is told to. `PeerScript` is the peer: it registers
at its victims and is approved there, again whenever one of them no longer knows it; it answers what victims ask, by
asking the script; and it keeps the obligations that its pages bring about, for checkers to look at.

The order of a peer's draws is part of a run: everything that it draws comes from one generator (`adversary/<name>`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar, cast
from urllib.parse import parse_qs, unquote

import msgspec

from sim.adversary.base import Adversary, members
from sim.check import Asked
from sim.diagnostics.errors import Violation
from sim.diagnostics.kind_errors import KindFailed
from sim.fault.clocks import ClockFault
from sim.observation.obligations import Obligation, Obligations
from sim.observation.request_debts import RequestDebt, RequestDebts
from sim.ports import Observed, PageEntry
from sim.scenario.tables import Scenario
from sim.simulation.peer_author import Author, PeerIdentity
from sim.world.clocks import EPOCH_NS
from sim.world.machine import Machine
from sim.world.random_streams import RandomStreams
from sim.world.rpc import Wire, send_request
from sim.world.world import World
from stigmem.core.declaration import ACTIVE, PENDING
from stigmem.core.keys import ED25519, STAND_IN
from stigmem.core.page import entry_name
from stigmem.core.scopes import SCOPES, crossing
from stigmem.core.wire import JSON_TYPE, Request, Response, decode_request, encode, json_response

__all__ = ["PeerScript", "Surroundings", "make_peers"]

_AGAIN_NS: Final = 5_000_000_000
"""How often a peer looks whether its victims know it."""
_AGAIN_MOST_NS: Final = 120_000_000_000
"""How often at least while a victim does not: the rest doubles, so that one that is off for a month is affordable."""
_MANIFESTS: Final = "/v1/federation/manifest/"

_Memory = TypeVar("_Memory")


class Surroundings:
    """The run around hostile peers; all of them share it."""

    def __init__(
        self,
        observed: Observed,
        machines: Mapping[str, Machine],
        world: World,
        violated: Callable[[Violation], None],
        *,
        asked: Callable[[Asked], None],
        moved_clocks: Container[str],
    ) -> None:
        """`asked` is told of every pull that a victim makes. `moved_clocks`: nodes whose clock some fault of the run
        moves."""
        self.observed = observed
        self.world = world
        self.violated = violated
        self.asked = asked
        self._machines = machines
        self._moved_clocks = moved_clocks

    @property
    def now_ms(self) -> int:
        return (EPOCH_NS + self.world.now) // 1_000_000

    def clock_lead_ms(self, name: str) -> int:
        return self._machines[name].clock.wall(self.world.now) // 1_000_000 - self.now_ms

    def has_steady_clock(self, name: str) -> bool:
        return name not in self._moved_clocks

    def console(self, victim: str, request: Request, then: Callable[[Response], None]) -> bool:
        return self._machines[victim].console(request, then)


class PeerScript:
    """One hostile peer."""

    def __init__(
        self, adversary: Adversary, author: Author, surroundings: Surroundings, wire: Wire, obligations: Obligations
    ) -> None:
        me, observed = author.identity, surroundings.observed
        self.adversary = adversary
        self.obligations = obligations
        self.request_debts = RequestDebts()
        self.name, self.node_id, self.url, self.dialect = me.name, me.node_id, me.url, me.dialect
        self.public_key = me.signer.public_key
        self.scopes = me.scopes
        self.victims = tuple(adversary.peers or observed.federation.nodes[:1])
        self.served = 0
        self.hostile = True
        self._author = author
        self._surroundings = surroundings
        self._wire = wire
        self._memories: dict[tuple[type, str], Any] = {}
        self._rests: dict[str, int] = {}
        """Victim -> how long to rest before it is looked at again, while it does not know the peer."""
        # What others do for the script.
        self.rng, self.uuid, self.sign = author.rng, author.uuid, author.sign
        self.fact, self.entry, self.manifest, self.authorised = (
            author.fact, author.entry, author.manifest, author.authorised,
        )  # fmt: skip
        self.federation, self.names = observed.federation, observed.names
        self.truth, self.settings = observed.node, observed.settings
        self.clock_lead_ms, self.has_steady_clock = surroundings.clock_lead_ms, surroundings.has_steady_clock
        self.console, self.has_true_wire = surroundings.console, obligations.are_due
        wire.directory[self.url] = self

    @property
    def now_ms(self) -> int:
        return self._surroundings.now_ms

    def memory(self, kind: type[_Memory], victim: str = "") -> _Memory:
        found = self._memories.get((kind, victim))
        if found is None:
            found = self._memories[kind, victim] = kind()
        return cast("_Memory", found)

    # --- life ---

    def begin(self) -> None:
        """Become a peer of the victims and start to act."""
        for victim in self.victims if self.adversary.joins else ():
            self._join(victim)
        self.adversary.act(self)

    def stop(self) -> None:
        """From now on serve nothing and do nothing: the faults have ended."""
        self.hostile = False

    def every(self, period_ns: int, action: Callable[[int], None], number: int = 0) -> None:
        if self.hostile:
            if number:
                action(number - 1)
            self._surroundings.world.after(period_ns, lambda _: self.every(period_ns, action, number + 1))

    def _join(self, victim: str) -> None:
        """Be an approved peer of the victim, now and again after it lost its disk."""
        surroundings = self._surroundings
        if victim in surroundings.observed.gone:
            return
        node = self.truth(victim)
        status = "" if node is None else node.peer_status(self.node_id)
        if node is not None and status == PENDING:
            self._approve(victim, node.peer_id(self.node_id))
        elif status != ACTIVE:
            request = Request("POST", "/v1/federation/peers", JSON_TYPE, self._author.declaration())
            self.obligations.receipts.pop(victim, None)
            self.adversary.introduced(self, victim)
            self.send(victim, request, partial(self._registered, victim))
        rest_ns = _AGAIN_NS if status == ACTIVE else self._rests.get(victim, _AGAIN_NS)
        self._rests[victim] = _AGAIN_NS if status == ACTIVE else min(2 * rest_ns, _AGAIN_MOST_NS)
        surroundings.world.after(rest_ns, self._join, victim)

    def _registered(self, victim: str, answer: Response | str) -> None:
        peer_id = members(answer).get("peer_id") if isinstance(answer, Response) and answer.status == 201 else None
        if peer_id is not None:
            self._approve(victim, peer_id)

    def _approve(self, victim: str, peer_id: str) -> None:
        """The victim's operator approves of the peer, whose fingerprint it believes to know."""
        body = msgspec.json.encode({"pubkey_fingerprint": self._author.fingerprint})
        self.console(victim, Request("POST", f"/v1/federation/peers/{peer_id}/approve", JSON_TYPE, body), _ignore)

    # --- asking ---

    def send(self, victim: str, request: Request, then: Callable[[Response | str], None]) -> None:
        url = self.settings(victim).node_url
        send_request(self._wire, self.name, url, request, then)

    def token(
        self, victim: str, *, nonce: str | None = None, scopes: tuple[str, ...] | None = None, at_ms: int | None = None
    ) -> str:
        node = self.truth(victim)
        audience = "" if node is None else node.node_id
        return self._author.token(audience, nonce=nonce, scopes=scopes, at_ms=at_ms)

    # --- answering ---

    def receive(self, asker: str, data: bytes, reply: Callable[[bytes], None], refuse: Callable[[], None]) -> None:
        """A request from a victim."""
        try:
            request = decode_request(data)
        except ValueError:
            refuse()
            return
        path, _, query = request.target.partition("?")
        delay = 0
        if path == "/v1/federation/facts":
            self.obligations.receive(asker, parse_qs(query).get("cursor", [""])[0])
            if self.hostile:
                answer = self._given(self.adversary.answer(self, asker, request), "answer")
                delay = self.adversary.delay(self, asker)
            else:
                answer = self.page(asker, [])
            self.served += 1
            self._surroundings.asked(Asked(asker, self.name, request, answer))
        else:
            answer = self._document(asker, path)
        if answer is not None:
            frame = encode(answer)
            self._surroundings.world.after(delay, lambda _: reply(frame))

    def _document(self, asker: str, path: str) -> Response | None:
        if path == "/.well-known/stigmem":
            genuine = self._author.discovery()
            if not self.hostile:
                return json_response(200, genuine)
            return self._given(self.adversary.describe(self, asker, genuine), "describe")
        if path == "/.well-known/stigmem-manifest.json":
            return json_response(200, self.manifest())
        found = None
        if path.startswith(_MANIFESTS) and self.hostile:
            found = self._given(self.adversary.vouch(self, asker, unquote(path.removeprefix(_MANIFESTS))), "vouch")
        return found or json_response(404, {"detail": "Not Found"})

    def _given(self, answer: Any, hook: str) -> Response | None:
        """What the adversary answers, if it is an answer or silence."""
        if answer is not None and not isinstance(answer, Response):
            raise KindFailed(self.adversary, f"gave {answer!r:.60} from {hook}, where a Response or None belongs")
        return answer

    def page(self, victim: str, entries: Sequence[PageEntry], *, has_more: Any = False) -> Response:
        cursor = f"{self.name}:{self.served}" if entries else None
        return self.page_ending_at(victim, entries, cursor, has_more=has_more)

    def page_ending_at(
        self, victim: str, entries: Sequence[PageEntry], cursor: Any, *, has_more: Any = False
    ) -> Response:
        raw = [entry if isinstance(entry, bytes) else msgspec.json.encode(entry) for entry in entries]
        if isinstance(cursor, str):
            self.obligations.serve(victim, cursor, [entry_name(entry) for entry in raw])
        return self._author.page(raw, cursor, has_more)

    # --- what must come of it ---

    def expect(self, victim: str, fact_id: str, *codes: str) -> None:
        self.obligations.announce(Obligation(self.name, victim, fact_id, codes))

    def owe(self, victim: str, request: Request, what: str, *codes: str, within_ns: int = 1 << 62) -> None:
        if self.has_true_wire:  # else what arrives may be something that was not sent
            sent_ns = self._surroundings.world.now
            self.request_debts.owe(victim, request, RequestDebt(what, codes, sent_ns, within_ns))

    def report(self, victim: str, sentence: str) -> None:
        surroundings = self._surroundings
        surroundings.violated(
            Violation("hostile-requests", victim, surroundings.observed.now_ns, f"{sentence} (to {self.name})")
        )


def make_peers(
    scenario: Scenario,
    streams: RandomStreams,
    wire: Wire,
    observed: Observed,
    machines: Mapping[str, Machine],
    violated: Callable[[Violation], None],
    asked: Callable[[Asked], None],
) -> dict[str, PeerScript]:
    """The hostile peers of a scenario by name. `violated` is told what a victim did to one of them that no node may
    do, and `asked` of every pull at one of them."""
    # A wire that flips bits may make a bad fact of a good one, and nobody owes anything for its pages.
    garbled = scenario.network.corrupt > 0 or any(fault.__struct_config__.tag == "corrupt" for fault in scenario.fault)
    clock_faults = [fault for fault in scenario.fault if isinstance(fault, ClockFault)]
    moved = [name for name in observed.federation.nodes if any(fault.node in (None, name) for fault in clock_faults)]
    surroundings = Surroundings(observed, machines, wire.network.world, violated, asked=asked, moved_clocks=moved)
    peers: dict[str, PeerScript] = {}
    for adversary in scenario.adversary:
        identity = _identity(adversary, scenario, streams.seed)
        author = Author(identity, streams.stream(f"adversary/{identity.name}"), lambda: surroundings.now_ms)
        peers[identity.name] = PeerScript(adversary, author, surroundings, wire, Obligations(are_due=not garbled))
    return peers


def _identity(adversary: Adversary, scenario: Scenario, seed: int) -> PeerIdentity:
    name, scopes = adversary.node, tuple(scenario.federation.scopes)
    suite = STAND_IN if scenario.scenario.signatures == "stand-in" else ED25519
    key = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=32, person=b"adversary key").digest()
    granted = crossing(scopes, allow_team=scenario.federation.allow_team)
    return PeerIdentity(
        name=name,
        signer=suite.signer(key),
        url=f"http://{name}.sim",
        dialect=adversary.dialect,
        scopes=scopes,
        usual_scope=next((scope for scope in reversed(SCOPES) if scope in granted), "public"),
    )


def _ignore(_response: Response) -> None:
    """Whether it worked shows when the victim is looked at again."""
