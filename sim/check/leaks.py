"""No scope leaks: nothing leaves a node that its receiver may not see (federation 5, leaks L1 to L10)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from sim.check.base import Checker, CheckResult, Commit, Violation
from stigmem.core.fact import Fact
from stigmem.core.uris import RESOLUTION_PREFIX, is_system
from stigmem.core.wire import Request, Response

if TYPE_CHECKING:
    from sim.lab import Lab
    from sim.machine import Machine

__all__ = ["Leaks"]

_INTERNAL: Final = (
    "received_from", "origin_node_id", "origin_allowed_scopes", "garden_id", "attested_key_id", "attested",
    "source_trust", "quarantine_status", "quarantine_garden_id", "effective_confidence",
)  # fmt: skip
_UUID: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class _Page(msgspec.Struct):
    facts: list[dict[str, Any]]
    cursor: str | None = None


class Leaks(Checker):
    """Pages hold only what the link grants and the origin allows; refusals and empty pages tell nothing."""

    name = "no-leaks"

    def __init__(self) -> None:
        self._cursors: dict[tuple[str, str, str], str | None] = {}
        self.pages = 0
        self.entries = 0

    def served(self, lab: Lab, machine: Machine, asker: str, request: Request, response: Response) -> Violation | None:
        if not request.target.startswith("/v1/federation/facts"):
            return None
        sentence = (
            self._page(lab, machine, asker, response) if response.status == 200 else self._refusal(lab, response)
        )
        return None if sentence is None else self.violation(machine.name, lab.world.now, f"{sentence} (to {asker})")

    def _page(self, lab: Lab, machine: Machine, asker: str, response: Response) -> str | None:
        self.pages += 1
        if response.body.startswith((b'{"v":2,"facts":[]', b'{"facts":[]')):
            return None
        page = msgspec.json.decode(response.body, type=_Page)
        for entry in page.facts:
            self.entries += 1
            fact = entry.get("fact", entry)
            sentence = self._entry(lab, machine.name, asker, entry, fact)
            if sentence is not None:
                return f"fact {fact['id']}: {sentence}"
        return None

    def _entry(self, lab: Lab, name: str, asker: str, entry: dict[str, Any], fact: dict[str, Any]) -> str | None:
        scope = fact["scope"]
        peer = asker if asker in lab.machines else name
        if peer != name and not lab.plan.crosses(name, peer, scope):
            return f"scope {scope} may not cross this link"
        if scope == "local":
            return "a local fact left its node (L1)"
        set_ = [key for key in _INTERNAL if fact.get(key) is not None]
        if set_:
            return f"internal members are set: {', '.join(set_)} (L10)"
        resolution = fact["entity"].startswith(RESOLUTION_PREFIX)
        if (is_system(fact["entity"]) and not resolution) or is_system(fact["relation"]):
            return "a reserved fact left its node (L6)"
        if fact["derived_from"] and not resolution:
            return "a derived fact left its node (L4)"
        node = lab.machines[name].node
        origin = entry.get("origin", {}).get("node_id", node.node_id if node else "")
        if node is not None and origin != node.node_id and scope != "public":
            return f"a received {scope} fact was served on (L3)"
        number = lab.measure.number(lab.name_of_node.get(origin, ""), fact["id"])
        if number is not None and lab.measure.facts[number].scope != scope:
            return "its scope was rewritten (L9)"
        return None

    def _refusal(self, lab: Lab, response: Response) -> str | None:
        for found in _UUID.findall(response.body):
            name = found.decode()
            if any(lab.measure.number(origin, name) is not None for origin in lab.plan.nodes):
                return "a refusal names a fact (L7)"
        return None

    def committed(self, lab: Lab, commit: Commit) -> Violation | None:
        name = commit.machine.name
        for record in commit.records:
            if isinstance(record, Fact) and record.received_from is not None:
                sender = lab.name_of_node.get(record.received_from)
                if sender is not None and not lab.plan.crosses(sender, name, record.scope):
                    return self.violation(name, commit.at_ns, f"took a {record.scope} fact from {sender}, which the link does not grant")
                if record.scope in ("local", "team") and sender is None:
                    return self.violation(name, commit.at_ns, f"took a {record.scope} fact from a hostile peer")
        return None

    def settled(self, lab: Lab) -> CheckResult:
        return CheckResult(self.name, True, f"{self.entries} entries in {self.pages} pages read on the wire")
