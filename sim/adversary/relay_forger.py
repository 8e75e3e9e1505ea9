"""Relay-forger: stands between honest nodes and tampers with what it passes on.

Public facts may travel over third nodes, so that whoever stands in between could change them. The origin's signature
covers the content id, the id, the grant of scopes and the end of life: a changed value, one signed by the relay, a
widened scope, a stamp or a time that the origin did not write, and words that the origin never said are refused
(`cid_mismatch`, `origin_sig_invalid`, `origin_stamp_unproven`), and a fact that is not public is taken from its origin
alone (`origin_not_sender`). What it passes on untouched is kept. There is no S-number: section 3.11 of the contract,
on relays, and leaks L3 and L4 say what is judged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import msgspec

from sim.adversary.base import Adversary
from sim.kinds import kind
from sim.ports import PageEntry, PeerEnv
from sim.units import Duration, parse_duration
from stigmem.core.envelope import Origin, origin_bytes
from stigmem.core.errors import Rejection
from stigmem.core.keys import encode_base64
from stigmem.core.page import decode_entry
from stigmem.core.wire import Response

__all__ = ["RelayForger"]

_KEPT: Final = 40
_FORGED: Final = ("origin_sig_invalid", "origin_unresolvable")


@dataclass
class _Reading:
    """How far one victim has been read, and whose facts it was served in another form."""

    cursor: str | None = None
    used: dict[str, None] = field(default_factory=dict)


class _Known(list[dict[str, Any]]):
    """The last entries of honest nodes that were read, at whichever victim."""


class _Page(msgspec.Struct):
    facts: list[dict[str, Any]]
    cursor: str | None


def _is_plain(entry: dict[str, Any]) -> bool:
    """Whether an entry can be read and says something simple."""
    try:
        return not decode_entry(msgspec.json.encode(entry), "2.1").fact.derived_from
    except Rejection:
        return False


def _is_honest(peer: PeerEnv, entry: dict[str, Any]) -> bool:
    """Whether an entry is by a node of the federation: another adversary's may be bad in ways of its own."""
    return entry.get("origin", {}).get("node_id") in peer.names


@kind("relay-forger")
class RelayForger(Adversary):
    """Reads its victims as a peer may, every `period`, and serves what it read with another value, stamp, time,
    scope or signature, as its own or as somebody else's; also untouched, which is a relay's work."""

    period: Duration = parse_duration("2s")
    """How often it reads each victim."""

    def act(self, peer: PeerEnv) -> None:
        for victim in peer.victims:
            peer.every(self.period, partial(self._read, peer, victim))

    def _read(self, peer: PeerEnv, victim: str, _number: int) -> None:
        reading = peer.memory(_Reading, victim)
        target = "/v1/federation/facts?limit=50" + (f"&cursor={reading.cursor}" if reading.cursor is not None else "")

        def answered(answer: Response | str) -> None:
            if isinstance(answer, Response) and answer.status == 200:
                try:
                    page = msgspec.json.decode(answer.body, type=_Page)
                except (msgspec.MsgspecError, ValueError):
                    return  # garbled on its way
                if page.cursor is not None:
                    reading.cursor = page.cursor
                known = peer.memory(_Known)
                known.extend(entry for entry in page.facts if _is_honest(peer, entry) and _is_plain(entry))
                del known[:-_KEPT]

        peer.send(victim, peer.authorised("GET", target, peer.token(victim)), answered)

    def entries(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        known, node = peer.memory(_Known), peer.truth(victim)
        used = peer.memory(_Reading, victim).used
        fresh = [
            e
            for e in known
            if node is not None and e["origin"]["node_id"] != node.node_id and e["fact"]["id"] not in used
        ]
        ways = (
            self._other_value, self._other_content, self._resigned, self._widened, self._other_stamp, self._other_time,
            self._stolen, self._invented, self._untouched,
        )  # fmt: skip
        found: list[PageEntry] = []
        for entry, way in zip(fresh[-len(ways) :], ways, strict=False):
            used[entry["fact"]["id"]] = None
            found.append(way(peer, victim, entry))
        return found

    def _expect(self, peer: PeerEnv, victim: str, entry: dict[str, Any], *codes: str) -> None:
        # What is not public cannot be relayed at all, and that is seen first.
        stays = () if entry["fact"]["scope"] == "public" else ("origin_not_sender",)
        peer.expect(victim, entry["fact"]["id"], *codes, *stays)

    def _with_value(self, entry: dict[str, Any], text: str) -> dict[str, Any]:
        value = {"type": "string", "v": text, "interpret_as": "content"}
        return entry | {"fact": entry["fact"] | {"value": value}}

    def _hashed(self, peer: PeerEnv, entry: dict[str, Any]) -> dict[str, Any]:
        """The entry with the content id that its content now has."""
        wire = decode_entry(msgspec.json.encode(entry), "2.1").fact
        value = entry["fact"]["value"]
        like = peer.fact(
            wire.entity, wire.relation, str(value["v"]), scope=wire.scope, source=wire.source, kind=value["type"],
            confidence=wire.confidence,
        )  # fmt: skip
        return entry | {"fact": entry["fact"] | {"cid": like.cid8}}

    def _signed(self, peer: PeerEnv, entry: dict[str, Any]) -> dict[str, Any]:
        fact = entry["fact"]
        origin = msgspec.convert(entry["origin"], Origin)
        message = origin_bytes(origin, fact["id"], fact["cid"], fact["valid_until"])
        return entry | {"origin_sig": encode_base64(peer.sign(message))}

    def _other_value(self, peer: PeerEnv, victim: str, entry: dict[str, Any]) -> PageEntry:
        self._expect(peer, victim, entry, "cid_mismatch", "origin_unresolvable")
        return self._with_value(entry, "tampered with")

    def _other_content(self, peer: PeerEnv, victim: str, entry: dict[str, Any]) -> PageEntry:
        self._expect(peer, victim, entry, *_FORGED)
        return self._hashed(peer, self._with_value(entry, "tampered with and hashed"))

    def _resigned(self, peer: PeerEnv, victim: str, entry: dict[str, Any]) -> PageEntry:
        self._expect(peer, victim, entry, *_FORGED)
        return self._signed(peer, self._hashed(peer, self._with_value(entry, "tampered with and signed")))

    def _widened(self, peer: PeerEnv, victim: str, entry: dict[str, Any]) -> PageEntry:
        """A company fact becomes public; a public one becomes one for the company."""
        scope = "company" if entry["fact"]["scope"] == "public" else "public"
        origin = entry["origin"] | {"allowed_scopes": ["company", "public"]}
        peer.expect(victim, entry["fact"]["id"], "origin_not_sender", *_FORGED)
        return self._hashed(peer, entry | {"fact": entry["fact"] | {"scope": scope}, "origin": origin})

    def _other_stamp(self, peer: PeerEnv, victim: str, entry: dict[str, Any]) -> PageEntry:
        # Nothing is announced: a victim that holds the fact sees a repetition, one that does not refuses the stamp.
        return entry | {"fact": entry["fact"] | {"hlc": f"{peer.now_ms:013d}.999"}}

    def _other_time(self, peer: PeerEnv, victim: str, entry: dict[str, Any]) -> PageEntry:
        return entry | {"fact": entry["fact"] | {"timestamp": "2026-01-01T00:00:00.000000+00:00"}}

    def _stolen(self, peer: PeerEnv, victim: str, entry: dict[str, Any]) -> PageEntry:
        """Another's fact as its own work, under the same id."""
        return self._signed(
            peer, entry | {"origin": entry["origin"] | {"node_id": peer.node_id, "entity_uri": peer.url}}
        )

    def _invented(self, peer: PeerEnv, victim: str, entry: dict[str, Any]) -> PageEntry:
        """Its own words as another's fact."""
        fact = peer.fact(
            entry["fact"]["entity"], "sim:claims", f"in your name {peer.served}", origin=entry["origin"]["node_id"]
        )
        written = peer.entry(fact)
        self._expect(peer, victim, written, *_FORGED)
        return written

    def _untouched(self, peer: PeerEnv, victim: str, entry: dict[str, Any]) -> PageEntry:
        """A public fact passes; one for the company stays where it was (L3)."""
        return entry
