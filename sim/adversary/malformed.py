"""Malformed: entries that are not facts, by hand and by the hundred from a seeded generator (S-33).

Each is refused with a code that says what is wrong with it, is audited once, and leaves its neighbours on the page
alone; none of them may be an error of the victim's own, however strict readers and careless ones would read it.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from sim.adversary.base import Adversary
from sim.kinds import kind
from sim.ports import PageEntry, PeerEnv
from stigmem.core.page import entry_name

__all__ = ["Malformed", "fuzzed"]

_ENTITY: Final = "stigmem://sim.example/malformed"
_MISSING: Final = object()
_ODD: Final[tuple[Any, ...]] = (
    _MISSING, None, True, False, 0, -1, 7, 10**18, 2**63 - 1, 1.5, -0.0, 1e308, "", "x", "NaN", "\x00",
    "\ud7ff\U0001f600",
    "9" * 500, [], [[]], ["x"], [None], {}, {"x": []}, {"v": {"v": None}},
)  # fmt: skip
_DATES: Final = (
    "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2026-02-30T00:00:00Z", "2026-06-01", "20260601T000000Z",
    "2026-W23-1", "now", "2026-06-01T24:00:00Z", "2026-06-01T00:00:00.0000001Z",
)  # fmt: skip
_LARGE: Final = 5_000_000


def fuzzed(entry: dict[str, Any], rng: Random) -> bytes:
    """An entry with one to three members anywhere in it replaced, dropped or added, as JSON text."""
    text = msgspec.json.encode(entry)
    for _ in range(rng.randint(1, 3)):
        found = msgspec.json.decode(text)
        places = list(_places(found))
        holder, key = places[rng.randrange(len(places))]
        odd = _ODD[rng.randrange(len(_ODD))] if rng.random() < 0.8 else _DATES[rng.randrange(len(_DATES))]
        if odd is _MISSING:
            del holder[key]
        else:
            holder[key] = odd
        text = msgspec.json.encode(found)
        if not isinstance(found, dict) or not found:
            break
    return text


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a JSON value."""
    pairs = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    for key, inner in pairs:
        yield value, key
        yield from _places(inner)


@kind("malformed")
class Malformed(Adversary):
    """By hand: each refused. `fuzzed` generated ones a batch: many are refused, a few are facts after all; none may
    hurt its neighbours."""

    fuzzed: Annotated[int, Meta(ge=0, le=400)] = 20
    """Generated entries in each batch."""
    large: bool = True
    """Whether a text of five million characters is among them."""
    consistent: bool = False
    """Whether there are facts whose ids, hashes and signatures are right, and whose members are beyond their bounds."""

    def entries(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        generated = [fuzzed(self._whole(peer, n), peer.rng) for n in range(self.fuzzed)]
        consistent = self._beyond_bounds(peer, victim) if self.consistent else []
        return [*self._by_hand(peer, victim), *self._odd_texts(peer, victim), *consistent, *generated]

    def _beyond_bounds(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        """Facts that nothing but their bounds keeps out."""
        long = "x" * 3_000
        facts = [
            peer.fact(_ENTITY, "sim:claims", f"beyond 0 {peer.served}", confidence=5.0),
            peer.fact(_ENTITY, "sim:claims", f"beyond 1 {peer.served}", confidence=-0.5),
            peer.fact(f"{_ENTITY}/{long}", "sim:claims", f"beyond 2 {peer.served}"),
            peer.fact(_ENTITY, f"sim:{long}", f"beyond 3 {peer.served}"),
            peer.fact(_ENTITY, "sim:claims", f"beyond 4 {peer.served}", source=f"{peer.node_id}/{long}"),
        ]
        for fact in facts:
            peer.expect(victim, fact.id, "malformed_fact")
        return [peer.entry(fact) for fact in facts]

    def _whole(self, peer: PeerEnv, number: int) -> dict[str, Any]:
        return peer.entry(peer.fact(_ENTITY, "sim:claims", f"whole {number} {peer.served}"))

    def _record(self, entry: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = entry.get("fact", entry)
        return found

    def _by_hand(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        found: list[PageEntry] = []
        changes: list[dict[str, Any]] = [
            {"confidence": 5}, {"confidence": -1}, {"confidence": "high"}, {"confidence": None},
            {"value": {"type": "zzz", "v": 1}}, {"value": {"v": "x"}}, {"value": "text"},
            {"value": {"type": "string", "v": {}}},
            {"value": {"type": "number", "v": True}}, {"value": {"type": "null", "v": 0}},
            {"entity": ""}, {"entity": "e" * 3_000}, {"timestamp": "yesterday"}, {"timestamp": _DATES[0]},
            {"timestamp": _DATES[1]}, {"valid_until": "soon"}, {"derived_from": "x"}, {"garden_id": "g"},
            {"value": {"type": "string", "v": "x", "interpret_as": "order"}},
        ]  # fmt: skip
        if self.large:
            changes.append({"value": {"type": "text", "v": "x" * _LARGE}})
        for number, change in enumerate(changes):
            entry = self._whole(peer, number)
            self._record(entry).update(change)
            found.append(entry)
        for name in ("entity", "relation", "value", "source", "timestamp", "confidence", "scope", "id"):
            entry = self._whole(peer, 100)
            del self._record(entry)[name]
            found.append(entry)
        for entry_ in found:
            self._expect(peer, victim, msgspec.json.encode(entry_))
        return found

    def _odd_texts(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        """JSON that is no entry, or an entry that strict readers and careless ones read differently."""
        text = msgspec.json.encode(self._whole(peer, 200))
        found = [
            text.replace(b'"confidence":1.0', b'"confidence":1e999'),
            text.replace(b"whole 200", b"whole \xff\xfe 200"),
            text.replace(b'"confidence":1.0', b'"confidence":1.0,"confidence":9.0'),
            text.replace(b'"scope":"public"', b'"scope":"public","scope":"local"'),
            b'"a text"', b"17", b"null", b"[]", b"{}", b"[" * 200 + b"]" * 200, b"9" * 5_000,
        ]  # fmt: skip
        for entry in found:
            self._expect(peer, victim, entry)
        return list(found)

    def _expect(self, peer: PeerEnv, victim: str, raw: bytes) -> None:
        peer.expect(
            victim, entry_name(raw), "malformed_fact", "entry_incomplete", "id_required", "value_too_large",
            "cid_mismatch",
            "invalid_interpret_as", "garden_leak", "origin_sig_invalid", "scope_violation", "scope_not_in_origin_grant",
        )  # fmt: skip
