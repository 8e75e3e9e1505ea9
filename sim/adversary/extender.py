"""Extender: shows a fact again with another end of life (S-29)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final

import msgspec

from sim.adversary.author import Entry
from sim.adversary.base import Adversary
from stigmem.core.fact import Fact
from stigmem.core.timestamps import format_us

if TYPE_CHECKING:
    from sim.adversary.script import PeerScript

__all__ = ["Extender"]

_ENTITY: Final = "stigmem://sim.example/lease"
_LIFE_US: Final = 1_800_000_000
_HOUR_US: Final = 3_600_000_000
_EXTENSION: Final = ("valid_until_extension",)


class Extender(Adversary, tag="extender"):
    """Later and never are refused; the same instant in another zone, earlier, and an end to what had none change
    nothing and are no fault."""

    def entries(self, peer: PeerScript, victim: str) -> list[Entry]:
        """New leases, and those that the victim holds by now with another end."""
        shown: list[Fact] = peer.notes.setdefault(f"shown to {victim}", [])
        ledger = peer.ledger(victim)
        ready = [fact for fact in shown if ledger is not None and ledger.held(fact.origin, fact.id) is not None]
        found = [entry for fact in ready for entry in self._otherwise(peer, victim, fact)]
        shown[:] = [self._lease(peer, kind) for kind in ("later", "never", "zone", "earlier", "ended")]
        for fact in shown:
            peer.expect(victim, fact.id)
        return [*found, *(peer.entry(fact) for fact in shown)]

    def _lease(self, peer: PeerScript, kind: str) -> Fact:
        until = None if kind == "ended" else format_us(peer.now_ms * 1_000 + _LIFE_US)
        return peer.fact(_ENTITY, f"sim:{kind}", f"lease {peer.served}", valid_until=until)

    def _otherwise(self, peer: PeerScript, victim: str, fact: Fact) -> list[Entry]:
        kind, until_us = fact.relation.removeprefix("sim:"), fact.expires_us or peer.now_ms * 1_000
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=until_us)
        until, codes = {
            "later": (format_us(until_us + _HOUR_US), _EXTENSION),
            "never": (None, _EXTENSION),
            "zone": (moment.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat(), ()),
            "earlier": (format_us(until_us - _LIFE_US // 2), ()),
            "ended": (format_us(until_us + _HOUR_US), ()),
        }[kind]
        peer.expect(victim, fact.id, *codes)
        return [peer.entry(msgspec.structs.replace(fact, valid_until=until))]
