"""The simulated wire: bytes from one machine to another, through an ordered list of rules.

Each rule gives a verdict on each packet: pass it on (perhaps later, changed or twice), drop it, or hold it
until the rule is lifted. Every rule draws for every packet whether or not an earlier one dropped it, so that
adding a fault never shifts another's dice (spec/simulation.md, 2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import msgspec

from sim.world.trace import Trace
from sim.world.world import World

__all__ = ["DROP", "HOLD", "PASS", "Decision", "Network", "Packet", "Rule"]


class Packet(NamedTuple):
    """Something on its way. `deliver` is called with the bytes at the receiver, at most once a copy."""

    source: str
    target: str
    kind: str
    data: bytes
    deliver: Callable[[bytes], None]


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What a rule makes of a packet: `after` more nanoseconds, other bytes, a second copy, or no passage."""

    after: int = 0
    data: bytes | None = None
    copy_after: int | None = None
    drop: bool = False
    hold: bool = False


PASS = Decision()
DROP = Decision(drop=True)
HOLD = Decision(hold=True)


class Rule(Protocol):
    """One kind of trouble (or of distance) on the wire."""

    name: str

    def decide(self, packet: Packet, now: int) -> Decision: ...


class Network:
    """Carries packets between machines by the rules in force."""

    def __init__(self, world: World, trace: Trace) -> None:
        self.world = world
        self._trace = trace
        self.rules: list[Rule] = []
        self._waiting: dict[Rule, list[Packet]] = {}
        self.bytes_sent = 0
        self.bytes_delivered = 0
        """A packet that comes twice counts twice, and one whose bytes were changed all the same."""
        self.bytes_lost = 0
        self.requests = 0
        """Requests that were sent, answered or not (`sim.world.rpc`)."""
        self.dropped: dict[tuple[str, str], int] = {}
        """(source, target) -> packets that were lost between them."""

    def add_rule(self, rule: Rule) -> None:
        """Put a rule in force, after those there are."""
        self.rules.append(rule)

    def remove_rule(self, rule: Rule) -> None:
        """End a rule; what it held goes on its way now."""
        self.rules.remove(rule)
        for packet in self._waiting.pop(rule, []):
            self._carry(packet)

    @contextmanager
    def rule(self, rule: Rule) -> Iterator[None]:
        """A guard during which a rule is in force."""
        self.add_rule(rule)
        try:
            yield
        finally:
            self.remove_rule(rule)

    def send(self, packet: Packet) -> None:
        """Put a packet on the wire."""
        self.bytes_sent += len(packet.data)
        self._carry(packet)

    def _carry(self, packet: Packet) -> None:
        """Let the rules decide on a packet that was sent, now or when a rule that held it was removed."""
        now = self.world.now
        delay, data = 0, packet.data
        copies: tuple[int, ...] = (0,)
        stopped: Rule | None = None
        waits = False
        for rule in self.rules:
            decision = rule.decide(packet, now)
            if decision is PASS:
                continue
            delay += decision.after
            if decision.data is not None:
                data = decision.data
            if decision.copy_after is not None:
                copies += (decision.copy_after,)
            if (decision.drop or decision.hold) and stopped is None:
                stopped, waits = rule, decision.hold
        if stopped is not None:
            self._stop(packet, stopped, waits=waits)
            return
        self._trace.packet(packet.source, packet.target, packet.kind, data, delay)
        for extra in copies:
            self.world.at(now + delay + extra, self._deliver, (packet.deliver, data))

    def _deliver(self, what: tuple[Callable[[bytes], None], bytes]) -> None:
        deliver, data = what
        self.bytes_delivered += len(data)
        deliver(data)

    def _stop(self, packet: Packet, rule: Rule, *, waits: bool) -> None:
        if waits:
            self._waiting.setdefault(rule, []).append(packet)
        else:
            way = packet.source, packet.target
            self.dropped[way] = self.dropped.get(way, 0) + 1
            self.bytes_lost += len(packet.data)
        self._trace.event("held" if waits else "dropped", packet.source, packet.target, packet.kind, rule.name)
