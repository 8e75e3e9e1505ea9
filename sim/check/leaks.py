"""No scope leaks: nothing leaves a node that its receiver may not see (federation 5, leaks L1 to L10).

Here is what a single answer or commit must not show; what cursors and `has_more` tell over several answers is
`sim.check.cursors`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from sim.check.base import Checker, CheckResult, Commit, Commits, Served
from sim.observation.node_view import NodeView
from sim.ports import Observed
from stigmem.core.declaration import CERTIFYING
from stigmem.core.fact import Fact
from stigmem.core.scopes import crossing
from stigmem.core.uris import RESOLUTION_PREFIX, is_system
from stigmem.core.wire import Response

__all__ = ["Leaks", "Page", "crosses", "node_id_of", "page_of"]

_INTERNAL: Final = (
    "received_from", "origin_node_id", "origin_allowed_scopes", "garden_id", "attested_key_id", "attested",
    "source_trust", "quarantine_status", "quarantine_garden_id", "effective_confidence", "contradicted", "warnings",
    "sanitizer_warnings", "sanitizer_redacted",
)  # fmt: skip
_UUID: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def node_id_of(observed: Observed, name: str) -> str:
    """The node id of a node or a hostile peer; empty before a node first booted."""
    peer = observed.hostile.get(name)
    if peer is not None:
        return peer.node_id
    node = observed.node(name)
    if node is not None:
        return node.node_id
    # A machine that is off, or was while its answer was on the way, is still the one whose facts it wrote.
    return next((node_id for node_id, each in observed.names.items() if each == name), "")


def crosses(observed: Observed, first: str, second: str, scope: str) -> bool:
    """Whether facts of a scope may pass between a node and another one, or a hostile peer."""
    hostile = observed.hostile.get(second) or observed.hostile.get(first)
    if hostile is None:
        return observed.federation.crosses(first, second, scope)
    return scope in crossing(tuple(hostile.scopes), allow_team=observed.federation.allow_team)


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
    sees = Commits.THAT_TELL

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self.pages = 0
        self.entries = 0
        self._granted: dict[tuple[str, str, str], bool] = {}
        """(server, asker, scope) -> whether that link of honest nodes grants it: asked for every entry served."""

    def on_response(self, served: Served) -> None:
        if served.response.status == 200 and served.request.target.startswith("/v1/federation/facts"):
            sentence = self._page(served)
        else:
            sentence = self._other(served.response)
        if sentence is not None:
            self.fail(served.machine, f"{sentence} (to {served.asker})")

    def _page(self, served: Served) -> str | None:
        self.pages += 1
        body, node = served.response.body, self.observed.node(served.machine)
        if body.startswith((b'{"v":2,"facts":[]', b'{"facts":[]')) or node is None:
            return None
        theirs = "" if "echo=true" in served.request.target else node_id_of(self.observed, served.asker)
        for raw in page_of(body).facts:
            self.entries += 1
            entry, fact, secret = _shown(bytes(raw))
            sentence = (
                secret or self._scope(served.machine, served.asker, fact) or self._relayed(node, theirs, entry, fact)
            )
            if sentence is not None:
                return f"fact {fact['id']}: {sentence}"
        return None

    def _scope(self, name: str, asker: str, fact: dict[str, Any]) -> str | None:
        scope = fact["scope"]
        if scope == "local":
            return "a local fact left its node (L1)"
        if not self._crosses(name, asker, scope):
            return f"scope {scope} may not cross this link"
        return None

    def _crosses(self, first: str, second: str, scope: str) -> bool:
        if self.observed.hostile:
            return crosses(self.observed, first, second, scope)
        link = (first, second, scope)
        granted = self._granted.get(link)
        if granted is None:
            granted = self._granted[link] = crosses(self.observed, first, second, scope)
        return granted

    def _relayed(self, node: NodeView, theirs: str, entry: dict[str, Any], fact: dict[str, Any]) -> str | None:
        # `theirs`: whose facts need no echo; a peer that reads from the beginning may ask for its own.
        envelope = entry.get("origin", {})
        origin = envelope.get("node_id", node.node_id)
        held = node.ledger.held(origin, fact["id"])
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
        visibility = self.observed.visibility
        number = visibility.number(self.observed.names.get(origin, ""), fact["id"])
        if number is not None and visibility.facts[number].scope != fact["scope"]:
            return "its scope is not the one it was written in (L9)"
        return None

    def _other(self, response: Response) -> str | None:
        is_fact = self.observed.visibility.is_fact
        for found in _UUID.findall(response.body):
            name = found.decode()
            if is_fact(name):
                return f"an answer that is no page names fact {name} (L1, L7)"
        return None

    def on_commit(self, commit: Commit) -> None:
        for fact in commit.facts:
            if fact.received_from is not None:
                sentence = self._taken(commit.machine, fact.received_from, fact)
                if sentence is not None:
                    self.fail(commit.machine, sentence)

    def _taken(self, name: str, sender_id: str, fact: Fact) -> str | None:
        sender = self.observed.names.get(sender_id)
        if sender is None:
            sender = next((each for each, peer in self.observed.hostile.items() if peer.node_id == sender_id), None)
        if sender is None:
            return f"took a fact from {sender_id}, whom nobody knows"
        if not self._crosses(name, sender, fact.scope):
            return f"took a {fact.scope} fact from {sender}, which the link does not grant"
        if fact.scope != "public" and fact.origin != sender_id:
            return f"took a {fact.scope} fact of another node from {sender} (L3)"
        node = self.observed.node(name)
        if not fact.certified and node is not None:
            if fact.origin != sender_id:
                return f"took fact {fact.id} of another node from {sender}, and its id commits to nothing"
            if node.peer_dialect(sender_id) == CERTIFYING:
                return f"took fact {fact.id} from {sender}, whose ids commit to their facts, and this one does not"
            if any(other.certified for other in node.ledger.find(fact.id)):
                return f"took a fact from {sender} under the id {fact.id}, which commits to another fact that it holds"
        return None

    def result(self) -> CheckResult:
        return self.holds_of(self.entries, f"{self.entries} entries in {self.pages} pages read on the wire")
