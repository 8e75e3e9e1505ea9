"""Extender: shows a fact again with another end of life (S-29).

The first `valid_until` of a fact that a node holds stands: an author who could move it later would keep alive what
everybody else has forgotten. Later and never are refused and audited; the same instant in another zone, an earlier one,
and an end to what had none change nothing and are no offence.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

import msgspec

from sim.adversary.base import Adversary
from sim.kinds import kind
from sim.ports import PageEntry, PeerEnv
from stigmem.core.fact import Fact
from stigmem.core.timestamps import format_us

__all__ = ["Extender"]

_ENTITY: Final = "stigmem://sim.example/lease"
_LIFE_US: Final = 1_800_000_000
_HOUR_US: Final = 3_600_000_000
_EXTENSION: Final = ("valid_until_extension",)


class _Shown(list[Fact]):
    """Leases that a victim was served last."""


@kind("extender")
class Extender(Adversary):
    """Leases that a victim holds are shown again with a later end, without one, with the same in another zone, with an
    earlier one, and with one where there was none."""

    def entries(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        """New leases, and those that the victim holds by now with another end."""
        shown, node = peer.memory(_Shown, victim), peer.truth(victim)
        ready = [fact for fact in shown if node is not None and node.ledger.held(fact.origin, fact.id) is not None]
        found: list[PageEntry] = [self._otherwise(peer, victim, fact) for fact in ready]
        shown[:] = [self._lease(peer, kind) for kind in ("later", "never", "zone", "earlier", "ended")]
        for fact in shown:
            peer.expect(victim, fact.id)
        return [*found, *(peer.entry(fact) for fact in shown)]

    def _lease(self, peer: PeerEnv, kind: str) -> Fact:
        until = None if kind == "ended" else format_us(peer.now_ms * 1_000 + _LIFE_US)
        return peer.fact(_ENTITY, f"sim:{kind}", f"lease {peer.served}", valid_until=until)

    def _otherwise(self, peer: PeerEnv, victim: str, fact: Fact) -> PageEntry:
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
        return peer.entry(msgspec.structs.replace(fact, valid_until=until))
