"""No scope leaks: nothing leaves a node that its receiver may not see (federation 5, leaks L1 to L10).

Here is what a single answer or commit must not show; what cursors and `has_more` tell over several answers is
`sim.check.cursors`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from sim.check.base import Checker, CheckResult, Commit
from sim.diagnostics.errors import Violation
from stigmem.core.fact import Fact
from stigmem.core.scopes import crossing
from stigmem.core.uris import RESOLUTION_PREFIX, is_system
from stigmem.core.wire import Request, Response

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation
    from sim.world.machine import Machine
    from stigmem.node.node import Node

__all__ = ["Leaks", "Page", "crosses", "node_id_of", "page_of"]

_INTERNAL: Final = (
    "received_from", "origin_node_id", "origin_allowed_scopes", "garden_id", "attested_key_id", "attested",
    "source_trust", "quarantine_status", "quarantine_garden_id", "effective_confidence", "contradicted", "warnings",
    "sanitizer_warnings", "sanitizer_redacted",
)  # fmt: skip
_UUID: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def node_id_of(simulation: Simulation, name: str) -> str:
    """The node id of a machine or adversary; empty before a machine first booted."""
    peer = simulation.adversaries.get(name)
    if peer is not None:
        return peer.node_id
    node = simulation.machines[name].node if name in simulation.machines else None
    if node is not None:
        return node.node_id
    # A machine that is off, or was while its answer was on the way, is still the one whose facts it wrote.
    return next((node_id for node_id, each in simulation.name_of_node.items() if each == name), "")


def crosses(simulation: Simulation, first: str, second: str, scope: str) -> bool:
    """Whether facts of a scope may pass between a machine and another one, or an adversary."""
    hostile = simulation.adversaries.get(second) or simulation.adversaries.get(first)
    if hostile is None:
        return simulation.plan.crosses(first, second, scope)
    return scope in crossing(hostile.scopes, allow_team=simulation.scenario.federation.allow_team)


class Page(msgspec.Struct):
    """A served page, its entries unread."""

    facts: list[msgspec.Raw]
    cursor: str | None = None
    has_more: bool = False


class _Shown(NamedTuple):
    """What an entry shows: all of it, its fact, and what it says that it must not say to anybody."""

    entry: dict[str, Any]
    fact: dict[str, Any]
    secret: str | None


_pages: Final = msgspec.json.Decoder(Page)


@lru_cache(maxsize=4)
def page_of(body: bytes) -> Page:
    """The body of an answer to a pull, which several checkers look at in turn."""
    return _pages.decode(body)


@lru_cache(maxsize=2_048)
def _shown(raw: bytes) -> _Shown:
    entry = msgspec.json.decode(raw, type=dict[str, Any])
    fact = entry.get("fact", entry)
    return _Shown(entry, fact, _secret(fact))


def _secret(fact: dict[str, Any]) -> str | None:
    shown = [key for key in _INTERNAL if fact.get(key)]
    if shown:
        return f"internal members are set: {', '.join(shown)} (L2, L10)"
    if fact["value"].get("interpret_as") == "instruction":
        return "an instruction left its node (L4)"
    resolution = fact["entity"].startswith(RESOLUTION_PREFIX)
    if (is_system(fact["entity"]) and not resolution) or is_system(fact["relation"]):
        return "a reserved fact left its node (L6)"
    if fact["derived_from"] and not resolution:
        return "a derived fact left its node (L4)"
    return None


class Leaks(Checker):
    """Pages hold only what the link grants and the origin allows; other answers hold no facts at all."""

    name = "no-leaks"
    every_commit = False

    def __init__(self) -> None:
        self.pages = 0
        self.entries = 0
        self._granted: dict[tuple[str, str, str], bool] = {}
        """(server, asker, scope) -> whether that link of honest nodes grants it: asked for every entry served."""

    def on_response(
        self, simulation: Simulation, machine: Machine, asker: str, request: Request, response: Response
    ) -> Violation | None:
        if response.status == 200 and request.target.startswith("/v1/federation/facts"):
            sentence = self._page(simulation, machine, asker, request, response)
        else:
            sentence = self._other(simulation, response)
        return (
            None if sentence is None else self.violation(machine.name, simulation.world.now, f"{sentence} (to {asker})")
        )

    def _page(
        self, simulation: Simulation, machine: Machine, asker: str, request: Request, response: Response
    ) -> str | None:
        self.pages += 1
        if response.body.startswith((b'{"v":2,"facts":[]', b'{"facts":[]')) or machine.node is None:
            return None
        theirs = "" if "echo=true" in request.target else node_id_of(simulation, asker)
        for raw in page_of(response.body).facts:
            self.entries += 1
            entry, fact, secret = _shown(bytes(raw))
            sentence = (
                secret
                or self._scope(simulation, machine.name, asker, fact)
                or self._relayed(simulation, machine.node, theirs, entry, fact)
            )
            if sentence is not None:
                return f"fact {fact['id']}: {sentence}"
        return None

    def _scope(self, simulation: Simulation, name: str, asker: str, fact: dict[str, Any]) -> str | None:
        scope = fact["scope"]
        if scope == "local":
            return "a local fact left its node (L1)"
        if not self._crosses(simulation, name, asker, scope):
            return f"scope {scope} may not cross this link"
        return None

    def _crosses(self, simulation: Simulation, first: str, second: str, scope: str) -> bool:
        if simulation.adversaries:
            return crosses(simulation, first, second, scope)
        link = (first, second, scope)
        granted = self._granted.get(link)
        if granted is None:
            granted = self._granted[link] = crosses(simulation, first, second, scope)
        return granted

    def _relayed(
        self, simulation: Simulation, node: Node, theirs: str, entry: dict[str, Any], fact: dict[str, Any]
    ) -> str | None:
        # `theirs`: whose facts need no echo; a peer that reads from the beginning may ask for its own.
        envelope = entry.get("origin", {})
        origin = envelope.get("node_id", node.node_id)
        held = node.state.ledger.held(origin, fact["id"])
        if held is None:
            return "the node serves what it does not hold"
        if held.quarantine is not None:
            return "a fact that is held back was served (L4)"
        if held.scope != fact["scope"]:
            return f"its scope was rewritten from {held.scope} (L9)"
        if origin != node.node_id and held.scope != "public":
            return f"a received {held.scope} fact was served on (L3)"
        if theirs in (origin, held.received_from):
            return "it went back to where it came from"
        if fact["scope"] not in envelope.get("allowed_scopes", [fact["scope"]]):
            return "its origin does not allow this scope"
        if envelope.get("tenant", "default") != "default" or envelope.get("allowed_tenants", ["default"]) != [
            "default"
        ]:
            return "it belongs to another tenant (L5)"
        number = simulation.visibility.number(simulation.name_of_node.get(origin, ""), fact["id"])
        if number is not None and simulation.visibility.facts[number].scope != fact["scope"]:
            return "its scope is not the one it was written in (L9)"
        return None

    def _other(self, simulation: Simulation, response: Response) -> str | None:
        for found in _UUID.findall(response.body):
            name = found.decode()
            if simulation.visibility.is_fact(name):
                return f"an answer that is no page names fact {name} (L1, L7)"
        return None

    def on_commit(self, simulation: Simulation, commit: Commit) -> Violation | None:
        for fact in commit.facts:
            if fact.received_from is not None:
                sentence = self._taken(simulation, commit.machine.name, fact)
                if sentence is not None:
                    return self.violation(commit.machine.name, commit.at_ns, sentence)
        return None

    def _taken(self, simulation: Simulation, name: str, fact: Fact) -> str | None:
        sender = simulation.name_of_node.get(fact.received_from or "")
        if sender is None:
            sender = next(
                (peer.name for peer in simulation.adversaries.values() if peer.node_id == fact.received_from), None
            )
        if sender is None:
            return f"took a fact from {fact.received_from}, whom nobody knows"
        if not self._crosses(simulation, name, sender, fact.scope):
            return f"took a {fact.scope} fact from {sender}, which the link does not grant"
        if fact.scope != "public" and fact.origin != fact.received_from:
            return f"took a {fact.scope} fact of another node from {sender} (L3)"
        return None

    def result(self, simulation: Simulation) -> CheckResult:
        return CheckResult(self.name, True, f"{self.entries} entries in {self.pages} pages read on the wire")
