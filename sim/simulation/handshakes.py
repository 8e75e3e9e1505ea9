"""The operators: the people who introduce nodes to each other, over the simulated wire.

For every link each side registers at the other, and the other's operator compares the fingerprint and
approves; tried again while a side is off or cut off, each time after twice the rest, up to two minutes, so that a node
that is absent for a month costs some ten thousand events. The rest is forgotten when one of the two boots, and when all
faults end. Keys of nodes that are no neighbours are `sim.simulation.key_pinning`'s.

Operators may also take a peer's approval back, and err: faults make them (`revoked`, `mistaken`). A peer that is
revoked is not introduced again before the last of those who revoked it lets go.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Final

import msgspec

from sim.diagnostics.errors import Violation
from sim.simulation.key_pinning import KeyPinning
from sim.topology.federation import Federation
from sim.world.machine import Machine
from sim.world.world import World
from stigmem.core.declaration import ACTIVE, PENDING, REJECTED, UNVERIFIED
from stigmem.core.keys import encode_base64, fingerprint
from stigmem.core.wire import JSON_TYPE, Request, Response
from stigmem.node.ports import Unreachable

__all__ = ["Handshakes"]

_AGAIN_NS: Final = 5_000_000_000
"""The first rest of an operator whose introduction did not work out."""
_AGAIN_MOST_NS: Final = 120_000_000_000
"""The longest rest."""
_STAGGER_NS: Final = 10_000_000
_REVOKABLE: Final = (UNVERIFIED, PENDING, ACTIVE)
_NO_FINGERPRINT: Final = fingerprint(encode_base64(bytes(32)))
"""What an operator compares who errs: the fingerprint of a key that nobody has."""


class Handshakes:
    """Sees to it that every link of the plan is a pair of approved peers."""

    def __init__(
        self,
        federation: Federation,
        machines: Mapping[str, Machine],
        gone: Container[str],
        *,
        world: World,
        key_pinning: KeyPinning,
        violated: Callable[[Violation], None],
    ) -> None:
        """`gone`: machines that left for good, which nobody is introduced to any more. `violated` is told when a node
        approves of a peer by a wrong fingerprint."""
        self._federation = federation
        self._machines = machines
        self._gone = gone
        self._world = world
        self._key_pinning = key_pinning
        self._violated = violated
        self._busy: dict[tuple[str, str], None] = {}
        self._awaited: dict[tuple[str, str], None] = {}
        """(newcomer, host) of links between nodes that are there from the start, until the one is the other's peer."""
        self._last_linked_ns = 0
        self._rests: dict[tuple[str, str], int] = {}
        """(newcomer, host) -> how long the operator rests after the next attempt that fails."""
        self._turns: dict[tuple[str, str], int] = {}
        """(newcomer, host) -> which of the attempts that were planned still counts: the one that was planned last."""
        self._tried: dict[tuple[str, str], dict[str, int]] = {}
        self._barred: dict[tuple[str, str], dict[object, None]] = {}
        """(newcomer, host) -> who has the host's operator keep the one revoked."""
        self._mistaken: dict[tuple[str, str], dict[object, None]] = {}
        """(newcomer, host) -> who has the host's operator compare a wrong fingerprint."""

    @property
    def linked_ns(self) -> int | None:
        """When all links between nodes that were there from the start had been made; None while some are not. Nodes
        that left for good are waited for no more."""
        gone = self._gone
        waiting = any(first not in gone and second not in gone for first, second in self._awaited)
        return None if waiting else self._last_linked_ns

    def link_everyone(self) -> None:
        """Begin every handshake."""
        there = [name for name in self._federation.nodes if self._machines[name].boots]
        for first, second in self._federation.links:
            if first in there and second in there:
                self._awaited.update({(first, second): None, (second, first): None})
        for number, (first, second) in enumerate(self._federation.links):
            for pair in ((first, second), (second, first)):
                self._world.after(number * _STAGGER_NS, self._introduce_pair, pair)
        for name in self._federation.nodes:
            self._key_pinning.see_to(name)

    def link(self, name: str) -> None:
        """See to the links of one node, after it booted."""
        for neighbour in self._federation.neighbours(name):
            for pair in ((name, neighbour), (neighbour, name)):
                self._rests.pop(pair, None)
                self._introduce(*pair)
        self._key_pinning.see_to(name)

    def try_again(self) -> None:
        """Have every operator whose link is still missing try now: what kept it from being made may be over."""
        for pair in self.unlinked():
            self._rests.pop(pair, None)
            self._introduce(*pair)

    @contextmanager
    def revoked(self, peer: str, at: str) -> Iterator[None]:
        """The operator of `at` has revoked a peer, until this guard and every other like it is left."""
        with self._acting(self._barred, peer, at):
            yield

    @contextmanager
    def mistaken(self, peer: str, at: str) -> Iterator[None]:
        """The operator of `at` has revoked a peer and compares a wrong fingerprint when it is introduced anew, until
        this guard and every other like it is left."""
        self._rests.pop((peer, at), None)
        with self._acting(self._mistaken, peer, at):
            yield

    @contextmanager
    def _acting(self, how: dict[tuple[str, str], dict[object, None]], peer: str, at: str) -> Iterator[None]:
        """An operator has revoked a peer, and acts in some way when it is introduced; then it is introduced anew."""
        key, holds = object(), how.setdefault((peer, at), {})
        holds[key] = None
        self._revoke(peer, at)
        try:
            yield
        finally:
            del holds[key]
            self._rests.pop((peer, at), None)
            self._introduce(peer, at)

    def tried(self, newcomer: str, host: str) -> dict[str, int]:
        """How the registrations of one node at another ended so far -> how often: a status, or why there was no
        answer (`timeout`, `refused`, `broken`)."""
        return dict(self._tried.get((newcomer, host), {}))

    def all_linked(self) -> bool:
        """Whether every link between nodes that stay is a pair of active peers."""
        return not self.unlinked()

    def unlinked(self) -> list[tuple[str, str]]:
        """(newcomer, host) of every link between nodes that stay where the one is no active peer at the other."""
        pairs = [(a, b) for link in self._federation.links for a, b in (link, link[::-1])]
        return [(a, b) for a, b in pairs if a not in self._gone and b not in self._gone and not self._is_peer(a, b)]

    def _is_peer(self, name: str, at: str) -> bool:
        """Whether `at` holds `name` as an active peer."""
        newcomer, host = self._machines[name].node, self._machines[at].node
        if newcomer is None or host is None:
            return False
        row = host.state.peer_of(newcomer.node_id)
        return row is not None and row.status == ACTIVE

    def _revoke(self, name: str, at: str) -> None:
        """Take back what the operator of `at` has granted, now and, while somebody keeps it so, after its next boot. A
        registration that is under way is revoked when it has come to its end."""
        newcomer, host = self._machines[name], self._machines[at]
        if newcomer.node is not None and host.node is not None:
            row = host.node.state.peer_of(newcomer.node.node_id)
            if row is not None and row.status in _REVOKABLE:
                request = Request("POST", f"/v1/federation/peers/{row.peer_id}/revoke", JSON_TYPE, b"{}")
                host.console(request, _ignore)
        if not self._barred.get((name, at)):
            self._try_after_rest(name, at)

    def _introduce_pair(self, pair: tuple[str, str]) -> None:
        self._introduce(*pair)

    def _introduce(self, name: str, at: str) -> None:
        """Have `name` register at `at` and be approved there; again later if that does not work out."""
        if (name, at) in self._busy or name in self._gone or at in self._gone:
            return
        if self._barred.get((name, at)):
            self._revoke(name, at)
            return
        if self._is_peer(name, at):
            if self._mistaken.get((name, at)):
                self._revoke(name, at)  # its host was off when it should have been done
            else:
                self._linked(name, at)
            return
        newcomer, host = self._machines[name], self._machines[at]
        if newcomer.node is None or newcomer.paused:
            self._try_after_rest(name, at)
            return
        self._busy[name, at] = None
        newcomer.spawn("register", partial(self._register, newcomer, host))

    async def _register(self, newcomer: Machine, host: Machine) -> None:
        node = newcomer.node
        if node is None:
            return
        try:
            response = await node.handshakes.register_at(
                host.url, scopes=self._federation.scopes_on(newcomer.name, host.name)
            )
            done = response.status in (201, 409)
            self._count(newcomer.name, host.name, str(response.status))
        except Unreachable as error:
            done = False
            self._count(newcomer.name, host.name, error.code)
        finally:
            self._busy.pop((newcomer.name, host.name), None)
        if done and self._barred.get((newcomer.name, host.name)):
            self._revoke(newcomer.name, host.name)
            return
        if done:
            self._approve(newcomer, host)
        self._try_after_rest(newcomer.name, host.name)

    def _try_after_rest(self, name: str, at: str) -> None:
        """Introduce two again after a rest that is longer each time; what was planned before is not done."""
        pair = (name, at)
        rest_ns = self._rests.get(pair, _AGAIN_NS)
        self._rests[pair] = min(2 * rest_ns, _AGAIN_MOST_NS)
        turn = self._turns[pair] = self._turns.get(pair, 0) + 1

        def again(_: object) -> None:
            if self._turns[pair] == turn:
                self._introduce(name, at)

        self._world.after(rest_ns, again)

    def _count(self, newcomer: str, host: str, how: str) -> None:
        counts = self._tried.setdefault((newcomer, host), {})
        counts[how] = counts.get(how, 0) + 1

    def _approve(self, newcomer: Machine, host: Machine) -> None:
        """The host's operator knows the newcomer's fingerprint from elsewhere."""
        node, there = newcomer.node, host.node
        if node is None or there is None:
            return
        row = there.state.peer_of(node.node_id)
        if row is None or row.status != PENDING:
            if row is not None and row.status == REJECTED:
                self._count(newcomer.name, host.name, f"rejected as {row.reason}")
            return
        is_mistaken = bool(self._mistaken.get((newcomer.name, host.name)))
        compared = _NO_FINGERPRINT if is_mistaken else fingerprint(node.signer.public_key)
        body = msgspec.json.encode({"pubkey_fingerprint": compared})
        request = Request("POST", f"/v1/federation/peers/{row.peer_id}/approve", JSON_TYPE, body)
        host.console(request, partial(self._approved, newcomer.name, host.name, is_mistaken))

    def _approved(self, name: str, at: str, is_mistaken: bool, response: Response) -> None:  # noqa: FBT001 - a callback
        """Whether it worked shows in the host's peers; if it did not, the link is looked at again."""
        if is_mistaken and response.status == 200:
            sentence = f"approved {name}, although the fingerprint that its operator gave is that of another key"
            self._violated(Violation("approved-only", at, self._world.now, sentence))
        if self._is_peer(name, at):
            self._linked(name, at)

    def _linked(self, name: str, at: str) -> None:
        if (name, at) in self._awaited:
            del self._awaited[name, at]
            self._last_linked_ns = self._world.now


def _ignore(_response: Response) -> None:
    """Whether it worked shows when the host is looked at again."""
