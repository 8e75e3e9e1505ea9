"""Which links a fault of the wire strikes, and a rule that holds only there.

Shared by every fault that puts a rule on the wire for a while; the rules themselves are `sim.world.rules`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from msgspec import Meta

from sim.diagnostics.errors import Misfit
from sim.fault.base import Fault
from sim.topology.federation import Federation
from sim.world.network import PASS, Decision, Packet, Rule

__all__ = ["LinkFault", "OnLinks", "Pair"]

Pair = Annotated[list[str], Meta(min_length=2, max_length=2, extra_json_schema={"description": "a pair of nodes"})]


class OnLinks:
    """A rule that holds for some ordered pairs of nodes; it draws only for their packets."""

    def __init__(self, rule: Rule, touches: Callable[[str, str], bool]) -> None:
        self.name = rule.name
        self._rule = rule
        self._touches = touches

    def decide(self, packet: Packet, now: int) -> Decision:
        return self._rule.decide(packet, now) if self._touches(packet.source, packet.target) else PASS


class LinkFault(Fault):
    """A fault of the wire: on the link `between` two nodes, on several `links`, on every link of `node`, or everywhere.

    `one_way`: only from the first to the second of a pair, or only what the node sends.
    """

    node: str | None = None
    """Strike every link of this node."""
    between: Pair | None = None
    """Strike the link between these two nodes."""
    links: Annotated[list[Pair], Meta(min_length=1)] | None = None
    """Strike each of these links."""
    one_way: bool = False
    """Strike only what goes from the first to the second of a pair, or only what `node` sends."""

    def nodes(self) -> tuple[str, ...]:
        named = [name for pair in self._pairs() for name in pair]
        return tuple(dict.fromkeys([*named, *([self.node] if self.node is not None else [])]))

    def check(self, federation: Federation) -> None:
        given = [key for key in ("node", "between", "links") if getattr(self, key) is not None]
        if len(given) > 1:
            raise Misfit(given[1], f"{given[0]} and {given[1]} both say where; give one of them")
        if self.one_way and not given:
            raise Misfit("one_way", "one_way needs to know between whom; give node, between or links")
        linked = {frozenset(link) for link in federation.links}
        for first, second in self._pairs():
            if {first, second} <= set(federation.nodes) and frozenset((first, second)) not in linked:
                raise Misfit(given[0], f"{first!r} and {second!r} are not linked here, so nothing would happen")

    def touches(self) -> Callable[[str, str], bool]:
        """Whether a packet from one node to another is struck."""
        if self.node is not None:
            node, both = self.node, not self.one_way
            return lambda source, target: source == node or (both and target == node)
        ordered = [(first, second) for first, second in self._pairs()]
        if not ordered:
            return _everywhere
        struck = frozenset(ordered if self.one_way else [*ordered, *((b, a) for a, b in ordered)])
        return lambda source, target: (source, target) in struck

    def strikes(self, first: str, second: str) -> bool:
        touches = self.touches()
        return touches(first, second) or touches(second, first)

    def _pairs(self) -> list[list[str]]:
        return [*([self.between] if self.between is not None else []), *(self.links or [])]

    def only_here(self, rule: Rule) -> Rule:
        """The rule, held to the links that this fault strikes."""
        return OnLinks(rule, self.touches())


def _everywhere(_source: str, _target: str) -> bool:
    return True
