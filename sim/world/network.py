"""The simulated wire: bytes from one machine to another, through an ordered list of rules.

Each rule gives a verdict on each parcel: pass it on (perhaps later, changed or twice), drop it, or hold it
until the rule is lifted. Every rule draws for every parcel whether or not an earlier one dropped it, so that
adding a fault never shifts another's dice (spec/simulation.md, 2).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec

from sim.world.trace import Trace
from sim.world.world import World

__all__ = ["DROP", "HOLD", "PASS", "Network", "Parcel", "Rule", "Verdict"]


class Parcel(NamedTuple):
    """Something on its way. `deliver` is called with the bytes at the receiver, at most once a copy."""

    source: str
    target: str
    kind: str
    data: bytes
    deliver: Callable[[bytes], None]


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What a rule makes of a parcel: `after` more nanoseconds, other bytes, a second copy, or no passage."""

    after: int = 0
    data: bytes | None = None
    copy_after: int | None = None
    drop: bool = False
    hold: bool = False


PASS = Verdict()
DROP = Verdict(drop=True)
HOLD = Verdict(hold=True)


class Rule(Protocol):
    """One kind of trouble (or of distance) on the wire."""

    name: str

    def judge(self, parcel: Parcel, now: int) -> Verdict: ...


class Network:
    """Carries parcels between machines by the rules in force."""

    def __init__(self, world: World, trace: Trace) -> None:
        self._world = world
        self._trace = trace
        self.rules: list[Rule] = []
        self._held: dict[int, list[Parcel]] = {}
        self.parcels = 0
        self.bytes = 0
        self.dropped = 0

    def add(self, rule: Rule) -> None:
        """Put a rule in force, after those there are."""
        self.rules.append(rule)

    def lift(self, rule: Rule) -> None:
        """End a rule; what it held goes on its way now."""
        self.rules.remove(rule)
        for parcel in self._held.pop(id(rule), []):
            self.send(parcel)

    def send(self, parcel: Parcel) -> None:
        """Put a parcel on the wire."""
        now = self._world.now
        self.parcels += 1
        self.bytes += len(parcel.data)
        delay, data = 0, parcel.data
        copies: tuple[int, ...] = (0,)
        stopped: Rule | None = None
        held = False
        for rule in self.rules:
            verdict = rule.judge(parcel, now)
            if verdict is PASS:
                continue
            delay += verdict.after
            if verdict.data is not None:
                data = verdict.data
            if verdict.copy_after is not None:
                copies += (verdict.copy_after,)
            if (verdict.drop or verdict.hold) and stopped is None:
                stopped, held = rule, verdict.hold
        if stopped is not None:
            self._stop(parcel, stopped, held=held)
            return
        self._trace.parcel(now, parcel, data, delay)
        for extra in copies:
            self._world.at(now + delay + extra, parcel.deliver, data)

    def _stop(self, parcel: Parcel, rule: Rule, *, held: bool) -> None:
        if held:
            self._held.setdefault(id(rule), []).append(parcel)
        else:
            self.dropped += 1
        self._trace.event("held" if held else "dropped", parcel.source, parcel.target, parcel.kind, rule.name)
