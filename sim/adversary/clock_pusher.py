"""Clock-pusher: stamps that lie about time, to be believed or to drag the victim's clock along (S-26, S-37)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.adversary.author import Entry
from sim.adversary.base import Adversary
from sim.fault.clocks import ClockFault
from sim.units import Duration, parse_duration

if TYPE_CHECKING:
    from sim.adversary.script import PeerScript

__all__ = ["ClockPusher"]

_ENTITY: Final = "stigmem://sim.example/clock"
_MARGIN_MS: Final = 10_000
"""What the way to the victim and its queue may take off a lead; below it the verdict on a stamp is open."""
_MALFORMED: Final = ("abc", "-5.0", "1e3.0", "1.2.3", " 1", "١٢٣.4", "9" * 400, "9999999999999999.0")


class ClockPusher(Adversary, tag="clock-pusher"):
    """Every batch carries a fact `lead` ahead of the victim's own clock, which is inside the bound, and with
    `beyond` also stamps outside of it, far in the past, and texts that are no stamps."""

    lead: Duration = parse_duration("250s")
    beyond: bool = True

    def entries(self, peer: PeerScript, victim: str) -> list[Entry]:
        machine = peer.simulation.machines[victim]
        # Relative to the victim's clock: that is what the bound is measured against.
        offset_ms = machine.clock.wall(peer.simulation.world.now) // 1_000_000 - peer.now_ms
        bound_ms = machine.settings.skew_future_ms
        boost = peer.fact(_ENTITY, "sim:claims", f"boost {peer.served}", ahead_ms=offset_ms + self.lead // 1_000_000)
        found: list[Entry] = [peer.entry(boost)]
        if not self.beyond:
            return found
        for ahead_ms in (bound_ms + 1_000, 900_000, 40 * 86_400_000, 4_000_000_000_000):
            fact = peer.fact(_ENTITY, "sim:claims", f"{ahead_ms} ahead {peer.served}", ahead_ms=offset_ms + ahead_ms)
            if ahead_ms > bound_ms + _MARGIN_MS > _MARGIN_MS and _is_steady(peer, victim):
                peer.expect(victim, fact.id, "hlc_skew", "hlc_malformed")
            found.append(peer.entry(fact))
        return [*found, *self._past(peer, victim, offset_ms), *self._malformed(peer, victim)]

    def _past(self, peer: PeerScript, victim: str, offset_ms: int) -> list[Entry]:
        past_ms = peer.simulation.machines[victim].settings.skew_past_ms
        fact = peer.fact(_ENTITY, "sim:claims", f"past {peer.served}", ahead_ms=offset_ms - past_ms - 1_000)
        if past_ms and peer.read_to_the_end(victim) and _is_steady(peer, victim):  # until then history is expected
            peer.expect(victim, fact.id, "hlc_skew")
        return [peer.entry(fact)]

    def _malformed(self, peer: PeerScript, victim: str) -> list[Entry]:
        found: list[Entry] = []
        for number, text in enumerate(_MALFORMED):
            fact = peer.fact(_ENTITY, "sim:claims", f"malformed {number} {peer.served}")
            peer.expect(victim, fact.id, "hlc_malformed")
            found.append(peer.entry(fact, hlc=text) if peer.dialect == "0.5" else _stamped(peer.entry(fact), text))
        return found


def _is_steady(peer: PeerScript, victim: str) -> bool:
    """Whether a victim's clock is moved by no fault: else it may show another time when the page has come."""
    faults = peer.simulation.scenario.fault
    return not any(isinstance(fault, ClockFault) and fault.node in (None, victim) for fault in faults)


def _stamped(entry: dict[str, object], text: str) -> Entry:
    fact = entry["fact"]
    return entry | {"fact": fact | {"hlc": text}} if isinstance(fact, dict) else entry
