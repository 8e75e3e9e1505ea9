"""Clock-pusher: stamps that lie about time, to be believed or to drag the victim's clock along (S-26, S-37).

A node takes a stamp that is at most `skew_future` ahead of its own clock, keeps its own stamps within `drag` of that
clock whatever it took, and refuses what is further ahead, too long past, or no stamp at all. One who could move the
stamps of a node into the future would make its facts invisible to every third node whose cursor has passed them.
"""

from __future__ import annotations

from typing import Any, Final

from sim.adversary.base import Adversary
from sim.kinds import kind
from sim.ports import PageEntry, PeerEnv
from sim.units import Duration, parse_duration

__all__ = ["ClockPusher"]

_ENTITY: Final = "stigmem://sim.example/clock"
_MARGIN_MS: Final = 10_000
"""What the way to the victim and its queue may take off a lead; below it the verdict on a stamp is open."""
_MALFORMED: Final = ("abc", "-5.0", "1e3.0", "1.2.3", " 1", "١٢٣.4", "9" * 400, "9999999999999999.0")


@kind("clock-pusher")
class ClockPusher(Adversary):
    """Every batch carries a fact `lead` ahead of the victim's own clock, which is inside the bound, and with
    `beyond` also stamps outside of it, far in the past, and texts that are no stamps."""

    lead: Duration = parse_duration("250s")
    """How far ahead of the victim's own clock one fact of each batch is stamped."""
    beyond: bool = True
    """Whether there are stamps outside of the bounds too, and texts that are no stamps."""

    def entries(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        # Relative to the victim's clock: that is what the bound is measured against.
        offset_ms, bound_ms = peer.clock_lead_ms(victim), peer.settings(victim).skew_future_ms
        boost = peer.fact(_ENTITY, "sim:claims", f"boost {peer.served}", ahead_ms=offset_ms + self.lead // 1_000_000)
        found: list[PageEntry] = [peer.entry(boost)]
        if not self.beyond:
            return found
        for ahead_ms in (bound_ms + 1_000, 900_000, 40 * 86_400_000, 4_000_000_000_000):
            fact = peer.fact(_ENTITY, "sim:claims", f"{ahead_ms} ahead {peer.served}", ahead_ms=offset_ms + ahead_ms)
            if ahead_ms > bound_ms + _MARGIN_MS > _MARGIN_MS and peer.has_steady_clock(victim):
                peer.expect(victim, fact.id, "hlc_skew", "hlc_malformed")
            found.append(peer.entry(fact))
        return [*found, self._past(peer, victim, offset_ms), *self._malformed(peer, victim)]

    def _past(self, peer: PeerEnv, victim: str, offset_ms: int) -> PageEntry:
        past_ms = peer.settings(victim).skew_past_ms
        fact = peer.fact(_ENTITY, "sim:claims", f"past {peer.served}", ahead_ms=offset_ms - past_ms - 1_000)
        if past_ms and _is_up_to_date(peer, victim) and peer.has_steady_clock(victim):
            peer.expect(victim, fact.id, "hlc_skew")
        return peer.entry(fact)

    def _malformed(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        found: list[PageEntry] = []
        for number, text in enumerate(_MALFORMED):
            fact = peer.fact(_ENTITY, "sim:claims", f"malformed {number} {peer.served}")
            peer.expect(victim, fact.id, "hlc_malformed")
            found.append(peer.entry(fact, hlc=text) if peer.dialect == "0.5" else _stamped(peer.entry(fact), text))
        return found


def _is_up_to_date(peer: PeerEnv, victim: str) -> bool:
    """Whether a victim has come to the end of the peer's history; until then it takes what is long past."""
    node = peer.truth(victim)
    return node is not None and node.has_read_to_the_end(peer.node_id)


def _stamped(entry: dict[str, Any], text: str) -> PageEntry:
    return entry | {"fact": entry["fact"] | {"hlc": text}}
